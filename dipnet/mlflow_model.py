"""Trained networks as MLflow models: `describe` says what goes in and out, and MLflow calls `_load_pyfunc`.

The folder holds the state dict that training published and a JSON config: nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def describe(run: str, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return signature and files of the network that a stage writes, by its run function and config; None if none.

    Tensors: n images, RGB normalized as ImageNet's, square; masks in 0..1; the result in 0..1."""
    kind = run.partition(":")[2].removeprefix("run_train_")
    if kind not in ("propagation", "segmentation"):
        return None
    options = config[kind]
    side = options["size"]
    frame = _tensor("frame", 3, side)
    if kind == "propagation":
        inputs = [frame, _tensor("reference", 3, side), _tensor("reference_mask", 1, side)]
        outputs = [_tensor("coarse_mask", 1, 4 * side // options["output_stride"])]
    else:
        inputs = [frame, _tensor("coarse_mask", 1, config["coarse_size"])]
        outputs = [_tensor("mask", 1, side)]
    loader = {"network": kind, "options": options}
    return {"kind": kind, "files": ["network.pt"], "config": loader, "inputs": inputs, "outputs": outputs}


class _Model:
    def __init__(self, path: str) -> None:
        from dipnet.config import PropagationConfig, SegmentationConfig
        from dipnet.propagation import PropagationNetwork
        from dipnet.segmentation import SegmentationNetwork
        from vos.checkpoint import load_network

        description = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
        self.kind: str = description["network"]
        network: Any
        if self.kind == "propagation":
            network = PropagationNetwork(PropagationConfig(**description["options"]))
        else:
            network = SegmentationNetwork(SegmentationConfig(**description["options"]))
        self.network = load_network(network, Path(path) / "network.pt").eval()

    def predict(self, inputs: Mapping[str, NDArray[np.float32]], params: object = None) -> dict[str, Any]:  # noqa: ARG002
        import torch

        given = {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in inputs.items()}
        with torch.inference_mode():
            if self.kind == "propagation":
                identity = self.network.encode_identity(given["reference"], given["reference_mask"])
                logits = self.network.propagate(self.network.encode_frame(given["frame"]), identity)
                return {"coarse_mask": torch.sigmoid(logits).numpy()}
            return {"mask": torch.sigmoid(self.network.refine(given["frame"], given["coarse_mask"])).numpy()}


_load_pyfunc = _Model


def _tensor(name: str, channels: int, side: int) -> dict[str, Any]:
    return {"name": name, "type": "float32", "shape": [-1, channels, side, side]}
