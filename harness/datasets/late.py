"""Objects that appear after the first frame: where each is seen first, from all masks of a video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.datasets.check import ImageFacts, Problem, mask_facts
from harness.datasets.layouts.described import Description
from harness.datasets.palette import VOID
from harness.datasets.sequence import Sequence
from harness.errors import DataError


def announce(
    description: Description, sequences: Iterable[Sequence], cache: Path | None = None
) -> list[Sequence | Problem]:
    """Return sequences with all their objects, or why one cannot be used, in the same order.

    If objects may appear late, every mask is decoded (`cache`: as in `check_sequences`), frames before the first object
    are dropped, and `starts` is set. Ids that a sequence has already were announced by a file: the masks must show
    exactly these. Raises StoreError for an unusable cache."""
    found = list(sequences)
    facts = mask_facts(found, cache) if description.late_objects else {}
    return [_announce(description, sequence, facts) for sequence in found]


def _announce(description: Description, sequence: Sequence, facts: Mapping[Path, ImageFacts]) -> Sequence | Problem:
    try:
        if description.late_objects:
            sequence = started(sequence, facts)
    except DataError as error:
        return Problem(severity="error", sequence=sequence.name, message=str(error))
    if description.unseen:
        category = "unseen" if sequence.name in description.unseen else "seen"
        sequence = replace(sequence, categories=(category,) * len(sequence.object_ids))
    return sequence


def started(sequence: Sequence, facts: Mapping[Path, ImageFacts]) -> Sequence:
    """Return a sequence from the first frame that shows an object, with its objects and the start of each.

    `facts`: what `mask_facts` returns. Raises DataError if no mask shows an object, if one is damaged, or if the ids
    that the sequence has already are not exactly those of the masks."""
    first: dict[int, int] = {}
    where: dict[int, Path] = {}
    for index in range(len(sequence)):
        for number, path in _shown(sequence, index, facts):
            if number not in first:
                first[number], where[number] = index, path
    files = sequence.mask_files
    if not first:
        raise DataError(f"{files[0]}: no object in this and {len(files) - 1} more masks; restore them from the dataset")
    if announced := sequence.object_ids:
        if missing := sorted({*announced} - first.keys()):
            raise DataError(
                f"{files[0].parent}: no mask shows object {missing[0]}, which the file of the objects names; restore "
                "the masks from the dataset, or remove the object from that file"
            )
        if extra := sorted(first.keys() - {*announced}):
            raise DataError(
                f"{where[extra[0]]}: object {extra[0]}, which the file of the objects lacks (it has "
                f"{', '.join(map(str, announced))}); download both again"
            )
    ids = tuple(sorted(first))
    begin = min(first.values())
    starts = tuple(first[number] - begin for number in ids)
    return replace(
        sequence,
        frames=sequence.frames[begin:],
        masks=sequence.masks[begin:],
        object_ids=ids,
        starts=starts if any(starts) else (),
    )


def _shown(sequence: Sequence, index: int, facts: Mapping[Path, ImageFacts]) -> list[tuple[int, Path]]:
    """Return the ids that the mask of a frame shows, each with its file. Raises DataError for a damaged file."""
    mask = sequence.masks[index]
    if mask is None:
        return []
    paths = [mask] if isinstance(mask, Path) else list(mask)
    for path in paths:
        if path is not None and facts[path].error:
            raise DataError(facts[path].error)
    if isinstance(mask, Path):
        return [(value, mask) for value in facts[mask].values if value not in {0, VOID}]
    return [(number, path) for number, path in enumerate(mask, start=1) if path is not None and any(facts[path].values)]
