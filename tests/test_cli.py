"""The command `vos-harness`: its verbs, their help, their errors, and the `python -m` spellings."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import pytest

from harness.cli import mlflow, run
from harness.cli.main import VERBS, main
from harness.console import command_line, setup_logging
from harness.errors import StudyError
from harness.report import Report, find_report
from tests.engine import ROOT

WRONG = {
    "method": ["absent"],
    "run": ["absent.yaml"],
    "plan": ["absent.yaml"],
    "accept": ["absent.yaml", "train"],
    "explain": ["absent", "cell"],
    "diff": ["absent", "absent"],
    "store": ["list"],
    "mlflow": ["resync", "absent"],
    "score": ["--truth", "absent", "--pred", "absent", "--protocol", "absent"],
    "data": ["check", "absent"],
    "report": ["absent.yaml"],
}
"""Verb → arguments that it understands and that lead to a named error in an empty folder."""

SPELLINGS = {
    "harness.run": "run",
    "harness.explain": "explain",
    "harness.store": "store",
    "harness.record": "mlflow",
    "harness.score": "score",
    "harness.datasets": "data",
    "reports": "report",
}


def shell(folder: Path, *words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_has_a_summary_and_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([verb, "--help"])
    output = capsys.readouterr().out
    assert exit_.value.code == 0
    assert VERBS[verb] in " ".join(output.split())
    assert f"  vos-harness {verb} " in output.partition("example")[2]


def test_help_of_the_command_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    output = " ".join(capsys.readouterr().out.split())
    assert all(f"{verb} {summary}" in output for verb, summary in VERBS.items())


@pytest.mark.parametrize(("words", "lines"), [([], "verbs:\n  run "), (["store"], "subcommands:\n  list ")])
def test_help_lists_subcommands_under_their_title(
    words: list[str], lines: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    assert lines in capsys.readouterr().out


def test_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"vos-harness {version('dipnet-harness')}\n"


def test_the_console_script_is_the_command() -> None:
    (script,) = entry_points(group="console_scripts", name="vos-harness")
    assert script.load() is main


@pytest.mark.parametrize("verb", VERBS)
def test_a_named_error_is_one_line_with_status_2(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([verb, *WRONG[verb]]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("error: ") == 1
    assert "absent" in errors or "give --home the folder" in errors


@pytest.mark.parametrize(("module", "verb"), SPELLINGS.items())
def test_each_python_m_spelling_is_its_verb(module: str, verb: str, tmp_path: Path) -> None:
    old, new = shell(tmp_path, module, *WRONG[verb]), shell(tmp_path, "harness", verb, *WRONG[verb])
    assert old[0] == 2
    assert old == new


@pytest.mark.parametrize("module", SPELLINGS)
def test_help_of_a_python_m_spelling_shows_that_spelling(module: str, tmp_path: Path) -> None:
    status, output, _ = shell(tmp_path, module, "--help")
    assert status == 0
    assert output.startswith(f"usage: python -m {module} ")


def test_plan_is_run_with_plan(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("name: try\nmethod: first-mask\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n")
    words = [str(study), "--data", str(data), "--home", str(tmp_path / "home"), "--json"]
    outputs = [(main(command), capsys.readouterr().out) for command in (["plan", *words], ["run", *words, "--plan"])]
    assert outputs[0][0] == 0
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize(
    "words",
    [
        ["ron", "absent.yaml"],
        [],
        ["run", "absent.yaml", "--sca", "mini"],
        ["store", "list", "--js"],
        ["data", "embed", "out", "--see", "1"],
        ["--vers"],
        ["mlflow", "resync"],
        ["mlflow", "resync", "try", "--all"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(words)
    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith("usage: vos-harness")


PLUGIN = """
import signal
from harness.config import Config
from harness.errors import DataUnavailableError, StudyError

class Empty:
    label = "empty"
    config = Config
    def plan(self, request):
        raise DataUnavailableError("nothing to train with")

class Report:
    def write(self, study, home, *, from_store=False, tracking="", compare=True):
        if study == "interrupted":
            signal.raise_signal(signal.SIGINT)
        if study == "refused":
            raise StudyError("no such study")
        raise ValueError("a figure is wrong")

METHOD, REPORT = Empty(), Report()
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A method that fills no cell and a report that fails, installed before the project's own."""
    info = tmp_path / "plugin" / "failing-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "plugin" / "failing.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing\nVersion: 1.0\n")
    points = "[harness.methods]\nempty = failing:METHOD\n[harness.reports]\npaper = failing:REPORT\n"
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path / "plugin")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "plugin"), str(ROOT)]))
    return tmp_path / "plugin"


@pytest.mark.usefixtures("plugin")
def test_ctrl_c_ends_with_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "interrupted"]) == 130
    assert capsys.readouterr().err == "interrupted; the same command goes on from what is there\n"


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("study", "texts"),
    [("crashed", ["Traceback", "ValueError: a figure is wrong\n"]), ("refused", ["no such study\n"])],
)
def test_a_report_that_fails_is_a_message_and_no_exception(
    study: str, texts: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup_logging()
    assert not run.report(study, tmp_path)
    errors = capsys.readouterr().err
    assert errors.startswith(f"the report was not written ({command_line('report', study, '--home', tmp_path)}):\n")
    assert all(text in errors for text in texts)


@pytest.mark.usefixtures("plugin")
def test_a_run_whose_report_crashes_keeps_its_results(tmp_path: Path, data: Path) -> None:
    (tmp_path / "try.yaml").write_text("name: try\nmethod: empty\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n")
    status, output, errors = shell(tmp_path, "harness.run", "try.yaml", "--data", str(data), "--home", "home")
    assert status == 1
    assert "0/0 cells filled, 1 skipped" in output
    assert "ValueError: a figure is wrong" in errors
    assert (tmp_path / "home" / "rows" / "try.json").is_file()


def test_a_printed_command_survives_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "a home; with 'quotes'"
    *_, verb, option, found = shlex.split(command_line("report", "--home", home))
    assert (verb, option, found) == ("report", "--home", str(home))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin dir" / "python"))
    assert shlex.split(command_line("run")) == [sys.executable, "-m", "harness", "run"]
    script = tmp_path / "bin dir" / "vos-harness"
    script.parent.mkdir()
    script.touch(mode=0o755)
    assert shlex.split(command_line("run")) == [str(script), "run"]
    monkeypatch.setenv("PATH", str(script.parent))
    assert command_line("run") == "vos-harness run"


def test_a_printed_command_runs_here() -> None:
    done = subprocess.run(command_line("--version"), shell=True, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("vos-harness ")


def test_the_mlflow_ui_of_a_home_without_a_database_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["mlflow", "ui", "--home", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_a_tracking_server_is_shown_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert mlflow.ui_command(tmp_path) == "http://127.0.0.1:1"
    assert main(["mlflow", "ui", "--home", str(tmp_path)]) == 2


def test_the_installed_report_keeps_its_contract() -> None:
    assert isinstance(find_report(), Report)
    with pytest.raises(StudyError, match="no report named 'other'; installed: paper"):
        find_report("other")


def test_logging_is_set_up_once(capsys: pytest.CaptureFixture[str]) -> None:
    setup_logging()
    setup_logging()
    logging.getLogger("harness.somewhere").warning("a %s", "warning")
    assert capsys.readouterr().err == "a warning\n"
