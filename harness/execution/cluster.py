"""Ray, started on this machine or joined where it runs (`--address`), and what its nodes have.

With `harness.execution.tune` the only file that imports Ray."""

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

from harness.errors import HarnessError, ResourceError
from harness.stage import Stage
from harness.store.local import Store, node_home
from harness.store.mirror import Mirror
from harness.store.objects import ObjectStore

OBJECT_STORE = 200 * 1024 * 1024
"""Bytes; stages hand each other folders, so Ray carries little."""

_SOCKET_ROOM = 20
"""Longest temp folder, characters: Ray puts sockets of up to 107 characters under it."""

_STARTS = 3
"""Attempts at starting Ray on this machine."""

_LOOK = 120.0
"""Seconds that the nodes of a cluster have to say whether they see the store."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine of a cluster."""

    id: str
    address: str
    cpus: float
    gpus: float = 0.0
    memory: float = float("inf")
    """Bytes that stages may ask for."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What Ray runs on."""

    nodes: tuple[Node, ...]
    storage: Path
    """Where Tune keeps what it needs meanwhile; all nodes see it."""

    hardware: str = ""
    """Of the node that stages run on which are alone on their machine; empty where that is this machine."""

    @property
    def cpus(self) -> int:
        """Of all nodes together."""
        return max(1, int(sum(node.cpus for node in self.nodes)))

    @property
    def gpus(self) -> int:
        """Of all nodes together."""
        return int(sum(node.gpus for node in self.nodes))

    @property
    def largest(self) -> Node:
        """The node with the most GPUs, and of those the most cores: where stages run that must be alone."""
        return max(self.nodes, key=lambda node: (node.gpus, node.cpus, node.id))

    @property
    def cores(self) -> int:
        """Most cores of one node: what a stage can have."""
        return max(1, int(max(node.cpus for node in self.nodes)))


def check_resources(stages: Iterable[Stage], gpus: float, memory: float = float("inf")) -> None:
    """Raises ResourceError if a stage asks for more than this machine has. Ray itself would wait in silence.

    CPUs beyond the machine's are no error: the stage gets what there is, and takes longer."""
    check_nodes(stages, (Node(id="", address="this machine", cpus=1.0, gpus=gpus, memory=memory),))


def check_nodes(stages: Iterable[Stage], nodes: tuple[Node, ...]) -> None:
    """Raises ResourceError if there is a stage that no node can ever run."""
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
    """Ray on this machine alone, started quietly; one that runs in this process already is used and left running."""
    _set_environment()
    if "RAY_AUTH_MODE" not in os.environ:  # a secret of this run's own, so that no other user can send it work
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = _import_ray()
    temp = ray_folder()
    alone = Cluster(nodes=(Node(id="", address="", cpus=cpus, gpus=gpus),), storage=temp / "tune")
    if ray.is_initialized():
        yield alone
        return
    _remove_leftovers(temp.parent)
    _start(ray, cpus, gpus, temp)
    try:
        yield alone
    finally:
        ray.shutdown()
        shutil.rmtree(temp, ignore_errors=True)


def _start(ray: Any, cpus: int, gpus: int, temp: Path) -> None:
    """Ray gives up after 30 seconds that cannot be changed, which a busy machine may need more than once."""
    for left in reversed(range(_STARTS)):
        try:
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
        except Exception as error:  # Ray raises plain ones here; told below, or tried again
            ray.shutdown()
            if not left:
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ResourceError(
                    f"Ray did not start in {_STARTS} attempts ({first}); is the machine very busy? "
                    f"Give the same command again when it is not; Ray's own logs were in {temp}"
                ) from error


@contextmanager
def joined_ray(address: str, store: Store, *, gpu: bool = False, mirror: Mirror | None = None) -> Iterator[Cluster]:
    """The cluster at `address` (`auto`, or `host:port` of its head), joined from one of its machines.

    Every node must see the store, with file locks that hold between nodes, or with `mirror` its URL; and have the
    project. `gpu`: whether the hardware that timings are stamped with has one. Raises ResourceError."""
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
        hardware = _look_at(ray, nodes, store, gpu, mirror)
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
    """Where Ray keeps sockets and logs of this process: in the system's temp folder, whose name is short and which no
    other machine shares; in `/tmp` where even that is long."""
    temp = Path(tempfile.gettempdir())
    return (temp if len(str(temp)) <= _SOCKET_ROOM else Path("/tmp")) / f"vos-ray-{os.getuid()}" / str(os.getpid())


def _remove_leftovers(folder: Path, host: str = "") -> None:
    """What killed runs of this user have left there."""
    for place in folder.glob(f"{host}-[0-9]*" if host else "[0-9]*"):
        try:
            os.kill(int(place.name.rpartition("-")[2]), 0)
        except ProcessLookupError:
            shutil.rmtree(place, ignore_errors=True)
        except (PermissionError, ValueError):
            continue  # another user's, or not ours at all


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


def _look_at(ray: Any, nodes: tuple[Node, ...], store: Store, gpu: bool, mirror: Mirror | None) -> dict[str, str]:
    """Hardware of every node by its id, if all see the store and its locks; raises ResourceError otherwise.

    Ray lists a node for seconds after it died: one that is lost meanwhile is left out."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(look_around)
    probe = f"probe-{os.getpid()}-{secrets.token_hex(4)}"
    hardware = {}
    try:
        with store.claim(probe):
            asked = {
                node.id: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(
                    str(store.home), probe, gpu, mirror.url if mirror else ""
                )
                for node in nodes
            }
            for node in nodes:
                try:
                    found, hardware[node.id] = ray.get(asked[node.id], timeout=_LOOK)
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


def look_around(home: str, probe: str, gpu: bool, url: str = "") -> tuple[str, str]:
    """What is wrong on this node (empty: nothing), and its hardware. `probe` is held by the driver; with a `url` it is
    that which all nodes must see, and be able to write, rather than the driver's home."""
    from harness.hardware import describe_hardware

    hardware = describe_hardware(gpu=gpu)
    if url:
        try:
            Store(node_home(Path(home)))
            ObjectStore(url).check()
        except HarnessError as error:
            return str(error), hardware
        return "", hardware
    locks = Path(home) / "store" / "locks"
    if not (locks / f"{probe}.lock").exists():
        return f"does not see {home}; give a --home on a file system that all nodes share", hardware
    if not Store(Path(home)).in_work(probe):
        return (
            f"file locks in {home} do not hold between nodes; mount it with them (NFS 4; Lustre: flock)",
            hardware,
        )
    return "", hardware


def _import_ray() -> Any:
    import ray
    import ray.tune

    for name in ("ray", "ray.tune"):  # after the import, which sets levels itself
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


def _set_environment() -> None:
    """Read by Ray when it is imported or started, and by its workers; what the user has set stays."""
    wanted = {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_TQDM": "0",
        "RAY_DEDUP_LOGS": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        "TUNE_WARN_THRESHOLD_S": "60",
        "TUNE_GLOBAL_CHECKPOINT_S": "3600",
        # Large tensors of a CPU in pages of 2 MB: a training step faults its memory in anew, and takes the less time.
        "THP_MEM_ALLOC_ENABLE": "1",
    }
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
