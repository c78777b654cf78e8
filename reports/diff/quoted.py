"""A result and a published number, compared: what is known of the number, and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.config import merged, nested, resolve
from harness.datasets import load_protocols
from harness.errors import StudyError
from harness.method import find_method
from harness.planning.invalidation import flatten
from harness.planning.study import load_scale
from harness.results import CellResult, normalized
from harness.results.plan_record import load_plans
from harness.score import Measure
from harness.yaml_file import parse_yaml
from reports.diff.findings import Finding, in_order, option_rank
from reports.diff.pair import Number, Pair, Sources, number_of
from reports.diff.sides import Results, find_quote
from reports.diff.stages import FROM_STAGES
from reports.inputs import Budgets, Published, Quoted, TableSet

ROUNDING = 0.0005
"""Half of the last digit that publications print; shares have three decimals."""

_PAPER = "paper"
"""Scale with the sizes of the paper."""

_FACTS = {"one_shot": "one-shot fine-tuning", "propagation": "temporal propagation"}


def compare_quote(
    results: Results,
    quote: Quoted,
    measure: Measure,
    sources: Sources,
    tables: TableSet,
    published: Published,
    masks: Results | None,
    *,
    quoted_first: bool,
) -> Pair:
    """Compare a result with a published row. `masks`: the masks of the same method as scored here, if there are."""
    cell = results.first
    given = quote.values.get(cell.benchmark, {}).get(measure.name)
    same_masks = masks is not None and _agrees(masks.value(measure.name), given)
    same = _is_same_method(results, quote, tables, published)
    differs = [*_counted(cell), *_method(results, quote, tables, published), *_smaller(results, same=same)]
    unknown = [*_unknown(results, sources, quote, same_masks=same_masks)]
    if not any(one.topic == "options" for one in (*differs, *unknown)):
        text = "not given by the publication" if not same else "those that the publication does not give"
        unknown.append(Finding(topic="options", text=text))
    theirs = Number(
        name=quote.method,
        benchmark=cell.benchmark,
        facts=(f"published in {published.cite(quote)}",),
        value=given,
        why="" if given is not None else f"{measure.title} is not printed there",
        seconds=quote.speed,
    )
    ours = number_of(results, measure, sources.scores)
    notes = _notes(results, masks, measure, given)
    first, second = (theirs, ours) if quoted_first else (ours, theirs)
    return Pair(
        measure=measure,
        first=first,
        second=second,
        differs=in_order(differs),
        unknown=in_order(unknown),
        notes=tuple(notes),
    )


def _agrees(ours: float | None, given: float | None) -> bool:
    return ours is not None and given is not None and abs(ours - given) <= ROUNDING + 1e-9


def _notes(results: Results, masks: Results | None, measure: Measure, given: float | None) -> Iterator[str]:
    """Yield what else helps: whether the values agree, and where differences by video can be had."""
    if masks is None:
        yield "No values by video are published; with its masks, `vos-harness score --record` makes some."
        return
    value = masks.value(measure.name)
    shown = "no value" if value is None else f"{value:.4f}"
    means = ": equal to the printed digits, so videos, frames, rules and truth are the same"
    yield f"Its masks, scored here, give {shown}{means if _agrees(value, given) else ''}."
    if masks.cells != results.cells:
        yield f"For differences by video, compare with its masks: {masks.study}:{masks.first.variant}."


def _counted(cell: CellResult) -> Iterator[Finding]:
    if cell.data_kind != "real":
        text = f"ours: {cell.data_kind} data, no benchmark; published: the real {cell.benchmark_title}"
        yield Finding(topic="data", text=text, first=cell.data_kind, second="real")
    protocol = load_protocols().get(cell.benchmark)
    published = protocol.extent.sequences if protocol else None
    if cell.extent or (protocol and published is not None and cell.sequences != published):
        text = f"ours: {cell.extent or f'{cell.sequences} of {published} sequences'}; published: the whole benchmark"
        yield Finding(topic="videos", text=text, first=cell.extent or cell.sequences, second=published)


def _method(results: Results, quote: Quoted, tables: TableSet, published: Published) -> Iterator[Finding]:
    cell = results.first
    own = find_quote(results, "", tables, published)
    if not _is_same_method(results, quote, tables, published):
        text = f"ours: {cell.method_label}, {cell.variant}; published: {quote.method}"
        yield Finding(topic="method", text=text, first=cell.method_label, second=quote.method)
    elif own is not None and normalized(own.method) != normalized(quote.method):
        text = f"published: {quote.method}; what {cell.variant} reproduces is {own.method} ({published.cite(own)})"
        yield Finding(topic="method", text=text, first=own.method, second=quote.method)
    ours = _facts(cell, tables)
    for name, title in _FACTS.items():
        first, second = ours.get(name), quote.facts.get(name)
        if first and second and first != second:
            text = f"{title}: ours: {first}; published: {second}"
            yield Finding(topic="method", text=text, first=first, second=second)
    if cell.scale and cell.scale != _PAPER:
        text = f"ours: scale {cell.scale}, smaller networks and shorter training; published: full size"
        yield Finding(topic="method", text=text, first=cell.scale, second=_PAPER)
    if cell.omitted:
        yield Finding(topic="training", text=f"ours goes without: {'; '.join(cell.omitted)}", first=list(cell.omitted))


def _is_same_method(results: Results, quote: Quoted, tables: TableSet, published: Published) -> bool:
    """Return whether the quoted row is of the method and variant that the results are of."""
    own = find_quote(results, "", tables, published)
    names = {normalized(results.first.variant), normalized(results.first.method_label)}
    return normalized(quote.method) in names | ({normalized(own.method)} if own else set())


def _facts(cell: CellResult, tables: TableSet) -> Mapping[str, str]:
    """Return what the tables say about the variant on its benchmark."""
    for spec in tables.tables:
        for row in spec.rows:
            if cell.benchmark in spec.benchmarks and row.matches(cell.variant) and row.facts and not cell.submitted:
                return row.facts
    return {}


def _smaller(results: Results, *, same: bool) -> Iterator[Finding]:
    """Yield the options in which the cell's scale differs from the scale `paper`, if the method is the quoted one."""
    cell = results.first
    if cell.submitted or cell.scale == _PAPER or not same:
        return
    try:
        ours, theirs = _config(results, cell.scale, given=True), _config(results, _PAPER, given=False)
    except StudyError:
        return  # a scale or a method of its own, of which no paper's size is known
    for name in sorted(ours.keys() | theirs.keys(), key=option_rank):
        first, second = ours.get(name), theirs.get(name)
        if first != second:
            text = f"{name}: ours: {first}; at scale paper: {second}"
            yield Finding(topic="options", text=text, first=first, second=second)


