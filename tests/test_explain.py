"""A number of a table is explained down to its masks, networks, code and data, from the home alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.console import command_line
from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import Plan, make_plan
from harness.planning.study import load_study
from harness.results import collect_results, save_plan, save_results, study_question
from harness.store.local import Store
from tests.engine import make_davis16

QUESTION = "Is it: explained?"
STUDY = f"""
name: try
question: "{QUESTION}"
method: first-mask
benchmarks: [davis16-val, davis17-val]
seeds: [0, 1]
variants:
  one: {{}}
  other: {{}}
"""


@dataclass
class Explained:
    """A home where a study was run to its end, whose data and file are gone."""

    plan: Plan
    home: Path
    study: Path


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> Explained:
    place = tmp_path_factory.mktemp("explain")
    make_davis16(place / "data")
    (place / "try.yaml").write_text(STUDY)
    protocols = load_protocols()
    study = load_study(place / "try.yaml", protocols)
    store = Store(place / "home")
    material = gather([protocols[name] for name in study.benchmarks], place / "data", place / "facts")
    plan = make_plan(study, material, store, machine="a machine")
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "abcdef"))
    save_plan(plan, store, place / "try.yaml", {"weights": "none"})
    save_results(store.home, "try", collect_results(plan, store))
    shutil.rmtree(place / "data")
    (place / "try.yaml").unlink()
    return Explained(plan, store.home, place / "try.yaml")


@pytest.fixture
def ask(explained: Explained, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def ask(*arguments: str) -> tuple[int, str, str]:
        status = main(["explain", *arguments, "--home", str(explained.home)])
        output = capsys.readouterr()
        return status, output.out, output.err

    return ask


def test_it_explains_masks_data_code_and_machine(explained: Explained, ask: Callable) -> None:
    status, output, _ = ask("try", "one/davis16-val/1")
    assert status == 0
    cell = next(cell for cell in explained.plan.cells if cell.name == "one/davis16-val/1")
    assert "J_mean 0." in output
    for name, stage in cell.segment.items():
        folder = explained.home / "store" / "segment" / stage.key
        assert f"  {name}: J 0." in output
        assert f"data {stage.data['video'].digest[:16]}; {folder / 'masks'}" in output
        assert (folder / "masks").is_dir()
    assert cell.score is not None
    assert f"scores: {explained.home / 'store' / 'score' / cell.score.key}" in output
    assert "run harness.baselines.first_mask:segment, version 1; revision abcdef" in output
    assert "numpy " in output
    assert "harness.baselines.first_mask " in output
    assert "averaging=sequences" in output
    assert "seconds measured on a machine" in output


def test_the_question_of_a_study_is_known_after_its_run(explained: Explained) -> None:
    assert study_question(explained.home, "try") == QUESTION
    assert study_question(explained.home, "never-run") == ""


def test_it_ends_with_the_commands_that_reproduce_the_number(explained: Explained, ask: Callable) -> None:
    output = ask("try", "one/davis16-val/1")[1]
    root = explained.plan.inputs.root
    again = ("run", explained.study, "--scale", "mini", "--data", root, "--option", 'weights="none"')
    assert f"  {command_line(*again, '--home', f'{explained.home}-again')}\n" in output
    assert re.search(r"git checkout [0-9a-f]{40}", output) or "the revision is not known" in output
    assert "has changed since" in output  # the study's file is gone


def test_any_part_of_a_name_that_only_one_cell_has_is_enough(ask: Callable) -> None:
    assert ask("try", "other/davis16-val/0")[0] == 0
    assert ask("try.yaml", "ther/davis16-val/0")[1].startswith("other/davis16-val/0 of study try")


def test_a_study_is_found_by_the_name_in_its_file(ask: Callable, tmp_path: Path) -> None:
    (tmp_path / "renamed.yaml").write_text(STUDY)
    assert ask(str(tmp_path / "renamed.yaml"), "other/davis16-val/0")[0] == 0


def test_a_skipped_cell_says_why(ask: Callable) -> None:
    assert "skipped: no DAVIS 2017" in ask("try", "one/davis17-val/0")[1]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("try", "third"), ["no cell 'third'", "one/davis16-val/0", "other/davis17-val/1"]),
        (("try", "one/davis16"), ["part of 2 cells", "one/davis16-val/0", "one/davis16-val/1"]),
        (("unknown", "one"), ["'unknown' was not run", "try"]),
        (("try", "one/davis16-val/0", "--scale", "paper"), ["was not run at scale paper"]),
    ],
)
def test_an_unknown_study_or_cell_is_an_error_that_lists_the_known(
    ask: Callable, arguments: tuple[str], found: list[str]
) -> None:
    status, output, errors = ask(*arguments)
    assert status == 2
    assert not output
    assert errors.startswith("error: ")
    assert all(part in errors for part in found)


def test_a_cell_that_is_not_finished_says_what_is_missing(explained: Explained, ask: Callable) -> None:
    cell = next(cell for cell in explained.plan.cells if cell.name == "one/davis16-val/1")
    stage = cell.segment["a"]
    folder = explained.home / "store" / "segment" / stage.key
    folder.rename(explained.home / "away")
    try:
        output = ask("try", "one/davis16-val/1")[1]
    finally:
        (explained.home / "away").rename(folder)
    assert "a: J" in output
    assert "not segmented yet" in output
