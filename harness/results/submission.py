"""Submitted masks: masks of any method that someone else made, scored here and compared with a study's results.

The result has the protocol's fingerprint and the data kind like every other. It has no scale, since nobody knows the
size of the networks that made the masks, no seed and no seconds per frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.datasets import Protocol, data_kind, predicted_masks
from harness.errors import DataError, StoreError, StudyError
from harness.files import atomic_folder, read_json, sha256_of_files, write_json
from harness.planning.study import study_name
from harness.results.cell import CellResult, normalized
from harness.score import SequenceScores, write_scores
from harness.score.folders import Truth
from harness.store.manifest import read_manifest

LONGEST = 60
"""Characters of a method's name."""

MASKS = "masks.json"
"""Name of the file in the score folder that says where the masks are: sequence → folder, relative inside a home."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Submitted masks, checked before anything is scored."""

    method: str
    study: str
    home: Path
    protocol: Protocol
    root: Path
    """The data root, under which a study finds the same dataset."""

    data_kind: str
    extent: str
    """How the data differs from the published benchmark; empty if it does not."""

    fingerprint: str


def check_submission(method: str, study: str, home: Path, truth: Truth) -> Submission:
    """Return the submission that would be recorded.

    Raises StudyError for an unusable name, DataError if the truth is not that of a dataset as distributed: without it,
    nobody can say which results are comparable."""
    method = method.strip()
    if not any(map(str.isalnum, method)) or not method.isprintable() or len(method) > LONGEST:
        raise StudyError(f"--method {method!r}: a name of at most {LONGEST} characters with a letter or digit expected")
    protocol, located = truth.protocol, truth.located
    if located is None:
        raise DataError(
            f"--record: {truth.folder} is not the truth of {protocol.dataset.title} as distributed; give "
            f"the folder that has {protocol.marker}, so that the result can be compared with others"
            + (f"; {truth.defect}" if truth.defect else "")
        )
    if located.kind == "real" and data_kind(located.folder.parent) != "real":
        raise DataError(
            f"--record: {located.folder.parent} holds data that is not real, but not under a name of the dataset's"
        )
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    return Submission(
        method=method,
        study=study_name(study),
        home=home,
        protocol=protocol,
        root=located.root,
        data_kind=located.kind,
        extent=truth.extent,
        fingerprint=protocol.fingerprint(truth.sequences.values(), home / "facts.sqlite"),
    )


def save_scores(submission: Submission, scores: Sequence[SequenceScores], prediction: Path) -> CellResult:
    """Write the score files of a submission in place of former ones of its method; return the result, not yet recorded.

    `prediction`: the folder of the masks. Raises StoreError if the home cannot be written."""
    masks = {score.name: str(prediction.absolute() / score.name) for score in scores}
    name, protocol = normalized(submission.method), submission.protocol
    folder = submission.home / "submitted" / submission.study / name / f"{protocol.name}-{submission.data_kind}"
    try:
        with atomic_folder(folder) as draft:
            values = write_scores(
                draft, scores, protocol.averaging, protocol.measures, alternative=protocol.alternative
            )
            write_json(draft / MASKS, {name: _relative(path, folder) for name, path in masks.items()}, indent=1)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}); give another --home") from None
    return CellResult(
        study=submission.study,
        variant=name,
        method=submission.method,
        method_label=submission.method,
        benchmark=protocol.name,
        benchmark_title=protocol.title,
        origin="submitted",
        data_kind=submission.data_kind,
        protocol=submission.fingerprint,
        status="done",
        sequences=len(scores),
        extent=submission.extent,
        measures=protocol.measures,
        values=values,
        score_folder=str(folder),
        masks=masks,
        data_root=str(submission.root),
    )


def masks_digest(result: CellResult) -> str:
    """Return the SHA-256 over the names and contents of all masks of a result."""
    files: dict[str, Path] = {}
    for sequence, folder in sorted(result.masks.items()):
        for mask in predicted_masks(Path(folder)).values():
            paths = [mask] if isinstance(mask, Path) else mask.values()
            files |= {f"{sequence}/{path.relative_to(folder).as_posix()}": path for path in paths}
    return sha256_of_files(dict(sorted(files.items())))


def find_masks(folder: Path) -> dict[str, str]:
    """Return sequence → folder of the masks that were scored into a score folder; empty if there is no such score."""
    if (submitted := read_json(folder / MASKS)) is not None:
        return {sequence: os.path.normpath(folder / path) for sequence, path in submitted.items()}
    manifest = read_manifest(folder)
    store = folder.parent.parent
    needs = manifest.identity.needs if manifest else {}
    return {sequence: str(store / "segment" / key / "masks") for sequence, key in needs.items()}


def _relative(masks: str, folder: Path) -> str:
    """Return the path of masks from a score folder if both are in one home, so that it holds after a move."""
    home = folder.parents[3]
    return os.path.relpath(masks, folder) if home in Path(masks).parents else masks
