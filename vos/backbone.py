"""Torchvision's models as five blocks in a row, Conv1 to Conv5 in ResNet's terms: networks can act in between."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vos.weights import IMAGENET, WeightsError, imagenet_file, read_state

_DOWNLOADS = "https://download.pytorch.org/models/"
"""Address of the folder from which torchvision downloads the files named in `IMAGENET`."""

_KEEP_ALIVE: list[torch.library.Library] = []

CHANNELS: dict[str, tuple[int, int, int, int, int]] = {
    "resnet101": (64, 256, 512, 1024, 2048),
    "resnet50": (64, 256, 512, 1024, 2048),
    "resnet18": (64, 64, 128, 256, 512),
    "mobilenet_v2": (16, 24, 32, 96, 1280),
    "mini": (16, 24, 48, 96, 128),
}
"""Output channels of the five blocks."""

_MOBILENET_CUTS = (0, 2, 4, 7, 14, 19)
"""First and last layers of mobilenet_v2's blocks."""


class Backbone(nn.Module):
    """Five blocks, of which each yields features."""

    def __init__(self, name: str, *, output_stride: int = 32, input_channels: int = 3) -> None:
        """Build the untrained backbone; `output_stride` 16 gives the last block stride 1 and dilation 2."""
        super().__init__()
        self.name = name
        self.input_channels = input_channels
        self.channels = CHANNELS[name]
        blocks = _mini_blocks() if name == "mini" else _torchvision_blocks(name)
        if output_stride == 16:
            _dilate(blocks[4])
        if input_channels != 3:
            first = next(layer for layer in blocks[0].modules() if isinstance(layer, nn.Conv2d))
            first.in_channels = input_channels
            first.weight = nn.Parameter(first.weight.new_empty(first.out_channels, input_channels, *first.kernel_size))
            first.reset_parameters()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, image: Float[Tensor, "n c h w"]) -> list[Tensor]:
        """Return the features after each block: strides 2, 4, 8, 16, 32 (or 16)."""
        features = []
        for block in self.blocks:
            image = block(image)
            features.append(image)
        return features

    def load_pretrained(self, weights: str) -> None:
        """Load an option of `IMAGENET`, `none`, or the file of a torchvision state dict. Raises WeightsError."""
        if weights == "none" or self.name == "mini":
            return
        self.load_state_dict(self._fitting(weights), strict=False)

    def _fitting(self, weights: str) -> dict[str, Tensor]:
        file = _downloaded(weights, self.name) if weights in IMAGENET else Path(weights)
        state = read_state(file, f"torchvision's {self.name}")
        own = self.state_dict()
        renamed = {new: value for old, value in state.items() if (new := _block_key(self.name, old)) in own}
        _widen_first(renamed, own)
        missing = [key for key in own if key not in renamed and not key.endswith("num_batches_tracked")]
        wrong = [key for key in renamed if renamed[key].shape != own[key].shape]
        if missing or wrong:
            raise WeightsError(
                f"{file}: weights of another network: {len(missing)} of {len(own)} tensors of {self.name} are missing, "
                f"{len(wrong)} have another shape; found {', '.join(list(state)[:3])}, …; give a state dict of "
                f"torchvision's {self.name}"
            )
        return renamed

    def copy_from(self, other: Backbone) -> None:
        """Take the weights of a backbone of the same kind, which may have fewer input channels."""
        state = other.state_dict()
        _widen_first(state, self.state_dict())
        self.load_state_dict(state)


def check_weights(name: str, weights: str) -> None:
    """Raise WeightsError if `weights` cannot be loaded into that backbone; nothing is initialized for that."""
    with torch.device("meta"):
        backbone = Backbone(name)
    backbone._fitting(weights)


