"""DIPNet's card: what a reader of a comparison asks of it."""

from __future__ import annotations

from torch import nn

from dipnet.config import DIPNetConfig
from dipnet.segmenter import Networks, make_segmenter
from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import new_segmentation
from vos.card import network_card, training_of, tuning_of, weights_of
from vos.checkpoint import for_inference
from vos.stages import ROLES


def method_card(config: DIPNetConfig) -> dict[str, str]:
    """Return title → text; the networks are built, untrained, and used on one frame."""
    inference = config.inference(multi_object=True)
    propagation = segmentation = None
    networks: dict[str, nn.Module] = {}
    if inference.propagation is not None:
        networks["propagation"] = propagation = for_inference(new_propagation(inference.propagation, "none", 0), "cpu")
    if inference.segmentation is not None:
        networks["segmentation"] = segmentation = for_inference(
            new_segmentation(inference.segmentation, "none", 0), "cpu"
        )
    each = [] if segmentation is None else [segmentation]
    made = Networks(propagation, segmentation, each)
    backbones = {name: getattr(config, name).backbone for name in networks}
    sizes = {name: getattr(config, name).size for name in networks}
    card = {
        "published": "DIPNet, WACV 2020",
        "backbone": "; ".join(f"{name}: {backbones[name]}, input {sizes[name]}" for name in networks),
        **network_card(networks, lambda objects: make_segmenter(made, inference, "cpu")),
    }
    trainings = {"propagation": config.propagation_training, "segmentation": config.segmentation_training}
    for role in ["pretraining"] if config.training == "pretraining" else ROLES:
        texts = [f"{name}: {training_of(getattr(trainings[name], role))}" for name in networks]
        card[ROLES[role]] = "; ".join(texts)
    if config.training in ("one-shot", "end-to-end") and segmentation is not None:
        one = config.one_shot
        crop = f" and {one.crop_iterations} on the crop" if config.crop else ""
        others = f"of several objects, {one.instance_iterations} for each"
        card["one-shot"] = tuning_of(one, f"{one.frame_iterations} steps on the frame{crop}; {others}")
    return card | {"weights": weights_of(config.weights, ", ".join(dict.fromkeys(backbones.values())))}
