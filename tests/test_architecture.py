"""The arrows: which package may import which, and which outside service lives in which file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOPS = ("harness", "vos", "dipnet", "rivals", "reports")
SOURCES = sorted(path.relative_to(ROOT) for top in TOPS for path in (ROOT / top).rglob("*.py"))
LONGEST = 400
"""Lines of a file, as a rule."""

CONTRACTS = {
    *("harness.stage", "harness.method", "harness.report", "harness.config", "harness.errors", "harness.fingerprint"),
    *("harness.syntax", "harness.meaning", "harness.sources", "harness.plain"),
}
HELPERS = {
    *("harness.files", "harness.console", "harness.hardware", "harness.memory", "harness.signals", "harness.yaml_file")
}
"""Modules at the root of `harness`. The contracts know the helpers at most, and every package may import both."""

ALLOWED = {
    "harness.datasets": set(),
    "harness.score": {"harness.datasets"},
    "harness.store": set(),
    "harness.baselines": {"harness.datasets"},
    "harness.external": {"harness.datasets"},
    "harness.planning": {"harness.store", "harness.score", "harness.datasets"},
    "harness.execution": {"harness.planning", "harness.store"},
    "harness.results": {"harness.planning", "harness.store", "harness.score", "harness.datasets"},
    "harness.tracking": {"harness.results", "harness.planning", "harness.store"},
    "harness.cli": {
        *("harness.tracking", "harness.results", "harness.execution", "harness.planning"),
        *("harness.store", "harness.score", "harness.datasets"),
    },
    "vos": {"harness.datasets"},
    "dipnet": {"vos", "harness.datasets"},
    "rivals": {"vos", "harness.datasets"},
    "reports.statistics": set(),
    "reports.inputs": {"reports.statistics", "harness.results", "harness.score", "harness.store", "harness.datasets"},
    "reports.tables": {"reports.inputs", "reports.statistics", "harness.results", "harness.score", "harness.datasets"},
    "reports.figures": {"reports.inputs", "harness.results", "harness.score"},
    "reports.media": {"reports.inputs", "harness.results", "harness.datasets"},
    "reports.formats": {"reports.figures", "reports.tables", "reports.inputs"},
    "reports.diff": {
        *("reports.inputs", "reports.statistics", "harness.results", "harness.planning"),
        *("harness.score", "harness.store", "harness.datasets"),
    },
    "reports.viewer": {*("reports.media", "reports.inputs", "harness.results", "harness.score", "harness.datasets")},
    "reports": {
        *("reports.viewer", "reports.media", "reports.formats", "reports.figures", "reports.tables", "reports.inputs"),
        *("harness.tracking", "harness.results", "harness.planning"),
    },
}
"""Package → packages that it may import; itself, the contracts and the helpers always."""

ENTRIES = {"harness.run", "harness.explain", "harness.record"}
"""Modules that exist for `python -m` only, as `__main__` does: they may import `harness.cli` and nothing else."""


def imported(path: Path) -> set[str]:
    """Return every module that a file names in an import, with the names that it takes from it."""
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


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def package_of(name: str) -> str:
    """Return the package of a module, as `ALLOWED` names it, or the module itself at the root of `harness`."""
    parts = name.split(".")
    if parts[0] not in ("harness", "reports"):
        return parts[0]
    inner = ".".join(parts[:2])
    return inner if inner in ALLOWED or parts[0] == "harness" else parts[0]


def edges() -> Iterator[tuple[str, str, str]]:
    """Yield package, imported package and file of every import inside the project."""
    for path in SOURCES:
        own = package_of(module_of(path))
        for name in imported(path):
            if name.split(".")[0] in TOPS and package_of(name) != own:
                yield own, package_of(name), str(path)


def test_every_import_follows_an_allowed_arrow() -> None:
    wrong = {
        f"{own} -> {other} ({path})"
        for own, other, path in edges()
        if own not in ENTRIES
        and not path.endswith("__main__.py")
        and other not in CONTRACTS | HELPERS | ALLOWED.get(own, set())
    }
    assert not wrong


def test_modules_for_python_m_import_the_command_line_only() -> None:
    mains = {path for path in SOURCES if path.name == "__main__.py" and path.parts[0] == "harness"}
    entries = mains | {path for path in SOURCES if module_of(path) in ENTRIES}
    assert not {f"{path}: {name}" for path in entries for name in imported(path) if not _is_in(name, "harness.cli")}


def test_contracts_and_helpers_know_no_package() -> None:
    assert not {f"{own} -> {other}" for own, other, _ in edges() if own in CONTRACTS | HELPERS and other in ALLOWED}


def test_the_table_of_arrows_has_no_circle() -> None:
    def below(package: str, above: tuple[str, ...] = ()) -> None:
        assert package not in above, f"circle: {' -> '.join((*above, package))}"
        for other in ALLOWED[package]:
            below(other, (*above, package))

    for package in ALLOWED:
        below(package)


@pytest.mark.parametrize(
    ("service", "homes"),
    [
        ("ray", {"harness/execution/cluster.py", "harness/execution/tune.py"}),
        ("mlflow", {"harness/tracking/connection.py", "harness/tracking/writer.py"}),
        ("fsspec", {"harness/store/objects.py"}),
    ],
)
def test_each_outside_service_lives_in_files_of_its_own(service: str, homes: set[str]) -> None:
    assert users(service) == homes


def test_torch_lives_in_network_packages_only() -> None:
    assert {path.split("/")[0] for path in users("torch") | users("torchvision")} <= {"vos", "dipnet", "rivals"}


def test_networks_know_stages_in_their_stage_modules_only() -> None:
    services = {path for module in ("stage", "method") for path in users(f"harness.{module}")}
    networks = {path for path in services if path.startswith(("vos/", "dipnet/", "rivals/"))}
    stages = {f"{top}/{name}.py" for top in ("vos", "dipnet") for name in ("stages", "stage_runs")}
    stages |= {"vos/one_network.py", "vos/one_network_runs.py", "vos/parts.py"}
    methods = {
        str(path) for path in SOURCES if path.parts[0] == "rivals" and (ROOT / path).read_text().count("METHOD =")
    }
    assert networks == stages | methods


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_files_are_short(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= LONGEST
