"""What a number in a table is based on, down to masks, networks, code and data, and the commands that reproduce it.

Everything is read from the home: neither the data nor the study's file is needed."""

from __future__ import annotations

import csv
import json
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.console import command_line
from harness.errors import StudyError
from harness.planning.invalidation import flatten
from harness.planning.study import study_name
from harness.results.cell import CellResult, shown_measures
from harness.results.plan_record import PlanRecord, load_plans
from harness.results.saved import load_results
from harness.results.study_file import require_studies
from harness.score import MEASURES
from harness.stage import Identity
from harness.store.local import Store
from harness.store.manifest import Manifest
from harness.store.sharing import url_of

_WIDTH = 110


def find_cell(home: Path, study: str, cell: str, scale: str | None = None) -> tuple[PlanRecord, str]:
    """Return the newest plan of the study that has such a cell, and the cell's full name.

    `study`: a name or the study's YAML file; one that does not exist any more is found by its file name. `cell`: the
    cell's name, or any part that only one cell has. Raises StudyError if the study was never run here, or if no cell or
    several match, and lists those that exist."""
    name = recorded_name(study)
    require_studies(home, name)
    recorded = list(load_plans(home, name))
    plans = [record for record in recorded if scale in (None, record.scale)]
    if not plans:
        known = ", ".join(dict.fromkeys(record.scale for record in recorded)) or "none: it has submitted masks only"
        raise StudyError(
            f"study {name!r} was not run{f' at scale {scale}' if scale else ''} in {home}; scales: {known}"
        )
    for record in reversed(plans):
        found = [one for one in record.cells if cell in (one, one.rpartition("/")[0])]
        found = found or [one for one in record.cells if cell in one]
        if len(found) == 1:
            return record, found[0]
        if found:
            raise StudyError(f"{cell!r} is part of {len(found)} cells: {', '.join(found)}")
    raise StudyError(f"study {name} has no cell {cell!r}; there are {', '.join(plans[-1].cells)}")


def recorded_name(study: str) -> str:
    """Return the name of a study given by name or YAML file; a file that is gone is taken to be named like it."""
    path = Path(study)
    return study_name(study) if path.suffix not in {".yaml", ".yml"} or path.is_file() else path.stem


def explain(home: Path, record: PlanRecord, cell: str) -> Iterator[str]:
    """Yield the lines of the explanation, from the number down to the commands."""
    targets = record.cells[cell]
    yield f"{cell} of study {record.study}, scale {record.scale}, {record.data_kind} data under {record.data_root}"
    where = cell, ("measured", record.scale, record.data_kind)
    saved = (one for one in load_results(home, record.study) if (one.cell, one.group) == where)
    yield from _numbers(next(saved, None), targets)
    if not targets["segment"]:
        return
    stages = _stages_behind(Store(home), record, cell)
    yield from _sequences(stages, targets)
    yield "stages, in the order in which they ran:"
    groups: dict[str, list[Manifest]] = defaultdict(list)
    for stage in stages.values():  # those that differ only in the video that they read are shown together
        groups[f"{replace(stage.identity, needs={}, data={})} {stage.revision}"].append(stage)
    for group in groups.values():
        yield from _stages(group)
    if url := url_of(home):
        yield f"shared at {url}: manifests/<stage>/<key>.json of each"
    yield from _commands(home, record)


def _stages_behind(store: Store, record: PlanRecord, cell: str) -> dict[str, Manifest]:
    """Return key → stage for the stages behind a cell; needs come first, and unpublished ones have no folder."""
    targets = record.cells[cell]
    found: dict[str, Manifest] = {}

    def collect(key: str) -> None:
        if not key or key in found:
            return
        name = record.stages[key]
        stage = store.manifest(name, key) or Manifest(
            key=key, label=f"{name} {key[:12]}", identity=Identity(name=name), provenance={}, files={}
        )
        for need in stage.identity.needs.values():
            collect(need)
        found[key] = stage

    for key in (*targets["segment"].values(), targets["score"], targets["timing"], *targets["analyses"].values()):
        collect(key)
    return found


