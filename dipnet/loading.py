"""Trained networks loaded from the folders of their stages, ready to segment any video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dipnet.config import DIPNetConfig, InferenceOptions
from harness.config import resolve
from harness.errors import StoreError, StudyError

if TYPE_CHECKING:
    from vos.segment import Segmenter


def load(
    *,
    propagation: Path | str | None = None,
    segmentation: Path | str | None = None,
    objects: Path | str | None = None,
    device: str = "cpu",
    **options: Any,
) -> Segmenter:
    """Load DIPNet from stage folders: `<home>/store/train/<key>` or `<home>/store/finetune/<key>`.

    Without one of the two networks, only the other phase segments. `objects` is the folder of networks that were
    fine-tuned on each object. `options` are those of `InferenceOptions` but `phases`, which follows from the networks;
    `crop` needs both networks, and is on if there are both.

    Raises:
        StoreError: A folder is not that of a trained network.
        StudyError: An option is unknown or invalid, or the two networks do not fit."""
    from dipnet.segmenter import load_networks, make_segmenter

    given = {"propagation": propagation, "segmentation": segmentation}
    folders = {name: Path(folder) for name, folder in given.items() if folder is not None}
    if not folders:
        raise StudyError("dipnet.load: no network given; expected the folder of `propagation`, `segmentation` or both")
    stages = {name: _stage_config(folder, name) for name, folder in folders.items()}
    both = len(folders) == 2
    settings = {"phases": "both" if both else next(iter(folders)), "crop": both}
    if unknown := set(options) - set(InferenceOptions.model_fields) | set(options) & {"phases"}:
        raise StudyError(f"dipnet.load: no option {sorted(unknown)}; expected those of InferenceOptions but `phases`")
    settings |= options | {name: stage[name] for name, stage in stages.items()}
    config = resolve(DIPNetConfig, settings, "dipnet.load").inference(multi_object=True)
    coarse = stages["segmentation"]["coarse_size"] if "segmentation" in stages else config.coarse_size
    if both and coarse != config.coarse_size:
        raise StudyError(
            f"dipnet.load: {propagation} yields coarse masks of side {config.coarse_size}, but {segmentation} was "
            f"trained with {coarse}; give networks that were trained together"
        )
    config = config.model_copy(update={"coarse_size": coarse})
    if objects is not None:
        folders["objects"] = Path(objects)
    return make_segmenter(load_networks(folders, config, device), config, device)


def _stage_config(folder: Path, network: str) -> dict[str, Any]:
    """Return the config in the manifest of a stage that trained this network."""
    try:
        config: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))["identity"]["config"]
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{folder}: not the folder of a finished stage ({error}); expected a manifest.json") from None
    if network not in config:
        raise StoreError(f"{folder}: no {network} network; found a stage with {', '.join(config)}")
    return config
