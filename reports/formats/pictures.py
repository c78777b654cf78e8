"""Figures and contact sheets that the pages show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.figures import Figure


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures of a report; their files lie in its folder."""

    lead: Figure | None
    """Figure at the top of the page; one of the others."""

    strip: Mapping[str, str]
    """Label → path of a row of frames at the top of the page; empty without masks."""

    about_strip: str
    """Caption of the strip."""

    figures: Sequence[Figure]
    speed_figures: Sequence[Figure]
    """Figures of measured seconds, which differ from run to run."""

    sheets: Mapping[str, str]
    """Title → path of a contact sheet in the report's folder."""

    highlights: Mapping[str, str]
    """Title → path of the sheets of the worst, the middle and the best sequences."""

    missing_figures: Mapping[str, str]
    """Title → reason, as in the next one."""

    missing_sheets: Mapping[str, str]

    viewer: str = ""
    """Path of the page that compares two variants; empty if there is none."""
