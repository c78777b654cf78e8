"""Training samples: what moves together, what stays, and what the paper says of each."""

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dipnet.train_segmentation import draw_views
from tests.videos import Squares
from vos.config import AugmentationConfig, CoarseConfig, TrainingConfig
from vos.geometry import Box, View
from vos.hints import coarse_mask
from vos.samples import (
    area_truth,
    choose_objects,
    clip_sample,
    crop_box,
    frames_tensor,
    images_of,
    known_tensor,
    masks_tensor,
    numbered,
    vary,
)

STRONG = AugmentationConfig(crop=0.5, rotation=40, scale=(0.6, 1.5), shift=0.2)
PLAIN = AugmentationConfig(flip=0, crop=0)
RIM = np.ones((13, 13), np.uint8)
"""Distance over which enlarging a small crop smears colors."""


def erode(mask: np.ndarray) -> np.ndarray:
    """A mask without its rim, where resizing mixes colors; nothing is known beyond the image."""
    return cv2.erode((mask == 1).astype(np.uint8), RIM) == 1


def dilate(mask: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), RIM) == 1


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([32, 48]))
def test_mask_and_image_move_together(seed: int, size: int) -> None:
    mask = np.zeros((size, size), np.uint8)
    mask[size // 4 : size // 2, size // 3 : 2 * size // 3] = 1
    image = np.repeat(mask[:, :, None] * np.uint8(255), 3, 2)
    view = vary([View(image, mask)], STRONG, np.random.default_rng(seed))[0]
    bright, ids = view.frame[:, :, 0] > 127, view.mask == 1
    assert (bright != ids).sum() <= 3 * (
        np.abs(np.diff(ids.astype(int))).sum() + np.abs(np.diff(ids.T.astype(int))).sum()
    )
    assert set(np.unique(view.mask)) <= {0, 1}


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_masks_of_samples_hold_background_object_and_void_only(seed: int) -> None:
    config = TrainingConfig(augmentation=STRONG)
    for view in clip_sample([Squares(objects=2, void=True)], config, 32, np.random.default_rng(seed), frames=2):
        assert view.frame.shape == (32, 32, 3)
        assert set(np.unique(view.mask)) <= {0, 1, 255}


def test_a_pair_of_a_video_lies_within_ten_consecutive_frames() -> None:
    seen = []

    class Spy(Squares):
        def frame(self, index: int):
            seen.append(index)
            return super().frame(0)

        def mask(self, index: int):
            return super().mask(0)

    rng = np.random.default_rng(0)
    for _ in range(300):
        clip_sample([Spy(length=40)], TrainingConfig(augmentation=PLAIN), 32, rng, frames=2)
    gaps = np.abs(np.subtract(seen[0::2], seen[1::2]))
    assert gaps.min() == 1
    assert gaps.max() == 9
    assert min(seen) == 0
    assert max(seen) == 39


def test_the_second_frame_of_a_still_is_the_first_shifted_and_turned() -> None:
    first, second = clip_sample(
        [Squares(length=1)], TrainingConfig(augmentation=PLAIN), 64, np.random.default_rng(3), frames=2
    )
    assert (first.mask != second.mask).any()
    assert abs(int((first.mask == 1).sum()) - int((second.mask == 1).sum())) < 0.25 * (first.mask == 1).sum()


def test_void_is_never_an_object() -> None:
    ids = np.array([[0, 255], [255, 255]], np.uint8)
    assert choose_objects(ids, 1, 0.5, np.random.default_rng(0)) == []
    assert choose_objects(ids, 4, 0.5, np.random.default_rng(0)) == []
    with pytest.raises(ValueError, match="right training data"):
        clip_sample([Squares(objects=0)], TrainingConfig(), 32, np.random.default_rng(0), frames=1)


def test_void_stays_void_and_is_unknown_to_the_loss() -> None:
    mask = numbered(np.array([[1, 2], [255, 0]], np.uint8), [(2,)])
    assert mask.tolist() == [[0, 1], [255, 0]]
    assert masks_tensor([mask]).flatten().tolist() == [0, 1, 0, 0]
    assert known_tensor([mask]).flatten().tolist() == [1, 1, 0, 1]


def test_the_foreground_is_drawn_with_its_probability() -> None:
    ids = np.array([[1, 2]], np.uint8)
    rng = np.random.default_rng(0)
    merged = sum(choose_objects(ids, 1, 0.25, rng) == [(1, 2)] for _ in range(2000))
    assert 400 < merged < 600


@settings(max_examples=80)
@given(seed=st.integers(0, 2**32), kernel=st.integers(0, 16))
def test_a_coarse_mask_differs_from_the_mask_by_its_kernel_at_most(seed: int, kernel: int) -> None:
    mask = Squares().mask(0)
    square = Box.whole(mask).cut(mask, 64, labels=True)
    coarse = coarse_mask(square, 64, CoarseConfig(kernel=kernel), np.random.default_rng(seed))
    assert coarse.min() >= 0
    assert coarse.max() <= 1
    box, true = Box.around(coarse > 0.5), Box.around(square == 1)
    assert box is not None
    assert true is not None
    assert max(abs(a - b) for a, b in zip(box, true, strict=True)) <= kernel // 2 + 1


def test_an_undisturbed_coarse_mask_is_the_mask_scaled_by_area() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:3, :4] = 1
    coarse = coarse_mask(mask, 4, CoarseConfig(kernel=0), np.random.default_rng(0))
    assert coarse[:3, 0].tolist() == [1.0, 0.5, 0.0]


