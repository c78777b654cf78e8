"""Training that users can trust: killed and resumed, in parts, on several processes, watched, stopped at nonsense."""

from __future__ import annotations

import csv
import functools
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dipnet.config import OneShotConfig, PropagationConfig, PropagationTraining, SegmentationConfig
from dipnet.train_propagation import new_propagation, propagation_objective, train_propagation
from dipnet.train_segmentation import new_segmentation, train_segmentation
from tests.videos import Squares
from vos.checkpoint import save_network
from vos.config import AugmentationConfig, NetworkTraining, TrainingConfig
from vos.optimization import CHECKPOINT, Objective, TrainingError, TrainingRun, optimize, settled
from vos.parallel import ParallelError, World, process_group
from vos.training import split

ROOT = Path(__file__).parent.parent
P = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=8)
S = SegmentationConfig(backbone="mini", size=64, channels=8, units=1, finest_stride=2)
PLAIN = AugmentationConfig(flip=0.5, crop=0)
FROZEN = PropagationTraining(iterations=3, batch=4, learning_rate=0.1, batch_norm="frozen", augmentation=PLAIN)
VIDEOS = [Squares(void=True), Squares(seed=1)]
KINDS = ("propagation", "segmentation")


def train(kind: str, config: TrainingConfig, run: TrainingRun) -> nn.Module:
    if kind == "propagation":
        first = new_propagation(P, "none", 0)
        train_propagation(first, VIDEOS, config, run)
        return first
    second = new_segmentation(S, "none", 0)
    train_segmentation(second, VIDEOS, config, 16, run)
    return second


def assert_close(a: nn.Module, b: nn.Module) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


TO_BE_KILLED = """
import sys
from pathlib import Path
import torch
import vos.optimization
from tests.test_vos_training import train_into
torch.set_num_threads(1)
vos.optimization.CHECKPOINT_SECONDS = -1.0
train_into(sys.argv[1], Path(sys.argv[2]))
"""
STEPS = 30


