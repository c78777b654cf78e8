"""The contract of a stage: a frozen value that says what to run, with which config, on which data, after what.

A stage does no I/O and is not run here. Its key is the identity of its result: two stages with one key have the same
result, so the store keeps one folder for both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.config import Same
from harness.fingerprint import code_fingerprint


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one run of a stage occupies."""

    cpus: float = 1.0
    """CPU cores; also the number of threads the stage may use."""

    gpus: float = 0.0
    """GPUs, fractions allowed; above zero the stage runs on `cuda`."""

    memory: float = 0.0
    """Bytes of main memory that it needs; 0: not said. Ray starts it only where so much is not promised yet."""

    time_limit: float | None = None
    """Seconds for one attempt; one that takes longer is killed. None: the run's own limit, if it has one."""

    exclusive: bool = False
    """Alone on its machine: nothing else of the study runs there meanwhile (timing)."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Something that a stage reads from disk."""

    name: str
    """For people: `davis16-val/blackswan`. Not in the key."""

    digest: str
    """Of the content that is read. In the key; where it lies on disk is not."""

    value: Any = field(compare=False)
    """A picklable reader (a Sequence, a tuple of them), handed to the run function as it is."""

    @cached_property
    def types(self) -> frozenset[type]:
        """Of the value, or of the values in it: their code is in the key."""
        return frozenset(_types(self.value))


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One cached piece of work. Two stages are the same if their keys are."""

    name: str
    """Kind of work: `train`, `adapt`, `segment`, `score`, `time`. A word; also the folder in the store."""

    label: str
    """For people, on one line: `segment blackswan`. Not in the key."""

    run: str
    """`package.module:function`, called with a Task."""

    config: BaseModel
    """Everything that can change the result and nothing that cannot; frozen."""

    version: int = 1
    """Raised by hand where the result changes though neither code nor config does."""

    needs: Mapping[str, Stage] = field(default_factory=dict)
    """By the name under which the run function gets their folders."""

    data: Mapping[str, Data] = field(default_factory=dict)
    """By the name under which the run function gets their values."""

    resources: Resources = Resources()

    machine: str = ""
    """Name of the hardware, for results that hold on one kind of machine only (seconds)."""

    @property
    def code(self) -> dict[str, str]:
        """Digest of the project code reached, by module."""
        return dict(self._code[0])

    @property
    def identity(self) -> dict[str, Any]:
        """What the key stands for, readable: kept in the stage's folder, compared to say why a stage must run."""
        return {
            "name": self.name,
            "version": self.version,
            "run": self.run,
            "config": self.config.model_dump(mode="json"),
            "needs": {role: need.key for role, need in sorted(self.needs.items())},
            "data": {role: data.digest for role, data in sorted(self.data.items())},
            "code": self.code,
            "machine": self.machine,
        }

    @cached_property
    def key(self) -> str:
        """SHA-256 of the identity, with digests of config and code in their place; 64 hex digits."""
        needs = sorted([(role, need.key) for role, need in self.needs.items()])
        data = sorted([(role, data.digest) for role, data in self.data.items()])
        digests = self.config_digest, self.code_digest
        identity = self.name, self.version, self.run, *digests, needs, data, self.machine
        return hashlib.sha256(ascii(identity).encode()).hexdigest()

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
        types = frozenset({type(self.config)}).union(*[data.types for data in self.data.values()])
        return _code(self.run, types)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a run function is given. It writes into `folder` and returns nothing; to fail, it raises."""

    folder: Path
    """Empty at the start of every attempt; published as a whole when the function returns."""

    scratch: Path
    """Kept from attempt to attempt until published, then removed: for checkpoints and finished parts. A kill can come
    between any two writes, so write under another name and rename."""

    config: Any
    needs: Mapping[str, Path]
    data: Mapping[str, Any]
    device: str = "cpu"
    """`cpu` or `cuda`."""

    cpus: int = 1
    """Threads to use."""

    progress: Callable[[float, str], None] = lambda share, words: None
    """Tell how far it is: share in 0..1, and a few words. Cheap; call it as often as you like."""


def digest_of(content: Any) -> str:
    """SHA-256 of a value that JSON can hold, 64 hex digits; the order of keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def key_of(identity: Mapping[str, Any]) -> str:
    """The key of a stage with that identity, as it was kept: tells a manifest that was changed afterwards."""
    digests = digest_of(identity["config"]), digest_of(identity["code"])
    needs, data = (sorted(identity[which].items()) for which in ("needs", "data"))
    plain = identity["name"], identity["version"], identity["run"], *digests, needs, data, identity["machine"]
    return hashlib.sha256(ascii(plain).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _config_digest(same: Same[BaseModel]) -> str:
    return digest_of(same.config.model_dump(mode="json"))


@cache
def _code(run: str, types: frozenset[type]) -> tuple[Mapping[str, str], str]:
    """The code that a function reaches, by module, and its digest: the same for all stages of a kind."""
    code = code_fingerprint(run, sorted({f"{t.__module__}:{t.__qualname__}" for t in types}))
    return code, digest_of(code)


def _types(value: Any) -> set[type]:
    if isinstance(value, tuple | list):
        return {t for item in value[:1] for t in _types(item)}
    if isinstance(value, Mapping):
        return {t for item in value.values() for t in _types(item)}
    return {type(value)}
