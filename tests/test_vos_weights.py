"""Files of weights as people have them: what is not a state dict of the network is named before anything is trained."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from harness.cli.main import main
from tests.engine import make_davis16
from vos.backbone import _DOWNLOADS, CHANNELS, Backbone, check_weights, torchvision_models
from vos.checkpoint import load_network
from vos.stages import initial_weights
from vos.weights import IMAGENET, WeightsError, WeightsFile, imagenet_file

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 13\n"
DIPNET = "name: try\nmethod: dipnet\nscale: light\nbenchmarks: [davis16-val]\nvariants: {one: {}}\n"


class Other:
    """A class that a checkpoint of someone else's training holds."""


def state() -> dict[str, torch.Tensor]:
    return dict(torchvision_models().mobilenet_v2(weights=None).state_dict())


def cut(path: Path, old_format: bool = False) -> None:
    torch.save(state(), path, _use_new_zipfile_serialization=not old_format)
    path.write_bytes(path.read_bytes()[:-5000])


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("weights.txt", "words")


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such weights file.*give a file, `imagenet-v1`, `imagenet-v2` or `none`"),
    "a Git LFS pointer": (lambda path: path.write_text(POINTER), "Git LFS pointer.*git lfs pull"),
    "a web page": (
        lambda path: path.write_text("\n<!DOCTYPE html><html>Sign in</html>"),
        "web page.*download it again",
    ),
    "empty": (lambda path: path.touch(), "an empty file.*download it again"),
    "a folder": (lambda path: path.mkdir(), "a folder.*give the file in it"),
    "text": (lambda path: path.write_text("epoch 1"), "no file of torch.save"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"x")), "a gzip archive.*unpack"),
    "another zip": (archive, "a zip archive that torch.save did not write"),
    "cut off": (cut, "cut off.*download it again"),
    "cut off, old format": (lambda path: cut(path, old_format=True), "cut off.*download it again"),
    "another network": (
        lambda path: torch.save(torchvision_models().resnet18(weights=None).state_dict(), path),
        "weights of another network.*found conv1.weight.*mobilenet_v2",
    ),
    "other shapes": (
        lambda path: torch.save({key: value[None] for key, value in state().items()}, path),
        "have another shape",
    ),
    "pickled objects": (
        lambda path: torch.save({"net": state(), "args": Other()}, path),
        r"Python objects besides tensors \(tests.test_vos_weights.Other\).*state_dict",
    ),
    "a checkpoint": (
        lambda path: torch.save({"epoch": 3, "state_dict": state()}, path),
        r"a checkpoint with the keys epoch, state_dict.*\['state_dict'\]",
    ),
    "of DataParallel": (
        lambda path: torch.save({f"module.{key}": value for key, value in state().items()}, path),
        "begin with 'module.'",
    ),
    "one tensor": (lambda path: torch.save(torch.zeros(3), path), "holds a Tensor, expected the state dict"),
    "other values": (lambda path: torch.save({"epoch": 3}, path), r"holds other values than tensors \(keys epoch\)"),
}


@pytest.mark.parametrize("kind", FILES)
def test_weights_that_do_not_fit_say_what_they_are(kind: str, tmp_path: Path) -> None:
    write, message = FILES[kind]
    write(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message) as error:
        initial_weights(str(tmp_path / "w.pth"), "mobilenet_v2")
    assert str(error.value).startswith(str(tmp_path / "w.pth"))
    assert "weights_only=False" not in str(error.value)