def train_into(kind: str, folder: Path) -> None:
    config = FROZEN.model_copy(
        update={"iterations": STEPS, "optimizer": "adamw", "learning_rate": 1e-3, "batch_norm": "train", "batch": 2}
    )
    run = TrainingRun(seed=0, scratch=folder)
    save_network(train(kind, config, run), folder / "network.pt")
    run.write_curve(folder / "curves.csv")


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_and_resumed_training_is_identical_bit_for_bit(kind: str, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (undisturbed, killed):
        folder.mkdir()

    def start(folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", TO_BE_KILLED, kind, str(folder)], cwd=ROOT)

    process = start(killed)
    while not (killed / CHECKPOINT).exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait(60) == -9, "it was over before it could be killed"
    step = torch.load(killed / CHECKPOINT, weights_only=True)["step"]
    assert 0 < step < STEPS
    assert start(killed).wait(300) == 0
    train_into(kind, undisturbed)
    assert (killed / "network.pt").read_bytes() == (undisturbed / "network.pt").read_bytes()
    assert (killed / "curves.csv").read_text() == (undisturbed / "curves.csv").read_text()


def test_a_training_says_how_fast_it_is_and_how_long_it_waits() -> None:
    texts: list[str] = []
    run = TrainingRun(seed=0, progress=lambda _, text: texts.append(text))
    begin = time.perf_counter()
    train("segmentation", FROZEN, run)
    seconds = time.perf_counter() - begin
    assert FROZEN.iterations is not None
    assert run.throughput["samples_per_second"] >= FROZEN.iterations * FROZEN.batch / seconds
    assert 0 < run.throughput["waiting_share"] < 1
    assert texts[-1].endswith(f"{run.throughput['samples_per_second']:.3g} samples/s")


@pytest.mark.parametrize("parts", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_in_parts_has_the_gradient_of_the_whole(kind: str, parts: int) -> None:
    runs = TrainingRun(seed=0), TrainingRun(seed=0)
    whole = train(kind, FROZEN, runs[0])
    in_parts = train(kind, FROZEN.model_copy(update={"accumulate": parts}), runs[1])
    assert_close(whole, in_parts)
    assert runs[0].curve[-1][1] == pytest.approx(runs[1].curve[-1][1], rel=1e-4)


def test_a_mean_over_samples_adds_up_over_parts() -> None:
    weights = []
    for parts in (1, 3):
        network = nn.Linear(4, 1)
        nn.init.zeros_(network.weight)
        nn.init.zeros_(network.bias)

        def draw(rng: np.random.Generator) -> dict[str, torch.Tensor]:
            inputs = torch.from_numpy(rng.normal(size=(4, 4)).astype(np.float32))
            return {"inputs": inputs, "known": torch.ones(4, 1, 1, 1)}

        def loss(part: dict[str, torch.Tensor], known: torch.Tensor, network: nn.Linear = network) -> torch.Tensor:
            per_sample = (network(part["inputs"])[:, 0] - 1).abs()  # as of a share of the worst pixels of a sample
            return per_sample.sum() / len(known)

        run = TrainingRun(seed=0)
        optimize(network, Objective(draw, loss), FROZEN.model_copy(update={"accumulate": parts}), 3, run)
        weights.append(network.weight.detach())
    torch.testing.assert_close(*weights)


def test_more_parts_than_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="no more parts than samples"):
        TrainingConfig(batch=2, accumulate=3)


def follow(kind: str, config: TrainingConfig, world: World, device: str) -> None:
    torch.set_num_threads(1)
    train(kind, config, TrainingRun(seed=0, world=world, device=device))


def fail(world: World, device: str) -> None:
    raise ValueError("out of luck")


@pytest.mark.parametrize(("kind", "parts"), [("propagation", 1), ("segmentation", 2)])
def test_two_processes_have_the_loss_of_one_with_the_same_global_batch(kind: str, parts: int, tmp_path: Path) -> None:
    single = TrainingRun(seed=0)
    network = train(kind, FROZEN, single)
    config = FROZEN.model_copy(update={"accumulate": parts})
    with process_group(2, functools.partial(follow, kind, config), "cpu", tmp_path / "meeting") as world:
        shared = TrainingRun(seed=0, world=world)
        in_two = train(kind, config, shared)
    assert world == World(0, 2)
    assert shared.curve[-1][1] == pytest.approx(single.curve[-1][1], rel=1e-4)
    assert_close(network, in_two)
    assert not (tmp_path / "meeting").exists()


def test_a_process_that_fails_is_an_error_of_the_whole(tmp_path: Path) -> None:
    with pytest.raises(ParallelError, match="process"), process_group(2, fail, "cpu", tmp_path / "meeting") as world:
        train("propagation", FROZEN, TrainingRun(seed=0, world=world))


def test_a_batch_with_too_few_samples_for_the_processes_says_so() -> None:
    with pytest.raises(TrainingError, match="each needs a sample"):
        train("propagation", FROZEN.model_copy(update={"batch": 1}), TrainingRun(seed=0, world=World(0, 2)))


def test_held_out_videos_have_a_validation_loss_in_the_curves(tmp_path: Path) -> None:
    config = FROZEN.model_copy(update={"held_out": 0.5, "validation_steps": 2})
    run = TrainingRun(seed=0)
    train("segmentation", config, run)
    assert [step for step, _ in run.validation] == [2, 3]
    run.write_curve(tmp_path / "curves.csv")
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    assert [row["name"] for row in rows] == ["loss", "validation loss", "validation loss"]
    learned, kept = split(VIDEOS, 0.5)
    assert (learned, kept) == ([VIDEOS[0]], [VIDEOS[1]])


def test_watching_a_training_does_not_change_it() -> None:
    often, seldom = (FROZEN.model_copy(update={"held_out": 0.5, "validation_steps": n}) for n in (1, 100))
    networks = [train("propagation", config, TrainingRun(seed=0)) for config in (often, seldom)]
    assert all(torch.equal(x, y) for x, y in zip(*(n.state_dict().values() for n in networks), strict=True))


def test_held_out_videos_are_spread_and_never_all() -> None:
    videos = [Squares(seed=i) for i in range(10)]
    learned, kept = split(videos, 0.2)
    assert [v.seed for v in kept] == [2, 7]
    assert len(learned) == 8
    assert split(videos, 0.0) == (videos, [])
    with pytest.raises(TrainingError, match="held_out"):
        split(videos[:1], 0.1)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(tmp_path: Path) -> None:
    network = new_propagation(P, "none", 0)
    objective = propagation_objective(network, VIDEOS, FROZEN)
    with torch.no_grad():
        network.head.layers[-1].bias.fill_(float("nan"))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(TrainingError, match=r"step 0.*non-finite-loss-at-step-0\.npz") as error:
        optimize(network, objective, FROZEN, 5, TrainingRun(seed=3, failures=tmp_path))
    assert str(tmp_path) in str(error.value)
    with np.load(tmp_path / "non-finite-loss-at-step-0.npz", allow_pickle=False) as kept:
        assert (kept["step"], kept["seed"]) == (0, 3)
        assert kept["references"].shape == (4, 64, 64, 3)
        assert kept["references"].dtype == np.uint8
        assert kept["references"].max() > 200
        assert set(np.unique(kept["masks"])) == {0.0, 1.0}
    after = network.state_dict()
    assert all(torch.equal(before[key], after[key]) or before[key].isnan().any() for key in before)


def test_without_a_folder_the_batch_is_not_kept() -> None:
    network = new_propagation(P, "none", 0)
    with torch.no_grad():
        network.head.layers[-1].bias.fill_(float("inf"))
    with pytest.raises(TrainingError, match="step 0: the loss is"):
        optimize(network, propagation_objective(network, VIDEOS, FROZEN), FROZEN, 5, TrainingRun(seed=0))


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_keeps_weights_whole_and_learns_nearly_the_same(kind: str) -> None:
    runs = TrainingRun(seed=0), TrainingRun(seed=0, amp=True)
    exact, mixed = (train(kind, FROZEN, run) for run in runs)
    assert all(v.dtype != torch.bfloat16 for v in mixed.state_dict().values())
    assert runs[1].curve[-1][1] == pytest.approx(runs[0].curve[-1][1], rel=0.05)
    assert runs[1].curve[-1][1] != runs[0].curve[-1][1]
    assert any(not torch.equal(x, y) for x, y in zip(exact.parameters(), mixed.parameters(), strict=True))


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ([3, 2, 1], 1, False),
        ([3, 1, 2], 1, True),
        ([3, 1, 2, 0.5], 2, False),
        ([3, 1, 2, 1], 2, True),
        ([3, 1], 2, False),
        ([1, 2, 3], None, False),
    ],
)
def test_a_loss_has_settled_when_windows_bring_no_lower_one(
    losses: list[float], patience: int | None, expected: bool
) -> None:
    assert settled(losses, patience) is expected


