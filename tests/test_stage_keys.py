"""What of a config, its data and its machine is in the key of a stage, and what is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from harness.errors import StudyError
from harness.plain import code_in, plain
from harness.stage import Data, Identity, Resources, Stage
from tests.keyed import Base, Decoder, FarPoint, High, Kind, Low, Open, Outer, Reader, Wide

ROOT = Path(__file__).parent.parent


def stage(config: BaseModel | None = None, **options: Any) -> Stage:
    return Stage(name="toy", label="toy", run="tests.engine:run_toy", config=config or Outer(), **options)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Outer(first=Wide(width=1)), Outer(first=Wide(width=2))),
        (Outer(first=Base()), Outer(first=High())),
        (Outer(first=High(), second=Low()), Outer(first=Low(), second=High())),
        (Outer(many=(Wide(width=1),)), Outer(many=(Wide(width=2),))),
        (Outer(hidden=1), Outer(hidden=2)),
        (Outer(rounded=0.1), Outer(rounded=0.2)),
        (Outer(names=frozenset("ab")), Outer(names=frozenset("ac"))),
        (Open(size=1), Open(size=2)),
        (Base(), High()),
        (Outer(extra=1), Outer(extra=1.0)),
        (Outer(extra=True), Outer(extra=1)),
        (Outer(extra=Kind.LINE), Outer(extra=Kind.AREA)),
        (Outer(extra=Kind.LINE), Outer(extra=1)),
        (Outer(extra=FarPoint(z=1)), Outer(extra=FarPoint(z=2))),
        (Outer(extra=re.compile("a")), Outer(extra=re.compile("a", re.IGNORECASE))),
        (Outer(extra=timedelta(1)), Outer(extra=timedelta(2))),
        (Outer(call=plain), Outer(call=code_in)),
        (Outer(extra=Wide), Outer(extra=High)),
    ],
)
def test_what_the_code_can_read_of_a_config_is_in_the_key(one: BaseModel, other: BaseModel) -> None:
    assert stage(one).key != stage(other).key


@pytest.mark.parametrize("extra", [{"b": 1, "a": {"d": 1, "c": 2}}, {"a": {"c": 2, "d": 1}, "b": 1}])
def test_the_order_of_a_mapping_is_not_in_the_key(extra: dict[str, Any]) -> None:
    assert stage(Outer(extra=extra)).key == stage(Outer(extra={"a": {"c": 2, "d": 1}, "b": 1})).key


def test_a_set_has_one_key_in_every_process() -> None:
    program = (
        "from tests.keyed import *; from tests.test_stage_keys import stage\n"
        "names = frozenset({'blackswan', 'camel', 'dog', 'bmx-trees', 'cows'})\n"
        "print(stage(Outer(names=names, extra={Kind.LINE, Kind.AREA, Point(1), FarPoint(1)})).key)"
    )
    keys = set()
    for seed in ("0", "1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        keys.add(subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, env=env, text=True))
    assert len(keys) == 1


@pytest.mark.parametrize("value", [object(), lambda: 1, {1: "a", "1": "b"}, iter(()), (x for x in "a")])
def test_a_value_without_a_canonical_form_is_a_named_error(value: object) -> None:
    with pytest.raises(StudyError, match=r"Outer, option extra.deep: found .*; expected numbers"):
        plain(Outer(extra={"deep": value}))


def test_the_code_of_a_subclass_that_a_field_holds_is_in_the_key() -> None:
    assert "tests.keyed:Wide" in plain(Outer(many=(Base(), Wide()))).code
    assert {"tests.keyed", "harness.config"} <= stage(Outer(first=Wide())).code.keys()


def test_a_text_that_names_code_makes_that_code_count() -> None:
    assert "harness.datasets.png" in stage(Outer(extra="harness.datasets.png.chunks")).code
    assert "harness.datasets.png" not in stage(Outer(extra="harness/datasets/png")).code


@pytest.mark.parametrize(
    "value",
    [(1, Decoder()), [Reader(), Decoder()], {"a": (Reader(Decoder()),)}, Reader([Decoder]), (Path(), Decoder())],
)
def test_the_code_of_everything_in_data_counts(value: object) -> None:
    assert "tests.keyed:Decoder" in code_in(value)
    data = {"video": Data(name="v", digest="1", value=value)}
    assert "tests.keyed" in stage(Base(), data=data).code


NETWORK = "dipnet.stage_runs:run_segment"
"""A function that reaches torch, torchvision and OpenCV."""


def test_the_kind_of_device_is_in_the_key_of_what_uses_torch_and_the_number_is_not() -> None:
    cpu, half, two = (replace(stage(), run=NETWORK, resources=Resources(gpus=gpus)) for gpus in (0, 0.5, 2))
    assert cpu.environment["device"] == "cpu"
    assert half.environment["device"] == "gpu"
    assert cpu.key != half.key
    assert half.key == two.key


def test_libraries_are_in_the_key_of_what_reaches_them_by_their_major_version() -> None:
    environment = replace(stage(), run=NETWORK).environment
    assert environment.keys() == {"torch", "torchvision", "cv2", "device"}
    assert all(version.isdigit() for name, version in environment.items() if name != "device")
    assert stage(Base()).environment == {}
    assert replace(stage(Base()), resources=Resources(gpus=1)).environment == {"device": "gpu"}


@pytest.mark.parametrize("change", [{"torch": "99"}, {"device": "gpu"}])
def test_another_environment_is_another_key(change: dict[str, str]) -> None:
    identity: Identity = replace(stage(), run=NETWORK).identity
    assert replace(identity, environment={**identity.environment, **change}).key != identity.key
