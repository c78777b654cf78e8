"""Which stage is next: needs first, the longest way to the end first, what must be alone last. Knows no scheduler."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.stage import Stage


@dataclass
class ReadyQueue:
    """The stages that are to be run. Not shared between threads."""

    missing: Mapping[str, Stage]
    """By key, needs before what needs them; needs that are not here are published."""

    expected: Mapping[str, float | None]
    """Key → seconds, as far as they are known."""

    is_published: Callable[[Stage], bool] = lambda stage: False
    """Asked before a stage is handed out: another run may have done it by now."""

    is_held: Callable[[Stage], bool] = lambda stage: False
    """Whether another run is at it; then it is handed out when nothing else is ready."""

    running: dict[str, Stage] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    """Keys of both, in the order in which they ended: who watches looks at what is new."""

    skipped: dict[str, str] = field(default_factory=dict)
    """Key → key of the need that failed."""

    retried: list[tuple[str, str]] = field(default_factory=list)
    """Key and cause of every attempt whose worker died and that is made again."""

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
        self._ready: list[tuple[tuple[float, int, int], str]] = []
        self._alone: list[tuple[tuple[float, int, int], str]] = []
        for key, count in self._open_needs.items():
            if count == 0:
                self._push(key)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to hand out, now or later."""
        if self.closed:
            return True
        return len(self.done) + len(self.failed) + len(self.skipped) + len(self.running) == len(self.missing) and not (
            self.running
        )

    @property
    def left(self) -> int:
        """Stages neither done, failed nor skipped."""
        return len(self.missing) - len(self.done) - len(self.failed) - len(self.skipped)

    def take(self) -> Stage | None:
        """The next stage to run; None if none is ready now."""
        if self.closed:
            return None
        stage = self._pop(self._ready)
        if stage is None and not self.running and not self._ready:
            stage = self._pop(self._alone)
        if stage is not None:
            self.running[stage.key] = stage
        return stage

    def finish(self, key: str, *, published: bool) -> None:
        """Tells how a stage ended; what needs a failed one is skipped."""
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
        """Takes back a stage that was handed out and never begun; it can be had again."""
        self.running.pop(key, None)
        self._push(key)

    def _push(self, key: str) -> None:
        alone = self.missing[key].resources.exclusive
        heapq.heappush(self._alone if alone else self._ready, (self._rank[key], key))

    def _pop(self, heap: list[tuple[tuple[float, int, int], str]]) -> Stage | None:
        held = []
        found = None
        while heap and found is None:
            entry = heapq.heappop(heap)
            stage = self.missing[entry[1]]
            if self.is_published(stage):
                self.finish(stage.key, published=True)
            elif self.is_held(stage):
                held.append(entry)
            else:
                found = stage
        for entry in held:
            heapq.heappush(heap, entry)
        return found

    def _ranks(self) -> dict[str, tuple[float, int, int]]:
        """Smaller is sooner: length of the longest chain that hangs on it, then how many do, then the plan's order."""
        heights: dict[str, float] = {}
        for key in reversed(list(self.missing)):
            after = max((heights[dependent] for dependent in self._dependents[key]), default=0.0)
            seconds = self.expected.get(key)
            heights[key] = after + (1.0 if seconds is None else seconds)
        order = {key: place for place, key in enumerate(self.missing)}
        return {key: (-height, -len(self._dependents[key]), order[key]) for key, height in heights.items()}
