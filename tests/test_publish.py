"""MLflow as studies use it: while they run, on a server that dies, from several homes at once, with models."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from dipnet.config import PropagationConfig
from dipnet.mlflow_model import describe
from dipnet.propagation import PropagationNetwork
from harness.cli.main import main
from harness.execution.queue import ReadyQueue
from harness.tracking import errors, record, recording, resync, tracking_uri
from harness.tracking.run_spec import RunSpec, describe_cells, describe_study
from harness.tracking.writer import Publisher
from tests.engine import ROOT
from tests.finished import make, recorded, shown
from vos.checkpoint import save_network


def runs_of(home: Path) -> dict[str, tuple[str, dict[str, float], dict[str, str]]]:
    """All that is shown of a study: id → status, metrics, params."""
    roles = ("study", "cell", "training")
    return {
        run.data.tags["id"]: (run.info.status, run.data.metrics, run.data.params)
        for role in roles
        for run in recorded(home, role)
    }


def test_resync_fills_an_empty_database_without_duplicates(
    home: Path, finished: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(*make(home, data))
    before = runs_of(home)
    assert len(before) == 5
    shutil.copy(finished / "mlflow.db", home / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'other.db'}")
    assert main(["mlflow", "resync", "try", "--home", str(home)]) == 0
    assert "5 written" in capsys.readouterr().out
    assert runs_of(home) == before
    assert main(["mlflow", "resync", "--all", "--home", str(home)]) == 0
    assert "0 written" in capsys.readouterr().out
    assert sum(len(recorded(home, role)) for role in ("study", "cell", "training")) == 5


def resync_in_a_process(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness.record", "resync", "try", "--home", str(home)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_processes_racing_to_rebuild_a_database_make_no_duplicates(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(*make(home, data))
    before = runs_of(home)
    (home / "mlflow.db").unlink()
    racers = [resync_in_a_process(home) for _ in range(2)]
    printed = sorted(racer.communicate()[0] for racer in racers)
    assert [racer.returncode for racer in racers] == [0, 0]
    assert [text.splitlines()[0].rpartition(", ")[2] for text in printed] == ["0 written", "5 written"]
    # Under another name, for this process may still have the deleted one open.
    (home / "mlflow.db").rename(home / "rebuilt.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'rebuilt.db'}")
    assert runs_of(home) == before
    assert main(["mlflow", "resync", "try", "--home", str(home)]) == 0
    assert "0 written" in capsys.readouterr().out
    assert len(shown(home, "try")) == 5


def test_a_database_whose_maker_was_killed_is_made_by_the_next(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "mlflow.db").rename(home / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'other.db'}")
    record(*make(home, data))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    maker = resync_in_a_process(home)
    while maker.poll() is None and not list(home.glob(".mlflow.db.draft-*")):
        time.sleep(0.01)
    maker.kill()
    maker.communicate()
    assert not (home / "mlflow.db").exists()
    assert resync(home, "try") == 5
    assert len(shown(home, "try")) == 5


def test_resync_of_a_study_that_was_never_run_is_a_named_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mlflow", "resync", "unknown", "--home", str(home)]) == 2
    assert "no study was run there" in capsys.readouterr().err


def test_an_interrupted_write_leaves_no_duplicate(home: Path, data: Path) -> None:
    plan, store = make(home, data)
    record(plan, store)
    (one, *_) = recorded(home, "cell")
    client = MlflowClient(tracking_uri(home))
    tags = {**one.data.tags, "role": "incomplete"}
    client.create_run(one.info.experiment_id, tags=tags)
    client.create_run(one.info.experiment_id, tags=one.data.tags)
    resync(home, "try")
    assert len(client.search_runs([one.info.experiment_id])) == 5


def test_two_homes_in_one_database_do_not_affect_each_other(
    home: Path, finished: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home / 'mlflow.db'}")
    other = tmp_path / "second" / "home"
    shutil.copytree(finished / "store", other / "store")
    for place in (home, other, home):
        record(*make(place, data))
    assert len(recorded(home, "study")) == 2
    assert len(recorded(home, "cell")) == 8
    assert resync(home, "try") == resync(other, "try") == 0


def test_a_cell_is_written_as_soon_as_it_is_complete(tmp_path: Path, data: Path, finished: Path) -> None:
    home = tmp_path / "home"
    plan, store = make(home, data)
    shutil.copy(finished / "mlflow.db", home / "mlflow.db")
    board = ReadyQueue(missing={stage.key: stage for stage in plan.missing}, expected={})
    first = plan.cells[0]
    assert first.score is not None
    shutil.copytree(finished / "store", home / "store", dirs_exist_ok=True)
    with recording(plan, store, 60.0) as recorder:
        for stage in first.targets:
            board.finish(stage.key, published=True)
            recorder.watch(board.ended, board.done)
        while len(cells := so_far(home, "cell")) < 2:
            time.sleep(0.1)
        (study,) = so_far(home, "study")
    assert {run.data.tags["variant"] for run in cells} == {"one", "two"}  # they share all their stages
    assert {run.info.status for run in cells} == {"FINISHED"}
    assert study.info.status == "RUNNING"


def so_far(home: Path, role: str) -> list[Run]:
    found = MlflowClient(tracking_uri(home)).get_experiment_by_name("try")
    return recorded(home, role) if found else []


def test_a_trained_network_is_a_model_with_a_signature_that_predicts(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = PropagationConfig(backbone="mini", size=64, output_stride=16, head_channels=4)
    network = PropagationNetwork(config).eval()
    save_network(network, tmp_path / "network.pt")
    options = {"propagation": config.model_dump(mode="json")}
    described = describe("dipnet.stage_runs:run_train_propagation", options)
    assert described is not None
    model = {"name": "propagation", "folder": str(tmp_path), "loader": "dipnet.mlflow_model", **described}
    training = RunSpec(id="k", role="training", name="train", model=model)
    cell = RunSpec(id="c", role="cell", name="cell", uses=("k",))
    publisher = Publisher(home, "try")
    with publisher.locked():
        publisher.publish([RunSpec(id="try", role="study", name="try"), training, cell])
    (run,) = recorded(home, "training")
    used = MlflowClient(tracking_uri(home)).get_run(recorded(home, "cell")[0].info.run_id)
    assert [made.model_id for made in run.outputs.model_outputs] == [run.data.tags["model"]]
    assert [read.model_id for read in used.inputs.model_inputs] == [run.data.tags["model"]]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(home))
    loaded = mlflow.pyfunc.load_model(f"models:/{run.data.tags['model']}")
    assert loaded.metadata.signature is not None
    assert set(loaded.metadata.signature.inputs.input_names()) == {"frame", "reference", "reference_mask"}
    frame, mask = np.zeros((2, 3, 64, 64), np.float32), np.ones((2, 1, 64, 64), np.float32)
    result = loaded.predict({"frame": frame, "reference": frame, "reference_mask": mask})
    assert result["coarse_mask"].shape == (2, 1, 16, 16)
    artifacts = MlflowClient(tracking_uri(home)).list_logged_model_artifacts(run.data.tags["model"], "data")
    assert {Path(item.path).name for item in artifacts} == {"network.pt", "config.json"}


def test_data_is_shown_as_mlflow_datasets(home: Path, data: Path) -> None:
    record(*make(home, data))
    done = next(run for run in recorded(home, "cell") if run.data.tags["status"] == "done")
    (used,) = done.inputs.dataset_inputs
    assert used.dataset.name == "davis16-val"
    assert done.data.tags["protocol"].startswith(used.dataset.digest)
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "evaluation")]


@contextmanager
def server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A real tracking server on loopback, ready to answer."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not _answers(port):
            assert process.poll() is None, "the server ended by itself"
            time.sleep(0.1)
        yield process
    finally:
        kill(process)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def kill(process: subprocess.Popen[bytes]) -> None:
    """The server and its worker."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_resync_completes_a_server_that_was_killed_midway(
    tmp_path: Path,
    home: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    plan, store = make(home, data)
    runs = describe_cells(plan, store)
    with server(tmp_path / "server", port) as process:
        publisher = Publisher(home, "try")
        with publisher.locked():
            publisher.publish([describe_study(plan, filled=0, planned=2, running=True), *runs[:2]])
            kill(process)
            with pytest.raises(errors()):
                publisher.publish(runs[2:])
    assert record(plan, store)[0].done
    assert "catches up" in caplog.text
    with server(tmp_path / "server", port):
        assert main(["mlflow", "resync", "try", "--home", str(home)]) == 0
        assert {status for status, *_ in runs_of(home).values()} == {"FINISHED", "KILLED"}
        assert len(runs_of(home)) == 5
        assert len(recorded(home, "cell")) == 4
        (parent,) = recorded(home, "study")
        assert parent.data.tags["cells"] == "2/2"
        assert main(["mlflow", "resync", "try", "--home", str(home)]) == 0
    assert "0 written" in capsys.readouterr().out


def test_a_server_that_never_answers_is_waited_for_until_the_timeout(
    home: Path, data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        results = record(*make(home, data), timeout=0.2)
    assert results[0].done
    assert "no answer within" in caplog.text
