"""How fast DIPNet's inference and one-shot fine-tuning are, against the same networks written plainly.

    pytest tests/benchmarks/bench_method.py --benchmark-enable -s
    python -m tests.benchmarks.bench_method [SCALE] [ROUNDS]

The reference is `tests/gpu/plain.py` and `plain_tuning` below: eager, 32 bits, torch's default order of memory, one
object at a time, batch norm where the network has it, each frame read, segmented and written in turn. Both sides run by
turns in one process with BENCH_THREADS threads (2), and a ratio is the median of the turns' ratios, since a shared
machine is not equally fast for long. The video has frames of 854×480 as JPEG and three objects, each with a tuned copy
of the network; masks are written as PNG. Weights are random: they change the masks and not the seconds. The aims, at
the scale light: inference at least 1.6 times as fast, one-shot fine-tuning 1.4 times."""

from __future__ import annotations

import copy
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dipnet.config import DIPNetConfig
from dipnet.segmentation import SegmentationNetwork
from dipnet.segmenter import Networks, make_segmenter
from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import fine_tune_on, frame_objective, new_segmentation
from harness.datasets.pixels import write_mask
from tests.gpu.plain import PlainSegmenter, contiguous
from tests.gpu.sizes import scale_config
from vos.checkpoint import for_inference
from vos.folding import fold_batch_norm
from vos.geometry import Box, Image, View
from vos.optimization import TrainingRun
from vos.samples import frames_tensor, view_of
from vos.segment import Segmenter, first_objects, segment_video
from vos.video import FolderVideo

N = TypeVar("N", bound=nn.Module)

THREADS = int(os.environ.get("BENCH_THREADS", "2"))
SCALE = os.environ.get("BENCH_SCALE", "light")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
OBJECTS, FRAMES, STEPS = 3, 4, 3
"""Objects of the video, frames after the first, and steps of fine-tuning in a turn."""


