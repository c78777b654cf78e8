"""Commands of others as stages: what they get, the forms in which masks may come back, and training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.baselines import first_mask as baseline
from harness.config import Config
from harness.datasets import Sequence, read_frame, read_mask
from harness.datasets.pixels import write_binary_mask, write_frame
from harness.errors import CommandError
from harness.external import stages
from harness.external.config import PickConfig, Program, TrainConfig
from harness.files import read_json
from harness.stage import Task
from tests.external import COPIES, make_task, make_video, read_all, run, script, segment_config

SHOW = """
root = frames.parents[2]
for path in sorted(root.rglob("*")):
    if path.is_file():
        print("FILE", path.relative_to(root), path.stat().st_nlink, path.is_symlink())
"""


def shown(printed: str) -> list[str]:
    return [line.removeprefix("FILE ") for line in printed.splitlines() if line.startswith("FILE ")]


def test_a_command_gets_frames_a_first_mask_and_lists(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, SHOW + COPIES)
    assert shown(capfd.readouterr().out) == [
        "Annotations/480p/dogs/00000.png 1 False",
        "ImageSets/2016/val.txt 1 False",
        "ImageSets/2017/val.txt 1 False",
        *[f"JPEGImages/480p/dogs/{index:05d}.jpg 1 False" for index in range(5)],
    ]


def test_the_same_input_is_there_without_480p(tmp_path: Path) -> None:
    code = (
        COPIES
        + """
