"""`vos-harness run STUDY`: plans a study, runs what is missing, records the results and writes the report."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.cli.arguments import add_compare, add_home, add_options, finite_number, whole_number
from harness.cli.main import INTERRUPTED
from harness.cli.mlflow import links, ui_command
from harness.console import command_line, note, outlive_stdout, say
from harness.datasets import Protocol, embedded_data, load_protocols
from harness.errors import DataError, DiskFullError, HarnessError, StudyError
from harness.execution.cluster import Cluster, check_nodes, check_resources, joined_ray, local_ray
from harness.execution.progress import failure_lines, progress
from harness.execution.queue import ReadyQueue
from harness.execution.timing import spans_of, summarize_time
from harness.execution.tune import run_stages
from harness.hardware import code_revision, cores, describe_hardware, gpu_names
from harness.planning import Plan, gather, make_plan, plan_json, plan_text
from harness.planning.study import Study, check_scale, load_study, parse_options
from harness.report import find_report
from harness.results import CellResult, check_study_files, export, require_usable, save_plan
from harness.store import Store, open_store, run_in_progress, send_results
from harness.tracking import TIMEOUT, check_tracking, record, recording

EPILOG = """\
Exits with status 0 if every planned cell is filled, 1 if not, 2 for invalid input, 130 after Ctrl-C, 143 after SIGTERM.

examples:
  %(prog)s studies/ablation.yaml
  %(prog)s studies/davis16.yaml --scale light --data ROOT --option weights=FILE"""

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A checked study with the store and the machines that it runs on."""

    options: argparse.Namespace
    method_options: Mapping[str, Any]
    study: Study
    protocols: Mapping[str, Protocol]
    store: Store
    cluster: Cluster | None
    """The cluster that was joined; None for this machine."""

    cpus: int
    gpus: int
    begun: float
    """Seconds since the epoch."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add all options of a run."""
    parser.set_defaults(execute=execute)
    add_study_arguments(parser)
    parser.add_argument("--export", metavar="DIR", type=Path, help="write the masks here in the DAVIS site's format")
    add_compare(parser)
    machine = add_machine_arguments(parser)
    machine.add_argument(
        "--time-limit",
        metavar="S",
        type=finite_number(0, excluded=True),
        help="seconds per attempt at a stage (default: that of the scale, if it has one)",
    )
    plan = parser.add_argument_group("plan only")
    plan.add_argument("--plan", action="store_true", help="print the plan and run nothing")
    add_plan_arguments(plan)


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what decides which stages there are and where they are kept."""
    parser.add_argument("study", metavar="STUDY", type=Path, help="a study's YAML file")
    parser.add_argument("--scale", help="mini, light or paper (default: the study's own)")
    parser.add_argument("--data", metavar="ROOT", type=Path, help="folder of the datasets (default: embedded data)")
    add_options(parser, "option of the study's method for all its variants; repeatable")
    add_home(parser)
    parser.add_argument(
        "--store", metavar="URL", help="share finished stages at s3://bucket/prefix; `none` ends it (docs/cluster.md)"
    )


def add_machine_arguments(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what decides where stages run, and return that group of options."""
    group = parser.add_argument_group("machine")
    group.add_argument("--cpus", metavar="N", type=whole_number(1), help="CPU cores to use (default: all)")
    group.add_argument("--gpus", metavar="N", type=whole_number(0), help="GPUs to use, 0 for none (default: all)")
    group.add_argument("--address", help="Ray cluster to join: auto, or host:port (docs/cluster.md)")
    group.add_argument("--yes", action="store_true", help="accept a scale made for a GPU on a machine without one")
    return group


def add_plan_arguments(group: argparse._ArgumentGroup) -> None:
    """Add what decides how a plan is printed."""
    group.add_argument("--all", action="store_true", help="name every stage of the plan")
    group.add_argument("--json", action="store_true", help="print the plan as JSON (docs/plans.md)")


def execute(options: argparse.Namespace) -> int:
    """Run a study, or print its plan, and return the exit status. Raises HarnessError for what a user can correct."""
    if not options.plan:
        outlive_stdout()
    if (options.json or options.all) and not options.plan:
        raise StudyError("--json and --all are options of --plan; give --plan too")
    with planned(options) as (plan, session):
        if options.json:
            print(json.dumps(plan_json(plan, cpus=session.cpus, gpus=session.gpus)))
        else:
            print("\n".join(plan_text(plan, cpus=session.cpus, gpus=session.gpus, every=options.all)))
        return 0 if options.plan else run_plan(plan, session)


@contextmanager
def planned(options: argparse.Namespace) -> Iterator[tuple[Plan, Session]]:
    """Yield the plan of a study, and with what it is run. Raises HarnessError for what a user can correct."""
    begun = time.time()
    method_options = parse_options(options.method_options)
    protocols = load_protocols(root=options.data)
    study = load_study(options.study, protocols, options.scale, options=method_options, root=options.data)
    if options.data is not None and not options.data.is_dir():  # before a home is made
        raise DataError(f"--data {options.data}: no such folder; give the folder that holds the datasets")
    is_new = not (options.home / "store").is_dir()
    store = open_store(options.home, options.store)
    if not options.plan:
        check_study_files(store.home, study.name)  # before hours of work, not after
        check_tracking(store.home, study.name)
    if is_new:
        (note if options.json else say)(f"new home: {store.home}")
    joined = options.address and joined_ray(options.address, store, gpu=study.scale.gpus > 0)
    with joined or nullcontext() as cluster, ExitStack() as run:
        session = Session(
            options=options,
            method_options=method_options,
            study=study,
            protocols=protocols,
            store=store,
            cluster=cluster,
            cpus=cluster.cpus if cluster else cores() if options.cpus is None else options.cpus,
            gpus=cluster.gpus if cluster else len(gpu_names()) if options.gpus is None else options.gpus,
            begun=begun,
        )
        yield make_session_plan(session, run), session


