"""The contract of a stage: a frozen value that says what to run, with which config, on which data, after what.

A stage does no I/O and is not run here. Its key is the identity of its result: two stages with one key have the same
result, so the store keeps one folder for both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.config import Same
from harness.fingerprint import Code, digest_of, reached_code, text_digest
from harness.plain import code_in, plain
from harness.sources import major_version

SCHEME = 2
"""Number of the way in which keys are made. Results of another one are not found again."""

DECISIVE = ("torch", "torchvision", "cv2")
"""Libraries whose major version is in the key of a stage that imports them."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a stage occupies while it runs."""

    cpus: float = 1.0
    """CPU cores, which is also the number of threads that the stage may use."""

    gpus: float = 0.0
    """GPUs, fractions allowed; with more than zero the stage runs on `cuda`."""

    memory: float = 0.0
    """Bytes of main memory that it needs; 0: unknown. Ray starts it only where that much is not reserved yet."""

    time_limit: float | None = None
    """Seconds for one attempt; one that takes longer is killed. None: the limit of the run, if there is one."""

    exclusive: bool = False
    """Whether nothing else of the study may run on its machine at the same time (timing)."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Something that a stage reads from disk."""

    name: str
    """Name for people: `davis16-val/blackswan`. Not in the key."""

    digest: str
    """Digest of the content that is read. It is in the key; its place on disk is not."""

    value: Any = field(compare=False)
    """Picklable reader (a Sequence, a tuple of them) that the run function gets as it is."""

    @cached_property
    def code(self) -> frozenset[str]:
        """Classes and functions in the value, as "module:Name": their code is in the key."""
        return code_in(self.value)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What the key of a stage stands for: kept with its result, and compared to say why a stage must run."""

    name: str = ""
    version: int = 1
    run: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, str] = field(default_factory=dict)
    """Dotted option → class of the config there, "module:Name": a field may hold a subclass of its annotation."""

    needs: Mapping[str, str] = field(default_factory=dict)
    """Role → key."""

    data: Mapping[str, str] = field(default_factory=dict)
    """Role → digest."""

    code: Mapping[str, str] = field(default_factory=dict)
    """Module, or file of a package → digest of the part of it that the stage reaches."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """`device` → `cpu` or `gpu`, and library → major version, where they decide the result."""

    machine: str = ""
    scheme: int = 1
    """Number of the way in which its key was made."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Identity:
        """Return the identity with these fields; unknown ones are ignored."""
        return cls(**{name: content[name] for name in _IDENTITY_FIELDS & content.keys()})

    @cached_property
    def config_digest(self) -> str:
        """SHA-256 of the config with its classes, 64 hex digits."""
        return digest_of([self.config, self.classes])

    @cached_property
    def code_digest(self) -> str:
        """SHA-256 of the code digests, 64 hex digits."""
        return digest_of(self.code)

    @property
    def key(self) -> str:
        """Key of a stage with this identity: an identity that was changed after publication has another one."""
        return _key(self, self.code_digest, self.environment, sorted(self.needs.items()), sorted(self.data.items()))


