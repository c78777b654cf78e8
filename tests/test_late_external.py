"""Commands of others, and the copied first mask, on videos with objects that appear later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.baselines import first_mask as baseline
from harness.config import Config
from harness.datasets import Sequence, read_mask
from harness.errors import CommandError, StudyError
from harness.external import stages
from harness.external.config import PickConfig, worker_file
from harness.external.definition import read_definition
from harness.external.layout import FLAT, lay_out
from harness.external.method import define
from harness.external.sources import file_digest
from harness.files import read_json
from harness.method import CellRequest
from harness.stage import Data, Task
from tests.external import make_task, read_all, script, segment_config
from tests.late import late_sequence

STARTS = (0, 2, 3)

TAKES_UP = """
given = {path.stem: np.array(Image.open(path)) for path in first.parent.glob("*.png")}
ids = np.array(mask) * 0
for name in names:
    if name in given:
        ids = np.where(given[name], given[name], ids)
    save(name, Image.fromarray(ids))
"""
"""Copies each given mask from its frame on; what a method does that takes up new objects."""

COPIES = "print('CALL', frames.name, *names)\nfor name in names: save(name)\n"

TRACKER = """
import numpy as np

class Copies:
    def initialize(self, frame, mask):
        print("initialize", int(mask.max()))
        self.mask = mask

    def track(self, frame):
        return self.mask

class TakesUp(Copies):
    def add(self, frame, mask):
        print("add", sorted(set(np.unique(mask).tolist()) - {0}))
        self.mask = np.where(mask, mask, self.mask)
"""


@pytest.fixture
def video(tmp_path: Path) -> Sequence:
    return late_sequence(tmp_path / "video", STARTS)


def copied(video: Sequence) -> dict[str, NDArray[np.uint8]]:
    """The first mask of each object, copied: by hand, for STARTS."""
    first, second, third = (video.mask(index) for index in (0, 2, 3))
    masks = [np.where(first == 1, 1, 0)] * 2
    masks.append(np.where(second == 2, 2, masks[-1]))
    masks.append(np.where(third == 3, 3, masks[-1]))
    masks.append(masks[-1])
    return {f"{5 * index:05d}": mask.astype(np.uint8) for index, mask in enumerate(masks)}


def segmented(task: Task) -> dict[str, NDArray[np.uint8]]:
    stages.segment(task)
    found: dict[str, NDArray[np.uint8]] = read_all(task.folder / "masks", read_mask)
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_the_first_mask_of_each_object_is_copied_from_its_start_on(tmp_path: Path, video: Sequence) -> None:
    task = make_task(tmp_path / "task", Config(), video=video)
    baseline.segment(task)
    assert same(read_all(task.folder / "masks", read_mask), copied(video))
    baseline.measure(task)


def test_a_command_is_called_for_each_group_of_objects(
    tmp_path: Path, video: Sequence, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = "print('IDS', sorted(set(np.unique(np.array(mask)).tolist())))\n"
    task = make_task(tmp_path / "task", segment_config(script(tmp_path, shown + COPIES)), video=video)
    assert same(segmented(task), copied(video))
    lines = capfd.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(("CALL", "IDS"))] == [
        "IDS [0, 1]",
        "CALL late 00000 00005 00010 00015 00020",
        "IDS [0, 2]",
        "CALL late-from-00010 00010 00015 00020",
        "IDS [0, 3]",
        "CALL late-from-00015 00015 00020",
    ]
    record = read_json(task.folder / "run.json")
    assert record is not None
    assert record["status"] == 0


def test_a_command_that_takes_up_objects_is_called_once(
    tmp_path: Path, video: Sequence, capfd: pytest.CaptureFixture[str]
) -> None:
    template = script(tmp_path, "print('CALL')\n" + TAKES_UP)
    task = make_task(tmp_path / "task", segment_config(template, late_objects="given"), video=video)
    assert same(segmented(task), copied(video))
    assert capfd.readouterr().out.splitlines().count("CALL") == 1


def test_given_masks_show_new_objects_only_in_both_layouts(tmp_path: Path, video: Sequence) -> None:
    lay_out(tmp_path, [video], "val", frames="stored")
    for folder in (tmp_path / "Annotations/480p/late", tmp_path / FLAT / "Annotations/late"):
        masks = {path.stem: set(np.unique(read_mask(path)).tolist()) for path in folder.iterdir()}
        assert masks == {"00000": {0, 1}, "00010": {0, 2}, "00015": {0, 3}}


ALL = """
import sys
from pathlib import Path
from PIL import Image
frames, first, masks, names = map(Path, sys.argv[1:5])
print("CALL")
for name in names.read_text().split():
    for frame in (frames / name).iterdir():
        Image.open(min((first / name).iterdir())).save(masks / name / f"{frame.stem}.png")
