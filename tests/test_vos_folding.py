"""Batch norm computed as part of convolutions changes nothing but the time it takes."""

import copy

import pytest
import torch
from torch import nn

from dipnet.train_propagation import new_propagation
from dipnet.train_segmentation import new_segmentation
from tests.gpu.sizes import TINY_CONFIG
from vos.backbone import CHANNELS, Backbone
from vos.depthwise import dilated_depthwise
from vos.folding import fold_batch_norm, folded_in_training
from vos.optimization import set_mode


def varied(network):
    """Give batch norm statistics and weights as training leaves them."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.running_var):
                value.uniform_(0.5, 1.5)
            for value in (module.bias.data, module.running_mean):
                value.normal_(0, 0.1)
    return network


def norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def close(found, expected, tolerance=1e-4):
    """Compare in units of the largest expected value."""
    assert float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.parametrize("stride", [32, 16])
def test_a_folded_backbone_yields_the_same_features(name, stride):
    network = varied(Backbone(name, output_stride=stride)).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = network(image)
        folded = fold_batch_norm(network)
        for one, other in zip(folded(image), expected, strict=True):
            close(one, other)
    assert not norms(folded)


def test_folded_networks_of_both_phases_yield_the_same_masks():
    torch.manual_seed(0)
    propagation = varied(new_propagation(TINY_CONFIG.propagation, "none", 0)).eval()
    segmentation = varied(new_segmentation(TINY_CONFIG.segmentation, "none", 0)).eval()
    frame, mask = torch.randn(2, 3, 64, 64), torch.ones(2, 1, 64, 64)
    mask[..., :30] = 0

    def results():
        coarse = propagation.propagate(propagation.encode_frame(frame), propagation.encode_identity(frame, mask))
        return coarse, segmentation.refine(frame, torch.sigmoid(coarse))

    with torch.inference_mode():
        expected, before = results(), norms(propagation) + norms(segmentation)
        fold_batch_norm(propagation), fold_batch_norm(segmentation)
        for one, other in zip(results(), expected, strict=True):
            close(one, other)
    assert norms(propagation) + norms(segmentation) < before / 4


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "mini"])
def test_training_with_folded_batch_norm_has_the_same_gradients(name):
    network = varied(Backbone(name, output_stride=16))
    set_mode(network, "frozen")
    image = torch.randn(4, 3, 128, 128)

    def gradients():
        network.zero_grad()
        sum(feature.square().mean() for feature in network(image)).backward()
        return {key: value.grad.clone() for key, value in network.named_parameters()}

    expected, keys = gradients(), list(network.state_dict())
    with folded_in_training(network):
        found = gradients()
        assert list(network.state_dict()) == keys
    close(*(torch.cat([value.flatten() for value in x.values()]) for x in (found, expected)))
    assert not any("forward" in vars(module) for module in network.modules())


def test_batch_norm_in_training_mode_is_not_folded():
    network = Backbone("mini")
    other = copy.deepcopy(network)
    set_mode(network, "train"), set_mode(other, "train")
    image = torch.randn(4, 3, 128, 128)
    with folded_in_training(network):
        assert torch.equal(network(image)[-1], other(image)[-1])
    assert torch.equal(network.blocks[0][1].running_mean, other.blocks[0][1].running_mean)


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (5, 3)])
def test_the_gradient_of_dilated_depthwise_convolution_is_exact(size):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, *size), torch.randn(3, 1, 3, 3), torch.randn(3)
    inputs = [value.double().requires_grad_() for value in (x, weight, bias)]
    expected = nn.functional.conv2d(*inputs, padding=2, dilation=2, groups=3)
    assert torch.equal(dilated_depthwise(*inputs), expected)
    assert torch.autograd.gradcheck(dilated_depthwise, inputs)
