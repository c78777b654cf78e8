"""What a reader of a comparison asks of a method: size, operations per frame, training, and terms of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vos.config import FineTuningConfig, TrainingConfig
from vos.segment import Segmenter

HEIGHT, WIDTH = 480, 854
"""Size of the frame on which operations are counted: DAVIS's."""

TERMS = {
    "none": "none: everything is trained from the start",
    "imagenet-v1": "torchvision's first ImageNet weights (IMAGENET1K_V1)",
    "imagenet-v2": "torchvision's second ImageNet weights (IMAGENET1K_V2)",
}
_IMAGENET_TERMS = "; torchvision is BSD-3-Clause, ImageNet's images are for non-commercial research only"


def parameters_of(networks: Mapping[str, nn.Module]) -> str:
    """Return the number of parameters of each network, as text."""
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    parts = [f"{name} {count / 1e6:,.2f} M" for name, count in counts.items()]
    return ", ".join(parts) + (f"; in all {sum(counts.values()) / 1e6:,.2f} M" if len(parts) > 1 else "")


def operations_of(segmenter: Segmenter, objects: int) -> float:
    """Return the floating-point operations of segmenting the frame after the given one, with so many objects.

    An addition and a multiplication are two. Convolutions and matrix products count, also those of what a method learns
    while it segments; what is computed once for a video does not. The frames are noise of 480 × 854."""
    rng = np.random.default_rng(0)
    first, frame = (rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(2))
    masks = np.zeros((objects, HEIGHT, WIDTH), np.bool_)
    for number, mask in enumerate(masks):
        mask[120:360, 40 + 260 * number : 240 + 260 * number] = True
    segmenter.start(first, masks)
    with FlopCounterMode(display=False) as counter:
        segmenter.step(frame)
    return float(counter.get_total_flops())


def training_of(config: TrainingConfig) -> str:
    """Return how long one training stage is, as text."""
    length = f"{config.epochs:g} epochs" if config.iterations is None else f"{config.iterations:,} steps"
    samples = "" if config.iterations is None else f" ({config.iterations * config.batch:,} samples)"
    return f"{length}, batch {config.batch}{samples}, {config.optimizer} at {config.learning_rate:g}"


def tuning_of(config: FineTuningConfig, steps: str) -> str:
    """Return how long one-shot fine-tuning is, as text; `steps`: their number and what they are on."""
    return f"{steps}, batch {config.batch}, {config.optimizer} at {config.learning_rate:g}"


def weights_of(option: str, backbones: str) -> str:
    """Return where the weights of the backbones are from, and under which terms, as text."""
    if option not in TERMS:
        return f"{backbones}: the file {option}; its terms are those of its source"
    return TERMS[option] if option == "none" else f"{backbones}: {TERMS[option]}{_IMAGENET_TERMS}"


def network_card(
    networks: Mapping[str, nn.Module], make: Callable[[int], Segmenter], objects: tuple[int, ...] = (1, 3)
) -> dict[str, str]:
    """Return parameters and operations per frame of a method with these networks, as title → text.

    `make` returns its segmenter for so many objects."""
    counts = {count: operations_of(make(count), count) for count in objects}
    texts = [f"{value / 1e9:,.1f} G with {'one object' if n == 1 else f'{n} objects'}" for n, value in counts.items()]
    return {
        "parameters": parameters_of(networks),
        f"operations per frame of {HEIGHT} × {WIDTH}": f"{', '.join(texts)} (floating-point operations)",
    }
