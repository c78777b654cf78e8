"""Time order of frames, from their names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError

_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """Names that differ in one number only: `frame7.left`, `frame10.left`."""

    names: Mapping[int, str]
    """Number → name, ascending."""

    before: str
    after: str
    """What all names have before and after the number."""

    width: int
    """Digits of the shortest number."""

    def name(self, number: int) -> str:
        """Return the name of a number, whether or not there is one."""
        return self.names.get(number) or f"{self.before}{number:0{self.width}d}{self.after}"


def numbering(names: Collection[str], origin: Path) -> Numbering | None:
    """Return how names found in `origin` are numbered; None if they differ in more than one number.

    Raises DataError if two names have one number, such as `1` and `01`."""
    names = sorted(names)
    split = [_DIGITS.split(name) for name in names]
    if not split or len(split[0]) < 3 or any(len(parts) != len(split[0]) for parts in split):
        return None
    differ = [place for place, column in enumerate(zip(*split, strict=True)) if len(set(column)) > 1]
    if len(differ) > 1 or (differ and differ[0] % 2 == 0):
        return None
    place = differ[0] if differ else len(split[0]) - 2
    found: dict[int, str] = {}
    for name, parts in zip(names, split, strict=True):
        if (number := int(parts[place])) in found:
            raise DataError(f"{origin}: {found[number]!r} and {name!r} have one number, one name per frame expected")
        found[number] = name
    return Numbering(
        names=dict(sorted(found.items())),
        before="".join(split[0][:place]),
        after="".join(split[0][place + 1 :]),
        width=min(len(parts[place]) for parts in split),
    )


def in_order(names: Collection[str], origin: Path) -> list[str]:
    """Return names of frames found in `origin` in time order: by their number, or as text if they have no common one.

    Raises DataError if two names have one number, or if text puts 10 before 9, so that the order is not certain."""
    if (numbers := numbering(names, origin)) is not None:
        return list(numbers.names.values())
    ordered = sorted(names)
    natural = sorted(ordered, key=_natural)
    for first, second in zip(ordered, natural, strict=True):
        if first != second:
            raise DataError(
                f"{origin}: {first!r} or {second!r} may come first: the names have numbers of unequal length, but no "
                "common prefix; pad the numbers with zeros"
            )
    return ordered


def in_listed_order(names: Collection[str], origin: Path) -> list[str]:
    """Return names from the list `origin` by their number, or as listed if they have no common one."""
    numbers = numbering(names, origin)
    return list(numbers.names.values()) if numbers is not None else list(names)


def _natural(name: str) -> list[str | int]:
    return [int(part) if place % 2 else part for place, part in enumerate(_DIGITS.split(name))]
