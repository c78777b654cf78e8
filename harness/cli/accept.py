"""`vos-harness accept STUDY KIND ...`: takes results of earlier code as they are, though code has changed."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator

from harness.cli import run
from harness.console import short_revision
from harness.errors import StudyError
from harness.hardware import code_revision
from harness.planning import NEVER, Candidate, accept, candidates, group_line

EPILOG = """\
Whoever gives --write declares that the changes that are shown cannot change these results (docs/plans.md).
Exits with status 0, 1 if a result could not be accepted, and 2 for a named error.

examples:
  %(prog)s studies/ablation.yaml train
  %(prog)s studies/ablation.yaml train finetune --write"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the study, the kinds of stages, and the options that decide what would run."""
    run.add_study_arguments(parser)
    parser.add_argument("kinds", metavar="KIND", nargs="+", help="a kind of stage in the plan: train, segment")
    parser.add_argument("--write", action="store_true", help="accept what is shown")
    run.add_machine_arguments(parser)
    parser.set_defaults(execute=execute, plan=True, json=False, export=None)


def execute(options: argparse.Namespace) -> int:
    """Show which results of earlier code could be accepted; accept them with --write. Return the exit status."""
    failed = 0
    with run.planned(options) as (plan, session):
        known = dict.fromkeys(item.stage.name for item in plan.items.values())
        if unknown := [kind for kind in options.kinds if kind not in known or kind == NEVER]:
            kinds = ", ".join(kind for kind in known if kind != NEVER)
            raise StudyError(f"{options.study}: no stages {unknown[0]!r} to accept; give one or more of {kinds}")
        with session.store.planning_lock():
            found = list(candidates(plan, session.store, options.kinds))
            for line in _grouped(found):
                print(line)
            if options.write:
                for one in found:
                    if problem := accept(one, session.store, code_revision()):
                        failed += 1
                        print(f"not accepted: {one.stage.label}: {problem}")
    left = sum(stage.name in options.kinds for stage in plan.missing) - len(found)
    rest = f"; {left} others of these kinds must run" if left else ""
    if options.write:
        print(f"{len(found) - failed} accepted{rest}")
    else:
        declares = "; --write declares that the changes do not change these results" if found else ""
        print(f"{len(found)} could be accepted{rest}{declares}")
    return 1 if failed else 0


def _grouped(found: list[Candidate]) -> Iterator[str]:
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    for one in found:
        why = f"{'; '.join(one.texts)}; revision {short_revision(one.earlier.revision)}"
        groups[one.stage.name, why].append(one)
    for (kind, why), several in groups.items():
        yield group_line(kind, why, [one.stage for one in several])
