"""The paper's networks at the paper's size: published shapes, parameters counted by hand, equations by hand, memory.

Shapes and counts are taken on torch's `meta` device, where tensors have shapes and no values, and cost nothing."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dipnet.config import DIPNetConfig, PropagationConfig, SegmentationConfig
from dipnet.identity import IdentityEncoder
from dipnet.propagation import PropagationHead, PropagationNetwork, coarse_probabilities
from dipnet.region import RegionPass
from dipnet.segmentation import SegmentationNetwork, segmentation_loss
from tests.test_dipnet_segmenter import config, networks
from tests.videos import Squares, first_frame
from vos.geometry import Box

ROOT = Path(__file__).parent.parent
RESNET_50 = 25_557_032 - 2_049_000
"""Parameters as published, less the classifier's 2048·1000 + 1000."""

RESNET_101 = 44_549_160 - 2_049_000
LAYER_4 = (1024 * 512 + 512 * 512 * 9 + 512 * 2048 + 1024 * 2048 + 2 * (512 + 512 + 2048 + 2048)) + 2 * (
    2048 * 512 + 512 * 512 * 9 + 512 * 2048 + 2 * (512 + 512 + 2048)
)
"""The last block of both: a bottleneck with a shortcut of its own, and two without."""


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def segmentation(**options: object) -> SegmentationNetwork:
    with torch.device("meta"):
        return SegmentationNetwork(SegmentationConfig(**options)).eval()


def decoder(widths: list[int], stages: int) -> int:
    """Parameters of CRN's decoder with 32 channels and 5 units a block, by hand."""
    c = 32
    laterals = sum(2 * (w * c * 7 + c) + 2 * (c * c * 7 + c) + 2 * c for w in widths)
    block = 5 * 2 * (c * c * 9 + c + 2 * c)
    head = c * c * 9 + 2 * c + c + 1
    return laterals + (stages + len(widths) - 1) * block + stages * head


def test_phase_one_has_the_shapes_of_the_paper() -> None:
    with torch.device("meta"):
        network = PropagationNetwork(PropagationConfig()).eval()
        frames, masks = torch.zeros(3, 3, 256, 256), torch.ones(3, 1, 256, 256)
        features = network.encode_frame(frames)
        assert features.shape == (3, 2048, 8, 8)
        identity = network.encode_identity(frames, masks)
        assert identity.shape == (3, 2048)
        assert network.propagate(features, identity).shape == (3, 1, 32, 32)
        assert network.encode_frame(frames[:1]).shape == (1, 2048, 8, 8)
    assert network.config.coarse_size == 32


