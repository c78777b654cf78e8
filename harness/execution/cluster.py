"""Ray, started on this machine or joined where it runs (`--address`), and what its nodes have.

Only this file and `harness.execution.tune` import Ray."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ResourceError
from harness.hardware import describe_hardware
from harness.signals import handlers_kept
from harness.stage import Resources, Stage
from harness.store import Store, StoreAddress, check_node

OBJECT_STORE = 200 * 1024 * 1024
"""Bytes of Ray's object store; stages exchange folders, so it carries little."""

_SOCKET_ROOM = 20
"""Longest path of the temporary folder in characters: Ray's sockets in it have paths of up to 107."""

_STARTS = 3
"""Attempts at starting Ray on this machine."""

_PROBE_SECONDS = 120.0
"""Timeout for the nodes of a cluster to say whether they see the store."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine of a cluster."""

    id: str
    address: str
    cpus: float
    gpus: float = 0.0
    memory: float = float("inf")
    """Bytes that stages may reserve."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The machines that Ray runs on."""

    nodes: tuple[Node, ...]
    storage: Path
    """Folder for Tune's temporary files, which all nodes see."""

    hardware: str = ""
    """Hardware of the node for exclusive stages; empty if that is this machine."""

    @property
    def cpus(self) -> int:
        """CPU cores of all nodes together."""
        return max(1, int(sum(node.cpus for node in self.nodes)))

    @property
    def gpus(self) -> int:
        """GPUs of all nodes together."""
        return int(sum(node.gpus for node in self.nodes))

    @property
    def largest(self) -> Node:
        """Node with the most GPUs, and among those the most cores: exclusive stages run there."""
        return max(self.nodes, key=lambda node: (node.gpus, node.cpus, node.id))

    def cores_for(self, wanted: Resources) -> int:
        """Return the most cores that a stage can have: those of the largest node with its GPUs and memory."""
        fitting = [node.cpus for node in self.nodes if wanted.gpus <= node.gpus and wanted.memory <= node.memory]
        return max(1, int(max(fitting, default=1)))


def check_resources(stages: Iterable[Stage], gpus: float, memory: float = float("inf")) -> None:
    """Raise ResourceError if a stage needs more than this machine has. Ray itself would wait silently.

    More CPUs than the machine has are no error: the stage gets those that there are and takes longer."""
    check_nodes(stages, (Node(id="", address="this machine", cpus=1.0, gpus=gpus, memory=memory),))


def check_nodes(stages: Iterable[Stage], nodes: tuple[Node, ...]) -> None:
    """Raise ResourceError if there is a stage that no node can ever run."""
    for stage in stages:
        wanted = stage.resources
        if not any(wanted.gpus <= node.gpus and wanted.memory <= node.memory for node in nodes):
            most = max(nodes, key=lambda node: (node.gpus, node.memory))
            what = f"{wanted.gpus:g} GPUs" + (f" and {wanted.memory / 1e9:g} GB of memory" if wanted.memory else "")
            has = f"{most.gpus:g}" + (f" and {most.memory / 1e9:.1f} GB" if wanted.memory else "")
            where = "there are" if len(nodes) == 1 else f"the largest of {len(nodes)} nodes has"
            raise ResourceError(
                f"{stage.label} asks for {what}, and {where} {has}; choose a smaller scale, or machines that have them"
            )


@contextmanager
def local_ray(cpus: int, gpus: int) -> Iterator[Cluster]:
    """Start Ray on this machine only; one that runs in this process already is used and left running."""
    _set_environment()
    if "RAY_AUTH_MODE" not in os.environ:  # a secret of this run, so that no other user can send it work
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = _import_ray()
    temp = ray_folder()
    cluster = Cluster(nodes=(Node(id="", address="", cpus=cpus, gpus=gpus),), storage=temp / "tune")
    if ray.is_initialized():
        yield cluster
        return
    _remove_leftovers(temp.parent)
    _start(ray, cpus, gpus, temp)
    try:
        yield cluster
    finally:
        ray.shutdown()
        shutil.rmtree(temp, ignore_errors=True)


def _start(ray: Any, cpus: int, gpus: int, temp: Path) -> None:
    """Start Ray, which gives up after a fixed 30 seconds: a busy machine may need several attempts."""
    for left in reversed(range(_STARTS)):
        try:
            with handlers_kept():
                ray.init(
                    address="local",
                    num_cpus=cpus,
                    num_gpus=gpus,
                    object_store_memory=OBJECT_STORE,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    _temp_dir=str(temp),
                )
            return
        except Exception as error:  # Ray raises plain ones here; reported below, or retried
            ray.shutdown()
            if not left:
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ResourceError(
                    f"Ray did not start in {_STARTS} attempts ({first}); is the machine very busy? "
                    f"Give the same command again when it is not; Ray's logs were in {temp}"
                ) from error


