"""The result of one cell of a study: variant × benchmark × seed, or the submitted masks of a method on a benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from harness.datasets.protocol import DAVIS
from harness.errors import StoreError
from harness.score import MEASURES, headlines

Origin = Literal["measured", "submitted"]
"""`measured`: the harness ran the method. `submitted`: it scored masks that someone else made, at an unknown scale."""

WHOLE_PROCESS = "whole process"
"""Words after the hardware where the seconds are those of a whole process: with its start and loading its network."""

Status = Literal["done", "failed", "waiting", "skipped", "not scored"]
"""`skipped`: the available data does not allow the cell. `not scored`: segmented, but the truth is not public."""


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """One cell of a study with everything that tables say about it."""

    study: str
    variant: str
    """Name of the variant; for submitted masks the method's name as `normalized` spells it."""

    method: str
    method_label: str
    """Name of the method for tables."""

    benchmark: str
    benchmark_title: str
    seed: int = 0
    """Always 0 for submitted masks."""

    origin: Origin = "measured"
    scale: str = ""
    """Name of the scale; empty for submitted masks, whose size nobody knows."""

    data_kind: str
    """`embedded`, `derived` or `real`."""

    protocol: str = ""
    """Fingerprint of the protocol and its truth; empty if the benchmark's data is missing."""

    status: Status
    reason: str = ""
    """Why the status is not `done`, or what a done cell still lacks; empty if nothing."""

    omitted: tuple[str, ...] = ()
    """Training stages that the cell goes without, as text."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """The variant's options as the study gives them, nested."""

    sequences: int = 0
    extent: str = ""
    """How the data differs from the published benchmark, such as `2 of 20 sequences`; empty if it does not. Its numbers
    are then not the benchmark's, and stand next to no published ones."""

    measures: tuple[str, ...] = ()
    """Names of the measures that the benchmark reports, the most important one first; empty for those of DAVIS."""

    values: Mapping[str, float] = field(default_factory=dict)
    """Measure → value, for those of `harness.score.MEASURES` that are known."""

    seconds_per_frame: float | None = None
    timed_objects: int | None = None
    """Objects in the video that was timed."""

    hardware: str = ""
    """Hardware on which the seconds were measured, with WHOLE_PROCESS if they are a process's; empty if they were not.

    Seconds of different hardware are not compared, and neither are those of a process and of frames alone."""

    score_folder: str = ""
    """Folder of the score files; empty if there is no score."""

    masks: Mapping[str, str] = field(default_factory=dict)
    """Sequence → folder of its masks on this machine."""

    analyses: Mapping[str, str] = field(default_factory=dict)
    """Name → folder of a finished analysis on this machine."""

    data_root: str = ""

    @property
    def title(self) -> str:
        """The benchmark's title, with the extent of the data if that is not the published one."""
        return f"{self.benchmark_title} ({self.extent})" if self.extent else self.benchmark_title

    @property
    def submitted(self) -> bool:
        """Whether it was scored from masks that the harness did not make."""
        return self.origin == "submitted"

    @property
    def timed_as_process(self) -> bool:
        """Whether the seconds per frame are those of a whole process."""
        return self.hardware.endswith(f"({WHOLE_PROCESS})")

    @property
    def done(self) -> bool:
        """Whether it has a score."""
        return self.status == "done"

    @property
    def filled(self) -> bool:
        """Whether it has its score, its seconds if the method is timed, and the analyses that the variant asks for."""
        return self.done and not self.reason

    @property
    def planned(self) -> bool:
        """Whether it is to be filled: the data allows it, and its benchmark is scored or still to be segmented."""
        return self.status not in {"skipped", "not scored"}

    @property
    def cell(self) -> str:
        """Name of the cell in the plan: `full/davis16-val/0`."""
        return f"{self.variant}/{self.benchmark}/{self.seed}"

    @property
    def id(self) -> str:
        """Unique in the study."""
        return f"{self.scale or self.origin}/{self.data_kind}/{self.cell}"

    @property
    def group(self) -> tuple[str, str, str]:
        """Origin, scale and data kind: measured results of one group are saved together and replaced together."""
        return self.origin, self.scale, self.data_kind

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a value that JSON can hold."""
        return {**asdict(self), "omitted": list(self.omitted), "measures": list(self.measures)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> CellResult:
        """Return the result that `to_dict` wrote, perhaps before there were `measures`.

        Raises StoreError if fields are missing or unknown."""
        document = {"measures": [], **document}
        known = {one.name for one in fields(cls)}
        if wrong := sorted(known ^ document.keys()):
            raise StoreError(f"not a cell result of this version: {', '.join(wrong)} missing or unknown")
        return cls(**{**document, "omitted": tuple(document["omitted"]), "measures": tuple(document["measures"])})


def shown_measures(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of a benchmark's measures that tables with few columns show, the most important one first.

    `names`: as in `CellResult.measures`; those that this version does not know are left out."""
    return headlines(name for name in tuple(names) or DAVIS if name in MEASURES)


def normalized(method: str) -> str:
    """Return a method's name without case and punctuation: `OSVOS-S` → `osvoss`, `DIPNet*` → `dipnet*`."""
    return "".join(character for character in method.casefold() if character.isalnum() or character == "*")