_IDENTITY_FIELDS = frozenset(one.name for one in fields(Identity))


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One cached piece of work. Two stages are the same if their keys are."""

    name: str
    """Kind of work: `train`, `finetune`, `segment`, `score`, `time`. One word; also the folder in the store."""

    label: str
    """Name for people, on one line: `segment blackswan`. Not in the key."""

    run: str
    """Function `package.module:function`, which is called with a Task."""

    config: BaseModel
    """Frozen options: everything that can change the result and nothing that cannot."""

    version: int = 1
    """Number to raise by hand if the result changes though neither code nor config does."""

    needs: Mapping[str, Stage] = field(default_factory=dict)
    """Role → stage whose folder the run function gets under that name."""

    data: Mapping[str, Data] = field(default_factory=dict)
    """Role → data whose value the run function gets under that name."""

    resources: Resources = Resources()

    machine: str = ""
    """Name of the hardware, for results that are valid on one kind of machine only (seconds)."""

    @property
    def code(self) -> dict[str, str]:
        """Module, or file of a package → digest of the part of it that the stage reaches."""
        return dict(self.reached.digests)

    @property
    def reached(self) -> Code:
        """The project code that the stage reaches."""
        return reached_code(self.run, _config(Same(self.config))[1].union(*[data.code for data in self.data.values()]))

    @property
    def environment(self) -> dict[str, str]:
        """The kind of device, and major versions of libraries, as far as they decide the result."""
        return dict(_environment(self.reached.libraries, gpu=self.resources.gpus > 0))

    @property
    def identity(self) -> Identity:
        """What the key stands for, as plain values."""
        config = plain(self.config)
        return Identity(
            name=self.name,
            version=self.version,
            run=self.run,
            config=config.values,
            classes=config.classes,
            needs={role: need.key for role, need in sorted(self.needs.items())},
            data={role: data.digest for role, data in sorted(self.data.items())},
            code=self.code,
            environment=self.environment,
            machine=self.machine,
            scheme=SCHEME,
        )

    @cached_property
    def key(self) -> str:
        """SHA-256 of the identity, in which digests replace config and code; 64 hex digits."""
        needs = sorted([(role, need.key) for role, need in self.needs.items()])
        data = sorted([(role, data.digest) for role, data in self.data.items()])
        reached = self.reached
        environment = _environment(reached.libraries, gpu=self.resources.gpus > 0)
        return _key(self, reached.digest, environment, needs, data)

    @property
    def scheme(self) -> int:
        """Number of the way in which the key is made."""
        return SCHEME

    @property
    def config_digest(self) -> str:
        """SHA-256 of the config with its classes, 64 hex digits."""
        return _config(Same(self.config))[0]

    @property
    def code_digest(self) -> str:
        """SHA-256 of the digests of the code, 64 hex digits."""
        return self.reached.digest


@dataclass(frozen=True, kw_only=True)
class Task:
    """Argument of a run function, which writes into `folder` and returns nothing; to fail, it raises."""

    folder: Path
    """Folder that is empty at the start of every attempt and published as a whole when the function returns."""

    scratch: Path
    """Folder for checkpoints and finished parts, kept from attempt to attempt until the stage is published.

    A kill can come between any two writes, so write under another name and rename."""

    config: Any
    needs: Mapping[str, Path]
    data: Mapping[str, Any]
    device: str = "cpu"
    """`cpu` or `cuda`."""

    cpus: int = 1
    """Threads to use."""

    time_limit: float | None = None
    """Seconds from the call of the function after which this process is killed; None: never."""

    progress: Callable[[float, str], None] = lambda share, message: None
    """Report how far the stage is: share in 0..1, and a short message. Cheap; call it as often as you like."""


def closure(stages: Iterable[Stage]) -> dict[str, Stage]:
    """Return key → stage of these stages and of all that they need, directly or not; needs come first."""
    found: dict[str, Stage] = {}

    def add(stage: Stage) -> None:
        if stage.key not in found:
            for need in stage.needs.values():
                add(need)
            found[stage.key] = stage

    for stage in stages:
        add(stage)
    return found


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the names in which two mappings differ."""
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))


def _key(
    one: Stage | Identity,
    code_digest: str,
    environment: Mapping[str, str],
    needs: list[tuple[str, str]],
    data: list[tuple[str, str]],
) -> str:
    front = one.scheme, one.name, one.version, one.run, one.config_digest, code_digest
    return text_digest(ascii((*front, needs, data, sorted(environment.items()), one.machine)))


@lru_cache(maxsize=4096)
def _config(same: Same[BaseModel]) -> tuple[str, frozenset[str]]:
    """Return the digest of a config, and the code that it names."""
    found = plain(same.config)
    return digest_of([found.values, found.classes]), found.code


@cache
def _environment(libraries: frozenset[str], *, gpu: bool) -> Mapping[str, str]:
    versions = {library: major_version(library) for library in DECISIVE if library in libraries}
    return versions | ({"device": "gpu" if gpu else "cpu"} if gpu or "torch" in versions else {})
