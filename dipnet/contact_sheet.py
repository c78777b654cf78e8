"""Training samples of every kind as a picture: `python -m dipnet.contact_sheet ROOT TRAINING_SET OUT.png`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dipnet.config import DIPNetConfig, PropagationTraining
from dipnet.train_propagation import draw_pair
from dipnet.train_segmentation import draw_views
from harness.datasets import VOID, load_training
from harness.errors import HarnessError
from vos.config import TrainingConfig
from vos.geometry import Box, Image, View
from vos.hints import coarse_mask
from vos.samples import numbered, object_pixels, view_of
from vos.video import Video

TILE = 160
"""Side of a picture in the sheet, pixels."""

_COLORS = ((230, 60, 40), (40, 120, 230), (60, 190, 70), (230, 180, 30), (170, 70, 200))
"""Colors of the objects of a sample."""


def contact_sheet(videos: Sequence[Video], config: DIPNetConfig, *, rows: int = 6, seed: int = 0) -> Image:
    """Return a sheet of `rows` samples of each kind, height × width × 3, RGB, from the videos of one training set."""
    size, side = config.propagation.coarse_size, config.segmentation.size
    role, kind = ("pretraining", "still") if all(len(video) == 1 for video in videos) else ("offline", "of ten frames")
    pairs: PropagationTraining = getattr(config.propagation_training, role)
    images: TrainingConfig = getattr(config.segmentation_training, role).model_copy(update={"batch": 1})
    one_shot = config.one_shot

    def pair(rng: Generator) -> list[Image]:
        reference, target = draw_pair(videos, pairs, config.propagation.size, rng)
        truth = cv2.resize(object_pixels(target.mask).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
        return [_overlay(reference), _overlay(target), _gray(np.asarray(truth, np.float32))]

    def still(rng: Generator) -> list[Image]:
        view = draw_views(videos, images, side, rng)[0]
        return _hinted_row(view, coarse_mask(view.mask, size, images.coarse, rng))

    def tuned(rng: Generator) -> list[Image]:
        own = int(rng.choice(one_shot.sizes)) if one_shot.sizes else side
        mask = numbered(videos[0].mask(0), [videos[0].object_ids])
        first = View.cut(videos[0].frame(0), mask, Box.whole(mask), 2 * own)
        view = view_of(first.frame, first.mask, one_shot.augmentation, own, rng)
        return _hinted_row(view, coarse_mask(view.mask, size, one_shot.coarse, rng))

    kinds = {
        (f"reference, {kind}", "target", "coarse truth"): pair,
        ("segmentation sample", "its hint", "hint over it"): still,
        ("one-shot sample", "its hint", "hint over it"): tuned,
    }
    blocks = [
        _block(titles, [draw(np.random.default_rng([seed, row])) for row in range(rows)])
        for titles, draw in kinds.items()
    ]
    return np.concatenate(blocks, 1)


def _hinted_row(view: View, hint: NDArray[np.float32]) -> list[Image]:
    side = len(view.mask)
    grown = np.asarray(cv2.resize(hint, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)[..., None]
    lit = cv2.resize(view.frame * (0.3 + 0.7 * grown), (TILE, TILE), interpolation=cv2.INTER_AREA)
    return [_overlay(view), _gray(hint), np.asarray(lit, np.uint8)]


def _overlay(view: View) -> Image:
    picture = view.frame.astype(np.float32)
    for number in range(1, view.objects + 1):
        color = np.array(_COLORS[(number - 1) % len(_COLORS)], np.float32)
        picture[view.mask == number] = 0.5 * picture[view.mask == number] + 0.5 * color
    picture[view.mask == VOID] = 255
    return np.asarray(cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA), np.uint8)


def _gray(share: NDArray[np.float32]) -> Image:
    tile = cv2.resize((255 * share).astype(np.uint8), (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    return np.repeat(np.asarray(tile, np.uint8)[:, :, None], 3, 2)


def _block(titles: Sequence[str], rows: Sequence[Sequence[Image]]) -> Image:
    """Return rows of tiles under their titles, with a white border to the right."""
    head = np.full((20, TILE * len(titles), 3), 255, np.uint8)
    for number, title in enumerate(titles):
        cv2.putText(head, title, (4 + number * TILE, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    block = np.concatenate([head, *(np.concatenate(row, 1) for row in rows)])
    return np.asarray(cv2.copyMakeBorder(block, 0, 0, 0, 8, cv2.BORDER_CONSTANT, value=(255, 255, 255)), np.uint8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m dipnet.contact_sheet", description="Training samples, drawn.", allow_abbrev=False
    )
    parser.add_argument("root", metavar="ROOT", type=Path, help="folder of the datasets, as given to --data")
    parser.add_argument("training_set", metavar="TRAINING_SET", help="davis16-train, davis17-train or voc")
    parser.add_argument("out", metavar="OUT.png", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        videos = load_training(options.training_set, options.root)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    sheet = contact_sheet(videos, DIPNetConfig(), seed=options.seed)
    if not cv2.imwrite(str(options.out), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        print(f"error: {options.out}: cannot be written; give a path that ends in .png", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
