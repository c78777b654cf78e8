"""The networks against the paper's shapes, counts worked out by hand, and hand-worked numbers."""

import math

import pytest
import torch
from torch import nn

from dipnet.config import PropagationConfig, SegmentationConfig
from dipnet.identity import IdentityEncoder, attend, update_identity
from dipnet.propagation import PropagationHead, PropagationNetwork, coarse_probabilities
from dipnet.segmentation import GlobalConvolution, ResidualAttentionUnit, SegmentationNetwork, segmentation_loss
from vos.backbone import CHANNELS

SMALL = SegmentationConfig(backbone="mini", size=64, channels=8, units=1)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_mask_attention_doubles_features_on_the_object_and_keeps_the_rest() -> None:
    features = torch.arange(8.0).reshape(1, 2, 2, 2)
    mask = torch.zeros(1, 1, 4, 4)
    mask[0, 0, 0, 0] = 1  # eq. 1, f' = f + m ⊙ f, by hand: only the upper left cell is the object's
    expected = features.clone()
    expected[:, :, 0, 0] *= 2
    assert torch.equal(attend(features, mask), expected)


def test_identity_update_by_hand() -> None:
    dynamic, estimated = torch.tensor([[0.2, 0.4], [0.5, 0.5]]), torch.tensor([[1.0, 0.0], [0.9, 0.1]])
    updated = update_identity(dynamic, estimated, torch.tensor([True, False]), 0.75)
    torch.testing.assert_close(updated, torch.tensor([[0.8, 0.1], [0.5, 0.5]]))  # eq. 2; the lost object keeps its own


def test_omega_zero_keeps_the_first_identity_and_one_takes_the_newest() -> None:
    dynamic, estimated, seen = torch.rand(1, 4), torch.rand(1, 4), torch.tensor([True])
    assert torch.equal(update_identity(dynamic, estimated, seen, 0.0), dynamic)
    assert torch.equal(update_identity(dynamic, estimated, seen, 1.0), estimated)


@pytest.mark.parametrize("way", ["attention", "concat"])
def test_an_identity_depends_on_the_mask_and_lies_between_0_and_1(way: str) -> None:
    torch.manual_seed(0)
    encoder = IdentityEncoder("mini", way).eval()
    frame = torch.randn(2, 3, 64, 64)
    mask = torch.zeros(2, 1, 64, 64)
    mask[:, :, 20:40, 20:40] = 1
    with torch.inference_mode():
        with_mask, without = encoder(frame, mask), encoder(frame, torch.zeros_like(mask))
    assert with_mask.shape == (2, 128)
    assert with_mask.min() > 0
    assert with_mask.max() < 1
    assert not torch.allclose(with_mask, without)


def test_propagation_has_the_published_shapes() -> None:
    network = PropagationNetwork(PropagationConfig()).eval()
    frame, mask = torch.zeros(1, 3, 256, 256), torch.ones(1, 1, 256, 256)
    with torch.inference_mode():
        features, identity = network.encode_frame(frame), network.encode_identity(frame, mask)
        logits = network.propagate(features, identity)
    assert features.shape == (1, 2048, 8, 8)
    assert identity.shape == (1, 2048)
    assert logits.shape == (1, 1, 32, 32)


def test_propagation_parameters_by_hand() -> None:
    # Two ResNet-50, a head of 2048² + 2048, and of 256 channels: deconvolutions, convolutions, norms, the last 1×1.
    decoder = (2048 + 256 + 256 + 256) * 256 * 9 + 4 * 2 * 256 + 256 + 1
    assert count(PropagationHead(2048, 256)) == decoder
    assert count(PropagationNetwork(PropagationConfig())) == 2 * 23_508_032 + 2048 * 2048 + 2048 + decoder


def test_softmax_with_the_negated_foreground_by_hand() -> None:
    logits = torch.tensor([math.log(2.0), math.log(3.0)]).reshape(2, 1, 1, 1)
    foreground = torch.tensor(-math.log(5.0)).reshape(1, 1, 1, 1)  # negated: 5 for the background, so 2, 3 of 10
    expected = torch.tensor([0.2, 0.3]).reshape(2, 1, 1, 1)
    torch.testing.assert_close(coarse_probabilities(logits, foreground), expected)


def test_one_object_or_separate_objects_take_a_sigmoid() -> None:
    logits = torch.tensor([0.0, math.log(3.0)]).reshape(2, 1, 1, 1)
    torch.testing.assert_close(coarse_probabilities(logits, None).flatten(), torch.tensor([0.5, 0.75]))
    torch.testing.assert_close(coarse_probabilities(logits[:1], logits[1:]).flatten(), torch.tensor([0.5]))


@pytest.mark.parametrize(("entry", "strides"), [("dilated", [16, 16, 8, 4, 2, 1]), ("layer3", [16, 8, 4, 2, 1])])
def test_segmentation_refines_a_coarse_mask_stage_by_stage(entry: str, strides: list[int]) -> None:
    network = SegmentationNetwork(SMALL.model_copy(update={"coarse_entry": entry})).eval()
    with torch.inference_mode():
        logits = network.decode(network.encode_frame(torch.zeros(1, 3, 64, 64)), torch.zeros(1, 1, 32, 32))
    assert [logit.shape[-1] for logit in logits] == [64 // stride for stride in strides]


def test_with_a_finest_stride_of_two_the_mask_has_the_full_size() -> None:
    network = SegmentationNetwork(SMALL.model_copy(update={"finest_stride": 2})).eval()
    with torch.inference_mode():
        frame, coarse = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 8, 8)
        assert network.decode(network.encode_frame(frame), coarse)[-1].shape[-1] == 32
        assert network.refine(frame, coarse).shape == (1, 1, 64, 64)


def test_segmentation_parameters_by_hand() -> None:
    network = SegmentationNetwork(SMALL)
    c, units = 8, 1
    lateral = sum(2 * (w * c * 7 + c) + 2 * (c * c * 7 + c) + 2 * c for w in CHANNELS["mini"])
    unit = 2 * (c * c * 9 + c + 2 * c)
    head = c * c * 9 + 2 * c + c + 1
    refine = units * unit
    assert count(network) - count(network.backbone) == lateral + 6 * refine + 4 * refine + 6 * head
    assert count(GlobalConvolution(16, 8)) == 2 * (16 * 8 * 7 + 8) + 2 * (8 * 8 * 7 + 8) + 16


def test_a_closed_gate_passes_the_features_unchanged() -> None:
    unit, x = ResidualAttentionUnit(4).eval(), torch.randn(1, 4, 5, 5)
    assert torch.equal(unit(x, torch.zeros(1, 1, 5, 5)), x)
    torch.testing.assert_close(unit(x, torch.ones(1, 1, 5, 5)), x + unit.body(x))


@pytest.mark.parametrize(("double", "low", "high"), [(True, 0.5, 0.732), (False, 0.0, 1.0)])
def test_the_gate_has_crn_s_double_sigmoid_or_not(double: bool, low: float, high: float) -> None:
    network = SegmentationNetwork(SMALL.model_copy(update={"double_sigmoid": double}))
    gate = network._gate(torch.tensor([-50.0, 50.0]).reshape(1, 1, 1, 2), (1, 2)).flatten()
    assert gate.tolist() == pytest.approx([low, high], abs=1e-3)


def test_the_loss_is_the_plain_sum_of_its_terms() -> None:
    truth, known = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    terms = [torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 4, 4)]
    assert segmentation_loss(terms, truth, known).item() == pytest.approx(3 * math.log(2))
