"""`python -m harness.run STUDY`: plans a study, runs what is missing, records it, and writes its report.

Exit status 0 if every planned cell is filled, 1 if one is not, 2 for a named error, 130 after Ctrl-C. The same command
again goes on from what is there."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from harness.console import note, say
from harness.datasets import Protocol, data_kind, load_protocols
from harness.errors import DataError, HarnessError, ResourceError, StoreError, StudyError
from harness.execution.cluster import Cluster, check_nodes, check_resources, joined_ray, local_ray
from harness.execution.progress import failure_lines, progress
from harness.execution.queue import ReadyQueue
from harness.execution.timing import spans_of, summarize_time
from harness.files import locked
from harness.hardware import code_revision, cores, describe_hardware, gpu_names
from harness.planning.inputs import gather
from harness.planning.plan import Plan, make_plan
from harness.planning.schema import plan_json
from harness.planning.study import Scale, Study, load_study
from harness.planning.text import plan_text
from harness.results.export import export, require_usable
from harness.results.plan_record import keep_plan
from harness.store import Store, open_store, send_results

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

DATA_SEED = 0
"""Of the embedded data."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return run(options)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is there", file=sys.stderr)
        return INTERRUPTED


def run(options: argparse.Namespace) -> int:
    """What the command does. Raises HarnessError for all that a user can put right."""
    begin = time.monotonic()
    if (options.json or options.all) and not options.plan:
        raise StudyError("--json and --all say how --plan prints; give --plan too")
    protocols = load_protocols()
    study = load_study(options.study, protocols, options.scale, options=read_options(options.option))
    store = open_store(options.home, options.store)
    if options.time_limit is not None and options.time_limit <= 0:
        raise ResourceError(f"--time-limit {options.time_limit:g}: expected seconds above zero")
    if options.address is None:
        return _run(options, study, protocols, store, None, begin)
    with joined_ray(options.address, store, gpu=study.scale.gpus > 0) as cluster:
        return _run(options, study, protocols, store, cluster, begin)


def _run(
    options: argparse.Namespace,
    study: Study,
    protocols: Mapping[str, Protocol],
    store: Store,
    cluster: Cluster | None,
    begin: float,
) -> int:
    cpus = cluster.cpus if cluster else cores() if options.cpus is None else options.cpus
    gpus = cluster.gpus if cluster else len(gpu_names()) if options.gpus is None else options.gpus
    if cpus < 1:
        raise ResourceError(f"--cpus {cpus}: at least one is needed")
    check_scale(study.scale, gpus, insist=options.yes)
    if options.export is not None and not options.plan:
        require_usable(options.export.absolute())
    tell = note if options.json else say
    root = options.data if options.data is not None else embedded_data(store.home, tell)
    asked = dict.fromkeys(name for variant in study.variants for name in variant.benchmarks)
    inputs = gather((protocols[name] for name in asked), root, store.home / "facts.sqlite", tell)
    share = study.scale.gpus if gpus else 0.0
    machine = cluster.hardware if cluster else describe_hardware(gpu=share > 0)
    while True:
        with store.planning_lock():
            plan = make_plan(study, inputs, store, gpus=share, machine=machine)
            if not options.plan:
                keep_plan(plan, store, options.study, read_options(options.option))
        if options.plan:
            break
        done = store.synchronize(item.stage for item in plan.items.values() if item.state == "cached")
        if done.fetched or done.sent:
            tell(f"{store.url}: {done.fetched} finished stages fetched, {done.sent} sent")
        if not done.damaged:
            plan = replace(plan, elsewhere=frozenset())
            break
    if options.json:
        json.dump(plan_json(plan, cpus=cpus, gpus=gpus), sys.stdout)
        print()
    else:
        print("\n".join(plan_text(plan, cpus=cpus, gpus=gpus, every=options.all)))
    if options.plan:
        return 0
    status = execute(
        plan,
        store,
        options.study,
        cpus=cpus,
        gpus=gpus,
        begin=begin,
        cluster=cluster,
        time_limit=options.time_limit,
    )
    if options.export is not None and status != INTERRUPTED:
        for words in export(plan, store, options.export.absolute()):
            print(f"export: {words}")
    return status


def execute(
    plan: Plan,
    store: Store,
    study_file: Path,
    *,
    cpus: int,
    gpus: int,
    begin: float,
    cluster: Cluster | None = None,
    time_limit: float | None = None,
) -> int:
    """Run a plan, record it and write the report; return the exit status. `cluster`: the one that was joined."""
    from harness.results.rows import is_filled, is_planned
    from harness.tracking.sync import record
    from harness.tracking.writer import tracking_uri  # MLflow takes seconds to load

    limit = time_limit if time_limit is not None else plan.study.scale.time_limit
    planned_at = time.time()
    queue = _run_missing(plan, store, cpus, gpus, cluster, limit) if plan.missing else None
    is_sent = send_results(store, [item.stage for item in plan.items.values()]) if plan.missing else True
    rows = record(plan, store)
    reported = write_report(study_file, store.home)
    planned = [row for row in rows if is_planned(row)]
    filled = sum(is_filled(row) for row in planned)
    unscored = sum(row["status"] == "not scored" for row in rows)
    apart = f", {unscored} segmented but not scored" if unscored else ""
    left_out = len(rows) - len(planned) - unscored
    print(f"{filled}/{len(planned)} cells filled{apart}, {left_out} left out, {time.monotonic() - begin:.1f} s")
    for row in planned:
        if not is_filled(row):
            print(f"  {row['status']}: {row['variant']} × {row['benchmark']} × seed {row['seed']}: {row['reason']}")
    print(f"tables: {store.home / 'reports' / plan.study.name / 'index.md'}")
    print(f"MLflow: {sys.executable} -m mlflow ui --host 127.0.0.1 --backend-store-uri {tracking_uri(store.home)}")
    spans = spans_of(queue, store) if queue else ()
    now = time.time()
    if summary := summarize_time(spans, now - (time.monotonic() - begin), planned_at, now):
        print(f"time: {summary}")
    if queue and queue.closed:
        return INTERRUPTED
    return 0 if filled == len(planned) and reported and is_sent else 1


