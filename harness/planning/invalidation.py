"""Why a stage must run, and how long it may take: told from the published stages of its kind."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from harness.fingerprint import digest_of
from harness.stage import Stage
from harness.store.local import Store

_LOOKED_AT = 300
"""Published stages of one kind that are read, the newest."""

_COMPARED = 50
"""Of these, how many one stage is compared with."""

_SHOWN = 3

_ALIKE = 6
"""Options that an earlier stage may differ in; one that differs in more is another stage, and tells nothing."""

What = Literal["version", "config", "data", "code", "machine", "need"]


@dataclass(frozen=True)
class Change:
    """One thing in which a stage differs from an earlier one."""

    what: What
    name: str
    """Dotted option, role of the data, module, role of the need; empty where there is one only."""

    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Reason:
    """Why a stage must run."""

    changes: tuple[Change, ...] = ()
    """Against the nearest earlier stage that no longer belongs to the plan; empty if none comes near: it is new."""

    failure: str = ""
    """What it failed with the last time."""

    @property
    def words(self) -> str:
        """On one line."""
        if self.failure:
            return f"failed before: {self.failure}"
        words = describe(self.changes)
        more = [f"{len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
        return "; ".join([*words[:_SHOWN], *more]) or "new"


@dataclass(frozen=True)
class _Former:
    """A published stage."""

    label: str
    identity: Mapping[str, Any]
    config_digest: str
    code_digest: str


class Reasons:
    """What the store says about the stages of one plan."""

    def __init__(self, store: Store, planned: Container[str]) -> None:
        self._store = store
        self._planned = planned
        self._failing = store.failing()
        self._published: dict[str, set[str]] = defaultdict(set)
        for name, key in store.published():
            self._published[name].add(key)
        self._former: dict[str, dict[Hashable, list[_Former]]] = {}
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)
        self._means: dict[tuple[str, str, str], float | None] = {}
        self._options: dict[tuple[str, str], tuple[Change, ...]] = {}
        self._none = Reason()

    def load(self, stage: Stage) -> float | None:
        """Seconds that the stage took, if it is published; None if not."""
        if stage.key not in self._published[stage.name]:
            return None
        manifest = self._store.load(stage.name, stage.key)
        return None if manifest is None else self._remember(manifest, stage.config_digest)

    def seconds(self, stage: Stage) -> float | None:
        """Expected, from published ones: of the same config and label, else config, else label, else kind."""
        if not self._candidates(stage.name) and not self._seconds:
            return None
        question = stage.run, stage.config_digest, stage.label
        if question not in self._means:
            seen = next((seen for mark in _marks(*question) if (seen := self._seconds.get(mark))), None)
            self._means[question] = fmean(seen) if seen else None
        return self._means[question]

    def why(self, stage: Stage) -> Reason:
        """Why it must run."""
        if stage.key in self._failing and (failure := self._store.failure(stage.key)):
            return Reason(failure=failure.error.splitlines()[0])
        nearest: tuple[Change, ...] = ()
        least = True, math.inf
        for former in self._near(stage):
            changes = self._changes(former, stage)
            rank = former.label != stage.label, _distance(changes)
            if rank < least and sum(change.what == "config" for change in changes) <= _ALIKE:
                nearest, least = changes, rank
        return Reason(changes=nearest) if nearest else self._none

    def _near(self, stage: Stage) -> Iterator[_Former]:
        """Published stages of the same function on the same data, or under the same label; the newest first."""
        former = self._candidates(stage.name)
        if former:
            data = tuple(sorted((role, data.digest) for role, data in stage.data.items()))
            yield from former.get((stage.run, data), ())
            yield from former.get((stage.run, stage.label), ())

    def _changes(self, old: _Former, new: Stage) -> tuple[Change, ...]:
        """What tells the two apart; options and code, which many pairs have in common, are compared once."""
        configs = old.config_digest, new.config_digest
        if configs not in self._options:
            self._options[configs] = _option_changes(old.identity["config"], new.config.model_dump(mode="json"))
        changes = list(self._options[configs])
        if old.identity["version"] != new.version:
            changes.append(Change("version", "", old.identity["version"], new.version))
        data = {role: data.digest for role, data in new.data.items()}
        changes += [Change("data", role) for role in _unlike(old.identity["data"], data)]
        if old.code_digest != new.code_digest:
            changes += [Change("code", module) for module in _unlike(old.identity["code"], new.code)]
        if old.identity["machine"] != new.machine:
            changes.append(Change("machine", "", old.identity["machine"], new.machine))
        if not changes:  # else it differs by itself, and so do they
            needs = {role: need.key for role, need in new.needs.items()}
            changes += [Change("need", role) for role in _unlike(old.identity["needs"], needs)]
        return tuple(changes)

    def _candidates(self, name: str) -> dict[Hashable, list[_Former]]:
        if name not in self._former:
            keys = [key for key in self._published[name] if key not in self._planned]
            keys.sort(key=lambda key: self._store.age(name, key))
            found: dict[Hashable, list[_Former]] = defaultdict(list)
            for key in keys[:_LOOKED_AT]:
                manifest = self._store.manifest(name, key)
                if manifest is None:
                    continue
                identity = manifest["identity"]
                former = _Former(
                    manifest["label"], identity, digest_of(identity["config"]), digest_of(identity["code"])
                )
                self._remember(manifest, former.config_digest)
                for mark in (tuple(sorted(identity["data"].items())), former.label):
                    if len(found[identity["run"], mark]) < _COMPARED:
                        found[identity["run"], mark].append(former)
            self._former[name] = found
        return self._former[name]

    def _remember(self, manifest: Mapping[str, Any], config_digest: str) -> float:
        seconds = manifest["provenance"].get("seconds")
        if not isinstance(seconds, int | float):
            return 0.0
        for mark in _marks(manifest["identity"]["run"], config_digest, manifest["label"]):
            self._seconds[mark].append(seconds)
        return seconds


def _marks(run: str, config_digest: str, label: str) -> tuple[Hashable, ...]:
    """What stages have in common that take about as long, the closest first."""
    return (run, config_digest, label), (run, config_digest, None), (run, None, label), (run, None, None)


def describe(changes: Iterable[Change]) -> list[str]:
    """Changes in words: one for each option, one for all the code, one for all needs."""
    words = []
    together: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        if change.what == "config":
            words.append(f"config changed: {change.name} {change.old!r} → {change.new!r}")
        elif change.what in ("version", "machine"):
            words.append(f"{change.what} changed: {change.old} → {change.new}")
        else:
            together[change.what].append(change.name)
    words += [f"data changed: {', '.join(together['data'])}"] if together["data"] else []
    words += [f"code changed: {', '.join(together['code'])}"] if together["code"] else []
    if needs := together["need"]:
        words.append(f"what it needs changed: {', '.join(needs[:_SHOWN])}{' …' if len(needs) > _SHOWN else ''}")
    return words


def flatten(options: Mapping[str, Any], front: str = "") -> dict[str, Any]:
    """Nested options with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{front}{key}.")
        else:
            flat[f"{front}{key}"] = value
    return flat


def _option_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Change, ...]:
    before, after = flatten(old), flatten(new)
    return tuple(
        Change("config", option, before.get(option), after.get(option))
        for option in sorted({*before, *after})
        if before.get(option) != after.get(option)
    )


def _distance(changes: Iterable[Change]) -> float:
    """Options count one by one, modules and needs together."""
    return len({(change.what, change.name if change.what == "config" else "") for change in changes})


def _unlike(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
