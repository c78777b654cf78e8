"""`python -m harness.explain STUDY CELL [--home DIR]`: what a number in a table stands on, and how to get it again.

Read from the home alone: neither the data nor the study's file need be there. CELL is `variant/benchmark/seed`, or any
part of it that only one cell has. Exit status 0, or 2 for a named error."""

from __future__ import annotations

import csv
import json
import shlex
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.planning.invalidation import flatten
from harness.results.plan_record import Kept, kept_plans
from harness.results.rows import NUMBERS, kept_rows
from harness.store.local import Store
from harness.store.manifest import Manifest
from harness.store.sharing import url_of

_WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A stage that the number stands on."""

    name: str
    key: str
    folder: Path
    manifest: Manifest | None
    """None if it is not published."""

    @property
    def kind(self) -> str:
        """Stages that differ only in the video they read have the same."""
        if self.manifest is None:
            return f"{self.name}, not run yet"
        return repr(astuple(replace(self.manifest.identity, needs={}, data={}))) + self.revision

    @property
    def label(self) -> str:
        """As the plan names it."""
        return self.manifest.label if self.manifest else f"{self.name} {self.key[:12]}"

    @property
    def revision(self) -> str:
        """Of the code that ran it; `+changes` at its end for uncommitted ones."""
        return self.manifest.revision if self.manifest else ""


def find_cell(home: Path, study: str, cell: str, scale: str | None = None) -> tuple[Kept, str]:
    """The newest plan of the study that has such a cell, and the cell's whole name. `study`: a name, or its file.

    Raises StudyError: never run here, or not one cell of that name; then it lists those that there are."""
    name = Path(study).stem if study.endswith((".yaml", ".yml")) else study
    plans = [kept for kept in kept_plans(home, name) if scale in (None, kept.scale)]
    if not plans:
        at = f" at scale {scale}" if scale else ""
        known = ", ".join(sorted({kept.study for kept in kept_plans(home)})) or "none"
        raise StudyError(f"study {name!r} was not run{at} in {home}; studies there: {known}")
    for kept in reversed(plans):
        found = [one for one in kept.cells if cell in (one, one.rpartition("/")[0])]
        found = found or [one for one in kept.cells if cell in one]
        if len(found) == 1:
            return kept, found[0]
        if found:
            raise StudyError(f"{cell!r} is part of {len(found)} cells: {', '.join(found)}")
    raise StudyError(f"study {name} has no cell {cell!r}; there are {', '.join(plans[-1].cells)}")


def explain(home: Path, kept: Kept, cell: str) -> Iterator[str]:
    """The lines, from the number down to the commands."""
    store = Store(home)
    targets = kept.cells[cell]
    yield f"{cell} of study {kept.study}, scale {kept.scale}, {kept.data_kind} data under {kept.data_root}"
    row = _row(home, kept, cell)
    yield from _numbers(row, targets)
    if not targets["segment"]:
        return
    evidence = closure(store, kept, cell)
    yield from _sequences(evidence, targets)
    yield "stages, the first first:"
    groups: dict[str, list[Evidence]] = {}
    for one in evidence.values():
        groups.setdefault(one.kind, []).append(one)
    for group in groups.values():
        yield from _stages(group)
    if url := url_of(home):
        yield f"shared at {url}: manifests/<stage>/<key>.json of each"
    yield from _commands(home, kept)


def closure(store: Store, kept: Kept, cell: str) -> dict[str, Evidence]:
    """Key → stage, needs first, of all that fills the cell."""
    targets = kept.cells[cell]
    found: dict[str, Evidence] = {}

    def collect(key: str) -> None:
        if not key or key in found:
            return
        name = kept.stages[key]
        manifest = store.manifest(name, key)
        for need in manifest.identity.needs.values() if manifest else ():
            collect(need)
        found[key] = Evidence(name=name, key=key, folder=store.folder(name, key), manifest=manifest)

    for key in (*targets["segment"].values(), targets["score"], targets["timing"], *targets["analyses"].values()):
        collect(key)
    return found


def _row(home: Path, kept: Kept, cell: str) -> Mapping[str, Any]:
    for row in kept_rows(home, kept.study):
        name = f"{row['variant']}/{row['benchmark']}/{row['seed']}"
        if name == cell and (row["scale"], row["data_kind"]) == (kept.scale, kept.data_kind):
            return row
    return {}


def _numbers(row: Mapping[str, Any], targets: Mapping[str, Any]) -> Iterator[str]:
    if not row:
        yield f"no number yet{': left out, ' + targets['reason'] if targets['reason'] else ''}"
        return
    numbers = [f"{name} {row[name]:.4f}" for name in NUMBERS if row.get(name) is not None]
    yield f"{row['status']}{': ' + row['reason'] if row['reason'] else ''}"
    yield f"  {', '.join(numbers) or 'no numbers'}"
    yield f"  {row['method_label']}, options {row['options']}" + (f"; {row['left_out']}" if row["left_out"] else "")
    if row["protocol"]:
        yield f"  {row['benchmark_title']}, protocol and truth {row['protocol'][:16]}"
    if row["hardware"]:
        yield f"  seconds measured on {row['hardware']}"


def _sequences(evidence: Mapping[str, Evidence], targets: Mapping[str, Any]) -> Iterator[str]:
    scores: dict[str, dict[str, str]] = {}
    score = evidence.get(targets["score"])
    if score and score.manifest:
        with (score.folder / "sequences.csv").open(newline="", encoding="utf-8") as file:
            scores = {line["sequence"]: line for line in csv.DictReader(file)}
        yield f"scores: {score.folder}"
    yield "sequences, each with its masks:"
    for name, key in targets["segment"].items():
        one = evidence[key]
        digests = [digest[:16] for digest in one.manifest.identity.data.values()] if one.manifest else []
        values = [
            f"{measure[0]} {float(scores[name][measure]):.4f}" for measure in ("J_mean", "F_mean") if name in scores
        ]
        words = [*values, *([f"data {' '.join(digests)}"] if digests else [])]
        place = one.folder / "masks" if one.manifest else "not segmented yet"
        yield f"  {name}: {', '.join(words)}{'; ' if words else ''}{place}"


def _stages(group: Sequence[Evidence]) -> Iterator[str]:
    first = group[0]
    labels = "; ".join(one.label for one in group)
    yield from textwrap.wrap(
        f"{first.name} × {len(group)}: {labels}", _WIDTH, initial_indent="  ", subsequent_indent="    "
    )
    if first.manifest is None:
        return
    identity, provenance = first.manifest.identity, first.manifest.provenance
    seconds = sum(one.manifest.seconds or 0.0 for one in group if one.manifest)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(provenance.get("started", 0.0)))
    yield f"    run {identity.run}, version {identity.version}; revision {first.revision or 'unknown'}"
    yield f"    {seconds:.1f} s on {provenance.get('hardware', 'unknown')}, begun {when}"
    libraries = ", ".join(f"{name} {version}" for name, version in provenance.get("libraries", {}).items())
    yield from _wrapped("libraries", f"Python {provenance.get('python', '?')}, {libraries}")
    options = [f"{option}={value}" for option, value in flatten(identity.config).items()]
    yield from _wrapped("config", " ".join(options) or "nothing to choose")
    code = [f"{module} {digest[:8]}" for module, digest in identity.code.items()]
    yield from _wrapped("code", ", ".join(code))
    for one in group:
        if one.manifest is None:
            continue
        data = [f"{role} {digest[:16]}" for role, digest in one.manifest.identity.data.items()]
        yield f"    {one.key[:16]}{': data ' + ', '.join(data[:4]) if data else ''}{' …' if len(data) > 4 else ''}"
        yield f"      {one.folder}"
        for file, facts in one.manifest.networks.items():
            yield f"      checkpoint {file}, SHA-256 {facts.get('sha256', '')[:16]}"


def _commands(home: Path, kept: Kept) -> Iterator[str]:
    yield "to get it again:"
    clean = kept.revision.removesuffix("+changes")
    changed = "  # there were changes beside it, which no revision holds" if kept.revision != clean else ""
    yield f"  git checkout {clean}{changed}" if clean else "  (run outside a git checkout: the revision is not known)"
    words = ["python", "-m", "harness.run", kept.study_file, "--scale", kept.scale]
    if kept.data_kind != "embedded":
        words += ["--data", kept.data_root]
    for option, value in kept.options.items():
        words += ["--option", f"{option}={json.dumps(value)}"]
    yield f"  {shlex.join([*words, '--home', f'{home}-again'])}"
    path = Path(kept.study_file)
    if not path.is_file() or path.read_text(encoding="utf-8") != kept.study_text:
        yield f"  ({path} is not what it was; the text of that time is in {home / 'plans' / (kept.study + '.json')})"


def _wrapped(name: str, words: str) -> list[str]:
    return textwrap.wrap(f"{name}: {words}", _WIDTH, initial_indent="    ", subsequent_indent="      ")