def check_scale(scale: Scale, gpus: int, *, insist: bool) -> None:
    """Raises ResourceError for a scale that needs a GPU where there is none, unless the user insists."""
    if scale.requires_gpu and not gpus and not insist:
        raise ResourceError(
            f"scale {scale.name} is made for a GPU, and none was found; it takes {scale.hours_note or 'very long'}. "
            "Choose a smaller --scale, or go on with --yes"
        )


def embedded_data(home: Path, tell: Callable[[str], None] = say) -> Path:
    """The embedded miniature of a home, made on first use. Raises StoreError where it cannot be written."""
    from harness.datasets import write_miniature

    folder = home / "data" / f"embedded-{DATA_SEED}"
    try:
        with locked(folder):
            if not folder.is_dir() or data_kind(folder) != "embedded":
                tell(f"making the embedded data in {folder}")
                write_miniature(folder, DATA_SEED)
    except OSError as error:
        raise StoreError(f"{folder}: the embedded data cannot be written ({error}); give another --home") from None
    if data_kind(folder) != "embedded":
        raise DataError(f"{folder}: not the embedded data; delete the folder and give the same command again")
    return folder


def write_report(study_file: Path, home: Path) -> bool:
    """Starts the report command, which knows the harness while the harness does not know it; whether it succeeded."""
    command = [sys.executable, "-m", "reports", str(study_file), "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    if done.returncode == 0:
        for line in done.stderr.splitlines():
            if line.startswith("warning: "):
                print(line, file=sys.stderr)
    else:
        print(
            f"the report was not written ({' '.join(command)}):\n{(done.stderr or done.stdout).strip()}",
            file=sys.stderr,
        )
    return done.returncode == 0


def _run_missing(
    plan: Plan,
    store: Store,
    cpus: int,
    gpus: int,
    joined: Cluster | None,
    time_limit: float | None,
) -> ReadyQueue:
    """Runs what is missing, and says what failed."""
    from harness.execution.tune import run_stages
    from harness.tracking.background import recording  # MLflow takes seconds to load
    from harness.tracking.sync import PATIENCE

    if joined is None:
        check_resources(plan.missing, gpus)
    else:
        check_nodes(plan.missing, joined.nodes)
    where = f"{cpus} CPUs" + (f" and {gpus} GPUs" if gpus else "")
    where += f" of {len(joined.nodes)} nodes" if joined else ""
    say(f"{'using' if joined else 'starting'} Ray for {len(plan.missing)} stages on {where}")
    with (
        nullcontext(joined) if joined else local_ray(cpus, gpus) as cluster,
        store.followed(),
        recording(plan, store, PATIENCE) as recorder,
        progress(plan, store, cpus) as display,
    ):

        def watch(queue: ReadyQueue) -> None:
            display.watch(queue)
            recorder.watch(queue)

        queue = run_stages(
            plan.missing,
            store,
            cpus=cpus,
            cluster=cluster,
            expected={key: item.seconds for key, item in plan.items.items()},
            revision=code_revision(),
            time_limit=time_limit,
            watch=watch,
        )
    for line in failure_lines(queue, store):
        print(line)
    return queue


def read_options(texts: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` texts, the values as YAML reads them. Raises StudyError."""
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or key in options:
            raise StudyError(f"--option {text}: expected KEY=VALUE, each key once")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise StudyError(f"--option {text}: the value is not YAML ({error})") from None
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m harness.run", description="Run a study; again: go on with it.")
    parser.add_argument("study", metavar="STUDY", type=Path, help="a study's YAML file")
    parser.add_argument("--scale", help="mini, light or paper, instead of the study's own")
    parser.add_argument("--data", metavar="ROOT", type=Path, help="folder that holds the datasets; default: embedded")
    parser.add_argument(
        "--home", metavar="DIR", type=Path, default=Path("runs"), help="store, MLflow database, reports"
    )
    parser.add_argument(
        "--store",
        metavar="URL",
        help="share finished stages there with other homes: s3://bucket/prefix; docs/cluster.md",
    )
    parser.add_argument(
        "--option", metavar="KEY=VALUE", action="append", default=[], help="option of the study's method; repeatable"
    )
    parser.add_argument(
        "--export", metavar="DIR", type=Path, help="write the masks there, as the DAVIS site takes them"
    )
    parser.add_argument("--plan", action="store_true", help="print the plan and run nothing")
    parser.add_argument("--all", action="store_true", help="with --plan: name every stage")
    parser.add_argument("--json", action="store_true", help="with --plan: as JSON, described in docs/plans.md")
    parser.add_argument("--yes", action="store_true", help="go on where a scale asks for a GPU that is not there")
    parser.add_argument("--gpus", metavar="N", type=int, help="GPUs to use; default: all, 0: none")
    parser.add_argument("--address", help="of a Ray cluster to work on: auto, or host:port; docs/cluster.md")
    parser.add_argument(
        "--time-limit", metavar="S", type=float, help="seconds for one attempt at a stage; default: none"
    )
    parser.add_argument("--cpus", metavar="N", type=int, help="CPU cores to use; default: all")
    return parser
