"""The sizes of the GPU check: the paper's, for a GPU, and a tiny one, with which a CPU goes through every line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dipnet.config import DIPNetConfig
from harness.config import resolve
from harness.yaml_file import read_yaml
from vos.config import TrainingConfig

ROOT = Path(__file__).parents[2]

_TINY = {
    "weights": "none",
    "propagation": {"backbone": "mini", "size": 64, "output_stride": 16, "head_channels": 8},
    "segmentation": {"backbone": "mini", "size": 64, "channels": 8, "units": 1, "finest_stride": 2},
    "one_shot": {"frame_iterations": 2, "crop_iterations": 2, "instance_iterations": 2, "batch": 1},
}
TINY_CONFIG = resolve(DIPNetConfig, _TINY, "tests.gpu.sizes")
"""Networks that a CPU trains in seconds: every branch can be taken with them."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large networks, frames and measurements are."""

    config: DIPNetConfig
    frame: tuple[int, int] | None
    """Height and width to which frames are scaled where seconds are measured; None: as they are packed."""

    steps: int
    """Training steps that are timed."""

    frames: int
    """Frames that are timed."""

    learning: int
    """Training steps of the small networks whose masks are compared."""

    batch: int
    """Samples per step of a training for scores."""

    training: float
    """Most seconds of a training for scores; the time limit usually ends it earlier."""


def size_of(name: str) -> Size:
    """Return a size by its name: `paper` or `tiny`."""
    if name == "tiny":
        return Size(config=TINY_CONFIG, frame=None, steps=2, frames=2, learning=3, batch=2, training=1.0)
    return Size(
        config=scale_config("paper"), frame=(480, 854), steps=10, frames=8, learning=200, batch=8, training=300.0
    )


def scale_config(name: str) -> DIPNetConfig:
    """Return the options that a shipped scale gives DIPNet, as `load_scale` would where the project is installed."""
    path = ROOT / "studies" / "scales" / f"{name}.yaml"
    return resolve(DIPNetConfig, read_yaml(path)["methods"]["dipnet"], str(path))


def short_training(kind: str, weights: str, batch: int) -> TrainingConfig:
    """Return the scale `light`'s training of a network, which learns in minutes; without weights, all of it learns.

    The paper's own learning rate is made for hours."""
    light = scale_config("light")
    training = (light.propagation_training if kind == "propagation" else light.segmentation_training).offline
    if weights == "none":
        training = training.model_copy(update={"frozen_blocks": 0, "backbone_rate": 1.0, "batch_norm": "train"})
    return training.model_copy(update={"batch": batch})
