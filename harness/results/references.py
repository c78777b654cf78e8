"""Which stages the studies of a home are based on: what garbage collection must keep."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from harness.errors import StoreError
from harness.results.plan_record import kept_plans
from harness.results.rows import SUBMITTED, kept_rows


def referenced_stages(home: Path) -> dict[str, tuple[str, ...]]:
    """Return key → studies whose newest plans hold it.

    Raises StoreError if a study was run here and its plan was not recorded: then it is unknown what it is based on.
    """
    users: dict[str, dict[str, None]] = defaultdict(dict)
    planned = set()
    for plan in kept_plans(home):
        planned.add(plan.study)
        for key in plan.stages:
            users[key][plan.study] = None
    run = {path.stem for path in (home / "rows").glob("*.json") if _was_run(home, path.stem)}
    unknown = sorted(run - planned)
    if unknown:
        raise StoreError(
            f"{home}: studies without a record of their stages: {', '.join(unknown)}; "
            f"give their run command once again, or delete {home / 'rows'}/<study>.json of those that can go"
        )
    return {key: tuple(studies) for key, studies in users.items()}


def _was_run(home: Path, study: str) -> bool:
    """Return False if all results of a study are submitted masks, which are based on no stage."""
    rows = kept_rows(home, study)
    return not rows or any(row["scale"] != SUBMITTED for row in rows)
