"""Why a stage must run, and how long it may take, from the published stages of its kind."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from harness.stage import Identity, Stage, differing
from harness.store import Manifest, Store

_MOST_READ = 300
"""Published stages of one name that are read, the newest first."""

_MOST_COMPARED = 50
"""Most of these that one stage is compared with."""

_MOST_SHOWN = 3

_MOST_DIFFERENCES = 6
"""Options in which an earlier stage may differ; one that differs in more is unrelated."""

What = Literal["scheme", "version", "config", "data", "code", "device", "library", "machine", "need"]


@dataclass(frozen=True)
class Change:
    """One thing in which a stage differs from an earlier one."""

    what: What
    name: str
    """Dotted option, role of the data, module, library, or role of the need; empty if there can be only one."""

    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Reason:
    """Why a stage must run."""

    changes: tuple[Change, ...] = ()
    """Changes since the closest finished stage that the plan no longer uses; empty if there is none: it is new."""

    failure: str = ""
    """Error of the last attempt."""

    def __str__(self) -> str:
        if self.failure:
            return f"failed before: {self.failure}"
        texts = describe(self.changes)
        more = [f"{len(texts) - _MOST_SHOWN} more"] if len(texts) > _MOST_SHOWN else []
        return "; ".join([*texts[:_MOST_SHOWN], *more]) or "new"


class History:
    """What the store says about the stages of one plan."""

    def __init__(self, store: Store, planned: Container[str]) -> None:
        self._store = store
        self._planned = planned
        self._failed = store.failed_keys()
        self._published: dict[str, set[str]] = defaultdict(set)
        for name, key in store.published():
            self._published[name].add(key)
        self._earlier: dict[str, dict[Hashable, list[Manifest]]] = {}
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)
        self._means: dict[Hashable, float | None] = {}
        self._options: dict[tuple[str, str], tuple[Change, ...]] = {}
        self._none = Reason()

    def load(self, stage: Stage) -> float | None:
        """Return the seconds that the stage took if it is published and undamaged; None if not."""
        if stage.key not in self._published[stage.name]:
            return None
        manifest = self._store.load(stage.name, stage.key)
        return None if manifest is None else self._add_seconds(manifest, stage.config_digest)

    def seconds(self, stage: Stage) -> float | None:
        """Return the mean of earlier stages with the same config and label, else the same config, label or function."""
        if not self._candidates(stage.name) and not self._seconds:
            return None
        question = _work(stage), stage.config_digest, stage.label
        if question not in self._means:
            seen = next((seen for group in _groups(*question) if (seen := self._seconds.get(group))), None)
            self._means[question] = fmean(seen) if seen else None
        return self._means[question]

    def why(self, stage: Stage) -> Reason:
        """Return why the stage must run."""
        if stage.key in self._failed and (failure := self._store.failure(stage.key)):
            return Reason(failure=failure.error.splitlines()[0])
        closest: tuple[Change, ...] = ()
        least = True, math.inf
        for earlier in self._related(stage):
            changes = self._changes(earlier.identity, stage)
            rank = earlier.label != stage.label, _distance(changes)
            if rank < least and sum(change.what == "config" for change in changes) <= _MOST_DIFFERENCES:
                closest, least = changes, rank
        return Reason(changes=closest) if closest else self._none

    def _related(self, stage: Stage) -> Iterator[Manifest]:
        """Yield earlier stages of the same function on the same data, or with the same label; the newest first."""
        earlier = self._candidates(stage.name)
        if earlier:
            data = tuple(sorted((role, data.digest) for role, data in stage.data.items()))
            yield from earlier.get((stage.run, data), ())
            yield from earlier.get((stage.run, stage.label), ())

    def _changes(self, old: Identity, new: Stage) -> tuple[Change, ...]:
        """Return the differences; the options, which many pairs have in common, are compared once."""
        configs = old.config_digest, new.config_digest
        if configs not in self._options:
            self._options[configs] = option_changes(old, new.identity)
        return changes_between(old, new, self._options[configs])

    def _candidates(self, name: str) -> dict[Hashable, list[Manifest]]:
        """Return the earlier stages of that name by function and data, and by function and label."""
        if name not in self._earlier:
            keys = [key for key in self._published[name] if key not in self._planned]
            keys.sort(key=lambda key: self._store.age(name, key))
            found: dict[Hashable, list[Manifest]] = defaultdict(list)
            for manifest in (self._store.manifest(name, key) for key in keys[:_MOST_READ]):
                if manifest is None:
                    continue
                self._add_seconds(manifest, manifest.identity.config_digest)
                for group in (tuple(sorted(manifest.identity.data.items())), manifest.label):
                    if len(found[manifest.identity.run, group]) < _MOST_COMPARED:
                        found[manifest.identity.run, group].append(manifest)
            self._earlier[name] = found
        return self._earlier[name]

    def _add_seconds(self, manifest: Manifest, config_digest: str) -> float:
        if manifest.seconds is None:
            return 0.0
        for group in _groups(_work(manifest.identity), config_digest, manifest.label):
            self._seconds[group].append(manifest.seconds)
        return manifest.seconds


def _work(one: Stage | Identity) -> tuple[str, str]:
    """Return function and kind of device, on which it mostly depends how long a stage takes."""
    return one.run, one.environment.get("device", "")


def _groups(work: tuple[str, str], config_digest: str, label: str) -> tuple[Hashable, ...]:
    """Return the groups of stages that take about as long, the closest first."""
    return (work, config_digest, label), (work, config_digest, None), (work, None, label), (work, None, None)


def option_changes(old: Identity, new: Identity) -> tuple[Change, ...]:
    """Return the options that differ, and those that hold another class; unknown ones, of earlier releases, are not."""
    before, after = flatten(old.config), flatten(new.config)
    options = [Change("config", option, before.get(option), after.get(option)) for option in differing(before, after)]
    classes = [
        Change("config", f"class of {option}".strip(), old.classes.get(option), new.classes.get(option))
        for option in (differing(old.classes, new.classes) if old.classes else ())
    ]
    return (*options, *classes)


def changes_between(old: Identity, new: Identity | Stage, options: Iterable[Change]) -> tuple[Change, ...]:
    """Return everything in which two stages of one function differ, a change of needs only if nothing else does.

    `options`: their `option_changes`."""
    changes = list(options)
    if old.version != new.version:
        changes.append(Change("version", "", old.version, new.version))
    data = {role: one if isinstance(one, str) else one.digest for role, one in new.data.items()}
    changes += [Change("data", role) for role in differing(old.data, data)]
    if old.scheme != new.scheme:  # the digests of its code and its needs cannot be compared
        return (Change("scheme", "", old.scheme, new.scheme), *changes)
    if old.code_digest != new.code_digest:
        changes += [Change("code", module) for module in differing(old.code, new.code)]
    here = new.environment
    for name in differing(old.environment, here):
        what: What = "device" if name == "device" else "library"
        changes.append(Change(what, name, old.environment.get(name), here.get(name)))
    if old.machine != new.machine:
        changes.append(Change("machine", "", old.machine, new.machine))
    if not changes:  # otherwise its needs differ for the same reason
        needs = {role: one if isinstance(one, str) else one.key for role, one in new.needs.items()}
        changes += [Change("need", role) for role in differing(old.needs, needs)]
    return tuple(changes)


def describe(changes: Iterable[Change]) -> list[str]:
    """Return changes as text: one for each option, one for all the code, one for all needs."""
    texts = []
    together: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        if change.what == "config":
            texts.append(f"config changed: {change.name} {change.old!r} → {change.new!r}")
        elif change.what == "scheme":
            texts.append("keys are made differently now")
        elif change.what == "device":
            old = change.old or "cpu"
            texts.append(f"device changed: {old} → {change.new or 'cpu'} (computed on {old} here before)")
        elif change.what == "library":
            texts.append(f"{change.name} changed: {change.old or 'unused'} → {change.new or 'unused'}")
        elif change.what in ("version", "machine"):
            texts.append(f"{change.what} changed: {change.old} → {change.new}")
        else:
            together[change.what].append(change.name)
    texts += [f"data changed: {', '.join(together['data'])}"] if together["data"] else []
    texts += [f"code changed: {', '.join(together['code'])}"] if together["code"] else []
    if needs := together["need"]:
        texts.append(
            f"what it needs changed: {', '.join(needs[:_MOST_SHOWN])}{' …' if len(needs) > _MOST_SHOWN else ''}"
        )
    return texts


def flatten(options: Mapping[str, Any], front: str = "") -> dict[str, Any]:
    """Return nested options with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{front}{key}.")
        else:
            flat[f"{front}{key}"] = value
    return flat


def _distance(changes: Iterable[Change]) -> float:
    """Count the changes: options one by one, modules and needs together."""
    return len({(change.what, change.name if change.what == "config" else "") for change in changes})