@contextmanager
def joined_ray(address: str, store: Store, *, gpu: bool = False) -> Iterator[Cluster]:
    """Join the cluster at `address` (`auto`, or `host:port` of its head) from one of its machines.

    Every node must have the project, and see the home, with file locks that hold between nodes, or the URL that it
    shares its stages at. `gpu`: whether the hardware in timings includes a GPU. Raises ResourceError."""
    if "://" in address:
        raise ResourceError(
            f"--address {address}: expected `auto` or host:port; start the command on a node of the cluster"
        )
    _set_environment()
    if "RAY_AUTH_MODE" not in os.environ:
        known = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
        has_token = known or (Path.home() / ".ray" / "auth_token").is_file()
        os.environ["RAY_AUTH_MODE"] = "token" if has_token else "disabled"
    ray = _import_ray()
    try:
        with handlers_kept():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, namespace="harness")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ResourceError(
            f"--address {address}: the cluster cannot be joined ({first}); is it up, is this one of its machines, "
            f"and do RAY_AUTH_MODE (here: {os.environ['RAY_AUTH_MODE']}) and RAY_AUTH_TOKEN agree with the head's?"
        ) from None
    storage = store.home / "ray"
    try:
        nodes = tuple(_nodes(ray))
        if not nodes:
            raise ResourceError(f"--address {address}: no node of the cluster has a CPU to give")
        _remove_leftovers(storage, host=socket.gethostname())
        hardware = _probe_nodes(ray, nodes, store, gpu)
        nodes = tuple(node for node in nodes if node.id in hardware)
        if not nodes:
            raise ResourceError(f"--address {address}: every node was lost while the cluster was joined; is it up?")
        most = Cluster(nodes=nodes, storage=storage).largest
        yield Cluster(
            nodes=nodes, storage=storage / f"{socket.gethostname()}-{os.getpid()}", hardware=hardware[most.id]
        )
    finally:
        ray.shutdown()
        shutil.rmtree(storage / f"{socket.gethostname()}-{os.getpid()}", ignore_errors=True)


def ray_folder() -> Path:
    """Return the folder for Ray's sockets and logs of this process, which no other machine sees.

    It is in the system's temporary folder, or in `/tmp` if the path of that is too long."""
    temp = Path(tempfile.gettempdir())
    return (temp if len(str(temp)) <= _SOCKET_ROOM else Path("/tmp")) / f"vos-ray-{os.getuid()}" / str(os.getpid())


def _remove_leftovers(folder: Path, host: str = "") -> None:
    """Remove what killed runs of this user have left."""
    for place in folder.glob(f"{host}-[0-9]*" if host else "[0-9]*"):
        try:
            os.kill(int(place.name.rpartition("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(place, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # another user's, or not Ray's


def _nodes(ray: Any) -> Iterator[Node]:
    for node in ray.nodes():
        resources = node["Resources"]
        if node["Alive"] and resources.get("CPU", 0) >= 1:
            yield Node(
                id=node["NodeID"],
                address=node["NodeManagerAddress"],
                cpus=resources["CPU"],
                gpus=resources.get("GPU", 0.0),
                memory=resources.get("memory", float("inf")),
            )


def _probe_nodes(ray: Any, nodes: tuple[Node, ...], store: Store, gpu: bool) -> dict[str, str]:
    """Return id → hardware of the nodes. Raises ResourceError if one does not see the store and its locks.

    Ray lists a node for seconds after it died: such a node is skipped."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(probe_node)
    probe = f"probe-{os.getpid()}-{secrets.token_hex(4)}"
    hardware = {}
    try:
        with store.lock(probe):
            asked = {
                node.id: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(
                    store.address, probe, gpu
                )
                for node in nodes
            }
            for node in nodes:
                try:
                    found, hardware[node.id] = ray.get(asked[node.id], timeout=_PROBE_SECONDS)
                except (ray.exceptions.NodeDiedError, ray.exceptions.TaskUnschedulableError):
                    continue
                except ray.exceptions.RayError as error:
                    last = str(error).strip().splitlines()[-1]
                    raise ResourceError(
                        f"node {node.address} cannot work on the study: {last}; install the project there as here"
                    ) from None
                if found:
                    raise ResourceError(f"node {node.address}: {found}")
    finally:
        (store.root / "locks" / f"{probe}.lock").unlink(missing_ok=True)
    return hardware


def probe_node(store: StoreAddress, probe: str, gpu: bool) -> tuple[str, str]:
    """Return what keeps this node from the driver's store (empty if nothing does), and the node's hardware."""
    return check_node(store, probe), describe_hardware(gpu=gpu)


def _import_ray() -> Any:
    import ray
    import ray.tune

    for name in ("ray", "ray.tune"):  # after the import, which sets levels itself
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


def _set_environment() -> None:
    """Set what Ray reads when it is imported or started, and in its workers; the user's own settings stay."""
    wanted = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TQDM": "0",
        "RAY_DEDUP_LOGS": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_WARN_THRESHOLD_S": "60",
        "TUNE_GLOBAL_CHECKPOINT_S": "3600",
        # Pages of 2 MB for large CPU tensors: a training step faults its memory in anew, which takes less time then.
        "THP_MEM_ALLOC_ENABLE": "1",
    }
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
