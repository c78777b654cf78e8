"""The manifest of a published stage: what it stands for, where it was computed, and which files it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from harness.files import read_json
from harness.stage import Identity

MANIFEST = "manifest.json"
"""Name of the file; a folder without it is not published."""

_NETWORKS = (".pt", ".pth")


class FileFacts(TypedDict):
    """What a manifest says about one file."""

    size: int
    """Bytes."""

    sha256: NotRequired[str]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A published stage, as its manifest.json describes it."""

    key: str
    label: str
    identity: Identity
    provenance: Mapping[str, Any]
    """How it was computed: revision, Python, libraries, hardware, cpus, gpus, started, seconds, attempts."""

    files: Mapping[str, FileFacts]
    """Path inside the folder → size and digest."""

    attempt: str = ""
    """Folder of the files at a URL; empty for a stage in a home."""

    folder: Path = Path()
    """Folder of the stage in a home; not written. Empty for a stage at a URL."""

    @property
    def name(self) -> str:
        """Name of the stage: `train`, `segment`, `score`."""
        return self.identity.name

    @property
    def seconds(self) -> float | None:
        """Wall-clock seconds of the successful attempt, if known."""
        return _number(self.provenance.get("seconds"))

    @property
    def span(self) -> tuple[float, float] | None:
        """Begin and end of the successful attempt in seconds since the epoch, if known."""
        started, seconds = _number(self.provenance.get("started")), self.seconds
        return None if started is None or seconds is None else (started, started + seconds)

    @property
    def revision(self) -> str:
        """Git revision that computed it, with `+changes` for uncommitted ones; empty if unknown."""
        return str(self.provenance.get("revision", ""))

    @property
    def hardware(self) -> str:
        """Hardware that it was computed on; empty if unknown."""
        return str(self.provenance.get("hardware", ""))

    @property
    def accepted(self) -> Mapping[str, Any]:
        """How it was taken over from earlier code, if it was: `keys` there, the latest first, `changes`, `revision`."""
        record = self.provenance.get("accepted")
        return record if isinstance(record, Mapping) else {}

    @property
    def networks(self) -> Mapping[str, FileFacts]:
        """Trained networks among the files."""
        return {file: facts for file, facts in self.files.items() if file.endswith(_NETWORKS)}

    @property
    def size(self) -> int:
        """Bytes of all its files together."""
        return sum(facts["size"] for facts in self.files.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the content of manifest.json."""
        content = {"key": self.key, "label": self.label, "identity": asdict(self.identity)}
        content |= {"provenance": dict(self.provenance), "files": dict(self.files)}
        return content | ({"attempt": self.attempt} if self.attempt else {})

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], folder: Path = Path()) -> Manifest:
        """Return the manifest with this content. Raises KeyError, TypeError, ValueError or AttributeError."""
        return cls(
            key=content["key"],
            label=str(content.get("label", "")),
            identity=Identity.from_dict(content["identity"]),
            provenance=dict(content.get("provenance", {})),
            files=dict(content["files"]),
            attempt=str(content.get("attempt", "")),
            folder=folder,
        )


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest in the folder of a stage; None if there is none, or it is of another key."""
    content = read_json(folder / MANIFEST)
    try:
        manifest = None if content is None else Manifest.from_dict(content, folder)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return manifest if manifest is not None and manifest.key == folder.name else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
