"""Output without a reader, without room, in a narrow encoding; options that make no sense; what does not exist."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.main import VERBS, main, make_parser, make_verb_parser
from harness.cli.run import report
from harness.results import save_plan
from harness.tracking import record
from tests.command import install
from tests.engine import make_davis16
from tests.finished import finish, make

FIRST = "name: try\nmethod: first-mask\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n"
SLEEPY = "name: try\nmethod: sleepy\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n"
TRUTH = "data/DAVIS2016/Annotations/480p"

COMMANDS = {
    "plan": ["plan", "try.yaml", "--data", "data", "--home", "home", "--all"],
    "run --plan": ["run", "try.yaml", "--data", "data", "--home", "home", "--plan"],
    "explain": ["explain", "try", "one/davis16-val/0", "--home", "home"],
    "store list": ["store", "list", "--home", "home"],
    "store size": ["store", "size", "--home", "home"],
    "report": ["report", "try", "--home", "home", "--from-store"],
    "data check": ["data", "check", "data", "--home", "home"],
    "score": ["score", "--truth", TRUTH, "--pred", TRUTH, "--protocol", "davis16-val"],
    "help": ["run", "--help"],
}
"""Commands that print, in the folder of `place`."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a study, and a home with its results and its report."""
    place = tmp_path_factory.mktemp("place")
    data, home = make_davis16(place / "data"), place / "home"
    (place / "try.yaml").write_text(FIRST)
    finish(home, data, FIRST)
    plan, store = make(home, data, FIRST)
    save_plan(plan, store, place / "try.yaml", {})
    record(plan, store)
    assert report("try", home)
    return place


def command(place: Path, words: list[str], **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *words],
        cwd=place,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_reader_that_leaves_ends_a_command_quietly(name: str, place: Path) -> None:
    process = command(place, COMMANDS[name])
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    assert process.wait() == 141
    assert errors == ""


def test_output_without_room_is_a_named_error(place: Path) -> None:
    words = [sys.executable, "-m", "harness", *COMMANDS["store list"]]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(words, cwd=place, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == "error: stdout cannot be written (No space left on device); make room, or let it go elsewhere\n"
    )


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}],
    ids=["ascii", "C"],
)
def test_a_narrow_encoding_changes_characters_only(name: str, environment: dict[str, str], place: Path) -> None:
    output, errors = command(place, COMMANDS[name], **environment).communicate()
    assert output.isascii()
    assert b"Traceback" not in errors
    assert output
    assert name != "explain" or b"  segment x 2: " in output


@pytest.mark.parametrize("reader", ["leaves", "ascii"])
def test_a_run_goes_on_without_a_reader_and_in_a_narrow_encoding(reader: str, tmp_path: Path) -> None:
    make_davis16(tmp_path / "data")
    install(tmp_path / "plugin")
    module = tmp_path / "plugin" / "sleepy.py"
    module.write_text(module.read_text().replace("    config, video =", "    print('é × …')\n    config, video ="))
    (tmp_path / "try.yaml").write_text(SLEEPY)
    path = os.pathsep.join([str(tmp_path / "plugin"), str(Path(__file__).parent.parent)])
    encoding = "ascii" if reader == "ascii" else "utf-8"
    words = ["run", "try.yaml", "--data", "data", "--home", "home", "--cpus", "1"]
    process = command(tmp_path, words, PYTHONPATH=path, PYTHONIOENCODING=encoding)
    assert process.stdout is not None
    if reader == "leaves":
        process.stdout.readline()
        process.stdout.close()
    errors = process.stderr.read().decode() if process.stderr else ""
    assert process.wait() == 0, errors
    assert "Traceback" not in errors
    assert ("the command goes on without it" in errors) == (reader == "leaves")
    assert (tmp_path / "home" / "reports" / "try" / "index.md").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "try.yaml", "--time-limit", "nan"],
        ["run", "try.yaml", "--time-limit", "inf"],
        ["run", "try.yaml", "--time-limit", "0"],
        ["run", "try.yaml", "--gpus", "-1"],
        ["run", "try.yaml", "--gpus", "0.5"],
        ["plan", "try.yaml", "--cpus", "0"],
        ["store", "prune", "--older-than", "nan"],
        ["store", "prune", "--older-than", "-1"],
        ["store", "prune", "--older-than", "inf"],
        ["mlflow", "ui", "--port", "0"],
        ["mlflow", "ui", "--port", "65536"],
        ["data", "embed", "out", "--seed", "-1"],
        ["score", "--truth", "t", "--pred", "p", "--protocol", "x", "--jobs", "0"],
    ],
    ids=" ".join,
)
def test_numbers_that_make_no_sense_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    *_, option, value = words
    assert f"argument {option}: '{value}' found, a " in capsys.readouterr().err


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1.0e+999"])
def test_a_study_with_a_number_that_is_not_finite_is_refused(
    value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "try.yaml").write_text(FIRST.replace("{one: {}}", f"\n  one: {{seconds: [1, {value}]}}"))
    assert main(["plan", str(tmp_path / "try.yaml"), "--home", str(tmp_path / "home")]) == 2
    assert f"try.yaml: line 5: found {value}, a finite number expected" in capsys.readouterr().err
    (tmp_path / "try.yaml").write_text(FIRST)
    assert main(["plan", str(tmp_path / "try.yaml"), "--option", f"seconds={value}"]) == 2
    assert f"--option seconds={value}: line 1: found {value}" in capsys.readouterr().err


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from parsers(inner)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_has_a_text_and_no_abbreviation(verb: str) -> None:
    for whole in (make_verb_parser(verb, "x"), make_parser(verb)):
        for parser in parsers(whole):
            assert parser.description
            assert not parser.allow_abbrev
            shown = [one for one in parser._actions if not isinstance(one, argparse._SubParsersAction)]
            assert [
                one.dest for one in shown if not (one.help or "").replace("(default: %(default)s)", "").strip()
            ] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "tyr"], "study 'tyr' was not run in home (did you mean try?); studies there: try"),
        (["mlflow", "resync", "tyr"], "(did you mean try?); studies there: try"),
        (["explain", "tyr", "one"], "(did you mean try?); studies there: try"),
    ],
    ids=" ".join,
)
def test_a_study_that_was_not_run_is_an_error_with_those_that_were(
    words: list[str], message: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main([*words, "--home", "home"]) == 2
    assert message in capsys.readouterr().err
    assert not (place / "home" / "reports" / "tyr").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["report", "try"],
        ["report", "try", "--from-store"],
        ["mlflow", "resync", "--all"],
        ["mlflow", "resync", "try"],
        ["mlflow", "ui"],
        ["explain", "try", "one"],
        *(["store", verb] for verb in ("list", "size", "prune", "verify")),
        ["run", "try.yaml", "--data", "absent"],
        ["plan", "try.yaml", "--data", "absent"],
    ],
    ids=" ".join,
)
def test_a_home_that_does_not_exist_is_an_error_and_not_made(
    words: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    assert main([*words, "--home", "missing"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (place / "missing").exists()


def test_checking_data_makes_no_home(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    assert main(["data", "check", "data", "--home", "missing"]) == 0
    assert not (place / "missing").exists()


def test_a_plan_says_that_its_home_is_new(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", str(place / "try.yaml"), "--data", str(place / "data"), "--home", str(tmp_path / "home")]
    assert main(words) == 0
    assert f" new home: {tmp_path / 'home'}\n" in capsys.readouterr().out
    assert main(words) == 0
    assert "new home" not in capsys.readouterr().out
    shutil.rmtree(tmp_path / "home")
