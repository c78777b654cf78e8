"""The commands in the README work, and CI runs them."""

import re
from pathlib import Path

from harness.cli.main import make_parser

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_the_readme_s_studies_exist_and_its_options_are_valid() -> None:
    runs = [run for block in COMMANDS for run in re.findall(r"-m harness\.run (.*)", block)]
    assert len(runs) >= 2
    for run in runs:
        options = make_parser("run").parse_args(["run", *run.split()])
        assert (ROOT / options.study).is_file()
        assert options.scale is None or (ROOT / "studies" / "scales" / f"{options.scale}.yaml").is_file()


def test_ci_runs_the_readme_s_test_command() -> None:
    gate = (ROOT / ".ci" / "run").read_text()
    assert any("tests/run" in block for block in COMMANDS)
    assert "tests/run" in gate


def test_every_file_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"\b((?:docs|studies|harness|dipnet|tests)/[\w./-]+\w)", README))
    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
