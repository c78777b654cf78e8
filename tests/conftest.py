"""Fixtures of all tests. Shapes of tensors are checked at every call while tests run."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

settings.register_profile("no-deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no-deadline")

install_import_hook(
    [
        "dipnet.identity",
        "dipnet.propagation",
        "dipnet.region",
        "dipnet.segmentation",
        "dipnet.segmenter",
        "rivals.propagation",
        "rivals.nearest_segmenter",
        "rivals.osvos_network",
        "rivals.rgmp_network",
        "rivals.stcn_network",
        "vos.hints",
        "vos.losses",
        "vos.samples",
        "vos.segment",
    ],
    "beartype.beartype",
)
# Ray's libraries read this once in a process, so clusters of tests and runs of their own must agree.
os.environ["RAY_AUTH_MODE"] = "disabled"
# The networks of the tests are too small to share among threads.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small DAVIS 2016."""
    from tests.engine import make_davis16

    return make_davis16(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A home whose stages are done, with nothing in MLflow. Not to be written to."""
    from tests.finished import finish  # MLflow takes seconds to load

    return finish(tmp_path_factory.mktemp("finished") / "home", data)


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded miniature of seed 0, rendered once for all processes of the tests. Not to be written to."""
    from harness.datasets import write_miniature

    base = tmp_path_factory.getbasetemp()
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (common / "miniature.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return write_miniature(common / "miniature", 0)


@pytest.fixture
def home(tmp_path: Path, finished: Path) -> Path:
    """A copy of a finished home."""
    shutil.copytree(finished, tmp_path / "home")
    return tmp_path / "home"
