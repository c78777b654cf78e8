"""Figure 7: the identity vectors of a video by t-SNE, before and after training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from reports.figures.canvas import COLOURS, MARKERS, STYLES, Figure, panels
from reports.inputs.captions import describe
from reports.inputs.cells import Part, ReportError, Row
from reports.inputs.lineage import IDENTITIES, Lineage

PHASES = ("before", "after")
"""The networks that a stage of identity vectors may be of, as its config says: before and after training."""

FILE = "identities.npz"
"""What such a stage writes."""

PREFERRED = "soapbox"
"""The paper's example; where the data at hand lacks it, a video with the most objects is drawn."""

FEWEST = 5
"""Vectors below which there is nothing to spread out."""


@dataclass(frozen=True, kw_only=True)
class Identities:
    """The vectors of one video by one network."""

    vectors: NDArray[np.float32]
    """n × channels."""

    objects: NDArray[np.int64]
    frames: NDArray[np.int64]


def identity_figure(part: Part, benchmark: str, lineage: Lineage, suffix: str = "") -> tuple[Figure | None, str]:
    """The figure of one benchmark's video, or why there is none."""
    found = find_identities(part, benchmark, lineage)
    both = {name: given for name, given in found.items() if set(PHASES) <= given.keys()}
    if not both:
        return None, "no identity vectors of a network before and after training were recorded"
    loaded = {name: {phase: load(given[phase]) for phase in PHASES} for name, given in sorted(both.items())}
    enough = {name: given for name, given in loaded.items() if len(given["after"].vectors) >= FEWEST}
    if not enough:
        return None, "the videos with identity vectors are too short"
    name = max(enough, key=lambda one: (one == PREFERRED, len(set(enough[one]["after"].objects)), one))
    canvas, axes = panels(len(PHASES), "", "")
    for panel, phase in zip(axes, PHASES, strict=True):
        draw(panel, enough[name][phase], f"{phase} training")
    ids = sorted({int(one) for given in enough[name].values() for one in given.objects})
    handles = [
        Line2D([], [], linestyle="", marker=MARKERS[place % STYLES], color=colour(place), label=f"object {one}")
        for place, one in enumerate(ids)
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=min(6, len(ids)), frameon=False, fontsize=8)
    return Figure(
        name=f"identities-{benchmark}{suffix}",
        title=f"t-SNE of the identity vectors of {name}, before and after training (figure 7)",
        caption="A point is an object in a frame: its colour and shape the object, its shade the frame, from pale "
        f"(first) to full (last); each panel is spread out by itself, so that only what lies together compares. "
        f"{told_apart_words(loaded.values())}"
        f"{describe(part, benchmark, masks=False)}",
        canvas=canvas,
    ), ""


def told_apart_words(videos: Iterable[Mapping[str, Identities]]) -> str:
    """How many vectors are nearest to that of their own object in the first frame, over the videos of several objects,
    before and after training; empty if there are none."""
    several = [given for given in videos if len(set(given["after"].objects)) > 1]
    if not several:
        return ""
    right = {phase: np.concatenate([told_apart(given[phase]) for given in several]) for phase in PHASES}
    if not all(map(len, right.values())):
        return ""
    before, after = (f"{100 * right[phase].mean():.0f} %" for phase in PHASES)
    objects = [len(set(given["after"].objects)) for given in several]
    later = [len(given["after"].objects) - count for given, count in zip(several, objects, strict=True)]
    chance = np.average([1 / count for count in objects], weights=later)
    return (
        f"Over {len(several)} {'videos' if len(several) > 1 else 'video'} of several objects, {before} of the later "
        f"vectors before training and {after} after it are nearest to the first vector of their own object "
        f"({100 * chance:.0f} % by chance). "
    )


def told_apart(found: Identities) -> NDArray[np.bool_]:
    """For each vector but an object's first: whether that of its own object is the nearest of all first ones."""
    ids, first = np.unique(found.objects, return_index=True)  # vectors are in time order
    later = np.delete(np.arange(len(found.objects)), first)
    apart = found.vectors[later, None].astype(np.float64) - found.vectors[None, first]
    return np.asarray(ids[np.square(apart).sum(2).argmin(1)] == found.objects[later], np.bool_)


def find_identities(part: Part, benchmark: str, lineage: Lineage) -> Mapping[str, Mapping[str, Path]]:
    """Sequence → `before` or `after` → file, of the first cell that has them: those that it asked for, else those of
    another study in the same store."""
    for row in part.rows:
        if row.benchmark == benchmark and row.done:
            found = _asked_for(row) or _in_the_store(row, lineage)
            if found:
                return found
    return {}


def _asked_for(row: Row) -> Mapping[str, Mapping[str, Path]]:
    """From analyses called `identities/before/<sequence>` or `identities/after/<sequence>`."""
    found: dict[str, dict[str, Path]] = {}
    for name, folder in row.analyses.items():
        kind, phase, sequence = (*name.split("/", 2), "", "")[:3]
        if kind == IDENTITIES and phase in PHASES and (Path(folder) / FILE).is_file():
            found.setdefault(sequence, {})[phase] = Path(folder) / FILE
    return found


def _in_the_store(row: Row, lineage: Lineage) -> Mapping[str, Mapping[str, Path]]:
    """A stage belongs to a cell if it read a video that was segmented for it: after training by the network that
    segmented it, before by one of its kind."""
    videos = {made.data.get("video"): (name, made) for name, made in lineage.videos(row).items()}
    found: dict[str, dict[str, Path]] = {}
    for made in lineage.identities(row):
        name, segment = videos.get(made.data.get("video"), ("", None))
        phase = str(made.config.get("network"))
        trained = segment is not None and set(made.needs.values()) <= set(segment.needs.values())
        alike = segment is not None and made.config.get("propagation") == segment.config.get("propagation")
        if phase in PHASES and trained and alike:
            found.setdefault(name, {})[phase] = made.folder / FILE
    return found


def load(path: Path) -> Identities:
    """Raises ReportError naming a file that holds something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            vectors, objects, frames = (np.asarray(file[name]) for name in ("vectors", "objects", "frames"))
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{path}: no identity vectors can be read from it ({error}); run the study again") from None
    if vectors.ndim != 2 or not len(vectors) == len(objects) == len(frames):
        shapes = f"{vectors.shape}, {objects.shape}, {frames.shape}"
        raise ReportError(f"{path}: vectors, objects and frames of shapes {shapes}; n × c, n and n expected")
    return Identities(vectors=vectors.astype(np.float32), objects=objects, frames=frames)


def spread(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """t-SNE in two dimensions, seeded; n × 2."""
    from sklearn.manifold import TSNE  # here, because it takes a second to load

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors), np.float64)


def draw(axes: Axes, found: Identities, title: str) -> None:
    """One panel."""
    points = spread(found.vectors)
    first, last = int(found.frames.min()), int(found.frames.max())
    for place, one in enumerate(sorted({int(one) for one in found.objects})):
        inside = found.objects == one
        share = (found.frames[inside] - first) / max(1, last - first)
        base = np.array(to_rgb(colour(place)))
        shades = 1 - (1 - base) * (0.25 + 0.75 * share[:, None])
        marker = MARKERS[place % STYLES]
        edges = [(*base, 0.6)]
        axes.scatter(
            points[inside, 0], points[inside, 1], c=shades, edgecolors=edges, marker=marker, s=16, linewidths=0.4
        )
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["bottom", "left"]].set_visible(False)


def colour(place: int) -> str:
    """Of the object at that place; black, in which shades show least, comes last."""
    return COLOURS[(place + 1) % STYLES]