flat = Path(sys.argv[4])
assert sorted(path.name for path in flat.iterdir()) == ["Annotations", "JPEGImages"]
assert sorted(flat.rglob("*")) == sorted(path for path in flat.iterdir())  # links
assert {path.name for path in (flat / "JPEGImages/dogs").iterdir()} == {f"{name}.jpg" for name in names}
assert [path.name for path in (flat / "Annotations/dogs").iterdir()] == [first.name]
"""
    )
    config = segment_config(f"{script(tmp_path, code)} {{flat}}")
    stages.segment(make_task(tmp_path / "task", config, video=make_video(tmp_path / "data")))


def test_a_command_cannot_change_the_dataset_through_its_input(tmp_path: Path) -> None:
    video = make_video(tmp_path / "data")
    before = {path: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    run(tmp_path, COPIES + "for path in [first, *frames.iterdir()]: path.chmod(0o777); path.write_bytes(b'')", video)
    assert {path: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before


def test_the_input_of_a_command_is_removed_also_after_a_failure(tmp_path: Path) -> None:
    assert not (run(tmp_path / "a", COPIES).scratch / "input").exists()
    with pytest.raises(CommandError):
        run(tmp_path / "b", "raise SystemExit(1)")
    assert not (tmp_path / "b/task/scratch/input").exists()


def test_void_pixels_of_the_first_mask_are_background_for_a_command(tmp_path: Path) -> None:
    video = make_video(tmp_path / "data")
    mask = read_mask(tmp_path / "data/00000.png")
    mask[-1] = 255
    cv2.imwrite(str(tmp_path / "data/00000.png"), mask)
    assert set(np.unique(read_mask(run(tmp_path, COPIES, video).folder / "masks/00004.png"))) == {0, 1, 2}


@pytest.mark.parametrize("kind", ["binary", "merged", "JPEG"])
def test_a_foreground_is_given_as_object_one(tmp_path: Path, kind: str) -> None:
    video = make_video(tmp_path / "data", (1, 2))
    if kind == "merged":
        video = replace(video, object_ids=(1,), merged=True)
    else:
        first = tmp_path / "data" / ("first.jpg" if kind == "JPEG" else "first.png")
        write_binary_mask(first, video.mask(0) > 0)
        threshold = 127 if kind == "JPEG" else 0
        video = replace(video, masks=(first, *video.masks[1:]), object_ids=(1,), binary=True, threshold=threshold)
    expected = make_video(tmp_path / "again", (1, 2)).mask(0) > 0
    masks = read_all(run(tmp_path, COPIES, video).folder / "masks", read_mask)
    assert all(np.array_equal(mask, expected) for mask in masks.values())


@pytest.mark.parametrize(("frames", "ending"), [("stored", "png"), ("jpg", "jpg"), ("png", "png")])
def test_frames_can_be_given_in_another_format(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], frames: str, ending: str
) -> None:
    video = make_video(tmp_path / "data")
    names = [path.with_name(f"penguin_{index + 8}.PNG") for index, path in enumerate(video.frames)]
    for source, target in zip(video.frames, names, strict=True):
        write_frame(target.with_suffix(".png"), read_frame(source))
        target.with_suffix(".png").rename(target)
    task = run(tmp_path, SHOW + COPIES, replace(video, frames=tuple(names)), frames=frames)
    found = shown(capfd.readouterr().out)
    assert f"JPEGImages/480p/dogs/00004.{ending} 1 False" in found  # names that sort as texts, and become numbers
    assert {path.stem for path in (task.folder / "masks").iterdir()} == {f"penguin_{index + 8}" for index in range(5)}


FORMS = {
    "palette": COPIES,
    "gray": "for name in names: save(name, Image.fromarray(np.array(mask)))",
    "RGB": "for name in names: save(name, mask.convert('RGB'))",
    "RGBA": "for name in names: save(name, mask.convert('RGBA'))",
    "16 bit": "for name in names: save(name, Image.fromarray(np.array(mask).astype(np.uint16)))",
    "a folder per object": "for name in names:\n for one in (1, 3): "
    "save(name, Image.fromarray(255 * (np.array(mask) == one).astype(np.uint8)), masks / str(one))",
    "without the first": "for name in names[1:]: save(name)",
    "with other files": COPIES + "(masks / 'log.txt').write_text('x'); (masks / '.hidden.png').write_text('x')",
}


@pytest.mark.parametrize("form", FORMS)
def test_masks_are_read_in_the_forms_that_people_write(tmp_path: Path, form: str) -> None:
    video = make_video(tmp_path / "data", (1, 3), frames=3)
    masks = read_all(run(tmp_path, FORMS[form], video).folder / "masks", read_mask)
    assert list(masks) == ["00000", "00001", "00002"]
    assert all(np.array_equal(mask, video.mask(0)) for mask in masks.values())


def test_a_single_object_may_be_written_as_255(tmp_path: Path) -> None:
    video = make_video(tmp_path / "data", (1,))
    code = "for name in names: save(name, Image.fromarray(255 * np.array(mask)))"
    masks = read_all(run(tmp_path, code, video).folder / "masks", read_mask)
    assert all(np.array_equal(mask, video.mask(0)) for mask in masks.values())


def test_options_reach_the_command_as_whole_arguments(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = {"odd": "a b'; touch x \"$HOME", "flag": True, "rate": 1e-5}
    code = COPIES + "print('OPTIONS', sys.argv[4:])"
    for shell in (False, True):
        video = make_video(tmp_path / f"data{shell}")
        template = f"{script(tmp_path, code)} {{odd}} --flag={{flag}} {{rate}} {{device}} {{sequence}}"
        config = segment_config(template, options=options, shell=shell)
        stages.segment(make_task(tmp_path / f"task{shell}", config, video=video))
        assert f"OPTIONS {[options['odd'], '--flag=true', '1e-05', 'cpu', 'dogs']}" in capfd.readouterr().out


def test_the_environment_is_the_users_without_our_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RAY_AUTH_TOKEN": "x", "PYTHONPATH": "/x", "CUDA_VISIBLE_DEVICES": "3", "MY_DATA": "y"}.items():
        monkeypatch.setenv(name, value)
    code = COPIES + "import os, json; print('VARIABLES', json.dumps(dict(os.environ)))"
    run(tmp_path, code, environment={"WANDB_MODE": "offline", "CUDA_VISIBLE_DEVICES": "0"})
    line = next(line for line in capfd.readouterr().out.splitlines() if line.startswith("VARIABLES "))
    found = json.loads(line.removeprefix("VARIABLES "))
    assert not {"RAY_AUTH_TOKEN", "PYTHONPATH"} & found.keys()
    expected = {"MY_DATA": "y", "WANDB_MODE": "offline", "CUDA_VISIBLE_DEVICES": "3", "OMP_NUM_THREADS": "1"}
    assert expected.items() <= found.items()


BENCHMARK = """
import sys
from pathlib import Path
from PIL import Image
frames, first, masks, names = map(Path, sys.argv[1:5])
for name in names.read_text().split():
    for frame in (frames / name).iterdir():
        next((first / name).iterdir())
        (masks / name).mkdir(parents=True, exist_ok=True)
        Image.open(min((first / name).iterdir())).save(masks / name / f"{frame.stem}.png")
