"""Segmenting a video: shapes, ids, the crop, the empty-mask rule, and what each variant is fed with."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from dipnet.config import DIPNetConfig, InferenceConfig, PropagationConfig, SegmentationConfig
from dipnet.region import RegionPass, encoder_mask, foreground_box
from dipnet.segmenter import Networks, make_segmenter
from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import new_segmentation
from tests.test_memory import KIB, resident
from tests.videos import Squares
from vos.geometry import Box
from vos.segment import label, segment_video

P = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=8)
S = SegmentationConfig(backbone="mini", size=64, channels=8, units=1, finest_stride=2)
WHOLE = Box(0, 0, 60, 80)


def networks() -> Networks:
    segmentation = new_segmentation(S, "none", 0).eval()
    return Networks(new_propagation(P, "none", 0).eval(), segmentation, [segmentation])


def segmented(video: Squares, both: Networks, options: InferenceConfig) -> list[np.ndarray]:
    return list(segment_video(video, make_segmenter(both, options, "cpu")))


def config(**change: object) -> InferenceConfig:
    return InferenceConfig(coarse_size=16, propagation=P, segmentation=S).model_copy(update=change)


@pytest.mark.parametrize("objects", [1, 3])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"crop": False},
        {"crop": False, "phases": "propagation"},
        {"crop": False, "phases": "segmentation"},
        {"instances": "separately"},
    ],
)
def test_every_variant_gives_a_mask_of_known_ids_for_every_frame(objects: int, change: dict) -> None:
    video = Squares(objects=objects, length=3)
    masks = segmented(video, networks(), config(**change))
    assert len(masks) == 3
    assert all(mask.shape == (60, 80) and set(np.unique(mask)) <= {0, *video.object_ids} for mask in masks)
    assert np.array_equal(masks[0], video.mask(0))


@pytest.mark.parametrize("crop", [True, False])
def test_each_object_is_segmented_by_its_own_network(crop: bool) -> None:
    never, always = (new_segmentation(S, "none", 0).eval() for _ in range(2))
    for network, answer in ((never, -9.0), (always, 9.0)):
        network.refine = lambda image, hints, answer=answer: torch.full((len(hints), 1, 64, 64), answer)  # type: ignore
    tuned = Networks(networks().propagation, always, [never, always])
    *_, last = segmented(Squares(objects=2, length=3), tuned, config(crop=crop))
    assert set(np.unique(last)) - {0} == {2}


def test_segmenting_is_repeatable() -> None:
    runs = [np.stack(segmented(Squares(objects=2), networks(), config())) for _ in range(2)]
    assert np.array_equal(*runs)


def test_only_the_first_mask_is_read() -> None:
    class Blind(Squares):
        def mask(self, index: int):
            assert index == 0
            return super().mask(index)

    assert len(segmented(Blind(), networks(), config())) == 6


def test_an_empty_mask_leaves_the_identity_as_it_was() -> None:
    video, both = Squares(objects=2), config(crop=False)
    with torch.inference_mode():
        way = RegionPass(networks().propagation, both, "cpu")
        objects = np.stack([video.mask(0) == i for i in video.object_ids])
        way.start(video.frame(0), objects, WHOLE)
        first = way.dynamic.clone()
        objects[0] = False
        way.update(video.frame(1), objects, objects.astype(np.float32), WHOLE)
    assert first.shape == (3, 128)  # two objects, and both as one
    assert torch.equal(way.dynamic[0], first[0])
    assert not torch.equal(way.dynamic[1], first[1])


def test_the_encoder_sees_every_object_of_the_frame() -> None:
    whole = Box(0, 0, 480, 854)
    for top in range(0, 477, 53):
        for left in range(0, 851, 37):
            mask = np.zeros((480, 854), bool)
            mask[top : top + 3, left : left + 3] = True
            rows, columns = np.nonzero(encoder_mask(mask, whole, 256))
            assert len(rows)
            assert abs(rows.mean() - (top + 1.5) * 256 / 480) < 1.5
            assert abs(columns.mean() - (left + 1.5) * 256 / 854) < 1.5
    assert not encoder_mask(np.zeros((480, 854), bool), whole, 256).any()


def test_an_object_outside_the_box_is_not_seen_and_keeps_its_identity() -> None:
    video, box = Squares(objects=2), Box(0, 0, 28, 80)  # the second object begins in row 30
    with torch.inference_mode():
        way = RegionPass(networks().propagation, config(crop=False), "cpu")
        objects = np.stack([video.mask(0) == i for i in video.object_ids])
        way.start(video.frame(0), objects, WHOLE)
        first = way.dynamic.clone()
        way.update(video.frame(1), objects, objects.astype(np.float32), box)
    assert not torch.equal(way.dynamic[0], first[0])
    assert torch.equal(way.dynamic[1], first[1])


def test_propagation_alone_takes_the_most_probable_of_objects_and_background() -> None:
    # 0.45 against 0.15 and a background of 0.4; 0.3 against 0.2 and 0.5; 0.2 against 0.6 and 0.2.
    coarse = torch.tensor([[0.45, 0.3, 0.2], [0.15, 0.2, 0.6]]).reshape(2, 1, 1, 3).repeat(1, 1, 3, 1)
    way = RegionPass(networks().propagation, config(crop=False, phases="propagation"), "cpu")
    way.previous = np.zeros((2, 4, 4), bool)
    scores = way._against_background(coarse).numpy()[:, 0]
    assert label(scores, (1, 2)).tolist() == [[1, 0, 2]] * 3


def test_omega_zero_keeps_the_first_frame_s_identity() -> None:
    video = Squares()
    with torch.inference_mode():
        way = RegionPass(networks().propagation, config(omega=0.0), "cpu")
        way.start(video.frame(0), video.mask(0)[None] == 1, WHOLE)
        first = way.dynamic.clone()
        mask = video.mask(1)[None] == 1
        way.update(video.frame(1), mask, mask.astype(np.float32), WHOLE)
    assert torch.equal(way.dynamic, first)


def test_segmentation_without_propagation_reads_the_previous_mask() -> None:
    video = Squares()
    way = RegionPass(None, config(phases="segmentation", crop=False), "cpu")
    way.start(video.frame(0), video.mask(0)[None] == 1, WHOLE)
    hint = way.propagate(video.frame(1), WHOLE)
    assert hint.shape == (1, 1, 16, 16)
    assert hint.mean().item() == pytest.approx((video.mask(0) == 1).mean(), rel=0.05)


def test_the_crop_has_its_margin_and_stays_inside_the_frame() -> None:
    mask = np.zeros((100, 200), bool)
    mask[40:80, 100:180] = True
    assert foreground_box(mask, 0.25) == (30, 80, 90, 200)
    assert foreground_box(np.zeros((4, 4), bool), 0.25) is None


def stray_pixel() -> tuple[np.ndarray, Box, Box]:
    """Return an object with a stray pixel far from it, its box without that pixel, and the box with it."""
    mask = np.zeros((480, 854), bool)
    mask[200:280, 300:400] = True
    mask[10, 800] = True
    return mask, Box(180, 275, 300, 425), Box(0, 175, 348, 854)


def test_a_stray_pixel_does_not_set_the_box() -> None:
    mask, box, whole = stray_pixel()
    assert foreground_box(mask, 0.25) == whole
    assert foreground_box(mask, 0.25, 0.01, last=box) == box
    assert foreground_box(mask, 0.25, 0.0, last=box) == whole


def test_a_small_part_counts_where_the_object_was() -> None:
    mask, box, whole = stray_pixel()
    assert foreground_box(mask, 0.25, 0.01, last=Box(10, 800, 11, 801)) == whole
    assert foreground_box(mask, 0.25, 0.01, last=Box(11, 800, 12, 801)) == box


def test_a_part_counts_from_its_share_of_the_foreground_on() -> None:
    mask = np.zeros((100, 200), bool)
    mask[10:18, 20:30] = True  # 80 pixels
    mask[50:54, 100:105] = True  # 20 pixels, a fifth of all
    nowhere = Box(0, 0, 1, 1)
    assert foreground_box(mask, 0.0, 0.2, nowhere) == Box.around(mask).grown(0, 0, 0, 0)
    assert foreground_box(mask, 0.0, 0.21, nowhere) == Box(10, 20, 18, 30).grown(0, 0, 0, 0)


def test_the_largest_part_always_counts() -> None:
    mask = np.zeros((40, 40), bool)
    mask[2:36:4, 2] = mask[20, 30] = mask[21, 31] = True  # nine pixels apart, and two that touch at a corner
    assert Box.around_parts(mask, 1.0, Box(0, 0, 1, 1)) == (20, 30, 22, 32)
    assert Box.around_parts(mask, 1.0, Box(34, 0, 40, 40)) == (20, 2, 35, 32)
    assert Box.around_parts(np.zeros((4, 4), bool), 0.01, Box(0, 0, 4, 4)) is None
    assert foreground_box(np.zeros((4, 4), bool), 0.25, 0.01, Box(0, 0, 4, 4)) is None


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_the_crop_ignores_a_stray_pixel_that_the_first_pass_finds(
    share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, box, whole = stray_pixel()
    looked: list[Box] = []

    def found(self: RegionPass, frame: np.ndarray, box: Box, segmentation: object) -> np.ndarray:
        looked.append(box)
        return mask[None].astype(np.float32)

    monkeypatch.setattr(RegionPass, "step", found)
    segmenter = make_segmenter(networks(), config(crop_share=share), "cpu")
    frame, first = np.zeros((480, 854, 3), np.uint8), mask.copy()
    first[10, 800] = False
    segmenter.start(frame, first[None])
    segmenter.step(frame)
    assert looked == [Box.whole(frame), box if share else whole]


def test_every_part_of_the_first_frame_s_objects_is_in_the_crop() -> None:
    mask, _, whole = stray_pixel()
    segmenter = make_segmenter(networks(), config(crop_share=1.0), "cpu")
    segmenter.start(np.zeros((480, 854, 3), np.uint8), mask[None])
    assert segmenter.box == whole


def test_the_segment_config_omits_what_cannot_change_the_result() -> None:
    base = {"crop": False}
    plain = DIPNetConfig(**base).inference(multi_object=False)
    assert DIPNetConfig(**base, crop_share=0.5, crop_margin=1.0).inference(multi_object=False) == plain
    single = [DIPNetConfig(**base, instances=way).inference(multi_object=False) for way in ("jointly", "separately")]
    assert single[0] == single[1]
    unpropagated = [
        DIPNetConfig(**base, phases="segmentation", omega=w).inference(multi_object=True) for w in (0.1, 0.9)
    ]
    assert unpropagated[0] == unpropagated[1]


def test_a_crop_without_both_phases_is_refused() -> None:
    with pytest.raises(ValueError, match="crop"):
        DIPNetConfig(phases="propagation")


class Large(Squares):
    """Frames of 240×320: fifty of them and their scores take more than 25 MiB."""

    def mask(self, index: int) -> np.ndarray:
        return super().mask(index % 10).repeat(4, 0).repeat(4, 1)

    def frame(self, index: int) -> np.ndarray:
        return super().frame(index % 10).repeat(4, 0).repeat(4, 1)


def grown(keeps: bool) -> int:
    """Return by how many bytes sixty frames need more memory at most than ten did, if scores are kept or not."""
    segmenter, kept = make_segmenter(networks(), config(), "cpu"), []
    step = segmenter.step
    if keeps:
        segmenter.step = lambda frame: kept.append((frame, found := step(frame))) or found  # type: ignore
    taken = [resident() for _ in segment_video(Large(length=60), segmenter)]
    return max(taken[10:]) - max(taken[:10])


def in_a_new_process(keeps: bool) -> int:
    """Return `grown`: a process that has run other tests may have memory to spare, and does not grow."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(grown, keeps).result()


def test_memory_does_not_grow_with_the_length_of_a_video() -> None:
    assert in_a_new_process(False) < 10 * KIB * KIB


def test_a_segmenter_that_keeps_its_scores_is_seen_to_grow() -> None:
    assert in_a_new_process(True) > 15 * KIB * KIB