@pytest.mark.parametrize("kind", ["a Git LFS pointer", "another network"])
def test_a_plan_finds_weights_that_do_not_fit(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, _ = FILES[kind]
    write(tmp_path / "w.pth")
    (tmp_path / "study.yaml").write_text(DIPNET)
    words = [str(tmp_path / "study.yaml"), "--data", str(make_davis16(tmp_path / "data"))]
    words += ["--home", str(tmp_path / "home"), "--option", f"weights={tmp_path / 'w.pth'}"]
    assert main(["plan", *words]) == 2
    assert str(tmp_path / "w.pth") in capsys.readouterr().err


def test_a_plan_refuses_imagenet_weights_without_a_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.yaml").write_text(DIPNET)
    words = [str(tmp_path / "study.yaml"), "--data", str(make_davis16(tmp_path / "data")), "--home", str(tmp_path)]
    assert main(["plan", *words, "--option", "weights=imagenet"]) == 2
    assert "`imagenet-v1` or `imagenet-v2`" in capsys.readouterr().err
    assert main(["plan", *words, "--option", "weights=imagenet-v2"]) == 0


@pytest.mark.parametrize("old_format", [False, True])
def test_weights_that_fit_pass_in_both_formats(old_format: bool, tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pth", _use_new_zipfile_serialization=not old_format)
    kind, data = initial_weights(str(tmp_path / "w.pth"), "mobilenet_v2")
    assert kind == "file"
    assert data["weights"].value.require() == tmp_path / "w.pth"


def test_checking_weights_initializes_no_network(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pth")
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    check_weights("mobilenet_v2", str(tmp_path / "w.pth"))
    assert torch.equal(torch.rand(1), expected)


def test_a_worker_refuses_other_weights_than_planned(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pth")
    file: WeightsFile = initial_weights(str(tmp_path / "w.pth"), "mobilenet_v2")[1]["weights"].value
    (tmp_path / "w.pth").write_text(POINTER)
    with pytest.raises(WeightsError, match="not the file planned with"):
        file.require()
    (tmp_path / "w.pth").unlink()
    with pytest.raises(WeightsError, match="no such weights file on"):
        file.require()


def test_the_named_imagenet_weights_are_torchvision_s() -> None:
    for name in set(CHANNELS) - {"mini"}:
        members = {member.name: member.url for member in torchvision_models().get_model_weights(name)}
        files = {option: _DOWNLOADS + of[name] for option, of in IMAGENET.items() if name in of}
        assert {option.replace("imagenet-v", "IMAGENET1K_V"): url for option, url in files.items()} == members


@pytest.mark.parametrize(
    ("option", "file", "other"),
    [("imagenet-v1", "resnet50-0676ba61.pth", "imagenet-v2"), ("imagenet-v2", "resnet50-11ad3fa6.pth", "imagenet-v1")],
)
def test_a_damaged_download_is_found_at_the_plan(
    option: str, file: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / file
    assert imagenet_file(option, "resnet50") == path
    path.parent.mkdir(parents=True)
    path.write_text("<html>proxy</html>")
    with pytest.raises(WeightsError, match=f"{file}: a web page.*delete it"):
        initial_weights(option, "resnet50")
    with pytest.raises(WeightsError, match="a web page"):
        Backbone("resnet50").load_pretrained(option)
    assert initial_weights(other, "resnet50") == (other, {})


def test_imagenet_weights_that_do_not_exist_are_found_at_the_plan() -> None:
    with pytest.raises(WeightsError, match=r"'imagenet-v2': torchvision has none for resnet18.*to `imagenet-v1`, or"):
        initial_weights("imagenet-v2", "resnet18")
    with pytest.raises(WeightsError, match="none for resnet18"):
        Backbone("resnet18").load_pretrained("imagenet-v2")


@pytest.mark.parametrize("backbone", ["resnet50", "mini"])
def test_imagenet_weights_need_a_version(backbone: str) -> None:
    with pytest.raises(WeightsError, match=r"'imagenet': torchvision has two versions.*`imagenet-v1` or `imagenet-v2`"):
        initial_weights("imagenet", backbone)


def test_a_network_of_a_stage_says_which_file_is_damaged(tmp_path: Path) -> None:
    cut(tmp_path / "network.pt")
    with pytest.raises(WeightsError, match=r"network\.pt: cut off.*store verify"):
        load_network(nn.Linear(2, 2), tmp_path / "network.pt")
    torch.save({"weight": torch.zeros(2, 2)}, tmp_path / "network.pt")
    with pytest.raises(WeightsError, match=r"network\.pt: weights of another network than Linear"):
        load_network(nn.Linear(2, 2), tmp_path / "network.pt")
