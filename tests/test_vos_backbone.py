"""Backbones against torchvision's, and the loss over masks with unknown pixels."""

import math

import pytest
import torch

from vos.backbone import CHANNELS, Backbone, WeightsError, torchvision_models
from vos.optimization import masked_cross_entropy


@pytest.mark.parametrize("stride", [32, 16])
@pytest.mark.parametrize("name", CHANNELS)
def test_a_backbone_yields_five_features_at_its_strides(name: str, stride: int) -> None:
    features = Backbone(name, output_stride=stride).eval()(torch.zeros(1, 3, 64, 64))
    assert [tuple(f.shape[1:]) for f in features] == [
        (channels, 64 // s, 64 // s) for channels, s in zip(CHANNELS[name], (2, 4, 8, 16, stride), strict=True)
    ]


def test_resnet50_without_classifier_has_23_5_million_parameters() -> None:
    # 25,557,032 of the published ResNet-50, less its classifier of 2048·1000 + 1000.
    assert sum(parameter.numel() for parameter in Backbone("resnet50").parameters()) == 25_557_032 - 2_049_000


def test_dilation_keeps_the_features_of_a_constant_image() -> None:
    torch.manual_seed(0)
    plain, dilated = Backbone("resnet18").eval(), Backbone("resnet18", output_stride=16).eval()
    dilated.load_state_dict(plain.state_dict())
    image = torch.full((1, 3, 256, 256), 0.7)
    torch.testing.assert_close(dilated(image)[-1][..., 8, 8], plain(image)[-1][..., 4, 4], rtol=1e-3, atol=1e-3)


def test_a_missing_weights_file_says_what_to_give() -> None:
    with pytest.raises(WeightsError, match="no such weights file"):
        Backbone("resnet18").load_pretrained("nowhere.pt")


def test_weights_of_another_network_are_refused(tmp_path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match="resnet18"):
        Backbone("resnet18").load_pretrained(str(tmp_path / "w.pt"))


def test_weights_that_hold_code_are_refused(tmp_path) -> None:
    torch.save({"f": print}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"w\.pt"):
        Backbone("resnet18").load_pretrained(str(tmp_path / "w.pt"))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvision_weights_give_torchvision_features(name: str, tmp_path) -> None:
    torch.manual_seed(1)
    model = getattr(torchvision_models(), name)(weights=None).eval()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    backbone = Backbone(name).eval()
    backbone.load_pretrained(str(tmp_path / "w.pt"))
    image = torch.randn(1, 3, 64, 64)
    pooled = model.fc(backbone(image)[-1].mean((2, 3))) if name == "resnet18" else None
    expected = model(image) if name == "resnet18" else model.features(image)
    torch.testing.assert_close(backbone(image)[-1] if pooled is None else pooled, expected)


def test_a_further_input_channel_starts_without_influence(tmp_path) -> None:
    torch.save(torchvision_models().resnet18(weights=None).state_dict(), tmp_path / "w.pt")
    wide, plain = Backbone("resnet18", input_channels=4).eval(), Backbone("resnet18").eval()
    wide.load_pretrained(str(tmp_path / "w.pt"))
    plain.load_pretrained(str(tmp_path / "w.pt"))
    image, mask = torch.randn(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    torch.testing.assert_close(wide(torch.cat([image, mask], 1))[-1], plain(image)[-1])


def test_void_does_not_count_in_the_loss() -> None:
    logit, truth, known = torch.tensor([[[[0.0, 100.0]]]]), torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    assert masked_cross_entropy(logit, truth, known).item() == pytest.approx(math.log(2))