@pytest.mark.parametrize("entry", ["dilated", "layer3"])
@pytest.mark.parametrize("side", [352, 512, 640])
def test_a_coarse_mask_of_32_becomes_a_mask_of_the_image_s_size_both_ways(entry: str, side: int) -> None:
    network = segmentation(coarse_entry=entry)
    with torch.device("meta"):
        frame, coarse = torch.zeros(1, 3, side, side), torch.zeros(1, 1, 32, 32)
        features = network.encode_frame(frame)
        logits = network.decode(features, coarse)
        assert network.refine(frame, coarse).shape == (1, 1, side, side)
    strides = [2, 4, 8, 16, 16] if entry == "dilated" else [2, 4, 8, 16]
    channels = [64, 256, 512, 1024, 2048][: len(strides)]
    shapes = [(c, side // s, side // s) for c, s in zip(channels, strides, strict=True)]
    assert [tuple(feature.shape[1:]) for feature in features] == shapes
    # Stage 1 runs at 1/16 either way: at 32×32 for an image of 512 pixels, the coarse mask's own size.
    assert [logit.shape[-1] for logit in logits] == [side // s for s in (*reversed(strides), 1)]


def test_the_segmentation_network_s_parameters_by_hand() -> None:
    widths = [2048, 1024, 512, 256, 64]
    assert count(segmentation()) == RESNET_101 + decoder(widths, 6) == 45_308_870
    assert count(segmentation(coarse_entry="layer3")) == RESNET_101 - LAYER_4 + decoder(widths[1:], 5)
    assert count(segmentation(backbone="resnet50")) == RESNET_50 + decoder(widths, 6)


def test_the_propagation_network_s_parameters_by_hand() -> None:
    head = (2048 + 3 * 256) * 256 * 9 + 4 * 2 * 256 + 256 + 1
    fully_connected = 2048 * 2048 + 2048
    with torch.device("meta"):
        attention = PropagationNetwork(PropagationConfig())
        concat = PropagationNetwork(PropagationConfig(identity_input="concat"))
    assert count(attention) == 2 * RESNET_50 + fully_connected + head
    assert count(concat) == count(attention) + 64 * 7 * 7  # the mask as a fourth input channel
    assert not {id(p) for p in attention.encoder.parameters()} & {id(p) for p in attention.identity.parameters()}


def test_the_propagation_head_has_the_layers_of_the_paper() -> None:
    layers = list(PropagationHead(8, 4).layers)
    kinds = [type(layer) for layer in layers]
    rest = [nn.BatchNorm2d, nn.ReLU]
    assert kinds == [*([nn.ConvTranspose2d, *rest] * 2), *([nn.Conv2d, *rest] * 2), nn.Conv2d]
    kernels = [layer.kernel_size for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
    assert kernels == [(3, 3)] * 4 + [(1, 1)]


def test_the_mask_acts_after_the_first_four_blocks_only() -> None:
    torch.manual_seed(0)
    encoder = IdentityEncoder("mini", "attention").eval()
    features = frame = torch.randn(1, 3, 64, 64)
    for number, block in enumerate(encoder.backbone.blocks):
        features = block(features) * (2 if number < 4 else 1)  # eq. 1 with a mask of ones: f + f
    expected = torch.sigmoid(encoder.head(features.mean((2, 3))))
    torch.testing.assert_close(encoder(frame, torch.ones(1, 1, 64, 64)), expected)


def test_several_objects_take_a_softmax_with_the_negated_foreground() -> None:
    video, way = Squares(objects=2), RegionPass(networks().propagation, config(crop=False), "cpu")
    box = Box(0, 0, 60, 80)
    with torch.inference_mode():
        way.start(*first_frame(video), box)
        assert way.network is not None
        features = way.network.encode_frame(way._tensor(video.frame(1), box, 64))
        first, second, both = way.network.propagate(features.expand(3, -1, -1, -1), way.dynamic)
        found = way.propagate(video.frame(1), box)
    total = torch.exp(-both) + torch.exp(first) + torch.exp(second)
    torch.testing.assert_close(found, torch.stack([torch.exp(first) / total, torch.exp(second) / total]))
    torch.testing.assert_close(found, coarse_probabilities(torch.stack([first, second]), both[None]))


def test_the_six_term_loss_by_hand() -> None:
    # The truth is 1 in the upper left of 16 pixels: a sixteenth of the area at every size, or, where a cell takes its
    # first pixel, one cell. Logits of ln 3 say 0.75 everywhere: ln(4/3) where that is right, ln 4 where it is wrong.
    truth, known = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    truth[..., 0, 0] = 1
    logits = [torch.full((1, 1, side, side), math.log(3)) for side in (1, 1, 2, 2, 4, 4)]
    right, wrong = math.log(4 / 3), math.log(4)
    assert segmentation_loss(logits, truth, known).item() == pytest.approx(6 * (right + 15 * wrong) / 16)
    expected = 2 * right + 2 * (right + 3 * wrong) / 4 + 2 * (right + 15 * wrong) / 16
    assert segmentation_loss(logits, truth, known, alignment="corners").item() == pytest.approx(expected)


@pytest.mark.parametrize("alignment", ["centers", "corners"])
def test_void_has_no_part_in_the_six_term_loss(alignment: str) -> None:
    # The lower half is void: whatever a stage says there costs nothing, and the object fills all that is known.
    truth, known = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    truth[..., :2, :] = known[..., :2, :] = 1
    logits = [torch.full((1, 1, side, side), math.log(3)) for side in (1, 2, 4)]
    logits[2][..., 2:, :] = -7.0
    expected = 3 * math.log(4 / 3)
    assert segmentation_loss(logits, truth, known, alignment=alignment).item() == pytest.approx(expected)


def test_stage_one_is_gated_by_the_coarse_mask_itself() -> None:
    network = SegmentationNetwork(SegmentationConfig(backbone="mini", size=64, channels=8, units=2)).eval()
    with torch.inference_mode():
        features = network.encode_frame(torch.randn(1, 3, 64, 64))
        closed = network.decode(features, torch.zeros(1, 1, 32, 32))[0]
        expected = network.heads[0](network.laterals[0](features[-1]))
    torch.testing.assert_close(closed, expected)


@pytest.mark.parametrize(
    ("alignment", "expected"), [("centers", [0.0, 0.25, 0.75, 1.0]), ("corners", [0.0, 1 / 3, 2 / 3, 1.0])]
)
def test_masks_are_enlarged_about_their_center_or_with_their_corners_in_place(alignment: str, expected: list) -> None:
    network = SegmentationNetwork(SegmentationConfig(backbone="mini", alignment=alignment))
    wide = network._resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4))
    torch.testing.assert_close(wide.flatten(), torch.tensor(expected))


WHOLE_METHOD = """
import json
import torch
from dipnet.config import DIPNetConfig
from dipnet.segmenter import Networks
from dipnet.segmenter import make_segmenter
from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import new_segmentation
from tests.videos import Squares
from vos.segment import segment_video
torch.set_num_threads(2)
config = DIPNetConfig()
segmentation = new_segmentation(config.segmentation, "none", 0).eval()
networks = Networks(new_propagation(config.propagation, "none", 0).eval(), segmentation, [segmentation])
video = Squares(objects=1, length=2)
masks = list(segment_video(video, make_segmenter(networks, config.inference(multi_object=False), "cpu")))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"frames": len(masks), "shape": masks[1].shape, "peak_mib": int(peak.split()[1]) / 1024}))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
def test_the_method_at_the_paper_s_size_takes_less_than_two_gib() -> None:
    assert DIPNetConfig().inference(multi_object=False).crop
    done = subprocess.run(
        [sys.executable, "-c", WHOLE_METHOD], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["frames"], result["shape"]) == (2, [60, 80])
    # Both networks' weights take 0.4 GiB.
    assert 400 < result["peak_mib"] < 2048