"""


def test_one_call_for_a_benchmark_has_each_group_as_a_video(
    tmp_path: Path, video: Sequence, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all.py").write_text(ALL)
    plain = late_sequence(tmp_path / "plain", (0, 0), name="plain")
    template = f"{{python}} {tmp_path}/all.py {{frames}} {{prompts}} {{masks}} {{list}}"
    task = make_task(tmp_path / "task", segment_config(template, per="benchmark"), videos=(video, plain))
    stages.segment_all(task)
    assert capfd.readouterr().out.splitlines().count("CALL") == 1
    for one, expected in ((video, copied(video)), (plain, dict.fromkeys(copied(video), plain.mask(0)))):
        picked = make_task(tmp_path / one.name, PickConfig(sequence=one.name), needs={"all": task.folder})
        stages.pick(picked)
        assert same(read_all(picked.folder / "masks", read_mask), expected)


@pytest.mark.parametrize(("tracker", "lines"), [("TakesUp", ["add [2]", "add [3]"]), ("Copies", ["initialize 2"])])
def test_the_worker_tells_a_tracker_of_new_objects_or_runs_it_for_each_group(
    tmp_path: Path, video: Sequence, capfd: pytest.CaptureFixture[str], tracker: str, lines: list[str]
) -> None:
    (tmp_path / "tracker.py").write_text(TRACKER)
    place = "--frames {frames} --first-mask {prompts} --output {masks}"
    template = f"{{python}} {{worker}} {tmp_path}/tracker.py:{tracker} {place}"
    config = segment_config(template, late_objects="given", worker=file_digest(worker_file()))
    task = make_task(tmp_path / "task", config, video=video)
    assert same(segmented(task), copied(video))
    printed = [line for line in capfd.readouterr().out.splitlines() if line.startswith(("add", "initialize"))]
    assert printed == (["initialize 1", *lines] if tracker == "TakesUp" else ["initialize 1", *lines, "initialize 3"])
    frames = json.loads((task.folder / "run.json").read_text())["frames"]
    assert len(frames.get("late", [])) == (5 if tracker == "TakesUp" else 0)  # groups are not reported


def test_an_object_before_its_start_is_an_error_that_says_so(tmp_path: Path, video: Sequence) -> None:
    code = TAKES_UP.replace("for name in names:", "ids[0, 0] = 3\nfor name in names:", 1)
    task = make_task(tmp_path / "task", segment_config(script(tmp_path, code), late_objects="given"), video=video)
    with pytest.raises(CommandError, match=r"00000\.png: id 3 found, an object that starts in frame 00015 of late"):
        stages.segment(task)


@pytest.mark.parametrize(("late_objects", "objects", "frames"), [("separate", 1, 5), ("given", 3, 5)])
def test_the_first_call_is_timed(tmp_path: Path, video: Sequence, late_objects: Any, objects: int, frames: int) -> None:
    code = TAKES_UP + "for name in names: print('harness-frame late', name, flush=True)"
    config = segment_config(script(tmp_path, code), late_objects=late_objects)
    task = make_task(tmp_path / "task", config, video=video)
    stages.measure(task)
    found = read_json(task.folder / "timing.json")
    assert found is not None
    assert (found["objects"], found["video"]) == (objects, "late")
    record = read_json(task.folder / "run.json")
    assert record is not None
    assert len(record["frames"]["late"]) == frames


def test_a_time_limit_is_for_all_groups_together(tmp_path: Path, video: Sequence) -> None:
    config = segment_config(script(tmp_path, COPIES + "import time; time.sleep(1.2)"))
    with pytest.raises(CommandError, match="did not end within"):
        stages.segment(make_task(tmp_path / "task", config, video=video, time_limit=2.5))


def test_a_command_that_would_not_see_late_masks_is_refused(tmp_path: Path) -> None:
    definition = {"command": "run {frames} {first_mask} {masks}", "late_objects": "given"}
    with pytest.raises(StudyError, match=r"sees the first masks only; name \{flat\} or \{prompts\} or \{root\} in it"):
        read_definition(definition, "study.methods.mine", tmp_path / "study.yaml")
    for place in ("{prompts}", "{flat}"):
        read_definition({**definition, "command": f"run {place} {{masks}}"}, "study", tmp_path / "study.yaml")
    with pytest.raises(StudyError, match="late_objects"):
        read_definition({**definition, "late_objects": "always"}, "study", tmp_path / "study.yaml")


def test_taking_up_objects_makes_no_difference_where_none_is_late(tmp_path: Path, video: Sequence) -> None:
    plain = late_sequence(tmp_path / "plain", (0, 0), name="plain")

    def keys(late_objects: str, *videos: Sequence) -> set[str]:
        definition = {"command": "true {frames} {prompts} {masks}", "late_objects": late_objects}
        data = {one.name: Data(name=one.name, digest=one.name, value=one) for one in videos}
        method = define("mine", definition, "study.methods.mine", tmp_path / "study.yaml")
        config = method.config()
        cell = method.plan(CellRequest(config=config, sequences=data, multi_object=True, training={}, missing={}))
        assert cell.timing is not None
        assert cell.timing.data["video"].value is videos[0]
        return {stage.key for stage in cell.segment.values()}

    assert keys("given", plain) == keys("separate", plain)
    assert keys("given", plain, video) != keys("separate", plain, video)