def tuned_steps(windows: list[float], run: TrainingRun, patience: int = 1, steps: int = 1000) -> int:
    """Return the steps that a training takes whose windows of ten steps have these losses; the last one lasts."""
    left = [loss for loss in windows for _ in range(10)]

    def loss(part: dict[str, torch.Tensor], known: torch.Tensor) -> torch.Tensor:
        return network.weight.sum() * 0 + (left.pop(0) if len(left) > 1 else left[0])

    network, first = nn.Linear(1, 1), len(run.curve)
    config = FROZEN.model_copy(update={"patience": patience})
    optimize(network, Objective(lambda rng: {"known": torch.ones(4, 1, 1, 1)}, loss), config, steps, run)
    assert len(run.curve) > first
    return run.curve[-1][0]


def test_a_training_that_follows_another_settles_by_its_own_losses() -> None:
    assert tuned_steps([9, 8, 7, 7], TrainingRun(seed=0)) == 40
    run = TrainingRun(seed=0)
    assert tuned_steps([5, 5], run) == 20
    assert tuned_steps([9, 8, 7, 7], run) == 40  # by the other's 5, it would end after its first window
    assert [loss for _, loss in run.curve] == pytest.approx([5, 5, 9, 8, 7, 7])


def test_a_resumed_training_settles_by_the_losses_before_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vos.optimization.CHECKPOINT_SECONDS", -1.0)
    assert tuned_steps([9, 3], TrainingRun(seed=0, scratch=tmp_path), steps=20) == 20
    assert tuned_steps([4, 3.5, 3.2, 2], TrainingRun(seed=0, scratch=tmp_path), patience=2) == 40


def test_defaults_are_the_paper_s() -> None:
    def of(config: Any) -> tuple[Any, ...]:
        return (config.optimizer, config.learning_rate, config.momentum, config.weight_decay, config.batch)

    trainings = NetworkTraining()
    assert of(trainings.pretraining) == of(trainings.offline) == ("sgd", 1e-4, 0.9, 1e-4, 4)
    assert (trainings.pretraining.epochs, trainings.offline.epochs) == (40, 20)
    assert (trainings.pretraining.batch_norm, trainings.offline.batch_norm) == ("train", "frozen")
    one_shot = OneShotConfig()
    assert of(one_shot) == ("sgd", 1e-3, 0.9, 1e-4, 4)
    assert (one_shot.frame_iterations, one_shot.crop_iterations, one_shot.instance_iterations) == (200, 100, 200)
    assert one_shot.batch_norm == "frozen"
    for config in (trainings.pretraining, trainings.offline, one_shot):
        assert (config.coarse.kernel, config.augmentation.flip, config.augmentation.crop) == (16, 0.5, 0.25)
        assert config.schedule == "constant"


def test_batches_drawn_ahead_by_threads_change_no_weight() -> None:
    networks = [train("segmentation", FROZEN, TrainingRun(seed=0, loaders=threads)) for threads in (0, 3)]
    assert all(torch.equal(x, y) for x, y in zip(*(n.state_dict().values() for n in networks), strict=True))


def test_an_error_in_a_thread_that_draws_is_the_error_of_the_training() -> None:
    def draw(rng: np.random.Generator) -> dict[str, torch.Tensor]:
        raise ValueError("no object")

    with pytest.raises(ValueError, match="no object"):
        optimize(
            nn.Linear(1, 1), Objective(draw, lambda *_: torch.zeros(())), FROZEN, 5, TrainingRun(seed=0, loaders=2)
        )


def test_a_trained_network_keeps_no_gradients() -> None:
    assert all(value.grad is None for value in train("segmentation", FROZEN, TrainingRun(seed=0)).parameters())
