"""Whole studies with methods that are commands: planned, shared, run, scored, timed, explained, exported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cli.main import main
from harness.datasets import load_protocols
from harness.errors import CommandError
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import Plan, make_plan
from harness.planning.study import load_study
from harness.results import CellResult, collect_results, export, save_plan, save_results
from harness.store.local import Store
from tests.engine import make_davis16
from tests.test_external_sources import git

TRACK = """
import argparse, json, shutil, time
from pathlib import Path
parser = argparse.ArgumentParser()
for name in ("--root", "--list", "--frames", "--mask", "--out", "--trained", "--files"):
    parser.add_argument(name, type=Path)
parser.add_argument("--shift", type=int, default=0)
parser.add_argument("--report", action="store_true")
given = parser.parse_args()
if given.trained:
    assert json.loads((given.trained / "net.json").read_text())["steps"] > 0
jobs = [(given.frames, given.mask, given.out)]
if given.list:
    images, masks = given.root / "JPEGImages/480p", given.root / "Annotations/480p"
    names = given.list.read_text().split()
    jobs = [(images / name, min((masks / name).iterdir()), given.out / name) for name in names]
for frames, mask, out in jobs:
    out.mkdir(parents=True, exist_ok=True)
    for frame in sorted(frames.iterdir()):
        shutil.copy(mask, out / f"{frame.stem}.png")
        if given.report:
            print("harness-frame", frames.name, frame.stem, flush=True)
            time.sleep(0.02)  # copying is so fast that lines would come together
"""
TRAIN = """
import json, sys
from pathlib import Path
root, out, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
masks = len(list((root / "Annotations/480p").rglob("*.png")))
(out / "net.json").write_text(json.dumps({"steps": steps, "masks": masks}))
"""
METHODS = f"""
methods:
  copy: &copy
    command: "{{python}} track.py --frames {{frames}} --mask {{first_mask}} --out {{masks}} --report"
    python: {sys.executable}
    folder: code
    files: [weights.pth]
  together:
    <<: *copy
    command: "{{python}} track.py --root {{root}} --list {{list}} --out {{masks}}"
    per: benchmark
    label: All at once
  learned:
    <<: *copy
    train: "{{python}} train.py {{root}} {{output}} {{steps}}"
    command: >-
      {{python}} track.py --frames {{frames}} --mask {{first_mask}} --out {{masks}}
      --trained {{trained}} --shift {{shift}}
    options: {{steps: 10, shift: 0}}
"""
STUDY = f"""
name: try
method: first-mask
benchmarks: [davis16-val]
{METHODS}
variants:
  baseline: {{}}
  one:      {{method: copy}}
  all:      {{method: together}}
  learned:  {{method: learned}}
  shifted:  {{method: learned, shift: 1}}
  longer:   {{method: learned, steps: 20}}
