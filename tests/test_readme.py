"""Commands, files and examples in the README and in the documentation are what they claim to be."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from pydantic import BaseModel
from torch import nn

from dipnet.config import PropagationConfig, SegmentationConfig
from dipnet.propagation import PropagationNetwork
from dipnet.segmentation import SegmentationNetwork
from harness.cli.main import VERBS, main, make_parser
from harness.datasets import load_benchmark, load_protocols, load_training
from harness.planning.study import load_study
from harness.results import check_study_files
from tests.trees import SA_V, ids, save_video
from vos.checkpoint import save_network

ROOT = Path(__file__).parent.parent
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]}
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)


def blocks(language: str, page: str = "") -> list[str]:
    """Return the code blocks of one language, of one page or of all."""
    texts = [PAGES[page]] if page else PAGES.values()
    return [code for text in texts for found, code in BLOCK.findall(text) if found == language]


def commands() -> Iterator[list[str]]:
    """Yield verb and arguments of every command of the harness in a code block, however it is spelled."""
    for block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split("&&"):
                words = shlex.split(part, comments=True)
                if words[:1] == ["vos-harness"]:
                    yield words[1:]
                elif words[1:3] == ["-m", "harness.run"]:
                    yield ["run", *words[3:]]


def inline_commands() -> Iterator[list[str]]:
    """Yield verb and arguments of every command in running text; of alternatives (`list|size`) the first."""
    for text in PAGES.values():
        for code in re.findall(r"`(vos-harness [a-z][^`]*)`", BLOCK.sub("", text)):
            yield [word.split("|")[0] for word in shlex.split(code)[1:]]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_in_a_code_block_is_understood(words: list[str]) -> None:
    options = make_parser(words[0]).parse_args(words)
    if str(getattr(options, "study", "")).endswith(".yaml"):
        assert (ROOT / options.study).is_file()
    if scale := getattr(options, "scale", None):
        assert (ROOT / "studies" / "scales" / f"{scale}.yaml").is_file()


@pytest.mark.parametrize("words", inline_commands(), ids=" ".join)
def test_every_command_in_the_text_names_verbs_and_options_that_exist(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    verb, *rest = words
    assert verb in VERBS
    inner = [word for word in rest[:1] if re.fullmatch("[a-z]+", word)]
    with pytest.raises(SystemExit) as end:
        make_parser(verb).parse_args([verb, *inner, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert [word for word in rest if word.startswith("--") and word not in shown] == []


def test_the_readme_starts_with_its_two_commands() -> None:
    first, second = blocks("sh", "README.md")[:2]
    assert first.endswith("-m harness.run studies/ablation.yaml\n")
    assert second.endswith("tests/run\n")


def test_the_first_command_refuses_an_older_home_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    home = tmp_path / "older home"
    old = home / "plans" / "ablation.json"
    old.parent.mkdir(parents=True)
    old.write_text('{"plans": [{"study": "ablation", "scale": "mini", "data_kind": "embedded", "stages": {}}]}')
    words = ["run", *shlex.split(blocks("sh", "README.md")[0])[-1:]]
    assert main([*words, "--home", str(home)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "stages in the store are kept" in error
    assert not (home / "data").exists()
    subprocess.run(error.rpartition(": ")[2], shell=True, check=True)
    check_study_files(home, "ablation")
    assert not old.exists()


def test_the_command_that_draws_samples_exists() -> None:
    command = [sys.executable, "-m", "dipnet.contact_sheet", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "ROOT" in done.stdout


def test_ci_and_pre_commit_run_the_gate() -> None:
    gate = (ROOT / "tests" / "run").read_text()
    assert "tests/run" in (ROOT / ".ci" / "run").read_text()
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["gate"]["steps"]
    assert "bash .ci/run" in [step.get("run") for step in steps]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks if hook["entry"] not in gate] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page])
    named = re.findall(
        r"\b((?:docs|studies|harness|dipnet|vos|rivals|reports|tests)/[\w./*-]+[\w*])", BLOCK.sub("", PAGES[page])
    )
    assert [name for name in linked if not (ROOT / page).parent.joinpath(name).exists()] == []
    assert [name for name in named if not any(ROOT.glob(name)) and not name.startswith("reports/ablation")] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_heading_leads_to_one(page: str) -> None:
    for name, anchor in re.findall(r"\]\(([^)#:]*)#([^)]*)\)", PAGES[page]):
        target = (ROOT / page).parent.joinpath(name) if name else ROOT / page
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        assert anchor in [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings]


def test_pictures_of_the_readme_are_small() -> None:
    pictures = [ROOT / name for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGES["README.md"])]
    assert pictures
    assert sum(path.stat().st_size for path in pictures) < 300_000


def test_the_example_of_a_description_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = tmp_path / "my-videos"
    for name in ("one", "two"):
        save_video(videos, name, {f"{index:05d}": ids(1, 2) for index in range(4)})
    (videos / "train.txt").write_text("one\n")
    (videos / "val.txt").write_text("two\n")
    (videos / "dataset.yaml").write_text(blocks("yaml", "docs/own-data.md")[0])
    assert main(["data", "check", str(tmp_path), "--home", str(tmp_path / "home")]) == 0
    assert "no defects" in capsys.readouterr().out
    (sequence,) = load_benchmark(load_protocols(root=tmp_path)["my-videos-val"], tmp_path)
    assert (sequence.name, len(sequence), len(sequence.scored)) == ("two", 4, 3)
    assert [one.name for one in load_training("my-videos-train", tmp_path)] == ["one"]


def test_the_example_of_sa_v_is_the_one_that_is_tested() -> None:
    assert blocks("yaml", "docs/own-data.md")[1] == SA_V


def test_the_example_of_a_study_loads(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(blocks("yaml", "docs/own-data.md")[2])
    study = load_study(file, load_protocols())
    assert [variant.name for variant in study.variants] == ["first-mask", "crop", "no-crop"]


def test_the_python_example_segments_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    propagation = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=8)
    segmentation = SegmentationConfig(backbone="mini", size=64, channels=8, units=1, finest_stride=2)
    sizes = {"coarse_size": propagation.coarse_size}
    store = Path("runs/store/train")
    save_stage(store / "PROPAGATION_KEY", PropagationNetwork(propagation), {"propagation": propagation})
    save_stage(store / "SEGMENTATION_KEY", SegmentationNetwork(segmentation), {"segmentation": segmentation, **sizes})
    frames = Path("my-video/frames")
    frames.mkdir(parents=True)
    for index in range(3):
        Image.new("RGB", (48, 32), (90, 40 * index, 0)).save(frames / f"{index:05d}.jpg")
    first = np.pad(np.ones((8, 8), np.uint8), ((12, 12), (20, 20)))
    Image.fromarray(first).save("my-video/first-mask.png")
    (code,) = blocks("python", "docs/python.md")
    exec(code, {})
    masks = [np.asarray(Image.open(f"my-video/masks/{index:05d}.png")) for index in range(3)]
    assert [mask.shape for mask in masks] == [(32, 48)] * 3
    assert (masks[0] == first).all()


def save_stage(folder: Path, network: nn.Module, config: dict[str, Any]) -> None:
    """Write what a training stage publishes, as far as loading reads it."""
    folder.mkdir(parents=True)
    save_network(network, folder / "network.pt")
    plain = {name: one.model_dump(mode="json") if isinstance(one, BaseModel) else one for name, one in config.items()}
    (folder / "manifest.json").write_text(json.dumps({"identity": {"config": plain}}))
