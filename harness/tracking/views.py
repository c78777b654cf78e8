"""The views that MLflow opens a study with: a table of all cells, charts of each benchmark's cells, and losses.

MLflow keeps a saved view as a tag of the experiment. The tag `mlflow.sharedViewState.KEY` is opened by the parameter
`viewStateShareKey=KEY` of the page of runs. Its value is a JSON object with `name`, `createdAt`, `updatedAt`
(milliseconds since the epoch) and `state`: the text `deflate;`, followed by the Base64 of the zlib stream of the
state's JSON. MLflow 3.5 reads the fields of the state from the object itself instead, so they are there too.

Nothing here knows MLflow."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from harness.planning.invalidation import flatten
from harness.results.cell import shown_measures
from harness.tracking.run_spec import CELL, PARENT, TRAINING, RunSpec

PREFIX = "mlflow.sharedViewState."
NOTE = "mlflow.note.content"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag by which MLflow 3.5 opens an experiment as model training; 3.17 decides by a link's parameter `workflowType`."""

_MORE_COLUMNS = ("J_recall", "F_recall")
"""Further columns of the table, if a benchmark has them."""

_SECONDS = "seconds_per_frame"

_LEADING = shown_measures(())[:2]

_MOST_OPTIONS = 6
"""Most options in one chart; more axes are too close together to be read."""

_DEFAULTS: Mapping[str, Any] = {
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "orderByAsc": False,
    "columnOrder": [],
    "columnWidths": {},
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runsVisibilityMap": {},
    "runsHiddenMode": "SHOW_ALL",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": True,
    "useGroupedValuesInCharts": False,
    "hideEmptyCharts": True,
    "groupBy": None,
    "groupsExpanded": {},
    "autoRefreshEnabled": True,
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
}
"""Fields of the state that most views share. MLflow 3.5 has no defaults for fields that a view lacks."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A page of runs of one study, as MLflow is to open it."""

    key: str
    title: str
    mode: str
    """`TABLE` or `CHART`."""

    state: Mapping[str, Any]

    def value(self, parent: str, created: int) -> str:
        """Return the value of its tag. `parent`: id of the parent run; `created`: milliseconds since the epoch."""
        packed = base64.b64encode(zlib.compress(_json(self.state).encode(), 9)).decode()
        whole = {"name": self.title, "createdAt": created, "updatedAt": created, "state": f"deflate;{packed}"}
        return _json({**self.state, **whole, "parent": parent})

    def page(self, experiment: str) -> str:
        """Return its address below that of MLflow's UI."""
        parameters = {"workflowType": "machine_learning", "viewStateShareKey": self.key, "compareRunsMode": self.mode}
        return f"#/experiments/{experiment}/runs?{urlencode(parameters)}"


def describe_views(runs: Sequence[RunSpec], parent: str) -> list[View]:
    """Return the views of a study with these runs: all cells, then each benchmark, then the losses.

    `parent`: id of the parent run in MLflow. The views find the runs by it, since several homes may share a server."""
    cells = [run for run in runs if run.role == CELL]
    views = [_table(cells, parent)] if cells else []
    groups = list(_comparable(cells))
    several = len({(cell.tags["scale"], cell.tags["data_kind"]) for group in groups for cell in group.cells}) > 1
    views += [_comparison(group, parent, named=several) for group in groups]
    if any(run.role == TRAINING for run in runs):
        views.append(_losses(parent))
    return views


def describe_note(runs: Iterable[RunSpec], views: Sequence[View], experiment: str) -> str:
    """Return the text that MLflow shows above the runs, in Markdown: links to the views, and the question."""
    titles = (re.sub(r"([][\\])", r"\\\1", view.title) for view in views)
    links = " · ".join(f"[{title}]({view.page(experiment)})" for title, view in zip(titles, views, strict=True))
    question = next((run.tags.get(NOTE, "") for run in runs if run.role == PARENT), "")
    return "\n\n".join(part for part in (links, question) if part)


