"""Masks of any method, handed in: scored, and recorded as a row of a study beside its own.

Such a row has the fingerprint of its benchmark's protocol and the kind of its data, as every other; its scale is
`SUBMITTED`, since nobody knows at what size the masks were made, so that it is never taken for a variant
of the study. It has no seed and no seconds a frame."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.datasets import Protocol, data_kind, load_benchmark, locate
from harness.errors import DataError, StoreError, StudyError
from harness.planning.study import study_name
from harness.results.rows import MASKS, NUMBERS, SUBMITTED, Row, plain
from harness.score import ScoringRules, SequenceScores, write_scores
from harness.tracking.sync import record_submitted

LONGEST = 60
"""Characters of a method's name."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What is known before anything is scored."""

    method: str
    study: str
    home: Path
    protocol: Protocol
    root: Path
    """The data root, under which a study finds the same dataset."""

    data_kind: str
    fingerprint: str


def announce(method: str, study: str, home: Path, protocol: Protocol, truth: Path) -> Submission:
    """Checks what would be recorded. `truth`: the folder of the masks inside the dataset as it is distributed.

    Raises StudyError for a name that cannot be used, DataError where the truth is not part of the dataset: without it,
    nobody can tell whether two rows may be compared."""
    method = method.strip()
    if not any(map(str.isalnum, method)) or not method.isprintable() or len(method) > LONGEST:
        raise StudyError(f"--method {method!r}: a name of at most {LONGEST} characters with a letter or digit expected")
    root = _data_root(protocol, truth)
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    return Submission(
        method=method,
        study=study_name(study),
        home=home,
        protocol=protocol,
        root=root,
        data_kind=locate(root, protocol).kind,
        fingerprint=protocol.fingerprint(load_benchmark(protocol, root), home / "facts.sqlite"),
    )


def hand_in(one: Submission, scores: Sequence[SequenceScores], rules: ScoringRules, prediction: Path) -> Row:
    """Keeps the scores and records the row, in the place of the method's former one; returns it.

    `prediction`: the folder of the masks. Raises StoreError where the home cannot be written."""
    masks = {score.name: str(prediction.absolute() / score.name) for score in scores}
    folder = one.home / SUBMITTED / one.study / plain(one.method) / f"{one.protocol.name}-{one.data_kind}"
    draft = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        total = write_scores(draft, scores, rules.averaging, alternative=rules.alternative)
        (draft / MASKS).write_text(json.dumps(masks, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}); give another --home") from None
    row: Row = {
        "study": one.study,
        "variant": one.method,
        "method": SUBMITTED,
        "method_label": one.method,
        "benchmark": one.protocol.name,
        "benchmark_title": one.protocol.title,
        "seed": 0,
        "scale": SUBMITTED,
        "data_kind": one.data_kind,
        "protocol": one.fingerprint,
        "status": "done",
        "reason": "",
        "left_out": "",
        "options": "{}",
        "sequences": len(scores),
        **dict.fromkeys(NUMBERS),
        **total,
        "hardware": "",
        "score_folder": str(folder),
        "masks": json.dumps(masks),
        "analyses": "{}",
        "data_root": str(one.root),
    }
    record_submitted(one.home, one.study, row, {"masks": str(prediction.absolute()), "masks_sha256": _digest(masks)})
    return row


def _data_root(protocol: Protocol, truth: Path) -> Path:
    """The folder above the dataset's where that is how the dataset is found, else the dataset's own; its marks decide
    whether the data is real."""
    dataset = truth.absolute().parent.parent
    try:
        if locate(dataset.parent, protocol).folder == dataset:
            return dataset.parent
        found = locate(dataset, protocol).folder
    except DataError:
        found = None
    if found != dataset:
        raise DataError(
            f"--record: {truth} is not part of {protocol.dataset.title} as distributed; give the Annotations/480p that "
            f"lies beside {protocol.marker}, so that the row can be compared with others"
        )
    if data_kind(dataset.parent) != "real":
        raise DataError(
            f"--record: {dataset.parent} holds data that is not real, but not under a name of the dataset's"
        )
    return dataset


def _digest(masks: Mapping[str, str]) -> str:
    """SHA-256 over names and contents of all the masks."""
    total = hashlib.sha256()
    for sequence, folder in sorted(masks.items()):
        for path in sorted(Path(folder).glob("*.png")):
            total.update(f"{sequence}/{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