def make_session_plan(session: Session, run: ExitStack) -> Plan:
    """Check machine and data and return the plan, which is recorded in the home unless it is only shown.

    Until `run` is closed, its stages are kept from pruning, even if another plan of the study is recorded."""
    options, store = session.options, session.store
    check_scale(session.study.scale, session.gpus, insist=options.yes)
    if options.export is not None and not options.plan:
        require_usable(options.export.absolute())
    notify = note if options.json else say
    names = dict.fromkeys(name for variant in session.study.variants for name in variant.benchmarks)
    sets = dict.fromkeys(name for variant in session.study.variants for name in variant.training_sets.values())
    datasets = [session.protocols[name].dataset.name for name in names]
    root = options.data if options.data is not None else embedded_data(store.home, notify, datasets)
    inputs = gather((session.protocols[name] for name in names), root, store.home / "facts.sqlite", notify, sets)
    share = session.study.scale.gpus if session.gpus else 0.0
    machine = session.cluster.hardware if session.cluster else describe_hardware(gpu=share > 0)
    while True:
        with store.planning_lock():
            plan = make_plan(session.study, inputs, store, gpus=share, machine=machine)
            if not options.plan:
                saved = save_plan(plan, store, options.study, session.method_options)
                run.enter_context(run_in_progress(store.root, saved.study, saved.stages))
        if options.plan:
            return plan
        done = store.synchronize(item.stage for item in plan.items.values() if item.state == "cached")
        if done.fetched or done.sent:
            notify(f"{store.url}: {done.fetched} finished stages fetched, {done.sent} sent")
        if not done.damaged:
            return replace(plan, elsewhere=frozenset())


def run_plan(plan: Plan, session: Session) -> int:
    """Run what is missing, record the results, write report and export; return the exit status."""
    store, out = session.store, session.options.export
    planned = time.time()
    queue = run_missing(plan, session) if plan.missing else None
    is_sent = not queue or send_results(store, (item.stage for item in plan.items.values()))
    try:
        results = record(plan, store)
    except DiskFullError as error:  # the stages are kept; the same command records them
        LOG.error("the results are not recorded: %s", error)
        return 1
    is_reported = report(plan.study.name, store.home, compare=not session.options.no_compare)
    is_complete = print_results(plan, store, results, time.time() - session.begun)
    if queue and (summary := summarize_time(spans_of(queue, store), session.begun, planned, time.time())):
        print(f"time: {summary}")
    if queue and queue.closed:
        return INTERRUPTED
    if out is not None:
        for line in export(plan, store, out.absolute()):
            print(f"export: {line}")
    return 0 if is_complete and is_reported and is_sent else 1


def run_missing(plan: Plan, session: Session) -> ReadyQueue:
    """Run the missing stages on Ray, showing and recording progress; print what failed."""
    store, joined = session.store, session.cluster
    if joined is None:
        check_resources(plan.missing, session.gpus)
    else:
        check_nodes(plan.missing, joined.nodes)
    where = f"{session.cpus} CPUs" + (f" and {session.gpus} GPUs" if session.gpus else "")
    where += f" of {len(joined.nodes)} nodes" if joined else ""
    say(f"{'using' if joined else 'starting'} Ray for {len(plan.missing)} stages on {where}")
    limit = session.options.time_limit
    with (
        ThreadPoolExecutor(1) as loader,
        nullcontext(joined) if joined else local_ray(session.cpus, session.gpus) as cluster,
        store.followed(),
        recording(plan, store, TIMEOUT) as recorder,
        progress(plan, store, session.cpus) as display,
    ):

        def watch(queue: ReadyQueue) -> None:
            display.watch(queue)
            recorder.watch(queue.ended, queue.done)

        queue = run_stages(
            plan.missing,
            store,
            cpus=session.cpus,
            cluster=cluster,
            expected={key: item.seconds for key, item in plan.items.items()},
            revision=code_revision(),
            time_limit=limit if limit is not None else plan.study.scale.time_limit,
            watch=watch,
        )
        loader.submit(find_report)  # its libraries load while Ray ends; if they cannot, `report` says so
    for line in failure_lines(queue, store):
        print(line)
    return queue


def report(study: str, home: Path, *, compare: bool = True) -> bool:
    """Write the report and return whether that succeeded; a report that fails never costs the results of a run."""
    failed = f"the report was not written ({command_line('report', study, '--home', home)})"
    try:
        find_report().write(study, home, compare=compare)
    except HarnessError as error:
        LOG.error("%s:\n%s", failed, error)
    except Exception:
        LOG.exception("%s:", failed)
    else:
        return True
    return False


def print_results(plan: Plan, store: Store, results: list[CellResult], seconds: float) -> bool:
    """Print how many cells are filled, why others are not, and where to look; return whether all planned are filled."""
    planned = [result for result in results if result.planned]
    unfilled = [result for result in planned if not result.filled]
    unscored = sum(result.status == "not scored" for result in results)
    counts = [f"{len(planned) - len(unfilled)}/{len(planned)} cells filled"]
    counts += [f"{unscored} segmented but not scored"] if unscored else []
    print(", ".join([*counts, f"{len(results) - len(planned) - unscored} skipped, {seconds:.1f} s"]))
    for one in unfilled:
        print(f"  {one.status}: {one.variant} × {one.benchmark} × seed {one.seed}: {one.reason}")
    print(f"tables: {store.home / 'reports' / plan.study.name / 'index.md'}")
    print("\n".join([f"MLflow: {ui_command(store.home)}", *links(store.home, plan.study.name)]))
    return not unfilled
