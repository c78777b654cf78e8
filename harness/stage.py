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
from harness.fingerprint import code_fingerprint, digest_of, text_digest


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
    def types(self) -> frozenset[type]:
        """Types of the value, or of the values in it: their code is in the key."""
        return frozenset(_types(self.value))


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What the key of a stage stands for: kept with its result, and compared to say why a stage must run."""

    name: str = ""
    version: int = 1
    run: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    """Role → key."""

    data: Mapping[str, str] = field(default_factory=dict)
    """Role → digest."""

    code: Mapping[str, str] = field(default_factory=dict)
    """Module → digest of the part of it that the stage reaches."""

    machine: str = ""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Identity:
        """Return the identity with these fields; unknown ones are ignored."""
        return cls(**{name: content[name] for name in _IDENTITY_FIELDS & content.keys()})

    @cached_property
    def config_digest(self) -> str:
        """SHA-256 of the config, 64 hex digits."""
        return digest_of(self.config)

    @cached_property
    def code_digest(self) -> str:
        """SHA-256 of the code digests, 64 hex digits."""
        return digest_of(self.code)

    @property
    def key(self) -> str:
        """Key of a stage with this identity: an identity that was changed after publication has another one."""
        return _key(self, sorted(self.needs.items()), sorted(self.data.items()))


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
        """Module → digest of the part of it that the stage reaches."""
        return dict(self._code[0])

    @property
    def identity(self) -> Identity:
        """What the key stands for, as plain values."""
        return Identity(
            name=self.name,
            version=self.version,
            run=self.run,
            config=self.config.model_dump(mode="json"),
            needs={role: need.key for role, need in sorted(self.needs.items())},
            data={role: data.digest for role, data in sorted(self.data.items())},
            code=self.code,
            machine=self.machine,
        )

    @cached_property
    def key(self) -> str:
        """SHA-256 of the identity, in which digests replace config and code; 64 hex digits."""
        needs = sorted([(role, need.key) for role, need in self.needs.items()])
        data = sorted([(role, data.digest) for role, data in self.data.items()])
        return _key(self, needs, data)

    @property
    def config_digest(self) -> str:
        """SHA-256 of the config, 64 hex digits."""
        return _config_digest(Same(self.config))

    @property
    def code_digest(self) -> str:
        """SHA-256 of `code`, 64 hex digits."""
        return self._code[1]

    @property
    def _code(self) -> tuple[Mapping[str, str], str]:
        return _code(self.run, _config_types(Same(self.config)).union(*[data.types for data in self.data.values()]))


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


def _key(one: Stage | Identity, needs: list[tuple[str, str]], data: list[tuple[str, str]]) -> str:
    digests = one.config_digest, one.code_digest
    return text_digest(ascii((one.name, one.version, one.run, *digests, needs, data, one.machine)))


@lru_cache(maxsize=4096)
def _config_digest(same: Same[BaseModel]) -> str:
    return digest_of(same.config.model_dump(mode="json"))


@cache
def _code(run: str, types: frozenset[type]) -> tuple[Mapping[str, str], str]:
    """Return the code that a function reaches, by module, and its digest: the same for all stages of a kind."""
    code = code_fingerprint(run, sorted({f"{t.__module__}:{t.__qualname__}" for t in types}))
    return code, digest_of(code)


_PLAIN = frozenset({bool, int, float, str, type(None)})


@lru_cache(maxsize=4096)
def _config_types(same: Same[BaseModel]) -> frozenset[type]:
    """Return the types of a config and of the configs in it: a field may hold a subclass of its annotation."""
    found: set[type] = set()
    work: list[Any] = [same.config]
    while work:
        value = work.pop()
        if isinstance(value, BaseModel):
            found.add(type(value))
            value = tuple(vars(value).values())
        elif isinstance(value, dict):
            value = tuple(value.values())
        if isinstance(value, list | tuple | set | frozenset):
            work += [inner for inner in value if type(inner) not in _PLAIN]
    return frozenset(found)


def _types(value: Any) -> set[type]:
    if isinstance(value, tuple | list):
        return {t for item in value[:1] for t in _types(item)}
    if isinstance(value, Mapping):
        return {t for item in value.values() for t in _types(item)}
    return {type(value)}
