"""A method's card: operations counted by hand, and every installed method that has one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.cli.main import main
from harness.config import resolve
from harness.method import HasCard, find_method, method_names
from tests.test_dipnet_stages import TINY as DIPNET
from tests.test_rivals import TINY
from tests.test_rivals_nearest import TINY as NEAREST
from vos.card import network_card, operations_of, parameters_of, training_of, tuning_of, weights_of
from vos.config import FineTuningConfig, TrainingConfig

SMALL: dict[str, dict[str, Any]] = {**TINY, "dipnet": DIPNET, "nearest": NEAREST}


class OneConvolution:
    """A segmenter that applies one convolution for each object."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self.layer = layer

    def start(self, frame: np.ndarray, objects: np.ndarray) -> None:
        self.layer(torch.zeros(1, 3, 64, 64))  # once for a video: does not count
        self.objects = len(objects)

    def step(self, frame: np.ndarray) -> np.ndarray:
        for _ in range(self.objects):
            self.layer(torch.zeros(1, 3, 16, 16))
        return np.zeros((self.objects, *frame.shape[:2]), np.float32)


def test_operations_are_those_of_one_frame() -> None:
    layer = nn.Conv2d(3, 5, 3, padding=1)
    one = 2 * 16 * 16 * 5 * 3 * 3 * 3  # outputs × inputs × kernel, an addition and a multiplication each
    assert operations_of(OneConvolution(layer), 1) == one
    assert operations_of(OneConvolution(layer), 3) == 3 * one
    card = network_card({"layer": layer, "other": nn.Linear(999, 1000)}, lambda objects: OneConvolution(layer))
    assert card["parameters"] == "layer 0.00 M, other 1.00 M; in all 1.00 M"
    assert parameters_of({"layer": nn.Linear(9999, 1000)}) == "layer 10.00 M"


def test_trainings_and_weights_as_text() -> None:
    assert (
        training_of(TrainingConfig(iterations=1000, batch=8)) == "1,000 steps, batch 8 (8,000 samples), sgd at 0.0001"
    )
    assert training_of(TrainingConfig(epochs=40)).startswith("40 epochs, batch 4, sgd")
    assert tuning_of(FineTuningConfig(), "3 steps") == "3 steps, batch 4, sgd at 0.001"
    assert "non-commercial" in weights_of("imagenet-v1", "resnet50")
    assert "the file mine.pt" in weights_of("mine.pt", "resnet50")
    assert weights_of("none", "mini").startswith("none")


def test_every_method_with_networks_has_a_card() -> None:
    cards = {name for name in method_names() if isinstance(find_method(name, "test"), HasCard)}
    assert cards >= {*SMALL}
    assert "first-mask" not in cards


@pytest.mark.parametrize("name", SMALL)
def test_a_card_answers_what_readers_ask(name: str) -> None:
    method = find_method(name, "test")
    assert isinstance(method, HasCard)
    card = method.card(resolve(method.config, SMALL[name], "test"))
    assert {"published", "backbone", "parameters", "weights"} <= card.keys()
    (counted,) = (text for title, text in card.items() if title.startswith("operations per frame"))
    assert "G with one object" in counted
    assert ("off-line training" in card) == (name != "nearest")


def test_the_verb_prints_a_card_and_lists_methods(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["method"]) == 0
    assert "osvos       OSVOS" in capsys.readouterr().out
    assert main(["method", "osvos", "--scale", "mini", "--option", "training=offline", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["method"] == "OSVOS"
    assert "one-shot" not in card
    assert main(["method", "first-mask"]) == 2
    assert "has no card" in capsys.readouterr().err
