"""What the two sides of a comparison are called on the command line: `[HOME::][STUDY:]CELL[@SCALE]`, `paper:METHOD`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import StudyError

PAPER = "paper:"
"""Begins the name of a published number."""

_SEEDS = "a seed is a whole number"


@dataclass(frozen=True, kw_only=True)
class Name:
    """One side as it was given. What is empty or None is taken from the other side."""

    text: str
    home: Path
    word: str = ""
    """The name of a study or of a variant; which of them, only the home knows."""

    study: str = ""
    variant: str = ""
    benchmark: str = ""
    seed: int | None = None
    scale: str = ""
    data_kind: str = ""
    paper: bool = False
    """Whether it is a published number; `word` is its method or key then."""

    def completed(self, other: Name) -> Name:
        """Return it with what the other side says where it says nothing, except for home and study."""
        return replace(
            self,
            variant=self.variant or other.variant,
            benchmark=self.benchmark or other.benchmark,
            seed=other.seed if self.seed is None else self.seed,
            scale=self.scale or other.scale,
            data_kind=self.data_kind or (other.data_kind if not self.scale else ""),
        )


def parse(text: str, home: Path) -> Name:
    """Return the parts of a name; `home`: the home of a name without one. Raises StudyError."""
    if text.startswith(PAPER) and "::" not in text:
        return Name(text=text, home=home, word=text.removeprefix(PAPER), paper=True)
    place, in_home, rest = text.rpartition("::")
    rest, _, size = rest.partition("@")
    scale, _, data_kind = size.partition("/")
    study, colon, cell = rest.rpartition(":")
    name = Name(text=text, home=Path(place) if in_home else home, study=study, scale=scale, data_kind=data_kind)
    if in_home and not place:
        raise StudyError(f"{text}: no home before `::`; a folder expected, as in runs::{rest or 'ablation'}")
    if not colon and (cell.endswith((".yaml", ".yml")) or "/" not in cell):
        return replace(name, word=cell)
    variant, _, more = cell.partition("/")
    benchmark, _, seed = more.partition("/")
    if seed and not seed.isdecimal():
        raise StudyError(f"{text}: seed {seed!r}; variant/benchmark/seed expected, where {_SEEDS}")
    return replace(name, variant=variant, benchmark=benchmark, seed=int(seed) if seed else None)