def torchvision_models() -> ModuleType:
    """Return `torchvision.models`, even if torchvision's compiled operators do not fit the installed torch.

    With a CPU-only torch, the import of a torchvision that is built for CUDA fails: it registers shape functions for
    operators that do not exist. Only detection models use them; declaring their signatures lets the import pass."""
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    except ImportError as error:
        raise ImportError(
            "torchvision is not installed; pip install the torchvision that matches your torch"
        ) from error
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEEP_ALIVE.append(library)
    try:
        return importlib.import_module("torchvision.models")
    except (RuntimeError, ImportError) as error:
        raise ImportError(
            f"torchvision does not fit torch {torch.__version__} ({error}); install the pair that belongs together: "
            "pip install --upgrade torch torchvision"
        ) from error


def _torchvision_blocks(name: str) -> list[nn.Module]:
    model = getattr(torchvision_models(), name)(weights=None)
    if name == "mobilenet_v2":
        return [model.features[begin:end] for begin, end in pairwise(_MOBILENET_CUTS)]
    return [
        nn.Sequential(model.conv1, model.bn1, model.relu),
        nn.Sequential(model.maxpool, model.layer1),
        model.layer2,
        model.layer3,
        model.layer4,
    ]


class _Residual(nn.Module):
    """Two 3×3 convolutions around a shortcut, the first with stride 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def _mini_blocks() -> list[nn.Module]:
    widths = CHANNELS["mini"]
    first = nn.Sequential(
        nn.Conv2d(3, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)
    )
    return [first, *(_Residual(a, b) for a, b in pairwise(widths))]


def _dilate(block: nn.Module) -> None:
    """Turn stride 2 into 1 and give kernels above 1×1 dilation 2, so that pretrained kernels still fit."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            strided = layer.stride == (2, 2)
            layer.stride = (1, 1)
            if layer.kernel_size[0] > 1 and not strided:
                layer.dilation = (2, 2)
                layer.padding = (layer.kernel_size[0] - 1, layer.kernel_size[1] - 1)


def keep_stride(block: nn.Module, dilation: int) -> None:
    """Turn a block's stride 2 into 1, so that its features are as fine as its input, and pretrained kernels still fit.

    `dilation` is what the blocks before it have made of neighboring cells: 1, or 2 after one block of this kind."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            rate = dilation if layer.stride == (2, 2) else 2 * dilation
            layer.stride = (1, 1)
            if layer.kernel_size[0] > 1:
                layer.dilation = (rate, rate)
                layer.padding = (rate * (layer.kernel_size[0] - 1) // 2, rate * (layer.kernel_size[1] - 1) // 2)


def _widen_first(state: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Fit the first kernels of a state to more input channels (a mask, for example), which start without influence."""
    first = next(key for key in own if own[key].dim() == 4)
    if first in state and state[first].dim() == 4 and state[first].shape[1] < own[first].shape[1]:
        wide = torch.zeros_like(own[first])
        wide[:, : state[first].shape[1]] = state[first]
        state[first] = wide


def _downloaded(option: str, name: str) -> Path:
    """Return the file of ImageNet weights, downloaded if it is not there."""
    file = imagenet_file(option, name)
    if not file.is_file():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            digest = file.stem.rpartition("-")[2]
            torch.hub.download_url_to_file(_DOWNLOADS + file.name, str(file), digest, progress=False)
        except (URLError, OSError, RuntimeError) as error:  # RuntimeError: something else was downloaded
            raise WeightsError(
                f"ImageNet weights of {name} cannot be downloaded ({error}); connect once, or set the option `weights` "
                "to a file that holds torchvision's state dict, or to `none`"
            ) from None
    return file


def _block_key(name: str, key: str) -> str:
    """Return the key here of a key of torchvision's state dict, or "" for what is not used (classifiers)."""
    part, _, rest = key.partition(".")
    if name == "mobilenet_v2":
        index, _, rest = rest.partition(".")
        if part != "features":
            return ""
        block = max(i for i in range(5) if _MOBILENET_CUTS[i] <= int(index))
        return f"blocks.{block}.{index}.{rest}"  # slices of a Sequential keep their names
    places = {"conv1": "0.0", "bn1": "0.1", "layer1": "1.1", "layer2": "2", "layer3": "3", "layer4": "4"}
    return f"blocks.{places[part]}.{rest}" if part in places else ""
