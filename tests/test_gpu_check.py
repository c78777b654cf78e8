"""The GPU check, gone through on a CPU at its tiny size, as it runs on a machine without Ray and MLflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.datasets.catalog import load_protocols
from harness.datasets.locate import load_benchmark, load_training
from tests.engine import ROOT
from tests.gpu.packing import main as pack
from tests.gpu.plan import PARTS, PLAN
from tests.gpu.runner import Check, add_wheels

Checked = tuple[Path, "subprocess.CompletedProcess[str]"]

ABSENT = ("ray", "mlflow", "pandas")
"""Libraries whose import fails where the check and the networks are tried."""

NETWORKS = """
import importlib, pathlib
for top in ("vos", "dipnet", "rivals"):
    for path in sorted(pathlib.Path(top).glob("*.py")):
        importlib.import_module(f"{top}.{path.stem}".removesuffix(".__init__"))
"""


@pytest.fixture(scope="module")
def without_services(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Ray, MLflow and pandas cannot be imported."""
    site = tmp_path_factory.mktemp("site")
    for name in ABSENT:
        (site / f"{name}.py").write_text("raise ModuleNotFoundError(f'no {__name__} here')")
    return {**os.environ, "PYTHONPATH": str(site)}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A pack of two small videos, without wheels."""
    out = tmp_path_factory.mktemp("pack") / "pack"
    assert pack([str(data / "DAVIS2016"), str(out), "--no-wheels"]) == 0
    return out


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, packed: Path, without_services: dict[str, str]) -> Checked:
    """The folder of a whole check's results, and what it printed."""
    out = tmp_path_factory.mktemp("checked") / "out"
    command = [sys.executable, "tests/gpu/run", "--pack", str(packed), "--out", str(out), "--device", "cpu"]
    environment = {**without_services, "TMPDIR": str(tmp_path_factory.mktemp("temporary"))}
    done = subprocess.run(
        [*command, "--minutes", "20"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return out, done


def lines_of(folder: Path) -> dict[str, dict[str, Any]]:
    lines = json.loads((folder / "results.json").read_text())["lines"]
    return {line["name"]: line for line in lines}


def test_networks_need_neither_ray_nor_mlflow_nor_pandas(without_services: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", NETWORKS], cwd=ROOT, env=without_services, check=True)


def test_every_line_of_the_check_passes_on_a_cpu(checked: Checked) -> None:
    folder, done = checked
    states = {name: line["state"] for name, line in lines_of(folder).items()}
    assert states == {line.name: "passed" for line in PLAN}, done.stdout + done.stderr
    assert done.returncode == 0
    assert {path.name for path in folder.iterdir()} == {"results.json", "table.md"}


def test_figures_and_scores_are_in_the_results_and_the_table(checked: Checked) -> None:
    folder, done = checked
    lines = lines_of(folder)
    scored = lines["accuracy, paper scale"]["values"]
    assert scored["videos"] == "2 of 2"
    assert scored["resolution"] == "64×48"
    assert 0 <= scored["J_mean"] <= 1
    assert 0.6 < scored["first_mask_J_mean"] < 0.7
    assert lines["ten objects"]["values"]["objects"] == 10
    table = (folder / "table.md").read_text()
    assert all(part.title in table for part in PARTS.values())
    assert "J mean" in table
    assert table.strip() in done.stdout


def test_the_plain_code_has_the_masks_of_the_project(checked: Checked) -> None:
    lines = lines_of(checked[0])
    for name in ("one object", "three objects", "ten objects"):
        values = lines[name]["values"]
        assert max(values["dipnet_plain_pixels_differ"], values["without_crop_plain_pixels_differ"]) < 0.01


def test_the_time_plan_fits_into_nine_minutes() -> None:
    expected = {key: sum(line.seconds for line in PLAN if line.part == key) for key in PARTS}
    assert expected["a"] < 0.5 * 540
    assert expected["a"] + expected["b"] < 0.72 * 540
    assert sum(expected.values()) < 540


def test_the_documentation_has_every_line_of_the_check() -> None:
    text = (ROOT / "docs" / "gpu.md").read_text()
    assert not [line.name for line in PLAN if f"`{line.name}`" not in text]


def test_a_line_that_goes_wrong_costs_no_other_line(
    tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    end = time.time() + 600
    check = Check(packed, tmp_path / "out", tmp_path, "cpu", "tiny", end, plan="tests.gpu_faults")
    check.run()
    lines = lines_of(tmp_path / "out")
    states = {name: line["state"] for name, line in lines.items()}
    assert states == {"raises": "error", "fails": "failed", "dies": "killed", "hangs": "killed", "passes": "passed"}
    assert [lines[name]["values"].get("before") for name in ("raises", "dies", "hangs")] == [1, 2, 3]
    assert "ValueError: out of luck" in lines["raises"]["traceback"]
    assert lines["fails"]["problems"] == ["a broken promise"]
    assert "Segmentation fault" in lines["dies"]["log"]
    assert lines["passes"]["values"] == {"figure": 0.125}
    assert not check.results.good
    assert not list(temporary.iterdir()), "a process that was killed left its files"


def test_lines_without_time_are_reported_as_skipped(tmp_path: Path, packed: Path) -> None:
    check = Check(packed, tmp_path / "out", tmp_path, "cpu", "tiny", time.time(), plan="tests.gpu_faults")
    check.run()
    assert {line["state"] for line in lines_of(tmp_path / "out").values()} == {"skipped"}


def test_a_pack_is_read_as_davis_with_smaller_frames(tmp_path: Path, packed: Path, data: Path) -> None:
    train, val = load_training("davis16-train", packed), load_benchmark(load_protocols()["davis16-val"], packed)
    assert [len(sequence) for sequence in (*train, *val)] == [5] * 4
    assert val[0].scored == (1, 2, 3)
    official = (data / "DAVIS2016" / "ImageSets" / "480p" / "val.txt").read_bytes()
    assert (packed / "DAVIS2016" / "ImageSets" / "480p" / "val.txt").read_bytes() == official
    assert set(val[0].mask(2).flatten()) == {0, 1}


def test_a_pack_that_cannot_be_made_says_why(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    davis = str(data / "DAVIS2016")
    assert pack([davis, str(tmp_path / "out"), "--no-wheels", "--megabytes", "61"]) == 2
    assert "at most 60" in capsys.readouterr().err
    assert pack([davis, str(tmp_path / "out"), "--no-wheels", "--megabytes", "0.01"]) == 2
    assert "give more --megabytes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wheels_are_unpacked_only_where_pydantic_is_missing(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "pydantic-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pydantic/__init__.py", "")
        wheel.writestr("pydantic_core/__init__.py", "")
    add_wheels(tmp_path, tmp_path / "unused")
    assert not (tmp_path / "unused").exists()
    program = (
        "import sys; from pathlib import Path; from tests.gpu.runner import add_wheels\n"
        f"sys.path = [p for p in sys.path if 'site-packages' not in p]; folder = Path({str(tmp_path)!r})\n"
        "add_wheels(folder, folder / 'site'); import pydantic; print(pydantic.__file__)"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(tmp_path / "site" / "pydantic" / "__init__.py")
