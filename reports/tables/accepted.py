"""Stages whose results are those of earlier code, which somebody has declared to be unaffected by its changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from harness.console import short_revision
from harness.results import CellResult
from reports.inputs import Lineage
from reports.tables.model import Line, Table, Value


def accepted_table(cells: Iterable[CellResult], lineage: Lineage) -> Table | None:
    """Return the accepted stages behind any cell, those of the same kind, revision and changes in a line; or None."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for stage in lineage.behind(cells):
        if accepted := stage.accepted:
            revisions = short_revision(stage.revision), short_revision(accepted["revision"])
            groups[stage.name, *revisions, "; ".join(accepted["changes"])].append(stage.label)
    if not groups:
        return None
    return Table(
        name="accepted",
        title="Results of earlier code",
        caption="Stages whose code has changed since they ran. Their results were accepted as they are: somebody has "
        "declared that the changes cannot change them, which nothing here has checked.",
        facts=("computed by revision", "accepted by revision", "although", "such as"),
        columns=("stages",),
        lines=tuple(
            Line(label=kind, facts=(*rest, labels[0]), values=(Value(number=len(labels), decimals=0),))
            for (kind, *rest), labels in sorted(groups.items())
        ),
        first="stage",
    )
