"""Objects pasted into training samples: what is seen is what is labelled."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.videos import Squares
from vos.config import AugmentationConfig, TrainingConfig
from vos.geometry import View
from vos.paste import paste
from vos.samples import MINIMUM_PIXELS, clip_sample

OWN, DONOR, GROUND = (60, 0, 0), (0, 0, 200), (0, 10, 0)
"""Colours of which each has a channel for itself, so that mixtures at rims tell what they are of."""


def square(color: tuple[int, int, int], top: int, left: int, size: int = 24, side: int = 64) -> View:
    mask = np.zeros((side, side), np.uint8)
    mask[top : top + size, left : left + size] = 1
    return View(np.where(mask[..., None] == 1, np.uint8(color), np.uint8(GROUND)), mask)


@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40))
def test_the_masks_are_all_that_is_seen_of_the_two_objects(seed: int, top: int, left: int) -> None:
    (view,) = paste([square(OWN, top, left)], [square(DONOR, 20, 20)], np.random.default_rng(seed))
    for number, channel in ((1, 0), (2, 2)):
        inside, outside = view.frame[view.mask == number], view.frame[view.mask != number]
        assert not inside[:, 2 - channel].any()
        assert not outside[:, channel].any()


@given(st.integers(0, 10_000))
def test_an_object_has_one_number_in_all_frames(seed: int) -> None:
    own, donor = [square(OWN, 4, 4), square(OWN, 8, 8)], [square(DONOR, 20, 20), square(DONOR, 22, 22)]
    for view in paste(own, donor, np.random.default_rng(seed)):
        assert view.frame[view.mask == 1][:, 0].all()
        assert not view.frame[view.mask == 2][:, 0].any()


def test_a_pasted_object_has_the_number_after_the_others() -> None:
    view = square(OWN, 4, 4)
    view.mask[40:60, 40:60] = 2
    seen = {int(n) for seed in range(20) for n in np.unique(pasted(view, seed).mask)}
    assert seen == {0, 1, 2, 3}


def pasted(view: View, seed: int) -> View:
    return paste([view], [square(DONOR, 20, 20)], np.random.default_rng(seed))[0]


def test_void_stays_void_where_nothing_is_pasted_and_is_never_an_object() -> None:
    own = square(OWN, 4, 4)
    own.mask[:2] = 255
    masks = [pasted(own, seed).mask for seed in range(40)]
    assert {int(value) for mask in masks for value in np.unique(mask)} == {0, 1, 2, 255}


def test_a_sample_is_about_either_object_and_shows_it() -> None:
    videos, config = [Squares(length=4)], TrainingConfig(augmentation=AugmentationConfig(flip=0, crop=0, paste=1.0))
    shares = []
    for seed in range(40):
        (view,) = clip_sample(videos, config, 64, np.random.default_rng(seed), frames=1)
        assert set(np.unique(view.mask)) <= {0, 1}
        shares.append((view.mask == 1).sum())
    assert min(shares) >= MINIMUM_PIXELS
    assert len(set(shares)) > 10  # the pasted ones are of many sizes, the others of one


def test_several_objects_are_asked_for_together_with_the_pasted_one() -> None:
    videos, config = [Squares(length=4, objects=2)], TrainingConfig(augmentation=AugmentationConfig(paste=1.0))
    counts = [
        max(view.objects for view in clip_sample(videos, config, 64, np.random.default_rng(s), frames=2, objects=4))
        for s in range(20)
    ]
    assert max(counts) == 3


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
