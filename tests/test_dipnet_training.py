"""Training: that it learns, that it goes on where it was killed, that it stops at nonsense, what it freezes."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from dipnet.config import OneShotConfig, PropagationConfig, PropagationTraining, SegmentationConfig
from dipnet.train_propagation import new_propagation, train_propagation
from dipnet.train_segmentation import fine_tune_on, new_segmentation, train_segmentation
from tests.videos import Squares, first_frame
from vos.backbone import Backbone
from vos.config import AugmentationConfig, TrainingConfig
from vos.optimization import CHECKPOINT, TrainingRun, make_optimizer, set_mode
from vos.training import iterations

P = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=8)
S = SegmentationConfig(backbone="mini", size=64, channels=8, units=1, finest_stride=2)
CONFIG = PropagationTraining(iterations=40, batch=2, optimizer="adamw", learning_rate=3e-3)


def same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_both_networks_learn() -> None:
    for network, go in (
        (new_propagation(P, "none", 0), lambda n, run: train_propagation(n, [Squares(), Squares(seed=1)], CONFIG, run)),
        (new_segmentation(S, "none", 0), lambda n, run: train_segmentation(n, [Squares()], CONFIG, 16, run)),
    ):
        run = TrainingRun(seed=0)
        go(network, run)
        assert run.curve[-1][1] < 0.8 * run.curve[0][1]


def test_a_training_is_repeatable_from_its_seed() -> None:
    short = CONFIG.model_copy(update={"iterations": 3})
    first, second, other = (new_propagation(P, "none", seed) for seed in (0, 0, 1))
    for network in (first, second, other):
        train_propagation(network, [Squares()], short, TrainingRun(seed=0))
    assert same(first, second)
    assert not same(first, other)


def test_a_killed_training_ends_with_the_same_weights(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("vos.optimization.CHECKPOINT_SECONDS", -1.0)
    config = CONFIG.model_copy(update={"iterations": 25})
    undisturbed = new_segmentation(S, "none", 0)
    train_segmentation(undisturbed, [Squares()], config, 16, TrainingRun(seed=0))

    class KilledError(Exception): ...

    def kill(share: float, text: str) -> None:
        if share > 0.7:
            raise KilledError

    with pytest.raises(KilledError):
        run = TrainingRun(seed=0, scratch=tmp_path, progress=kill)
        train_segmentation(new_segmentation(S, "none", 0), [Squares()], config, 16, run)
    assert (tmp_path / CHECKPOINT).exists()
    resumed, run = new_segmentation(S, "none", 0), TrainingRun(seed=0, scratch=tmp_path)
    train_segmentation(resumed, [Squares()], config, 16, run)
    assert same(undisturbed, resumed)
    assert [step for step, _ in run.curve] == [10, 20, 25]


@pytest.mark.parametrize(("mode", "moving"), [("train", 2), ("backbone-frozen", 1), ("frozen", 0)])
def test_batch_norm_statistics_move_where_they_are_meant_to(mode: str, moving: int) -> None:
    network = new_segmentation(S, "none", 0)
    before = {k: v.clone() for k, v in network.state_dict().items() if k.endswith("running_mean")}
    train_segmentation(
        network, [Squares()], CONFIG.model_copy(update={"iterations": 2, "batch_norm": mode}), 16, TrainingRun(seed=0)
    )
    changed = {k.startswith("backbone.") for k, v in before.items() if not torch.equal(v, network.state_dict()[k])}
    assert len(changed) == moving


def test_frozen_blocks_do_not_apply_to_the_concat_encoder() -> None:
    config = CONFIG.model_copy(update={"frozen_blocks": 2})
    for way, learns in (("attention", False), ("concat", True)):
        network = new_propagation(P.model_copy(update={"identity_input": way}), "none", 0)
        make_optimizer(network, config)
        assert not next(network.encoder.blocks[0].parameters()).requires_grad
        assert next(network.encoder.blocks[2].parameters()).requires_grad
        assert next(network.identity.backbone.blocks[0].parameters()).requires_grad is learns


def test_set_mode_freezes_every_norm() -> None:
    network = new_propagation(P, "none", 0)
    set_mode(network, "frozen")
    assert not any(module.training for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    assert isinstance(network.encoder, Backbone)
    assert network.encoder.training


def test_epochs_count_frames() -> None:
    assert iterations(TrainingConfig(epochs=2, batch=4), [Squares(length=6), Squares(length=5)]) == 6


def test_one_shot_tunes_copies_on_the_frame_and_on_each_object() -> None:
    network = new_segmentation(S, "none", 0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    config = OneShotConfig(frame_iterations=2, instance_iterations=2, batch=1, augmentation=AugmentationConfig(crop=0))
    video = Squares(objects=2)
    first = first_frame(video)
    (tuned,) = fine_tune_on("frame", network, *first, config, None, 16, TrainingRun(seed=0))
    crops = fine_tune_on("objects", tuned, *first, config, 0.25, 16, TrainingRun(seed=0))
    assert len(crops) == 2
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert not same(network, tuned)
    assert not same(crops[0], crops[1])
    means = [k for k in before if k.endswith("running_mean")]
    assert all(torch.equal(before[k], crops[0].state_dict()[k]) for k in means)


def test_a_damaged_draft_of_a_checkpoint_is_never_read(tmp_path) -> None:
    (tmp_path / "checkpoint.draft").write_bytes(b"half a file")
    network = new_propagation(P, "none", 0)
    train_propagation(
        network, [Squares()], CONFIG.model_copy(update={"iterations": 1}), TrainingRun(seed=0, scratch=tmp_path)
    )
    assert all(np.isfinite(v.numpy()).all() for v in network.state_dict().values())
    shutil.rmtree(tmp_path)
