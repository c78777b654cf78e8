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
from threadpoolctl import threadpool_limits

from harness.results import CellResult
from reports.figures.canvas import COLORS, MARKERS, STYLES, Figure, panels
from reports.inputs import IDENTITIES, Lineage, Part, ReportError, describe

PHASES = ("before", "after")
"""States of the network that the vectors come from: before and after training."""

FILE = "identities.npz"

PREFERRED = "soapbox"
"""The paper's example; if the data lacks it, a video with the most objects is drawn."""

MIN_VECTORS = 5


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Identity vectors of one video by one network, in time order."""

    vectors: NDArray[np.float32]
    """n × channels."""

    objects: NDArray[np.int64]
    frames: NDArray[np.int64]


def identity_figure(part: Part, benchmark: str, lineage: Lineage) -> tuple[Figure | None, str]:
    """Return the figure of one benchmark's video, or the reason for its absence."""
    found = sorted(find_identities(part, benchmark, lineage).items())
    loaded = {name: {one: load(given[one]) for one in PHASES} for name, given in found if len(given) == len(PHASES)}
    if not loaded:
        return None, "no identity vectors of a network before and after training were recorded"
    enough = {name: given for name, given in loaded.items() if len(given["after"].vectors) >= MIN_VECTORS}
    if not enough:
        return None, "the videos with identity vectors are too short"
    name = max(enough, key=lambda one: (one == PREFERRED, len(set(enough[one]["after"].objects)), one))
    canvas, axes = panels(len(PHASES), "", "")
    for panel, phase in zip(axes, PHASES, strict=True):
        draw(panel, enough[name][phase], f"{phase} training")
    ids = sorted({int(one) for given in enough[name].values() for one in given.objects})
    handles = [
        Line2D([], [], linestyle="", marker=MARKERS[place % STYLES], color=_color(place), label=f"object {one}")
        for place, one in enumerate(ids)
    ]
    canvas.legend(handles=handles, loc="outside lower center", ncols=min(6, len(ids)), frameon=False, fontsize=8)
    return Figure(
        name=f"identities-{benchmark}{part.suffix}",
        title=f"t-SNE of the identity vectors of {name}, before and after training (figure 7)",
        caption="Each point is an object in a frame. Color and shape show the object, shade the frame, from pale "
        "(first) to full (last). Each panel has its own projection, so distances compare within a panel only. "
        f"{matching_text(loaded.values())}{describe(part, benchmark, masks=False)}",
        canvas=canvas,
    ), ""


def matching_text(videos: Iterable[Mapping[str, Identities]]) -> str:
    """Return how many vectors match their own object before and after training, as a sentence.

    Counted are the videos with several objects; the text is empty if there are none."""
    several = [given for given in videos if len(set(given["after"].objects)) > 1]
    if not several:
        return ""
    right = {phase: np.concatenate([matches_own_object(given[phase]) for given in several]) for phase in PHASES}
    if not all(map(len, right.values())):
        return ""
    before, after = (f"{100 * right[phase].mean():.0f} %" for phase in PHASES)
    objects = [len(set(given["after"].objects)) for given in several]
    later = [len(given["after"].objects) - count for given, count in zip(several, objects, strict=True)]
    chance = np.average([1 / count for count in objects], weights=later)
    return (
        f"Over {len(several)} {'videos' if len(several) > 1 else 'video'} with several objects, {before} of the later "
        f"vectors before training and {after} after training are closest to the first vector of their own object "
        f"({100 * chance:.0f} % by chance). "
    )


def matches_own_object(found: Identities) -> NDArray[np.bool_]:
    """Return, for each vector but the first of an object, whether its own object's first vector is the closest."""
    ids, first = np.unique(found.objects, return_index=True)  # vectors are in time order
    later = np.delete(np.arange(len(found.objects)), first)
    offsets = found.vectors[later, None].astype(np.float64) - found.vectors[None, first]
    return np.asarray(ids[np.square(offsets).sum(2).argmin(1)] == found.objects[later], np.bool_)


def find_identities(part: Part, benchmark: str, lineage: Lineage) -> Mapping[str, Mapping[str, Path]]:
    """Return sequence → `before` or `after` → file, of the first cell that has them.

    A cell's own analyses come first, then those of other studies in the same store."""
    for cell in part.select(benchmark):
        if cell.done and (found := _own_analyses(cell) or _in_store(cell, lineage)):
            return found
    return {}


def _own_analyses(cell: CellResult) -> Mapping[str, Mapping[str, Path]]:
    """Return the files of analyses named `identities/before/<sequence>` or `identities/after/<sequence>`."""
    found: dict[str, dict[str, Path]] = {}
    for name, folder in cell.analyses.items():
        kind, phase, sequence = (*name.split("/", 2), "", "")[:3]
        if kind == IDENTITIES and phase in PHASES and (Path(folder) / FILE).is_file():
            found.setdefault(sequence, {})[phase] = Path(folder) / FILE
    return found


def _in_store(cell: CellResult, lineage: Lineage) -> Mapping[str, Mapping[str, Path]]:
    """Return the files of stages that read a video segmented for the cell.

    After training, the network is the one that segmented it; before, one with the same config."""
    videos = {stage.identity.data.get("video"): (name, stage) for name, stage in lineage.videos(cell).items()}
    found: dict[str, dict[str, Path]] = {}
    for stage in lineage.identities(cell):
        identity = stage.identity
        name, segment = videos.get(identity.data.get("video"), ("", None))
        phase = str(identity.config.get("network"))
        if segment is not None and phase in PHASES:
            trained = set(identity.needs.values()) <= set(segment.identity.needs.values())
            if trained and identity.config.get("propagation") == segment.identity.config.get("propagation"):
                found.setdefault(name, {})[phase] = stage.folder / FILE
    return found


def load(path: Path) -> Identities:
    """Load identity vectors. Raises ReportError with the name of a file that holds something else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            vectors, objects, frames = (np.asarray(file[name]) for name in ("vectors", "objects", "frames"))
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{path}: cannot read identity vectors ({error}); run the study again") from None
    if vectors.ndim != 2 or not len(vectors) == len(objects) == len(frames):
        shapes = f"{vectors.shape}, {objects.shape}, {frames.shape}"
        raise ReportError(f"{path}: vectors, objects and frames of shapes {shapes}; expected n × c, n and n")
    return Identities(vectors=vectors.astype(np.float32), objects=objects, frames=frames)


def spread(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the seeded t-SNE in two dimensions; n × 2."""
    from sklearn.manifold import TSNE  # here, because it takes a second to load

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    with threadpool_limits(1):  # OpenMP, now loaded, would wait for its threads in each of 1,000 tiny steps
        return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors), np.float64)


def draw(axes: Axes, found: Identities, title: str) -> None:
    """Draw one panel."""
    points = spread(found.vectors)
    first, last = int(found.frames.min()), int(found.frames.max())
    for place, one in enumerate(sorted({int(one) for one in found.objects})):
        inside = found.objects == one
        share = (found.frames[inside] - first) / max(1, last - first)
        base = np.array(to_rgb(_color(place)))
        shades = 1 - (1 - base) * (0.25 + 0.75 * share[:, None])
        x, y = points[inside].T
        marker, edges = MARKERS[place % STYLES], [(*base, 0.6)]
        axes.scatter(x, y, c=shades, edgecolors=edges, marker=marker, s=16, linewidths=0.4)
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["bottom", "left"]].set_visible(False)


def _color(place: int) -> str:
    """Return the color of the object at that place; black, which shows shades least, comes last."""
    return COLORS[(place + 1) % STYLES]
