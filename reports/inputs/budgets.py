"""What each variant was trained on and for how long, from the manifests of its training stages.

A comparison of methods means little if one of them saw other data or more samples. The numbers are those of the stages
that a cell's scores were made from, not those of a config."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.results import CellResult
from harness.store.manifest import Manifest
from reports.inputs.lineage import Lineage

TOLERANCE = 0.05
"""Largest difference of two numbers of samples, as a share, that is none worth a remark."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training stage."""

    network: str
    """Name of the trained network, from the stage's label."""

    data: str
    """Name of the training data, from the stage's label."""

    digest: str
    """Digest of that data."""

    steps: int
    samples: int
    """Steps times samples per step."""

    seconds: float
    backbone: str
    size: int
    """Side of the input, pixels."""

    weights: str
    """What the first training of the network started from; empty for a later one."""


@dataclass(frozen=True)
class Budget:
    """The trainings behind a cell."""

    trainings: tuple[Training, ...]

    @property
    def samples(self) -> Mapping[str, int]:
        """Network → samples of all its trainings."""
        networks = dict.fromkeys(training.network for training in self.trainings)
        return {name: sum(one.samples for one in self.trainings if one.network == name) for name in networks}

    def difference(self, other: Budget) -> str:
        """Return what makes a comparison with another budget unequal, as text; empty if nothing does.

        Several networks of a method are trained each by itself: what counts is the one with the most samples, and
        that each size of input on one side is on the other, or the other way round."""
        ours, theirs = self.samples, other.samples
        if not ours or not theirs:
            return "no training on one side" if ours or theirs else ""
        most, others = max(ours.values()), max(theirs.values())
        sizes, other_sizes = self._all("size"), other._all("size")
        found = [
            f"training {what}"
            for what, differs in (
                ("data", self._all("digest") != other._all("digest")),
                (f"samples ({most:,} and {others:,})", abs(most - others) > TOLERANCE * max(most, others)),
                ("backbones", self._all("backbone") != other._all("backbone")),
                ("weights", self._all("weights") != other._all("weights")),
                ("input sizes", not (sizes <= other_sizes or other_sizes <= sizes)),
            )
            if differs
        ]
        return ", ".join(found)

    def _all(self, name: str) -> set[Any]:
        return {getattr(training, name) for training in self.trainings} - {""}


class Budgets:
    """Budgets of cells, read once from the stores on this machine."""

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self._known: dict[str, Budget] = {}

    def of(self, cell: CellResult) -> Budget:
        """Return the budget of a cell; without trainings if there were none, or if their stages are not here."""
        if cell.score_folder not in self._known:
            stages = [stage for stage in self._lineage.trainings([cell]) if stage.name == "train"]
            trainings = (training for stage in stages if (training := _training(stage)))
            self._known[cell.score_folder] = Budget(tuple(trainings))
        return self._known[cell.score_folder]


def _training(stage: Manifest) -> Training | None:
    """Return what a training stage says of itself; None for one of another form."""
    config = stage.identity.config
    batch = config.get("training", {}).get("batch")
    network, _, rest = stage.label.removeprefix("train ").partition(", ")
    if not isinstance(batch, int) or not rest:
        return None
    with (stage.folder / "curves.csv").open(encoding="utf-8", newline="") as file:
        steps = max((int(row["step"]) for row in csv.DictReader(file) if row["name"] == "loss"), default=0)
    weights = str(config.get("weights", ""))
    digest = stage.identity.data.get("weights", "")[:8]
    return Training(
        network=network,
        data=rest.partition(" on ")[2].partition(" (")[0],
        digest=stage.identity.data.get("videos", ""),
        steps=steps,
        samples=steps * batch,
        seconds=stage.seconds or 0.0,
        backbone=", ".join(sorted({str(value) for value in _values(config, "backbone")})),
        size=max((int(value) for value in _values(config, "size")), default=0),
        weights="" if weights == "network" else f"{weights} {digest}".strip(),
    )


def _values(config: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Yield every value under that name, however deep."""
    for key, value in config.items():
        if key == name:
            yield value
        elif isinstance(value, Mapping):
            yield from _values(value, name)
