"""What is wrong with a command of others, or with its masks, is named."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from harness.datasets import Sequence
from harness.errors import CommandError, DataError, HarnessError, StudyError
from harness.external import stages
from harness.external.sources import Files, file_digest
from tests.external import COPIES, make_task, make_video, run, script, segment_config


def fault(folder: Path, code: str, video: Sequence | None = None, **options: object) -> str:
    with pytest.raises(HarnessError) as caught:
        run(folder, code, video, **options)
    assert type(caught.value) in (CommandError, DataError)
    assert not (folder / "task/folder/run.json").exists()
    return str(caught.value).replace(str(folder), "…")


MASKS = "…/task/scratch/output/dogs"
FAULTS = {
    "status": (
        "print('no GPU'); sys.exit(3)",
        r"the command on dogs: ended with exit status 3 after [\d.]+ s; its last lines:\n  no GPU",
    ),
    "signal": (
        "import os; os.abort()",
        r"the command on dogs: was killed by SIGABRT after [\d.]+ s; it printed nothing",
    ),
    "half the masks": (
        "for name in names[:3]: save(name)",
        f"{MASKS}: masks 00003 and 1 more of 5 frames missing; one PNG for each frame expected, 3 × .png found",
    ),
    "no masks": (
        "",
        f"{MASKS}: no masks found; {{masks}} in the command is the folder for them, {{output}} is "
        "…/task/scratch/output, where there are: no files",
    ),
    "masks elsewhere": (
        "for name in names: save(name, folder=masks.parent / 'Annotations')",
        f"{MASKS}: no masks found; {{masks}} in the command is the folder for them, {{output}} is "
        "…/task/scratch/output, where there are: Annotations/00000.png, .*, Annotations/00003.png and 1 more",
    ),
    "too many": (
        COPIES + "save('00005'); save('overlay')",
        f"{MASKS}: masks 00005 and 1 more found that belong to no frame of dogs, whose frames are 00000 to 00004; name "
        "each mask as its frame, and write no other PNG there",
    ),
    "shifted": (
        "for one in range(1, 6): save(f'{one:05d}')",
        f"{MASKS}: mask 00005 found that belong to no frame of dogs, whose frames are 00000 to 00004; name",
    ),
    "numbers without zeros": (
        "for name in names: save(str(int(name)))",
        f"{MASKS}: masks 0 and 4 more found that belong to no frame of dogs, whose frames are 00000 to 00004, and 4 "
        "masks are missing; name",
    ),
    "another size": (
        "for name in names: save(name, mask.resize((16, 12)))",
        f"{MASKS}/00000.png: 16×12 found, 32×24 expected, the size of the first mask of dogs; write masks at the size",
    ),
    "other ids": (
        COPIES + "save('00003', Image.fromarray(np.array(mask) * 3))",
        f"{MASKS}/00003.png: ids 3, 6 found, but the first mask of dogs has 1, 2; write each object with its id",
    ),
    "void": (
        COPIES + "save('00003', Image.fromarray(np.where(np.array(mask), np.array(mask), np.uint8(255))))",
        f"{MASKS}/00003.png: ids 255 found",
    ),
    "probabilities": (
        "for name in names: save(name, Image.fromarray((np.arange(24 * 32) % 256).astype(np.uint8).reshape(24, 32)))",
        f"{MASKS}/00000.png: ids 3, 4, 5, 6, 7, 8 and 247 more found",
    ),
    "an overlay": (
        "for name in names: save(name, Image.new('RGB', (32, 24), (10, 200, 30)))",
        rf"{MASKS}/00000.png: a mask with colors other than DAVIS's \(the colors \(10, 200, 30\)\)",
    ),
    "objects that overlap": (
        "for name in names:\n for one in '12': save(name, Image.new('L', (32, 24), 255), masks / one)",
        f"{MASKS}/2/00000.png: overlaps another object",
    ),
    "a lost layer": (
        "for name in names:\n for one in '12': save(name, folder=masks / one)\n(masks / '2' / '00003.png').unlink()",
        f"{MASKS}: object 2 lacks frame 00003",
    ),
    "a damaged mask": (
        COPIES + "(masks / '00002.png').write_bytes((masks / '00002.png').read_bytes()[:-30])",
        f"{MASKS}/00002.png: not a readable mask",
    ),
    "a pipe for a mask": (
        COPIES + "import os; (masks / '00002.png').unlink(); os.mkfifo(masks / '00002.png')",
        f"{MASKS}/00002.png: ",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_a_command_is_named(tmp_path: Path, kind: str) -> None:
    code, expected = FAULTS[kind]
    message = fault(tmp_path, code)
    assert re.match(expected.replace("{", r"\{"), message), message


def test_a_command_that_hangs_is_ended_at_the_limit(tmp_path: Path) -> None:
    begin = time.monotonic()
    message = fault(tmp_path, "print('loading'); import time; time.sleep(600)", time_limit=8.0)
    assert time.monotonic() - begin < 8
    assert re.match(r"the command on dogs: did not end within \d.\d s of its time limit of \d.\d s", message)
    assert message.endswith("its last lines:\n  loading")


def test_weights_that_change_after_the_plan_are_named(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"old")
    files = Files(paths=(weights,), digests=(file_digest(weights),))
    config = segment_config(f"{script(tmp_path, COPIES)} {{file0}}")
    stages.segment(make_task(tmp_path / "a", config, video=make_video(tmp_path / "data"), files=files))
    weights.write_bytes(b"newer")
    with pytest.raises(CommandError, match=r"weights.pth: its content changed since the plan"):
        stages.segment(make_task(tmp_path / "b", config, video=make_video(tmp_path / "more"), files=files))


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", segment_config("cutie-eval {frames}"), video=make_video(tmp_path / "data"))
    with pytest.raises(CommandError, match="the program cutie-eval cannot be started"):
        stages.segment(task)


def test_an_unknown_placeholder_lists_the_known_ones(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", segment_config("true {mem}"), video=make_video(tmp_path / "data"))
    with pytest.raises(StudyError, match=r"{mem} found; known here: {device}, {first_mask}, {flat}, {frames}"):
        stages.segment(task)