"""


@dataclass
class Place:
    """A folder with data, a repository, weights and a study."""

    path: Path

    @property
    def study(self) -> Path:
        return self.path / "try.yaml"

    @property
    def store(self) -> Store:
        return Store(self.path / "home")

    def plan(self, text: str = STUDY, **machine: float) -> Plan:
        self.study.write_text(text)
        protocols = load_protocols()
        study = load_study(self.study, protocols)
        material = gather(
            [protocols[name] for name in study.benchmarks], self.path / "data", self.path / "home" / "facts"
        )
        return make_plan(study, material, self.store, machine="a machine", **machine)


def make_place(path: Path) -> Place:
    make_davis16(path / "data")
    code = path / "code"
    code.mkdir()
    (code / "track.py").write_text(TRACK)
    (code / "train.py").write_text(TRAIN)
    git(code, "init", "-q")
    git(code, "add", "-A")
    git(code, "commit", "-qm", "first")
    (path / "weights.pth").write_bytes(b"weights")
    return Place(path)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


def run(plan: Plan, store: Store) -> None:
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "")), store.failure(stage.key)


@dataclass
class Finished:
    """The study after its run."""

    place: Place
    plan: Plan
    results: dict[str, CellResult]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    place = make_place(tmp_path_factory.mktemp("external"))
    plan, store = place.plan(), place.store
    run(plan, store)
    results = collect_results(plan, store)
    save_plan(plan, store, place.study, {})
    save_results(store.home, "try", results)
    return Finished(place, plan, {one.variant: one for one in results})


def kinds(plan: Plan) -> Counter[str]:
    return Counter(stage.name for stage in plan.missing)


def test_a_command_has_the_scores_of_the_same_method_in_process(finished: Finished) -> None:
    ours = finished.results["baseline"]
    assert len(finished.results) == 6
    for name, result in finished.results.items():
        assert (name, result.values) == (name, ours.values)
        assert result.filled
    assert finished.results["all"].method_label == "All at once"


def test_training_gets_the_truth_and_is_shared_by_what_it_does_not_read(finished: Finished) -> None:
    store = finished.place.store
    folders = [store.folder("train", key) for name, key in store.published("train")]
    learned = sorted(json.loads((folder / "trained" / "net.json").read_text())["steps"] for folder in folders)
    assert learned == [10, 20]
    assert json.loads((folders[0] / "trained" / "net.json").read_text())["masks"] == 10


def test_seconds_say_whether_frames_or_a_whole_process_were_timed(finished: Finished) -> None:
    assert finished.results["one"].hardware == "a machine"
    assert finished.results["all"].hardware == "a machine (whole process)"
    assert all(finished.results[name].seconds_per_frame for name in ("one", "all"))


def test_nothing_is_left_to_run_when_the_same_study_is_planned_again(finished: Finished) -> None:
    assert not finished.place.plan().missing


def test_a_cell_is_explained_from_the_home_alone(finished: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    commit = subprocess.check_output(["git", "-C", str(finished.place.path / "code"), "rev-parse", "HEAD"], text=True)
    kept = finished.place.study.read_text()
    finished.place.study.unlink()
    assert main(["explain", "try", "shifted", "--home", str(finished.place.store.home)]) == 0
    finished.place.study.write_text(kept)
    output = capsys.readouterr().out
    for words in ("train learned on davis16-train", "program.options.shift=1", f"repository code {commit[:12]}",
                  "files weights.pth", f"runner Python {sys.version.split()[0]}"):  # fmt: skip
        assert words in output


def test_the_recorded_text_of_a_study_loads_again_with_the_same_keys(finished: Finished) -> None:
    (record,) = json.loads((finished.place.store.home / "plans" / "try.json").read_text())["plans"]
    assert finished.place.plan(record["study_text"]).items.keys() == finished.plan.items.keys()


def test_masks_of_a_command_are_exported(finished: Finished, tmp_path: Path) -> None:
    lines = list(export(finished.plan, finished.place.store, tmp_path / "out"))
    assert "davis16-val/all: 2 sequences, 10 masks" in lines


def test_a_report_of_commands_is_written(finished: Finished) -> None:
    assert main(["report", "try", "--home", str(finished.place.store.home)]) == 0
    speed = (finished.place.store.home / "reports" / "try" / "speed.md").read_text()
    assert "a machine (whole process)" in speed
    assert "Whole process: the start" in speed


def test_keys_hold_when_folder_files_and_study_lie_elsewhere(finished: Finished, tmp_path: Path) -> None:
    moved = Place(tmp_path / "elsewhere")
    shutil.copytree(finished.place.path, moved.path, ignore=shutil.ignore_patterns("home", "facts*"))
    assert moved.plan().items.keys() == finished.plan.items.keys()


def test_a_change_of_code_or_files_runs_what_is_based_on_it(finished: Finished, tmp_path: Path) -> None:
    place = Place(tmp_path / "copy")
    shutil.copytree(finished.place.path, place.path)
    (place.path / "weights.pth").write_bytes(b"others")
    plan = place.plan()
    assert kinds(plan)["segment"] == 9  # two of `one`, one of `all`, six of the others; the baseline reads no file
    assert {item.why for item in plan.items.values() if item.state == "to run"} == {"data changed: files"}
    (place.path / "weights.pth").write_bytes(b"weights")
    (place.path / "code" / "track.py").write_text(TRACK + "\n# edited\n")
    assert "data changed: repository" in {item.why for item in place.plan().items.values()}
    git(place.path / "code", "checkout", "-q", "track.py")
    git(place.path / "code", "commit", "-q", "--amend", "-m", "another message")
    assert not place.plan().missing


def test_study_and_home_may_lie_in_the_repository(place: Place) -> None:
    inside = Place(place.path / "code")
    (inside.path / ".gitignore").write_text("data\n*.pth\n")
    for name in ("data", "weights.pth"):
        shutil.move(place.path / name, inside.path / name)
    text = STUDY.replace("folder: code", "folder: .")
    plan = inside.plan(text)
    run(plan, inside.store)
    again = inside.plan(text + "  further: {method: learned, steps: 30}\n")
    assert {stage.label for stage in again.missing if stage.name == "train"} == {"train learned on davis16-train"}
    assert kinds(again) == {"train": 1, "segment": 2, "score": 1, "time": 1}


def test_an_option_is_in_the_keys_of_the_commands_that_name_it(place: Place) -> None:
    plan = place.plan()
    assert kinds(plan)["train"] == 2
    configs = [stage.identity.config for stage in plan.missing if stage.name == "train"]
    assert sorted(config["program"]["options"]["steps"] for config in configs) == [10, 20]


@pytest.mark.parametrize(
    ("old", "new", "trainings", "segmented"),
    [("{steps}", "{steps}", 2, 11), ("{steps}", "{steps} {seed}", 4, 17), ("{shift}", "{shift} {seed}", 2, 17)],
)
def test_seeds_share_what_names_no_seed(place: Place, old: str, new: str, trainings: int, segmented: int) -> None:
    counted = kinds(place.plan(STUDY.replace("variants:", "seeds: [0, 1]\nvariants:").replace(old, new, 1)))
    assert (counted["train"], counted["segment"]) == (trainings, segmented)


def test_no_key_holds_a_path_of_this_machine(place: Place) -> None:
    for stage in place.plan().missing:
        if stage.run.startswith("harness.external"):
            assert str(place.path) not in json.dumps(stage.identity.config)
            assert sys.executable not in json.dumps(stage.identity.config)


def test_gpus_and_cores_are_those_of_the_scale_or_the_definition(place: Place) -> None:
    def reserved(plan: Plan) -> set[tuple[float, float]]:
        ours = [stage for stage in plan.missing if stage.run == "harness.external.stages:segment"]
        return {(stage.resources.cpus, stage.resources.gpus) for stage in ours}

    assert reserved(place.plan()) == {(1, 0)}
    assert reserved(place.plan(gpus=0.5)) == {(1, 0.5)}
    own = STUDY.replace("    folder: code\n", "    folder: code\n    gpus: 1\n    cpus: 4\n")
    assert reserved(place.plan(own)) == {(4, 1)}


def test_without_its_training_data_a_trained_method_is_skipped(place: Place) -> None:
    plan = place.plan(STUDY.replace("    files: [", "    training: pretraining\n    files: ["))
    reasons = {cell.variant.name: cell.reason for cell in plan.cells}
    assert "learned: no " in reasons["learned"]
    assert not reasons["one"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"python: {sys.executable}", "python: absent/python", "methods.copy.python: no program"),
        ("folder: code", "folder: absent", "methods.copy.folder: no folder"),
        ("[weights.pth]", "[absent.pth]", "methods.copy.files: no file"),
        (f"python: {sys.executable}", "conda: no-such-name", "no environment 'no-such-name'"),
        (f"python: {sys.executable}", "container: absent.sif", "no file"),
        ("track.py --frames", "follow.py --frames", "no file follow.py in"),
    ],
)
def test_what_is_not_there_ends_a_run_before_anything_is_run(
    place: Place, capsys: pytest.CaptureFixture[str], old: str, new: str, words: str
) -> None:
    place.study.write_text(STUDY.replace(old, new))
    arguments = ["run", str(place.study), "--data", str(place.path / "data"), "--home", str(place.path / "home")]
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert "error: " in output.err
    assert f"{place.study}: methods." in output.err
    assert words in output.err
    assert not list(Store(place.path / "home").published())


def test_a_change_between_plan_and_run_is_a_failure_with_its_remedy(place: Place) -> None:
    plan, store = place.plan(), place.store
    stage = next(stage for stage in plan.missing if stage.name == "train")
    (place.path / "weights.pth").write_bytes(b"others")
    assert not work(make_job(stage, store, 1, ""))
    failure = store.failure(stage.key)
    assert failure is not None
    assert "weights.pth: its content changed since the plan; give the same command again" in failure.error


def test_a_study_plans_its_methods_at_every_plan_anew(place: Place) -> None:
    keys = place.plan().items.keys()
    (place.path / "weights.pth").unlink()
    with pytest.raises(CommandError, match=r"weights\.pth"):
        place.plan()
    (place.path / "weights.pth").write_bytes(b"weights")
    assert place.plan().items.keys() == keys