def test_fading_weakens_a_coarse_mask_and_moves_nothing() -> None:
    mask = Squares().mask(0)
    plain, faded = (
        coarse_mask(mask, 16, CoarseConfig(kernel=0, fade=fade), np.random.default_rng(0)) for fade in (0.0, 0.7)
    )
    strength = faded.max() / plain.max()
    assert 0.3 <= strength < 1
    np.testing.assert_allclose(faded, strength * plain, rtol=1e-5)


def test_a_crop_of_a_pair_holds_the_object_in_both_frames() -> None:
    class Fast(Squares):
        def drawn(self, index: int) -> np.ndarray:
            ids = np.zeros((60, 80), np.uint8)
            ids[20:30, 5 + 50 * index : 15 + 50 * index] = 1
            return ids

    config = TrainingConfig(augmentation=AugmentationConfig(flip=0, crop=1.0, crop_margin_range=(0.0, 0.0)))
    for seed in range(20):
        pair = clip_sample([Fast(length=2)], config, 64, np.random.default_rng(seed), frames=2)
        # 10 × 10 pixels in a box of 60 × 16.
        assert all((view.mask == 1).mean() == pytest.approx(10 * 10 / (60 * 16), rel=0.1) for view in pair)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), length=st.sampled_from([1, 6]))
def test_a_pair_shows_one_and_the_same_object_in_both_frames(seed: int, length: int) -> None:
    config = TrainingConfig(foreground=0.0, augmentation=AugmentationConfig(crop=0.5, rotation=20, scale=(0.8, 1.2)))
    pair = clip_sample([Squares(objects=2, length=length)], config, 64, np.random.default_rng(seed), frames=2)
    # Each object is brightest in a color of its own.
    colors = [set(view.frame[erode(view.mask)].argmax(1)) for view in pair]
    assert len(colors[0]) <= 1
    assert len(colors[0] | colors[1]) <= 1


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), length=st.sampled_from([1, 6]))
@example(seed=2**32, length=1)
def test_masks_of_whole_samples_lie_on_their_objects(seed: int, length: int) -> None:
    config, rng = TrainingConfig(augmentation=STRONG), np.random.default_rng(seed)
    views = [v for n in (1, 2) for v in clip_sample([Squares(length=length)], config, 64, rng, frames=n)]
    for view in views:
        bright, ids = view.frame[:, :, 1] > 127, view.mask == 1
        # Of an object mirrored at the image's rim, a sliver along it may be rounded away in one of the two.
        inside = (slice(len(RIM) // 2, -(len(RIM) // 2)),) * 2
        assert (erode(view.mask) & ~bright)[inside].sum() <= 8
        assert (bright & ~dilate(ids))[inside].sum() <= 8


def test_every_batch_has_one_of_the_square_sizes_of_its_config() -> None:
    config, seen = TrainingConfig(sizes=(32, 48, 64), batch=2), set()
    for seed in range(40):
        views = draw_views([Squares()], config, 128, np.random.default_rng(seed))
        sides = {side for view in views for side in (*view.frame.shape[:2], *view.mask.shape)}
        assert len(sides) == 1
        seen |= sides
    assert seen == {32, 48, 64}
    assert len(draw_views([Squares()], TrainingConfig(), 128, np.random.default_rng(0))[0].mask) == 128


def test_a_sample_has_so_many_objects_at_most_in_the_order_of_their_ids() -> None:
    ids = np.array([[3, 5, 9, 255, 0]], np.uint8)
    rng = np.random.default_rng(0)
    assert choose_objects(ids, 3, 1.0, rng) == [(3,), (5,), (9,)]
    drawn = {tuple(choose_objects(ids, 2, 1.0, rng)) for _ in range(60)}
    assert drawn == {((3,), (5,)), ((3,), (9,)), ((5,), (9,))}
    assert numbered(ids, [(5,), (3, 9)]).tolist() == [[2, 1, 2, 255, 0]]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), length=st.sampled_from([1, 6]))
def test_objects_keep_their_numbers_through_a_clip(seed: int, length: int) -> None:
    config = TrainingConfig(augmentation=AugmentationConfig(crop=0.5, rotation=20, scale=(0.8, 1.2)))
    video, rng = Squares(objects=2, length=length), np.random.default_rng(seed)
    for view in clip_sample([video], config, 64, rng, frames=2, objects=5):
        assert set(np.unique(view.mask)) <= {0, 1, 2}
        for number in (1, 2):
            colors = view.frame[erode(view.mask == number)].argmax(1)
            assert set(colors) <= {np.roll([230, 60, 120], number).argmax()}


