"""Why a stage must run: compared with the published stages that no longer belong to the plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Mapping
from statistics import fmean
from typing import Any

from harness.stage import Stage
from harness.store import Store

_LOOKED_AT = 300
"""Published stages that one kind is compared with, the newest."""

_SHOWN = 3


class Reasons:
    """What the store says about the stages of one plan."""

    def __init__(self, store: Store, planned: Container[str]) -> None:
        self._store = store
        self._planned = planned
        self._failing = store.failing()
        self._former: dict[str, list[dict[str, Any]]] = {}
        self._seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._labels: dict[tuple[str, str], list[float]] = defaultdict(list)

    def load(self, stage: Stage) -> bool:
        """Whether the stage is published; if so, its seconds are remembered."""
        manifest = self._store.load(stage.name, stage.key)
        if manifest is not None:
            self._remember(manifest)
        return manifest is not None

    def seconds(self, stage: Stage) -> float | None:
        """Expected, from those of the same label or kind that were seen so far."""
        self._candidates(stage.name)
        seen = self._labels.get((stage.run, stage.label)) or self._seconds.get((stage.name, stage.run))
        return fmean(seen) if seen else None

    def why(self, stage: Stage) -> str:
        """In words."""
        words = self._difference(stage)
        if stage.key in self._failing and (failure := self._store.failure(stage.key)):
            return f"failed before: {failure.error.splitlines()[0]}"
        return words

    def _difference(self, stage: Stage) -> str:
        best: tuple[int, list[str]] | None = None
        for manifest in self._candidates(stage.name):
            old = manifest["identity"]
            same_data = old["data"] == stage.identity["data"]
            if old["run"] != stage.run or not (same_data or manifest["label"] == stage.label):
                continue
            changes = differences(old, stage.identity)
            if best is None or len(changes) < best[0]:
                best = len(changes), changes
        if best is None or not best[1]:
            return "new"
        more = [f"{len(best[1]) - _SHOWN} more"] if len(best[1]) > _SHOWN else []
        return "; ".join([*best[1][:_SHOWN], *more])

    def _candidates(self, name: str) -> list[dict[str, Any]]:
        if name not in self._former:
            keys = [key for _, key in self._store.published(name) if key not in self._planned]
            keys.sort(key=lambda key: self._store.age(name, key))
            found = [self._store.manifest(name, key) for key in keys[:_LOOKED_AT]]
            self._former[name] = [manifest for manifest in found if manifest is not None]
            for manifest in self._former[name]:
                self._remember(manifest)
        return self._former[name]

    def _remember(self, manifest: Mapping[str, Any]) -> None:
        identity, seconds = manifest["identity"], manifest["provenance"].get("seconds")
        if isinstance(seconds, int | float):
            self._seconds[identity["name"], identity["run"]].append(seconds)
            self._labels[identity["run"], manifest["label"]].append(seconds)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What tells two identities apart, in words: options with both values, data, modules, needs."""
    words = []
    if old["version"] != new["version"]:
        words.append(f"version changed: {old['version']} → {new['version']}")
    before, after = flatten(old["config"]), flatten(new["config"])
    for option in sorted({*before, *after}):
        if before.get(option) != after.get(option):
            words.append(f"config changed: {option} {before.get(option)!r} → {after.get(option)!r}")
    words += [f"data changed: {role}" for role in _unlike(old["data"], new["data"])]
    modules = _unlike(old["code"], new["code"])
    words += [f"code changed: {', '.join(modules)}"] if modules else []
    if old["machine"] != new["machine"]:
        words.append(f"machine changed: {old['machine']} → {new['machine']}")
    needs = _unlike(old["needs"], new["needs"])
    if needs and not words:
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


def _unlike(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
