"""Which stage runs next: needs first, then the longest chain; exclusive stages last. Knows no scheduler."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.stage import Stage

_Entry = tuple[tuple[float, int, int], str]
"""Rank and key of a stage; the smallest is next."""


@dataclass
class ReadyQueue:
    """The stages of one run and what has become of them. Not shared between threads."""

    missing: Mapping[str, Stage]
    """Stages by key, in an order in which needs come first; needs that are not here are published."""

    expected: Mapping[str, float | None]
    """Key → seconds, as far as known."""

    is_published: Callable[[Stage], bool] = lambda stage: False
    """Asked before a stage is taken: another run may have finished it by now."""

    is_taken: Callable[[Stage], bool] = lambda stage: False
    """Whether another run computes the stage; then it is taken only when nothing else is ready."""

    running: dict[str, Stage] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    """Keys of done and failed stages in the order in which they ended."""

    skipped: dict[str, str] = field(default_factory=dict)
    """Key → key of the need that failed."""

    retried: list[tuple[str, str]] = field(default_factory=list)
    """Key and cause of every attempt whose worker died and that is retried."""

    causes: dict[str, str] = field(default_factory=dict)
    """Key → why a stage failed, where the store could not record it."""

    closed: bool = False

    def __post_init__(self) -> None:
        self._dependents: dict[str, list[str]] = defaultdict(list)
        self._open_needs: dict[str, int] = {}
        for key, stage in self.missing.items():
            open_needs = {need.key for need in stage.needs.values() if need.key in self.missing}
            self._open_needs[key] = len(open_needs)
            for need in open_needs:
                self._dependents[need].append(key)
        self._rank = self._ranks()
        self._ready: list[_Entry] = []
        self._exclusive: list[_Entry] = []
        for key, count in self._open_needs.items():
            if count == 0:
                self._push(key)

    @property
    def finished(self) -> bool:
        """Whether no stage will be ready, now or later."""
        return self.closed or not self.left

    @property
    def left(self) -> int:
        """Number of stages neither done, failed nor skipped."""
        return len(self.missing) - len(self.done) - len(self.failed) - len(self.skipped)

    def take(self) -> Stage | None:
        """Return the next stage to run; None if none is ready now."""
        if self.closed:
            return None
        stage = self._pop(self._ready)
        if stage is None and not self.running and not self._ready:
            stage = self._pop(self._exclusive)
        if stage is not None:
            self.running[stage.key] = stage
        return stage

    def finish(self, key: str, *, published: bool) -> None:
        """Record how a stage ended; the stages that need a failed one are skipped."""
        self.running.pop(key, None)
        if key not in self.done and key not in self.failed:
            self.ended.append(key)
        if published:
            self.done.add(key)
            for dependent in self._dependents[key]:
                self._open_needs[dependent] -= 1
                if self._open_needs[dependent] == 0 and dependent not in self.skipped:
                    self._push(dependent)
            return
        self.failed.add(key)
        work = [key]
        while work:
            for dependent in self._dependents[work.pop()]:
                if dependent not in self.skipped:
                    self.skipped[dependent] = key
                    work.append(dependent)

    def release(self, key: str) -> None:
        """Put a stage back that was taken and never begun."""
        self.running.pop(key, None)
        self._push(key)

    def _push(self, key: str) -> None:
        heap = self._exclusive if self.missing[key].resources.exclusive else self._ready
        heapq.heappush(heap, (self._rank[key], key))

    def _pop(self, heap: list[_Entry]) -> Stage | None:
        taken = []
        found = None
        while heap and found is None:
            entry = heapq.heappop(heap)
            stage = self.missing[entry[1]]
            if self.is_published(stage):
                self.finish(stage.key, published=True)
            elif self.is_taken(stage):
                taken.append(entry)
            else:
                found = stage
        for entry in taken:
            heapq.heappush(heap, entry)
        return found

    def _ranks(self) -> dict[str, tuple[float, int, int]]:
        """Return key → (-seconds of the longest chain from it to the end, -number of dependents, place in the plan)."""
        seconds: dict[str, float] = {}
        for key in reversed(list(self.missing)):
            after = max((seconds[dependent] for dependent in self._dependents[key]), default=0.0)
            expected = self.expected.get(key)
            seconds[key] = after + (1.0 if expected is None else expected)
        order = {key: place for place, key in enumerate(self.missing)}
        return {key: (-length, -len(self._dependents[key]), order[key]) for key, length in seconds.items()}
