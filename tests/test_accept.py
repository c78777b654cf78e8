"""Results of earlier code can be accepted: under today's keys, as a declaration that shows wherever they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning import accept, candidates, gather, load_study, make_plan
from harness.planning.plan import Plan
from harness.results import save_plan
from harness.stage import Identity
from harness.store.local import Store
from reports.inputs import Lineage
from reports.tables.accepted import accepted_table
from tests.engine import make_davis16
from tests.report_cells import cell

STUDY = "name: try\nmethod: first-mask\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_davis16(tmp_path_factory.mktemp("data"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def plan(data: Path, tmp_path: Path, store: Store) -> Plan:
    (tmp_path / "try.yaml").write_text(STUDY)
    protocols = load_protocols()
    inputs = gather([protocols["davis16-val"]], data, tmp_path / "facts")
    return make_plan(load_study(tmp_path / "try.yaml", protocols), inputs, store)


def run_earlier(plan: Plan, store: Store, kinds: tuple[str, ...] = ("segment", "score"), **change: Any) -> None:
    """Run the stages, and leave their results under the keys that they have with such a change of what they are."""
    stages = [stage for stage in plan.missing if stage.name in kinds]
    assert all(work(make_job(stage, store, 1, "early")) for stage in stages)
    keys: dict[str, str] = {}
    for stage in stages:
        made = store.manifest(stage.name, stage.key)
        assert made
        changed = {name: old(getattr(stage.identity, name)) for name, old in change.items()}
        needs = {role: keys.get(key, key) for role, key in stage.identity.needs.items()}
        identity = replace(stage.identity, needs=needs, **changed)
        keys[stage.key] = identity.key
        store.adopt(stage.name, identity.key, made.folder, replace(made, key=identity.key, identity=identity))


def other_code(code: dict[str, str]) -> dict[str, str]:
    return {**code, "harness.files": "0" * 64}


def again(plan: Plan, store: Store) -> Plan:
    return make_plan(plan.study, plan.inputs, store)


def accept_all(plan: Plan, store: Store, *kinds: str) -> list[str]:
    return [accept(one, store, "late") for one in candidates(plan, store, kinds)]


def masks_of(plan: Plan, store: Store) -> Iterator[bytes]:
    for stage in plan.cells[0].segment.values():
        yield from (path.read_bytes() for path in sorted((store.folder("segment", stage.key) / "masks").iterdir()))


def test_results_of_other_code_are_accepted_needs_first(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code)
    assert len(again(plan, store).missing) == 4  # two sequences, their scores, seconds
    assert accept_all(again(plan, store), store, "segment", "score") == [""] * 3
    left = again(plan, store)
    assert [stage.name for stage in left.missing] == ["time"]
    assert len(list(masks_of(left, store))) == 10


def test_the_accepted_result_says_where_it_comes_from(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code)
    (first, *_) = candidates(again(plan, store), store, ["segment"])
    assert not accept(first, store, "late")
    made = store.load("segment", first.stage.key)
    assert made is not None
    assert made.revision == "early"
    assert made.accepted["keys"] == [first.earlier.key]
    assert made.accepted["changes"] == ["code changed: harness.files"]
    assert made.accepted["revision"] == "late"
    assert made.seconds == first.earlier.seconds


def test_what_is_accepted_can_be_accepted_again_later(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code)
    accept_all(again(plan, store), store, "segment")
    key = next(iter(plan.cells[0].segment.values())).key
    made = store.manifest("segment", key)
    assert made is not None
    identity = replace(made.identity, code={"harness.files": "1" * 64})
    store.adopt("segment", identity.key, made.folder, replace(made, key=identity.key, identity=identity))
    found = [one for one in candidates(again(plan, store), store, ["segment"]) if one.stage.key == key]
    assert [one.earlier.key for one in found] == [identity.key]
    assert not accept(found[0], store, "later")
    last = store.manifest("segment", key)
    assert last is not None
    assert last.accepted["keys"] == [identity.key, *made.accepted["keys"]]


@pytest.mark.parametrize(
    "change",
    [
        {"config": lambda config: {**config, "averaging": "other", "copied": "other"}},
        {"version": lambda version: version + 1},
        {"data": lambda data: {**data, "more": "0" * 64}},
        {"run": lambda run: f"{run}_otherwise"},
        {"scheme": lambda scheme: scheme - 1},
        {"environment": lambda environment: {**environment, "device": "gpu"}},
    ],
    ids=["option", "version", "data", "function", "scheme", "device"],
)
def test_only_changes_of_code_can_be_accepted(change: dict[str, Any], plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code, **change)
    assert list(candidates(again(plan, store), store, ["segment", "score"])) == []


def test_an_option_that_earlier_code_did_not_have_may_be_new(plan: Plan, store: Store) -> None:
    def fewer(config: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in config.items() if name != "averaging"}

    run_earlier(plan, store, code=other_code, config=fewer)
    found = [one for one in candidates(again(plan, store), store, ["segment", "score"]) if one.stage.name == "score"]
    assert ("config", "averaging") in [(change.what, change.name) for change in found[0].changes]


def test_a_result_of_other_needs_is_not_accepted(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code)
    for stage in again(plan, store).missing:  # the same masks again, by today's code: not what was scored then
        if stage.name == "segment":
            assert work(make_job(stage, store, 1, "late"))
    assert list(candidates(again(plan, store), store, ["score"])) == []


def test_damaged_results_are_not_accepted(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code)
    (first, *_) = candidates(again(plan, store), store, ["segment"])
    mask = next((first.earlier.folder / "masks").iterdir())
    mask.write_bytes(mask.read_bytes()[:-1] + b"x")
    assert "its content has changed" in accept(first, store, "late")
    assert not store.is_published("segment", first.stage.key)


def test_nothing_is_accepted_whose_need_was_not(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code)
    found = list(candidates(again(plan, store), store, ["segment", "score"]))
    mask = next((found[0].earlier.folder / "masks").iterdir())
    mask.write_bytes(mask.read_bytes()[:-1] + b"x")
    problems = [accept(one, store, "late") for one in found]
    assert "its content has changed" in problems[0]
    assert problems[1] == ""
    assert problems[2] == f"{found[0].stage.label}, which it needs, was not accepted"
    assert not store.is_published("score", found[2].stage.key)


def test_seconds_of_other_code_are_never_accepted(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, ("segment", "score", "time"), code=other_code)
    accept_all(again(plan, store), store, "segment", "score", "time")
    assert [stage.name for stage in again(plan, store).missing] == ["time"]


def test_the_verb_shows_first_and_accepts_when_told_to(
    plan: Plan, store: Store, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_earlier(plan, store, code=other_code)
    command = ["accept", str(tmp_path / "try.yaml"), "segment", "--data", str(data), "--home", str(store.home)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "2 × segment (code changed: harness.files; revision early)" in shown
    assert "2 could be accepted" in shown
    assert len(again(plan, store).missing) == 4
    assert main([*command, "--write"]) == 0
    assert "2 accepted" in capsys.readouterr().out
    assert len(again(plan, store).missing) == 2


@pytest.mark.parametrize("kind", ["time", "segmant"])
def test_the_verb_names_the_kinds_that_there_are(
    kind: str, plan: Plan, store: Store, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["accept", str(tmp_path / "try.yaml"), kind, "--data", str(data), "--home", str(store.home)]
    assert main(command) == 2
    assert f"no stages '{kind}' to accept; give one or more of segment, score" in capsys.readouterr().err


def test_a_report_lists_the_accepted_results(plan: Plan, store: Store) -> None:
    run_earlier(plan, store, code=other_code)
    accept_all(again(plan, store), store, "segment", "score")
    score = plan.cells[0].score
    assert score
    shown = cell("one", 0.5, score_folder=str(store.folder("score", score.key)))
    table = accepted_table([shown], Lineage())
    assert table is not None
    assert [line.label for line in table.lines] == ["score", "segment"]
    assert table.lines[1].facts[:3] == ("early", "late", "code changed: harness.files")
    assert table.lines[1].values[0].number == 2
    assert accepted_table([], Lineage()) is None


def test_explain_names_what_was_accepted(
    plan: Plan, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_earlier(plan, store, code=other_code)
    accept_all(again(plan, store), store, "segment", "score")
    save_plan(plan, store, tmp_path / "try.yaml", {})
    assert main(["explain", "try", "one", "--home", str(store.home)]) == 0
    shown = capsys.readouterr().out
    assert "revision early" in shown
    assert "accepted as it is: by revision late, although code changed: harness.files" in shown


def test_identities_of_the_tests_are_keys_of_their_own(plan: Plan) -> None:
    stage = plan.missing[0]
    assert stage.identity.key == stage.key
    assert replace(stage.identity, code=other_code(dict(stage.code))).key != stage.key
    assert Identity.from_dict({}).scheme == 1