def make_video(folder: Path, objects: int = OBJECTS, frames: int = FRAMES) -> FolderVideo:
    """Write a video of 854×480 in which textured ellipses move over a texture, and the first mask."""
    rng = np.random.default_rng(0)
    (folder / "frames").mkdir(parents=True)
    ground = cv2.resize(rng.integers(0, 200, (48, 86, 3)).astype(np.uint8), (854, 480), interpolation=cv2.INTER_CUBIC)
    for index in range(frames + 1):
        frame, ids = ground.copy(), np.zeros((480, 854), np.uint8)
        for number in range(objects):
            center = 90 + 700 * number // max(objects - 1, 1) + 4 * index, 150 + 180 * (number % 2) + 2 * index
            for target, color in ((frame, [255, 40 + 20 * number, 90 * (number % 3)]), (ids, number + 1)):
                cv2.ellipse(target, center, (600 // objects // 2, 70), 0, 0, 360, color, -1)
        cv2.imwrite(str(folder / "frames" / f"{index:05d}.jpg"), frame)
        if index == 0:
            write_mask(folder / "first.png", ids)
    return FolderVideo(folder / "frames", folder / "first.png")


def random_networks(config: DIPNetConfig, objects: int, frame: Image | None = None) -> Networks:
    """Return networks with random weights, with a copy of the segmentation for each object as fine-tuning leaves it.

    In the frame, all of them find about as much, so that no object is lost, which would be less work."""
    each = [new_segmentation(config.segmentation, "none", number) for number in range(objects + 1)]
    if frame is not None:
        side, coarse = config.segmentation.size, config.propagation.coarse_size
        image = frames_tensor([Box.whole(frame).cut(frame, side)])
        with torch.no_grad():
            for network in each:
                logits = network.eval().refine(image, torch.full((1, 1, coarse, coarse), 0.5))
                network.heads[-1][-1].bias += 0.5 * logits.std() - logits.mean()
    return Networks(new_propagation(config.propagation, "none", 0).eval(), each[0].eval(), [n.eval() for n in each[1:]])


def loaded(networks: Networks) -> Networks:
    """Return copies as `load_networks` reads them from the folders of stages."""

    def one(network: N) -> N:
        return fold_batch_norm(for_inference(copy.deepcopy(network), "cpu"))

    assert networks.propagation is not None
    assert networks.frame_segmentation is not None
    each = [one(network) for network in networks.object_segmentation]
    return Networks(one(networks.propagation), one(networks.frame_segmentation), each)


def segment(video: FolderVideo, segmenter: Segmenter, folder: Path) -> list[Image]:
    """Read, segment and write every frame in turn; return the masks."""
    masks = []
    for index, mask in enumerate(segment_video(video, segmenter)):
        write_mask(folder / f"{index:05d}.png", mask)
        masks.append(mask)
    return masks


def plain_tuning(network: SegmentationNetwork, video: FolderVideo, config: DIPNetConfig, steps: int) -> None:
    """Fine-tune a copy for each object on the whole first frame, as a training loop is usually written."""
    one_shot, side = config.one_shot, config.segmentation.size
    frame = video.frame(0)
    for mask in first_objects(video):
        tuned = contiguous(network)
        view = View.cut(frame, mask.astype(np.uint8), Box.whole(frame), 2 * side)
        draw = lambda rng, view=view: [  # noqa: E731
            view_of(view.frame, view.mask, one_shot.augmentation, side, rng) for _ in range(one_shot.batch)
        ]
        objective = frame_objective(tuned, one_shot.coarse, config.propagation.coarse_size).of_views(draw)
        for number, block in enumerate(tuned.backbone.blocks):
            block.requires_grad_(number >= one_shot.frozen_blocks)
        groups = [
            {"params": [p for name, p in tuned.named_parameters() if not name.startswith("backbone.")]},
            {"params": list(tuned.backbone.parameters()), "lr": one_shot.learning_rate * one_shot.backbone_rate},
        ]
        optimizer = torch.optim.AdamW(groups, one_shot.learning_rate, weight_decay=one_shot.weight_decay)
        tuned.train()
        for module in tuned.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        for step in range(steps):
            batch = {name: x.contiguous() for name, x in objective.draw(np.random.default_rng([0, step])).items()}
            optimizer.zero_grad()
            loss = objective.loss(batch, batch["known"])
            loss.backward()
            optimizer.step()
            assert np.isfinite(float(loss.detach()))


Seconds = tuple[float, float]
"""Wall-clock seconds, and CPU seconds of all threads."""


def by_turns(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[Seconds]]:
    """Return the seconds of each side in each round, after a round that warms up."""
    seconds: dict[str, list[Seconds]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, work in sides.items():
            begin = time.perf_counter(), time.process_time()
            work()
            taken = time.perf_counter() - begin[0], time.process_time() - begin[1]
            if number:
                seconds[name].append(taken)
    return seconds


def compared(seconds: Mapping[str, Sequence[Seconds]], units: int) -> dict[str, float]:
    """Return the median seconds per unit of work, and how many times as fast the second side is as the first.

    CPU seconds depend less on what else the machine does; with one thread their ratio is that of an idle machine."""
    first, second = seconds
    found = {f"{name}, seconds": median(wall for wall, _ in values) / units for name, values in seconds.items()}
    for number, clock in enumerate(("seconds", "CPU seconds")):
        ratios = [x[number] / y[number] for x, y in zip(seconds[first], seconds[second], strict=True)]
        found[f"{first} ÷ {second}, {clock}"] = median(ratios)
    return found


def inference(scale: str, rounds: int, folder: Path) -> dict[str, float]:
    """Return seconds per frame of both passes with reading and writing, and their ratio."""
    config = scale_config(scale).model_copy(update={"weights": "none"})
    options = config.inference(multi_object=True)
    video = make_video(folder / "video")
    networks = random_networks(config, OBJECTS, video.frame(0))
    plain, ours = PlainSegmenter(networks, options, "cpu"), make_segmenter(loaded(networks), options, "cpu")
    first, second = segment(video, plain, folder), segment(video, ours, folder)
    differing = float(np.mean([x != y for x, y in zip(first, second, strict=True)]))
    assert all(set(np.unique(mask)) >= set(video.object_ids) for mask in second), "an object is lost"
    assert differing < 0.05, f"{differing:.2%} of the plain code's pixels differ"  # untrained networks: near ties
    sides = {"plain": partial(segment, video, plain, folder), "ours": partial(segment, video, ours, folder)}
    return {**compared(by_turns(sides, rounds), FRAMES), "pixels differing": differing}


def one_shot(scale: str, rounds: int, folder: Path) -> dict[str, float]:
    """Return seconds per step of tuning a copy for each of three objects on the whole frame, and the ratio."""
    config = scale_config(scale).model_copy(update={"weights": "none"})
    video, network = make_video(folder / "video"), new_segmentation(config.segmentation, "none", 0)
    frame, objects, coarse = video.frame(0), first_objects(video), config.propagation.coarse_size

    def ours() -> None:
        run = TrainingRun.on("cpu", amp=False, cpus=THREADS, seed=0)
        fine_tune_on("objects", network, frame, objects, config.one_shot, None, coarse, run, STEPS)

    sides = {"plain": partial(plain_tuning, network, video, config, STEPS), "ours": ours}
    return compared(by_turns(sides, rounds), STEPS * OBJECTS)


def rates(scale: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return of each part of a frame's work: operations (10⁹), milliseconds, and share of a matrix product's rate."""
    config = scale_config(scale).model_copy(update={"weights": "none"})
    networks = loaded(random_networks(config, 1))
    propagation, segmentation = networks.propagation, networks.frame_segmentation
    assert propagation is not None
    assert segmentation is not None
    small, large = (torch.randn(1, 3, s, s) for s in (config.propagation.size, config.segmentation.size))
    small, large = (x.contiguous(memory_format=torch.channels_last) for x in (small, large))
    masks = torch.zeros(OBJECTS + 1, 1, *small.shape[-2:])
    masks[..., ::2] = 1
    matrix = torch.randn(2048, 2048)
    with torch.inference_mode():
        features = propagation.encode_frame(small)
        identities = propagation.encode_identity(small, masks)
        coarse = torch.sigmoid(propagation.propagate(features, identities))[:1]
        levels = segmentation.encode_frame(large)
        parts: dict[str, Callable[[], object]] = {
            "matrix product": lambda: matrix @ matrix,
            "feature encoder": lambda: propagation.encode_frame(small),
            "identity encoder, 4 masks": lambda: propagation.encode_identity(small, masks),
            "propagation head, 4 identities": lambda: propagation.propagate(features, identities),
            "segmentation backbone": lambda: segmentation.encode_frame(large),
            "segmentation decoder": lambda: segmentation.decode(levels, coarse),
        }
        operations = {}
        for name, work in parts.items():
            with FlopCounterMode(display=False) as counter:
                work()
            operations[name] = counter.get_total_flops() / 1e9
        seconds = {name: min(wall for wall, _ in values) for name, values in by_turns(parts, rounds).items()}
    best = operations["matrix product"] / seconds["matrix product"]
    return {
        name: {
            "GFLOP": operations[name],
            "milliseconds": 1000 * seconds[name],
            "share of the product's rate": operations[name] / seconds[name] / best,
        }
        for name in parts
    }


def memory(scale: str, objects: int, folder: Path) -> list[float]:
    """Return the peak in GiB of this process after the first frame and each further one, networks among it."""
    config = scale_config(scale).model_copy(update={"weights": "none"})
    each = [for_inference(new_segmentation(config.segmentation, "none", number), "cpu") for number in range(objects)]
    for network in (*each, propagation := for_inference(new_propagation(config.propagation, "none", 0), "cpu")):
        fold_batch_norm(network)
    networks = Networks(propagation, each[0], each)
    segmenter = make_segmenter(networks, config.inference(multi_object=True), "cpu")
    video = make_video(folder / "video", objects, frames=2)
    masks = segment_video(video, segmenter)
    return [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 for _ in masks]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """Set torch's threads, which otherwise follow the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def test_inference(benchmark: Any, tmp_path: Path) -> None:
    found = benchmark.pedantic(inference, (SCALE, ROUNDS, tmp_path), rounds=1)
    benchmark.extra_info.update(found)


def test_one_shot(benchmark: Any, tmp_path: Path) -> None:
    found = benchmark.pedantic(one_shot, (SCALE, ROUNDS, tmp_path), rounds=1)
    benchmark.extra_info.update(found)


def test_rates(benchmark: Any) -> None:
    found = benchmark.pedantic(rates, (SCALE, ROUNDS), rounds=1)
    benchmark.extra_info.update(found)


def test_memory_of_ten_objects(benchmark: Any, tmp_path: Path) -> None:
    """In a process of its own, whose peak is asked for."""
    code = "import sys\nfrom pathlib import Path\nfrom tests.benchmarks.bench_method import memory\n"
    code += "print(*memory(sys.argv[1], 10, Path(sys.argv[2])))"
    command = [sys.executable, "-c", code, SCALE, str(tmp_path)]
    options = {"capture_output": True, "text": True, "check": True}
    done = benchmark.pedantic(subprocess.run, (command,), options, rounds=1)
    benchmark.extra_info["GiB after each frame"] = done.stdout.split()


def main(scale: str = SCALE, rounds: str = str(ROUNDS)) -> None:
    """Print all figures of a scale."""
    torch.set_num_threads(THREADS)
    for work in (inference, one_shot):
        with tempfile.TemporaryDirectory() as folder:
            figures = work(scale, int(rounds), Path(folder))
        print(f"{work.__name__}, {scale}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
    for name, part in rates(scale, int(rounds)).items():
        print(f"  {name:32s}" + "  ".join(f"{title} {value:8.3f}" for title, value in part.items()))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
