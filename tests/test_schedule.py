"""Stages on Ray: needs first, deaths retried, failures recorded."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ResourceError
from harness.execution.cluster import check_resources, local_ray, ray_folder
from harness.execution.queue import ReadyQueue
from harness.execution.tune import RETRIES, _graceful_interrupt, run_stages
from harness.stage import Resources, Stage
from harness.store.local import Failure, Store
from tests.engine import runs, toy


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.txt"


def chain(log: Path, *tags: str) -> list[Stage]:
    stages: list[Stage] = []
    for tag in tags:
        stages.append(toy(log, tag, {"before": stages[-1]} if stages else {}))
    return stages


def queue(*stages: Stage) -> ReadyQueue:
    return ReadyQueue(missing={stage.key: stage for stage in stages}, expected={})


@dataclass(frozen=True)
class Outcome:
    """One eventful run, looked at by many tests: two chains, a failure, two workers that die, one that is alone."""

    store: Store
    runs: list[str]
    stages: dict[str, Stage]
    queue: ReadyQueue
    interrupted: ReadyQueue
    """Outcome of a second run of i1 … i9 that got a SIGINT while one of them was running."""

    def tags(self, keys: Iterable[str]) -> set[str]:
        names = {stage.key: tag for tag, stage in self.stages.items()}
        return {names[key] for key in keys}

    def provenance(self, tag: str) -> dict[str, float]:
        manifest = self.store.manifest("toy", self.stages[tag].key)
        assert manifest is not None
        return dict(manifest.provenance)

    def failure(self, tag: str) -> Failure:
        failure = self.store.failure(self.stages[tag].key)
        assert failure is not None
        return failure


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("run")
    log, store = folder / "log.txt", Store(folder / "home")
    a1, a2, a3 = chain(log, "a1", "a2", "a3")
    b1, b2 = chain(log, "b1", "b2")
    bad = toy(log, "bad", fails=True)
    after = toy(log, "after", {"bad": bad})
    last = toy(log, "last", {"after": after})
    alone = toy(log, "alone", resources=Resources(exclusive=True))
    stages = [alone, a1, a2, a3, b1, b2, bad, after, last, toy(log, "killed", deaths=1)]
    stages += [
        toy(log, "doomed", deaths=99, crash="segfault", prints="before"),
        toy(log, "hang", deaths=1, crash="hang", resources=Resources(time_limit=1.0)),
        toy(log, "memory", crash="memory"),
        toy(log, "disk", crash="disk"),
    ]
    with local_ray(cpus=2, gpus=0):
        queue = run_stages(stages, store, cpus=2)
        slow = [toy(log, f"i{number}", seconds=0.5) for number in range(1, 10)]
        interrupted = run_stages(slow, store, cpus=2, watch=_interrupt_once(log))
    by_tag = {stage.config.tag: stage for stage in (*stages, *slow)}  # type: ignore[attr-defined]
    return Outcome(store, runs(log), by_tag, queue, interrupted)


def _interrupt_once(log: Path) -> Callable[[ReadyQueue], None]:
    def watch(queue: ReadyQueue) -> None:
        if not queue.closed and any(tag[0] == "i" for tag in runs(log)):
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_stages_run_after_what_they_need_each_once(outcome: Outcome) -> None:
    assert [tag for tag in outcome.runs if tag[0] == "a" and tag != "alone"] == ["a1", "a2", "a3"]
    assert [tag for tag in outcome.runs if tag in ("b1", "b2")] == ["b1", "b2"]
    folder = outcome.store.folder("toy", outcome.stages["a2"].key)
    assert (folder / "done.txt").read_text() == "a2 after ['before']"


def test_a_failed_stage_stops_what_needs_it_and_nothing_else(outcome: Outcome) -> None:
    assert outcome.tags(outcome.queue.skipped) == {"after", "last"}
    assert set(outcome.queue.skipped.values()) == {outcome.stages["bad"].key}
    assert outcome.tags(outcome.queue.failed) == {"bad", "doomed", "memory", "disk"}
    assert outcome.tags(outcome.queue.done) == {"a1", "a2", "a3", "b1", "b2", "killed", "hang", "alone"}


def test_what_a_stage_raises_is_kept_and_not_tried_again(outcome: Outcome) -> None:
    assert outcome.failure("bad").error == "ValueError: bad was configured to fail"
    assert outcome.runs.count("bad") == 1


def test_a_worker_killed_with_sigkill_is_retried(outcome: Outcome) -> None:
    assert outcome.runs.count("killed") == 2
    assert outcome.provenance("killed")["attempts"] == 2


def test_retries_are_bounded_and_the_death_is_recorded(outcome: Outcome) -> None:
    assert outcome.runs.count("doomed") == RETRIES + 1
    assert "died" in outcome.failure("doomed").error


def test_every_retry_is_reported_with_its_cause(outcome: Outcome) -> None:
    tried = [(outcome.tags([key]).pop(), cause) for key, cause in outcome.queue.retried]
    counts = Counter(tag for tag, _ in tried)
    assert counts == {"killed": 1, "doomed": RETRIES, "hang": 1}
    assert dict(tried)["doomed"] == "crashed (Segmentation fault)"


def test_a_stage_that_hangs_in_c_is_killed_after_its_time_limit(outcome: Outcome) -> None:
    causes = {outcome.tags([key]).pop(): cause for key, cause in outcome.queue.retried}
    assert causes["hang"] == "killed, as it took longer than its time limit of 1 s"
    assert outcome.provenance("hang")["attempts"] == 2


def test_a_crash_in_c_is_named_with_the_log_and_the_place(outcome: Outcome) -> None:
    failure = outcome.failure("doomed")
    assert failure.error.endswith("crashed (Segmentation fault)")
    assert failure.attempts == RETRIES + 1
    assert "before" in failure.log
    assert "run_toy" in failure.log


def test_out_of_memory_is_kept_as_what_python_calls_it(outcome: Outcome) -> None:
    assert outcome.failure("memory").error.startswith("MemoryError")
    assert outcome.runs.count("memory") == 1


def test_a_full_disk_is_named_and_nothing_half_is_published(outcome: Outcome) -> None:
    assert "the disk is full" in outcome.failure("disk").error
    assert not outcome.store.folder("toy", outcome.stages["disk"].key).exists()


def test_an_exclusive_stage_runs_when_nothing_else_does(outcome: Outcome) -> None:
    others = [outcome.provenance(tag) for tag in outcome.tags(outcome.queue.done) - {"alone"}]
    assert [tag for tag in outcome.runs if tag[0] != "i"][-1] == "alone"
    assert max(one["started"] + one["seconds"] for one in others) <= outcome.provenance("alone")["started"]


def test_after_an_interrupt_running_stages_finish_and_no_more_start(outcome: Outcome) -> None:
    begun = {tag for tag in outcome.runs if tag[0] == "i"}
    assert outcome.interrupted.closed
    assert 1 <= len(begun) <= 3  # two at once, one perhaps on its way; those that Tune had queued are not begun
    assert outcome.tags(outcome.interrupted.done) == begun
    assert not outcome.interrupted.running


def test_a_worker_that_ray_kills_for_memory_is_reported_so(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")  # as if the machine's memory were full
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "50")
    store, hungry = Store(tmp_path / "home"), toy(log, "hungry", seconds=60)
    with local_ray(cpus=1, gpus=0):
        queue = run_stages([hungry], store, cpus=1)
    assert queue.failed == {hungry.key}
    failure = store.failure(hungry.key)
    assert failure is not None
    assert failure.error == f"the worker process died {RETRIES + 1} times: out of memory, killed by Ray"


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_DFL, signal.SIG_IGN])
def test_the_first_sigint_closes_the_queue_and_the_second_interrupts(log: Path, tmp_path: Path, before: Any) -> None:
    found = signal.signal(signal.SIGINT, before)
    taken = queue(toy(log, "a"))
    try:
        with pytest.raises(KeyboardInterrupt), _graceful_interrupt(taken, tmp_path / "stop"):
            signal.raise_signal(signal.SIGINT)
            assert taken.closed
            assert (tmp_path / "stop").exists()
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == before
    finally:
        signal.signal(signal.SIGINT, found)


def test_the_longest_chain_is_taken_first(log: Path) -> None:
    long, short = chain(log, "l1", "l2", "l3"), chain(log, "s1", "s2")
    taken = queue(*short, *long)
    assert [taken.take(), taken.take(), taken.take()] == [long[0], short[0], None]


def test_expected_seconds_weigh_more_than_the_length_of_a_chain(log: Path) -> None:
    slow, quick = toy(log, "slow"), chain(log, "q1", "q2")
    taken = ReadyQueue(missing={s.key: s for s in [*quick, slow]}, expected={slow.key: 60.0})
    assert taken.take() is slow


def test_a_stage_that_another_run_holds_waits_until_it_is_published(log: Path) -> None:
    held = toy(log, "held")
    state = {"held": True, "published": False}
    taken = ReadyQueue(
        missing={held.key: held},
        expected={},
        is_published=lambda stage: state["published"],
        is_taken=lambda stage: state["held"],
    )
    assert taken.take() is None
    assert not taken.finished
    state.update(held=False, published=True)
    assert taken.take() is None
    assert taken.finished
    assert taken.done == {held.key}


def test_nothing_is_taken_from_a_closed_queue(log: Path) -> None:
    taken = queue(*chain(log, "a"), *chain(log, "b"))
    assert taken.take() is not None
    taken.closed = True
    assert taken.take() is None
    assert taken.finished


def test_more_gpus_than_there_are_is_an_error_before_anything_runs(log: Path) -> None:
    with pytest.raises(ResourceError, match="asks for 2 GPUs, and there are 1"):
        check_resources([toy(log, "big", resources=Resources(gpus=2))], gpus=1)


def test_more_memory_than_there_is_is_an_error_too(log: Path) -> None:
    with pytest.raises(ResourceError, match=r"0 GPUs and 64 GB of memory, and there are 0 and 8.0 GB"):
        check_resources([toy(log, "big", resources=Resources(memory=64e9))], gpus=0, memory=8e9)


def test_the_folder_of_ray_leaves_room_for_the_names_of_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    assert len(str(ray_folder())) <= 107 - len("/session_2026-11-23_12-31-58_123456_1234567/sockets/plasma_store")