def _numbers(result: CellResult | None, targets: Mapping[str, Any]) -> Iterator[str]:
    if result is None:
        yield f"no number yet{': skipped, ' + targets['reason'] if targets['reason'] else ''}"
        return
    numbers = dict(result.values)
    for name in ("seconds_per_frame", "timed_objects"):
        if (value := getattr(result, name)) is not None:
            numbers[name] = value
    yield f"{result.status}{': ' + result.reason if result.reason else ''}"
    yield f"  {', '.join(f'{name} {value:.4f}' for name, value in numbers.items()) or 'no numbers'}"
    omitted = "".join(f"; {text}" for text in result.omitted)
    yield f"  {result.method_label}, options {json.dumps(result.options, sort_keys=True)}{omitted}"
    if result.protocol:
        yield f"  {result.title}, protocol and truth {result.protocol[:16]}"
    if result.hardware:
        yield f"  seconds measured on {result.hardware}"


def _sequences(stages: Mapping[str, Manifest], targets: Mapping[str, Any]) -> Iterator[str]:
    scores: dict[str, dict[str, str]] = {}
    score = stages.get(targets["score"])
    if score and score.folder.name:
        with (score.folder / "sequences.csv").open(newline="", encoding="utf-8") as file:
            scores = {line["sequence"]: line for line in csv.DictReader(file)}
        yield f"scores: {score.folder}"
    yield "sequences, each with its masks:"
    for name, key in targets["segment"].items():
        stage = stages[key]
        digests = [digest[:16] for digest in stage.identity.data.values()]
        row = scores.get(name, {})
        shown = [measure for measure in shown_measures(row)[:2] if row.get(measure)]
        facts = [f"{MEASURES[one].title.removesuffix(' mean')} {float(row[one]):.4f}" for one in shown]
        facts += [f"data {' '.join(digests)}"] if digests else []
        place = stage.folder / "masks" if stage.folder.name else "not segmented yet"
        yield f"  {name}: {', '.join(facts)}{'; ' if facts else ''}{place}"


def _stages(group: Sequence[Manifest]) -> Iterator[str]:
    first = group[0]
    labels = "; ".join(stage.label for stage in group)
    yield from textwrap.wrap(
        f"{first.name} × {len(group)}: {labels}", _WIDTH, initial_indent="  ", subsequent_indent="    "
    )
    if not first.folder.name:
        return
    identity, provenance = first.identity, first.provenance
    seconds = sum(stage.seconds or 0.0 for stage in group)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(provenance.get("started", 0.0)))
    yield f"    run {identity.run}, version {identity.version}; revision {first.revision or 'unknown'}"
    if accepted := first.accepted:
        text = f"by revision {accepted['revision'] or 'unknown'}, although {'; '.join(accepted['changes'])}"
        yield from _wrapped("accepted as it is", text)
    yield f"    {seconds:.1f} s on {first.hardware or 'unknown hardware'}, started {when}"
    libraries = ", ".join(f"{name} {version}" for name, version in provenance.get("libraries", {}).items())
    yield from _wrapped("libraries", f"Python {provenance.get('python', '?')}, {libraries}")
    options = [f"{option}={value}" for option, value in flatten(identity.config).items()]
    yield from _wrapped("config", " ".join(options) or "no options")
    yield from _wrapped("code", ", ".join(f"{module} {digest[:8]}" for module, digest in identity.code.items()))
    for stage in group:
        names = stage.provenance.get("data", {})
        data = [" ".join([role, *names.get(role, "").split(), d[:16]]) for role, d in stage.identity.data.items()]
        yield f"    {stage.key[:16]}{': data ' + ', '.join(data[:4]) if data else ''}{' …' if len(data) > 4 else ''}"
        yield f"      {stage.folder}"
        for file, facts in stage.networks.items():
            yield f"      checkpoint {file}, SHA-256 {facts.get('sha256', 'unknown')[:16]}"


def _commands(home: Path, record: PlanRecord) -> Iterator[str]:
    yield "to reproduce it:"
    clean = record.revision.removesuffix("+changes")
    changed = "  # it ran with uncommitted changes, which no revision holds" if record.revision != clean else ""
    yield f"  git checkout {clean}{changed}" if clean else "  (run outside a git checkout: the revision is not known)"
    command = ["run", record.study_file, "--scale", record.scale]
    if record.data_kind != "embedded":
        command += ["--data", record.data_root]
    for option, value in record.options.items():
        command += ["--option", f"{option}={json.dumps(value)}"]
    yield f"  {command_line(*command, '--home', f'{home}-again')}"
    path = Path(record.study_file)
    if not path.is_file() or path.read_text(encoding="utf-8") != record.study_text:
        yield f"  ({path} has changed since; its text then is in {home / 'plans' / (record.study + '.json')})"


def _wrapped(name: str, text: str) -> list[str]:
    return textwrap.wrap(f"{name}: {text}", _WIDTH, initial_indent="    ", subsequent_indent="      ")
