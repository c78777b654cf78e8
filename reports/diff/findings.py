"""What a comparison finds: a difference, or something that nobody can know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Topic = Literal[
    "data", "videos", "objects", "frames", "protocol", "seeds", "method", "options", "training", "code", "libraries",
    "hardware",
]  # fmt: skip

TOPICS: dict[Topic, str] = {
    "data": "data",
    "videos": "videos",
    "objects": "objects",
    "frames": "frames scored",
    "protocol": "protocol and truth",
    "seeds": "seeds",
    "method": "method and scale",
    "options": "options",
    "training": "training",
    "code": "code",
    "libraries": "libraries",
    "hardware": "hardware",
}
"""Topic → its title, in the order of likely effect on a score: what is counted comes before how it was computed."""

COUNTING: tuple[Topic, ...] = ("data", "videos", "objects", "frames", "protocol")
"""Topics that decide what a number is the mean of."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One difference, or one thing that is not known."""

    topic: Topic
    text: str
    """A phrase that stands alone."""

    first: Any = None
    second: Any = None
    """The two values, if there are two."""


_SIZES = ("backbone", "size", "weights", "iterations", "epochs", "steps", "batch", "learning_rate")
"""Ends of the names of options that usually matter most, in this order."""


def option_rank(option: str) -> tuple[int, str]:
    """Return a sorting key that puts the size of networks and trainings before details."""
    last = option.rpartition(".")[2]
    return next((place for place, end in enumerate(_SIZES) if last.endswith(end)), len(_SIZES)), option


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of likely effect; those of one topic keep theirs."""
    places = {topic: place for place, topic in enumerate(TOPICS)}
    return tuple(sorted(findings, key=lambda one: places[one.topic]))


def listed(names: Iterable[str], most: int = 4) -> str:
    """Return names with commas, the first few of many."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def counted(number: int, noun: str) -> str:
    """Return `1 video` or `2 videos`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
