"""Results of earlier code, declared to be those of today's code: a stage then need not run again.

A key covers all code that a stage reaches, so a change that cannot matter (a new release, a function moved to another
module) has every stage behind it run again. Only a person can know that a change does not matter; what a person has
accepted is published under the new key, and says of itself where it comes from."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from harness.files import link_or_copy
from harness.planning.invalidation import Change, changes_between, describe, flatten, option_changes
from harness.planning.plan import Plan
from harness.stage import Stage
from harness.store import Manifest, Store, find_damage

NEVER = "time"
"""Name of the stages that are not accepted: the seconds of other code are another result."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A missing stage, and a finished one that differs from it in code, major versions or new options only."""

    stage: Stage
    earlier: Manifest
    changes: tuple[Change, ...]
    """Differences; empty if only what it needs differs, and that is accepted too."""

    @property
    def texts(self) -> list[str]:
        """The differences as text."""
        return describe(self.changes) or ["only what it needs changed"]


def candidates(plan: Plan, store: Store, kinds: Iterable[str]) -> Iterator[Candidate]:
    """Yield the missing stages of these kinds whose results could be accepted, needs first; the newest of each.

    All that a stage needs must be finished or yielded before it, and be what the earlier stage has needed."""
    finished = {kind: _finished(store, kind) for kind in kinds if kind != NEVER}
    stands_for: dict[str, set[str]] = {}
    for key, item in plan.items.items():
        stage = item.stage
        if item.state == "cached":
            known = store.manifest(stage.name, key)
            stands_for[key] = {key, *_earlier_keys(known)}
            continue
        data = tuple(sorted((role, data.digest) for role, data in stage.data.items()))
        for earlier in finished.get(stage.name, {}).get((stage.run, data), ()):
            changes = _acceptable(earlier, stage, stands_for)
            if changes is not None:
                stands_for[key] = {key, earlier.key, *_earlier_keys(earlier)}
                yield Candidate(stage=stage, earlier=earlier, changes=changes)
                break


def accept(one: Candidate, store: Store, revision: str) -> str:
    """Publish an earlier result under the key of the missing stage; `revision`: of the code that accepts it.

    Return why it was not possible, or an empty text. What is published meanwhile stays as it is."""
    stage, earlier = one.stage, one.earlier
    if damage := find_damage(earlier, contents=True):
        return damage
    for role, need in stage.needs.items():  # the one that should have been accepted before it may be damaged
        if earlier.identity.needs[role] not in (need.key, *_earlier_keys(store.manifest(need.name, need.key))):
            return f"{need.label}, which it needs, was not accepted"
    with store.claim(stage.name, stage.key, wait=False) as granted:
        if not granted or store.find(stage.name, stage.key):
            return "another run computes it, or has just finished it"
        folder = store.start(stage.key).folder
        for file in earlier.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(earlier.folder / file, folder / file)
        record = {
            "keys": [earlier.key, *_earlier_keys(earlier)],
            "changes": one.texts,
            "revision": revision,
            "when": time.time(),
        }
        manifest = Manifest(
            key=stage.key,
            label=stage.label,
            identity=stage.identity,
            provenance={**earlier.provenance, "accepted": record},
            files=earlier.files,
        )
        store.adopt(stage.name, stage.key, folder, manifest)
    return ""


def _earlier_keys(stage: Manifest | None) -> tuple[str, ...]:
    return tuple(stage.accepted.get("keys", ())) if stage else ()


def _finished(store: Store, kind: str) -> Mapping[Hashable, list[Manifest]]:
    """Return the finished stages of a kind by function and data, the newest first."""
    found: dict[Hashable, list[Manifest]] = defaultdict(list)
    for name, key in sorted(store.published(kind), key=lambda place: store.age(*place)):
        if manifest := store.manifest(name, key):
            found[manifest.identity.run, tuple(sorted(manifest.identity.data.items()))].append(manifest)
    return found


def _acceptable(earlier: Manifest, stage: Stage, stands_for: Mapping[str, set[str]]) -> tuple[Change, ...] | None:
    """Return in what an earlier stage differs; None if that is more than code, major versions and new options."""
    old = earlier.identity
    if old.needs.keys() != stage.needs.keys():
        return None
    if any(old.needs[role] not in stands_for.get(need.key, ()) for role, need in stage.needs.items()):
        return None
    options = option_changes(old, stage.identity)
    changes = [change for change in changes_between(old, stage, options) if change.what != "need"]
    known = flatten(old.config)
    for change in changes:
        is_new = change.what == "config" and change.name not in known and change.old is None
        if change.what not in ("code", "library") and not is_new:
            return None
    return tuple(changes)
