"""The arrows: who may import whom, and which outside service lives in which file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path.relative_to(ROOT) for top in ("harness", "vos", "dipnet", "reports") for path in (ROOT / top).rglob("*.py")
)
LONGEST = 400
"""Lines of a file, as a rule."""


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, with the names that it takes from it."""
    return set(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def users(package: str) -> set[str]:
    return {str(path) for path in SOURCES if any(_is_in(name, package) for name in imported(path))}


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_the_harness_knows_neither_methods_nor_reports() -> None:
    assert not {path for path in users("vos") | users("dipnet") | users("reports") if path.startswith("harness/")}


def test_networks_know_stages_of_the_harness_in_their_stages_only() -> None:
    services = {path for module in ("stage", "method") for path in users(f"harness.{module}")}
    networks = {path for path in services if path.startswith(("vos/", "dipnet/"))}
    assert networks == {f"{top}/{name}.py" for top in ("vos", "dipnet") for name in ("stages", "stage_runs")}
    known = ("config", "datasets", "errors", "method", "stage")
    for path in users("harness"):
        if path.startswith(("vos/", "dipnet/")):
            names = {name for name in imported(Path(path)) if _is_in(name, "harness")}
            assert all(any(_is_in(name, f"harness.{module}") for module in known) for name in names), path


def test_what_methods_have_in_common_knows_no_method() -> None:
    assert not {path for path in users("dipnet") | users("reports") if path.startswith("vos/")}


def test_reports_do_not_know_methods() -> None:
    assert not {path for path in users("dipnet") | users("vos") if path.startswith("reports/")}


@pytest.mark.parametrize(
    ("service", "homes"),
    [
        ("ray", {"harness/cluster.py", "harness/schedule.py"}),
        ("mlflow", {"harness/publisher.py"}),
        ("fsspec", {"harness/remote.py"}),
    ],
)
def test_each_outside_service_lives_in_files_of_its_own(service: str, homes: set[str]) -> None:
    assert users(service) == homes


def test_torch_lives_in_methods_only() -> None:
    assert {path.split("/")[0] for path in users("torch") | users("torchvision")} == {"vos", "dipnet"}


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_are_short(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= LONGEST
