"""Objects pasted into training samples: what is seen is what is labelled."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.videos import Squares
from vos.config import AugmentationConfig, TrainingConfig
from vos.geometry import View
from vos.paste import MINIMUM_PIXELS, paste
from vos.samples import clip_sample

OWN, DONOR, GROUND = (60, 0, 0), (0, 0, 200), (0, 10, 0)
"""Colours of which each has a channel for itself, so that mixtures at rims tell what they are of."""


def square(color: tuple[int, int, int], top: int, left: int, size: int = 24, side: int = 64) -> View:
    mask = np.zeros((side, side), np.uint8)
    mask[top : top + size, left : left + size] = 1
    return View(np.where(mask[..., None] == 1, np.uint8(color), np.uint8(GROUND)), mask)


@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40))
def test_the_mask_is_all_that_is_seen_of_one_of_the_two_objects(seed: int, top: int, left: int) -> None:
    (view,) = paste([square(OWN, top, left)], [square(DONOR, 20, 20)], np.random.default_rng(seed))
    inside, outside = view.frame[view.mask == 1], view.frame[view.mask == 0]
    assert len(inside) >= MINIMUM_PIXELS
    channel = 0 if inside[:, 0].any() else 2
    assert not inside[:, 2 - channel].any()
    assert not outside[:, channel].any()


@given(st.integers(0, 10_000))
def test_a_pair_is_about_the_same_object_in_both_frames(seed: int) -> None:
    own, donor = [square(OWN, 4, 4), square(OWN, 8, 8)], [square(DONOR, 20, 20), square(DONOR, 22, 22)]
    views = paste(own, donor, np.random.default_rng(seed))
    assert len({bool(view.frame[view.mask == 1][:, 0].any()) for view in views if view.mask.any()}) == 1


def test_void_stays_void_where_nothing_is_pasted_and_is_never_an_object() -> None:
    own, donor = square(OWN, 4, 4), square(DONOR, 20, 20)
    own.mask[:2] = 255
    seen = [paste([own], [donor], np.random.default_rng(seed))[0].mask for seed in range(40)]
    assert {int(value) for mask in seen for value in np.unique(mask)} == {0, 1, 255}
    about_own = [mask for mask in seen if mask[5, 5] == 1 and 255 in mask]
    assert about_own


def test_pasting_happens_with_its_probability() -> None:
    videos = [Squares(length=4), Squares(length=3, seed=1)]

    def differing(share: float) -> int:
        asked = TrainingConfig(augmentation=AugmentationConfig(paste=share))
        return sum(
            bool((still(videos, asked, seed).frame != still(videos, TrainingConfig(), seed).frame).any())
            for seed in range(40)
        )

    assert differing(0.0) == 0
    assert differing(0.5) >= 10
    assert differing(1.0) >= 30


def still(videos: list[Squares], config: TrainingConfig, seed: int) -> View:
    return clip_sample(videos, config, 64, np.random.default_rng(seed), frames=1)[0]