def parent_of(tag: str, value: str) -> str:
    """Return the id of the parent run for which a view was written; empty if a tag is no view of ours."""
    if not tag.startswith(PREFIX):
        return ""
    try:
        whole = json.loads(value)
    except ValueError:
        return ""
    return str(whole.get("parent", "")) if isinstance(whole, dict) else ""


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Cells whose numbers can be compared."""

    cells: Sequence[RunSpec]
    scale: str
    """Empty if the benchmark has cells of one scale only; submitted masks, which have none, are then among them."""


def _comparable(cells: Iterable[RunSpec]) -> Iterator[_Group]:
    """Yield the cells that have scores, or will have them, by benchmark, protocol and scale."""
    benchmarks: dict[tuple[str, str], list[RunSpec]] = defaultdict(list)
    for cell in cells:
        if cell.tags["status"] == "done" or cell.tags.get("stage.score"):
            benchmarks[cell.tags["benchmark"], cell.tags["protocol"]].append(cell)
    for found in benchmarks.values():
        scales = sorted({cell.tags["scale"] for cell in found} - {""})
        for scale in scales if len(scales) > 1 else [""]:
            yield _Group(cells=[cell for cell in found if scale in ("", cell.tags["scale"])], scale=scale)


def _table(cells: Sequence[RunSpec], parent: str) -> View:
    """Return the view of all cells as a table, by benchmark and whatever else keeps cells from being compared."""
    names = ["benchmark", *(name for name in ("scale", "data_kind") if len(_values(cells, name) - {""}) > 1)]
    groups = dict.fromkeys(tuple(cell.tags[name] for name in names) for cell in cells)
    shown = ["variant", "benchmark", *(["seed"] if len(_values(cells, "seed")) > 1 else [])]
    known = [cell for cell in cells if _measures(cell)] or cells[:1]
    reported = {name for cell in known for name in _measures(cell) or _MORE_COLUMNS}
    first = dict.fromkeys(name for cell in known for name in _leading(cell))
    metrics = [*first, *(name for name in _MORE_COLUMNS if name in reported), _SECONDS]
    columns = [*(_column("params", name) for name in shown), *(_column("metrics", name) for name in metrics)]
    state = {
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {column: 85 if column.startswith("metrics") else 110 for column in columns},
        "groupBy": {
            "aggregateFunction": "max",
            "groupByKeys": [{"mode": "param", "groupByData": name} for name in names],
        },
        "groupsExpanded": {
            ",".join(f"param.{name}.{value or 'null'}" for name, value in zip(names, values, strict=True)): True
            for values in groups
        },
    }
    return _view(parent, "cells", "All cells", "TABLE", {"role": CELL}, state, tuple(first))


def _comparison(group: _Group, parent: str, *, named: bool) -> View:
    """Return the view of one benchmark's cells as charts. `named`: whether the title says scale and kind of data."""
    first = group.cells[0].tags
    wanted = {"role": CELL, "benchmark": first["benchmark"], "protocol": first["protocol"]}
    wanted |= {"scale": group.scale} if group.scale else {}
    leading = _leading(group.cells[0])
    bars = [_card("BAR", metricKey=name) for name in (*leading, _SECONDS)]
    speed = _card("SCATTER", xaxis=_axis(_SECONDS), yaxis=_axis(leading[0]))
    options = _options(group.cells)
    parallel = _card("PARALLEL", selectedParams=options, selectedMetrics=[leading[0]], showAllRuns=True)
    differences = _card(
        "DIFFERENCE",
        compareGroups=["Parameters"],
        chartName="Parameters that differ",
        showChangeFromBaseline=False,
        showDifferencesOnly=True,
        baselineColumnUuid="",
    )
    words = [first["scale"] or group.scale, first["data_kind"]] if named else []
    title = first["benchmark_title"] + (f" ({', '.join(word for word in words if word)})" if words else "")
    key = "-".join(word for word in (first["benchmark"], first["protocol"][:6], group.scale) if word)
    sections = {"Comparison": [*bars, speed], "Options": [*([parallel] if options else []), differences]}
    return _view(parent, key, title, "CHART", wanted, _charts(sections), leading)


def _losses(parent: str) -> View:
    """Return the view of all trainings as a chart of their losses."""
    loss = _card(
        "LINE",
        metricKey="loss",
        selectedMetricKeys=["loss"],
        lineSmoothness=0,
        scaleType="linear",
        xAxisScaleType="linear",
        xAxisKey="step",
        selectedXAxisMetricKey="",
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
    )
    return _view(parent, "losses", "Losses", "CHART", {"role": TRAINING}, _charts({"Losses": [loss]}))


def _view(
    parent: str,
    key: str,
    title: str,
    mode: str,
    wanted: Mapping[str, str],
    state: Mapping[str, Any],
    leading: Sequence[str] = _LEADING,
) -> View:
    conditions = {"mlflow.parentRunId": parent, **wanted}
    fields = {
        **_DEFAULTS,
        "searchFilter": " and ".join(f"tags.`{name}` = '{value}'" for name, value in conditions.items()),
        "orderByKey": _column("metrics", leading[0]),
        "selectedColumns": [_column("params", "variant"), *(_column("metrics", name) for name in leading[:2])],
        **state,
    }
    return View(key=f"{parent[:8]}-{re.sub(r'[^A-Za-z0-9.-]+', '-', key)}", title=title, mode=mode, state=fields)


def _charts(sections: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the state of a page of charts, by section; those that MLflow adds for further metrics are folded."""
    frame = {"isReordered": False, "deleted": False, "isGenerated": True}
    names = [*sections, "Model metrics", "System metrics"]
    return {
        "compareRunSections": [
            {
                **frame,
                "uuid": name,
                "name": name,
                "display": name in sections,
                "columns": 1 if len(sections.get(name, ())) < 3 else 2,
                "cardHeight": 400,
            }
            for name in names
        ],
        "compareRunCharts": [
            {"uuid": f"{name} {number}", "metricSectionId": name, **card}
            for name, cards in sections.items()
            for number, card in enumerate(cards)
        ],
    }


def _card(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "deleted": False, "isGenerated": False, "runsCountToCompare": 100, **fields}


def _measures(cell: RunSpec) -> list[str]:
    """Return the measures that the benchmark of a cell reports; none if its data is missing."""
    found: list[str] = json.loads(cell.tags.get("measures", "[]"))
    return found


def _leading(cell: RunSpec) -> tuple[str, ...]:
    """Return the measures of a cell's benchmark that its charts show, the most important one first."""
    return shown_measures(_measures(cell))[:2]


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def _options(cells: Iterable[RunSpec]) -> list[str]:
    """Return the options in which variants differ, those that most variants set first."""
    values: dict[str, set[str]] = defaultdict(set)
    given: Counter[str] = Counter()
    for cell in cells:
        for name, value in cell.params.items():
            values[name].add(value)
        with suppress(ValueError):  # too many for a tag
            options = flatten(json.loads(cell.tags["options"]))
            given.update(name for name, value in options.items() if not isinstance(value, list))
    differing = [name for name in sorted(given, key=lambda name: (-given[name], name)) if len(values[name]) > 1]
    return differing[:_MOST_OPTIONS]


def _values(cells: Iterable[RunSpec], tag: str) -> set[str]:
    return {cell.tags[tag] for cell in cells}


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