def _config(results: Results, scale: str, *, given: bool) -> Mapping[str, Any]:
    """Return the options of a variant at a scale as it is now, with defaults and dotted names.

    `given`: whether with the values of `--option` that its run was given."""
    cell = results.first
    method = find_method(cell.method, "method")
    options = {key: value for key, value in cell.options.items() if key != "training_sets"}
    base = nested(load_scale(scale, "scale").methods.get(cell.method, {}), f"scale {scale}")
    for record in load_plans(results.home, results.study) if given else ():
        own = (record.scale, record.data_kind) == (cell.scale, cell.data_kind)
        if own and parse_yaml(record.study_text, record.study_file).get("method") == cell.method:
            base = merged(base, nested(record.options, "--option"))
    return flatten(resolve(method.config, merged(base, options), "options").model_dump(mode="json"))


def _unknown(results: Results, sources: Sources, quote: Quoted, *, same_masks: bool) -> Iterator[Finding]:
    cell = results.first
    protocol = load_protocols().get(cell.benchmark)
    rules = ""
    if protocol:
        rules = f"; ours skip {protocol.skip_first} at the start and {protocol.skip_last} at the end"
    if not same_masks:
        yield Finding(topic="frames", text=f"frames that the publication scored{rules}")
        if protocol is None or protocol.extent.objects is None:
            yield Finding(topic="objects", text="no source gives their number for the whole benchmark")
        text = "scorer, tolerance, averaging and truth of the publication"
        if protocol:
            text += f"; ours: mean over {protocol.averaging}, tolerance {protocol.boundary_tolerance}"
        yield Finding(topic="protocol", text=text)
    seeds = "" if cell.submitted else f"; ours: {', '.join(map(str, results.seeds)) or 'none'}"
    yield Finding(topic="seeds", text=f"seeds of the publication{seeds}")
    if cell.submitted:
        for topic in FROM_STAGES:
            yield Finding(topic=topic, text="not known of masks that others made")
        return
    images = quote.facts.get("images")
    said = f"published: {images} images, " if images else "published: "
    budget = Budgets(sources.lineage).of(cell)
    own = "; ours: " + ", ".join(f"{name} {count:,} samples" for name, count in budget.samples.items())
    yield Finding(topic="training", text=f"{said}steps and samples not given{own if budget.samples else ''}")
    for topic in ("code", "libraries", "hardware"):
        yield Finding(topic=topic, text="not given by the publication")