"""


def test_one_call_for_a_benchmark_gives_the_masks_of_each_sequence(tmp_path: Path) -> None:
    videos = (make_video(tmp_path / "a", (1,), name="a"), make_video(tmp_path / "b", (1, 2), 3, name="b"))
    (tmp_path / "all.py").write_text(BENCHMARK)
    template = f"{{python}} {tmp_path}/all.py {{frames}} {{first_mask}} {{masks}} {{list}}"
    together = make_task(tmp_path / "all", segment_config(template, per="benchmark"), videos=videos)
    stages.segment_all(together)
    for video in videos:
        one = make_task(tmp_path / f"pick {video.name}", PickConfig(sequence=video.name))
        one = replace(one, needs={"all": together.folder})
        stages.pick(one)
        masks = read_all(one.folder / "masks", read_mask)
        assert len(masks) == len(video)
        assert all(np.array_equal(mask, video.mask(0)) for mask in masks.values())


TRAIN = """
import sys
from pathlib import Path
frames, annotations, names, output, seed = sys.argv[1:]
for name in Path(names).read_text().split():
    Path(output, name).write_text(f"{len([*Path(frames, name).iterdir()])} {len([*Path(annotations, name).iterdir()])} {seed}")
"""  # noqa: E501  a program


def train_task(folder: Path, code: str, videos: tuple[Sequence, ...]) -> Task:
    folder.mkdir()
    (folder / "train.py").write_text(code)
    template = f"{{python}} {folder}/train.py {{frames}} {{annotations}} {{list}} {{output}} {{seed}}"
    return make_task(folder / "task", TrainConfig(program=Program(template=template), seed=7), videos=videos)


def test_training_sees_all_masks_and_its_result_is_passed_on(tmp_path: Path) -> None:
    video = make_video(tmp_path / "data")
    trained = train_task(tmp_path / "train", TRAIN, (video,))
    stages.train(trained)
    assert (trained.folder / "trained/dogs").read_text() == "5 5 7"
    code = COPIES + "print(open(sys.argv[4] + '/dogs').read())"
    config = segment_config(f"{script(tmp_path, code)} {{trained}}")
    stages.segment(make_task(tmp_path / "task", config, needs={"trained": trained.folder}, video=video))


def test_links_among_trained_files_hold_when_the_folder_is_moved(tmp_path: Path) -> None:
    code = (
        TRAIN + "\nhere = Path(output)\n(here / 'newest').symlink_to('dogs')\n(here / 'best').symlink_to(here / 'dogs')"
    )
    task = train_task(tmp_path / "train", code, (make_video(tmp_path / "data"),))
    stages.train(task)
    moved = task.folder.rename(tmp_path / "moved") / "trained"
    assert (moved / "newest").read_text() == (moved / "best").read_text() == "5 5 7"


def test_a_link_out_of_the_trained_folder_is_an_error(tmp_path: Path) -> None:
    task = train_task(tmp_path / "train", "import os, sys; os.symlink('/usr', sys.argv[4] + '/data')", ())
    with pytest.raises(CommandError, match="trained/data: a link to /usr, a file expected"):
        stages.train(task)


def test_training_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"wrote nothing to {output}"):
        stages.train(train_task(tmp_path / "train", "", (make_video(tmp_path / "data"),)))


def test_the_first_mask_baseline_as_a_command_gives_equal_masks(tmp_path: Path) -> None:
    for ids in ((1,), (1, 2)):
        folder = tmp_path / f"{len(ids)}"
        video = make_video(folder / "data", ids)
        ours = make_task(folder / "ours", Config(), video=video)
        baseline.segment(ours)
        theirs = run(folder, COPIES, video)
        expected = {path.name: path.read_bytes() for path in (ours.folder / "masks").iterdir()}
        assert {path.name: path.read_bytes() for path in (theirs.folder / "masks").iterdir()} == expected


def test_a_run_is_recorded(tmp_path: Path) -> None:
    record = read_json(run(tmp_path, COPIES + "import time; time.sleep(0.2)").folder / "run.json")
    assert record is not None
    assert 0.2 < record["seconds"] < 60
    assert (record["status"], record["left"], record["frames"]) == (0, 0, {})
