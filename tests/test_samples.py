"""Training samples: what moves together, what stays, and what the paper says of each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dipnet.config import AugmentationConfig, CoarseConfig, TrainingConfig
from dipnet.samples import (
    choose_object,
    coarse_mask,
    crop_box,
    frames_tensor,
    known_tensor,
    masks_tensor,
    one_object,
    pair_sample,
    still_sample,
    vary,
)
from dipnet.view import View, bounding_box, resample, whole
from tests.videos import Squares

STRONG = AugmentationConfig(crop=0.5, rotation=40, scale=(0.6, 1.5), shift=0.2)
PLAIN = AugmentationConfig(flip=0, crop=0)


@settings(max_examples=60, deadline=None)
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


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_value_but_background_object_and_void_comes_out_of_a_sample(seed: int) -> None:
    config = TrainingConfig(augmentation=STRONG)
    for view in pair_sample([Squares(objects=2, void=True)], config, 32, np.random.default_rng(seed)):
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
        pair_sample([Spy(length=40)], TrainingConfig(augmentation=PLAIN), 32, rng)
    gaps = np.abs(np.subtract(seen[0::2], seen[1::2]))
    assert gaps.min() == 1
    assert gaps.max() == 9
    assert min(seen) == 0
    assert max(seen) == 39


def test_the_second_frame_of_a_still_is_the_first_shifted_and_turned() -> None:
    first, second = pair_sample([Squares(length=1)], TrainingConfig(augmentation=PLAIN), 64, np.random.default_rng(3))
    assert (first.mask != second.mask).any()
    assert abs(int((first.mask == 1).sum()) - int((second.mask == 1).sum())) < 0.25 * (first.mask == 1).sum()


def test_void_is_never_an_object() -> None:
    ids = np.array([[0, 255], [255, 255]], np.uint8)
    assert choose_object(ids, 0.5, np.random.default_rng(0)) == ()
    with pytest.raises(ValueError, match="right training data"):
        still_sample([Squares(objects=0)], TrainingConfig(), 32, np.random.default_rng(0))


def test_void_stays_void_and_is_unknown_to_the_loss() -> None:
    mask = one_object(np.array([[1, 2], [255, 0]], np.uint8), (2,))
    assert mask.tolist() == [[0, 1], [255, 0]]
    assert masks_tensor([mask]).flatten().tolist() == [0, 1, 0, 0]
    assert known_tensor([mask]).flatten().tolist() == [1, 1, 0, 1]


def test_the_foreground_is_drawn_as_often_as_asked() -> None:
    ids = np.array([[1, 2]], np.uint8)
    rng = np.random.default_rng(0)
    merged = sum(len(choose_object(ids, 0.25, rng)) == 2 for _ in range(2000))
    assert 400 < merged < 600


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32), kernel=st.integers(0, 16))
def test_a_coarse_mask_differs_from_the_mask_by_its_kernel_at_most(seed: int, kernel: int) -> None:
    mask = Squares().mask(0)
    square = resample(mask, whole(mask), 64, labels=True)
    coarse = coarse_mask(square, 64, CoarseConfig(kernel=kernel), np.random.default_rng(seed))
    assert coarse.min() >= 0
    assert coarse.max() <= 1
    box, true = bounding_box(coarse > 0.5), bounding_box(square == 1)
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


def test_a_crop_holds_the_whole_object() -> None:
    mask, rng = Squares().mask(2), np.random.default_rng(0)
    for _ in range(50):
        top, left, bottom, right = crop_box(mask, AugmentationConfig(crop=1.0), rng)
        assert mask[top:bottom, left:right].sum() == mask.sum()
        assert (bottom - top) * (right - left) < mask.size


def test_frames_are_normalised_as_imagenet_s() -> None:
    tensor = frames_tensor([np.full((2, 2, 3), 255, np.uint8)])
    assert tensor[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


def test_outside_the_image_the_rim_repeats_and_labels_are_background() -> None:
    image = np.full((4, 4, 3), 9, np.uint8)
    assert (resample(image, (-2, -2, 6, 6), 8) == 9).all()
    labels = resample(np.ones((4, 4), np.uint8), (-2, -2, 6, 6), 8, labels=True)
    assert labels.sum() == 16
