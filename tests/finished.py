"""Helpers for the tests of what MLflow shows: a small study, run to its end without a scheduler."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from harness.datasets import load_protocols
from harness.execution.worker import make_job, work
from harness.planning.inputs import gather
from harness.planning.plan import Plan, make_plan
from harness.planning.study import load_study
from harness.store.local import Store
from harness.tracking.connection import tracking_uri

STUDY = """
name: try
method: first-mask
benchmarks: [davis16-val, davis17-val]
variants: {one: {}, two: {}}
"""


def make(home: Path, data: Path, text: str = STUDY) -> tuple[Plan, Store]:
    """The study's plan in this home."""
    (home.parent / "study.yaml").write_text(text)
    protocols = load_protocols()
    study = load_study(home.parent / "study.yaml", protocols)
    store = Store(home)
    inputs = gather([protocols[name] for name in study.benchmarks], data, home / "facts.sqlite")
    return make_plan(study, inputs, store, machine="a machine"), store


def finish(home: Path, data: Path, text: str = STUDY) -> Path:
    """The home with every stage done, and an empty database, since a new one takes seconds."""
    plan, store = make(home, data, text)
    for stage in plan.missing:
        assert work(make_job(stage, store, 1, "")), store.failure(stage.key)
    MlflowClient(tracking_uri(home)).search_experiments()
    return home


def recorded(home: Path, role: str) -> list[Run]:
    """What MLflow shows of the study under that role."""
    return [run for run in shown(home, "try") if run.data.tags["role"] == role]


def shown(home: Path, study: str) -> list[Run]:
    """All that MLflow shows of a study, incomplete runs too."""
    client = MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))