def test_masks_are_resampled_about_their_center() -> None:
    # Of three pixels the middle one; of 9 pixels in 3, the middle ones of each third. The corner would give 0, 3, 6.
    line = np.arange(9, dtype=np.uint8).reshape(1, 9).repeat(9, 0)
    assert Box.whole(line).cut(line, 3, labels=True)[0].tolist() == [1, 4, 7]
    mask = np.zeros((90, 90), np.uint8)
    mask[30:60, 30:60] = 1
    small = Box.whole(mask).cut(mask, 30, labels=True)
    assert Box.around(small == 1) == (10, 10, 20, 20)
    assert Box.around(Box.whole(mask).placed(small[None].astype(np.float32), mask)[0] > 0.5) == (30, 30, 60, 60)


def test_the_truth_of_a_cell_is_the_share_of_its_known_area() -> None:
    # One cell of 2 × 2: half void, half object; one of object, ground and two void; one of void only; one all known.
    mask = np.array([[1, 1, 1, 0], [255, 255, 255, 255], [255, 255, 1, 0], [255, 255, 0, 0]], np.uint8)
    truth, known = area_truth(masks_tensor([mask]), known_tensor([mask]), (2, 2))
    assert known.flatten().tolist() == [0.5, 0.5, 0.0, 1.0]
    assert truth.flatten().tolist() == [1.0, 0.5, 0.0, 0.25]


def test_a_crop_holds_the_whole_object() -> None:
    mask, rng = Squares().mask(2), np.random.default_rng(0)
    for _ in range(50):
        top, left, bottom, right = crop_box(mask == 1, AugmentationConfig(crop=1.0), rng)
        assert mask[top:bottom, left:right].sum() == mask.sum()
        assert (bottom - top) * (right - left) < mask.size


def test_frames_are_normalized_as_imagenet_s() -> None:
    tensor = frames_tensor([np.full((2, 2, 3), 255, np.uint8)])
    assert tensor[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


def test_every_pixel_of_every_level_is_normalized() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), np.uint8)
    expected = (frames / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(frames_tensor(list(frames)), expected.transpose(0, 3, 1, 2), atol=1e-5)
    np.testing.assert_array_equal(images_of(frames_tensor(list(frames))), frames)


@given(st.integers(0, 2**32 - 1))
def test_a_color_change_is_linear_per_channel_and_clipped(seed: int) -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    mask = np.ones((16, 16), np.uint8)
    changed = vary([View(levels, mask)] * 2, AugmentationConfig(flip=0, color=0.3), np.random.default_rng(seed))
    np.testing.assert_array_equal(changed[0].frame, changed[1].frame)
    np.testing.assert_array_equal(changed[0].mask, mask)
    for channel in changed[0].frame.reshape(256, 3).T.astype(int):
        inside = np.flatnonzero((channel > 0) & (channel < 255))
        slope, offset = np.polyfit(inside, channel[inside], 1)
        assert 0.5 < slope < 1.5  # of .3 in all and half of that for the channel
        np.testing.assert_allclose(channel, np.clip(slope * np.arange(256) + offset, 0, 255), atol=1.6)


def test_outside_the_image_the_rim_repeats_and_labels_are_background() -> None:
    image = np.full((4, 4, 3), 9, np.uint8)
    assert (Box(-2, -2, 6, 6).cut(image, 8) == 9).all()
    labels = Box(-2, -2, 6, 6).cut(np.ones((4, 4), np.uint8), 8, labels=True)
    assert labels.sum() == 16


@pytest.mark.parametrize("length", [1, 2, 12])
@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_a_clip_has_as_many_views_of_one_object_as_asked_for(length: int, frames: int) -> None:
    config = TrainingConfig(foreground=0.0, augmentation=AugmentationConfig(crop=0.5, rotation=20))
    for seed in range(5):
        views = clip_sample([Squares(objects=2, length=length)], config, 64, np.random.default_rng(seed), frames=frames)
        assert [view.mask.shape for view in views] == [(64, 64)] * frames
        assert len({color for view in views for color in view.frame[erode(view.mask)].argmax(1)}) <= 1


@pytest.mark.parametrize("ordered", [True, False])
def test_a_clip_is_in_time_order_where_that_is_asked_for(ordered: bool) -> None:
    config, video = TrainingConfig(clip_window=6, augmentation=PLAIN), Squares(length=20)
    tops = []
    for seed in range(20):
        views = clip_sample([video], config, 120, np.random.default_rng(seed), frames=4, ordered=ordered)
        tops.append([box.top for view in views if (box := Box.around(view.mask == 1))])  # one row lower in each frame
    assert all(len(set(each)) == 4 and max(each) - min(each) <= 2 * 5 for each in tops)
    assert all(each == sorted(each) for each in tops) is ordered


def test_further_frames_of_a_still_are_each_moved_by_themselves() -> None:
    views = clip_sample([Squares(length=1)], TrainingConfig(augmentation=PLAIN), 64, np.random.default_rng(0), frames=4)
    assert len({view.mask.tobytes() for view in views}) == 4
