"""SBD as distributed, with files written by hand, and its union with PASCAL VOC."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from harness.datasets import Sequence, check_sequences, load_protocols, load_training, load_training_sets, locate
from harness.datasets.matlab import read_instances
from harness.errors import DataError
from harness.planning.inputs import gather
from tests.test_datasets_layouts import make_davis16, make_voc, save_frame, save_palette

SIZE = (24, 40)


def save_instances(path: Path, number: int = 2, size: tuple[int, int] = SIZE) -> None:
    """Write `GTinst` as in SBD's files: instances, their boundaries (sparse, one cell each) and categories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentation = np.zeros(size, np.uint8)
    boundaries = np.empty((number, 1), object)
    for instance in range(number):
        segmentation[2:8, 2 + 8 * instance : 8 + 8 * instance] = instance + 1
        boundaries[instance, 0] = csc_matrix((segmentation == instance + 1).astype(float))
    categories = np.arange(1, number + 1, dtype=np.uint8).reshape(-1, 1)
    content = {"Segmentation": segmentation, "Boundaries": boundaries, "Categories": categories}
    savemat(path, {"GTinst": content}, do_compression=True)


def make_sbd(folder: Path, train: tuple[str, ...] = ("2008_000002",), val: tuple[str, ...] = ("2008_000003",)) -> Path:
    """Write `benchmark_RELEASE/dataset`, with the trailing spaces that its lists have, and return it."""
    dataset = folder / "benchmark_RELEASE/dataset"
    for name in (*train, *val):
        save_frame(dataset / f"img/{name}.jpg")
        save_instances(dataset / f"inst/{name}.mat")
        (dataset / "cls").mkdir(exist_ok=True)
        savemat(dataset / f"cls/{name}.mat", {"GTcls": {"Segmentation": np.zeros(SIZE, np.uint8)}})
    for split, names in (("train", train), ("val", val)):
        (dataset / f"{split}.txt").write_text("".join(f"{name} \n" for name in names))
    return dataset


def sbd(root: Path) -> tuple[Sequence, ...]:
    return load_training("sbd", root)


def test_sbd_is_its_two_lists_with_the_instances_of_its_matlab_files(tmp_path: Path) -> None:
    make_sbd(tmp_path)
    images = sbd(tmp_path)
    assert [(image.name, len(image), image.object_ids) for image in images] == [
        ("2008_000002", 1, (1, 2)),
        ("2008_000003", 1, (1, 2)),
    ]
    values, counts = np.unique(images[0].mask(0), return_counts=True)
    assert (values.tolist(), counts.tolist()) == ([0, 1, 2], [24 * 40 - 72, 36, 36])
    assert check_sequences(images) == []


def test_instances_in_png_are_read_if_there_is_no_matlab_file(tmp_path: Path) -> None:
    dataset = make_sbd(tmp_path)
    (dataset / "inst/2008_000002.mat").unlink()
    save_palette(dataset / "inst/2008_000002.png", [1, 2, 3, 255])
    save_palette(dataset / "inst/2008_000003.png", [1])  # with its original, which has priority
    first, second = sbd(tmp_path)
    assert (first.object_ids, second.object_ids) == ((1, 2, 3), (1, 2))
    assert 255 in first.mask(0)


@pytest.mark.parametrize("place", ["", "SBD"])
def test_sbd_is_found_as_it_unpacks(tmp_path: Path, place: str) -> None:
    make_sbd(tmp_path / place)
    assert len(sbd(tmp_path)) == 2


def test_voc_enlarged_by_sbd_keeps_the_truth_of_voc(tmp_path: Path) -> None:
    make_voc(tmp_path / "VOCdevkit/VOC2012")  # 2007_000032, which has void
    make_sbd(tmp_path, train=("2008_000002", "2007_000032"))
    images = {image.name: image for image in load_training("voc", tmp_path)}
    assert list(images) == ["2008_000002", "2007_000032", "2008_000003"]
    assert images["2007_000032"].object_ids == (1, 3)
    assert 255 in images["2007_000032"].mask(0)
    assert images["2008_000002"].object_ids == (1, 2)


def test_an_image_missing_in_sbd_is_not_in_the_union(tmp_path: Path) -> None:
    """The paper's 11,355 images are SBD's; all of VOC's and SBD's together are more."""
    make_voc(tmp_path / "VOCdevkit/VOC2012")
    make_sbd(tmp_path)
    assert [image.name for image in load_training("voc", tmp_path)] == ["2008_000002", "2008_000003"]


@pytest.mark.parametrize(("make", "names"), [(make_sbd, ["2008_000002", "2008_000003"]), (make_voc, ["2007_000032"])])
def test_either_of_voc_and_sbd_is_enough(tmp_path: Path, make: Callable[[Path], Path], names: list[str]) -> None:
    make(tmp_path / ("VOC2012" if make is make_voc else ""))
    assert locate(tmp_path, load_training_sets()["voc"]).readers()
    assert [image.name for image in load_training("voc", tmp_path)] == names


def test_a_study_pretrains_on_sbd_if_voc_is_missing(tmp_path: Path) -> None:
    make_sbd(tmp_path)
    make_davis16(tmp_path / "DAVIS")
    inputs = gather([load_protocols()["davis16-val"]], tmp_path, tmp_path / "facts.sqlite")
    found = inputs.benchmarks["davis16-val"].training["pretraining"]
    assert found is not None
    assert [image.name for image in found.value] == ["2008_000002", "2008_000003"]


def test_sbd_has_11355_images(tmp_path: Path) -> None:
    dataset = tmp_path / "benchmark_RELEASE/dataset"
    (dataset / "inst").mkdir(parents=True)
    for split, count in (("train", 8498), ("val", 2857)):
        (dataset / f"{split}.txt").write_text("".join(f"{split}_{number:06d}\n" for number in range(count)))
    assert len(locate(tmp_path, load_training_sets()["sbd"]).readers()) == 11_355


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("mat") / "one.mat"
    save_instances(path)
    return path.read_bytes()


BAD: dict[str, tuple[dict[str, object] | bytes, str]] = {
    "empty": (b"", "no header"),
    "cut in its header": (b"MATLAB 5.0 MAT-file", "no header"),
    "a web page": (b"<html>404: not found</html>" * 40, "no header"),
    "classes instead of instances": ({"GTcls": {"Segmentation": np.zeros(SIZE)}}, "no variable GTinst"),
    "not a structure": ({"GTinst": 3.0}, "not a structure"),
    "another field": ({"GTinst": {"Boundaries": np.zeros(SIZE)}}, "no field Segmentation"),
    "words": ({"GTinst": {"Segmentation": "words"}}, "not an image"),
    "no pixels": ({"GTinst": {"Segmentation": np.zeros((0, 4))}}, "not an image"),
    "three dimensions": ({"GTinst": {"Segmentation": np.zeros((4, 4, 4))}}, "not an image"),
    **{
        f"value {value}": ({"GTinst": {"Segmentation": np.full(SIZE, value)}}, "not instances")
        for value in (-1.0, 0.5, 256.0, np.nan)
    },
    "too large a file": (bytes((64 << 20) + 1), "as large"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_matlab_file_without_instances_is_named(tmp_path: Path, name: str) -> None:
    content, message = BAD[name]
    path = make_sbd(tmp_path) / "inst/2008_000002.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content)
    with pytest.raises(DataError, match=rf"2008_000002\.mat: not a readable mask.*{message}"):
        sbd(tmp_path)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("packed", [True, False])
def test_numbers_of_any_type_are_read_as_by_scipy(tmp_path: Path, kind: type, packed: bool) -> None:
    values = np.random.default_rng(0).integers(0, 9, SIZE).astype(kind)
    savemat(
        tmp_path / "one.mat", {"other": 1, "GTinst": {"Segmentation": values, "Boundaries": 2}}, do_compression=packed
    )
    found = read_instances((tmp_path / "one.mat").read_bytes())
    expected = loadmat(tmp_path / "one.mat")["GTinst"]["Segmentation"].item()
    assert found.dtype == np.uint8
    assert (found == expected).all()


def changed(content: bytes, place: int, new: bytes) -> bytes:
    """Return a compressed file with bytes changed inside and valid checksums."""
    inner = bytearray(zlib.decompress(content[136:]))  # behind the header and the tag of the compressed element
    inner[place : place + len(new)] = new
    packed = zlib.compress(bytes(inner))
    return content[:128] + struct.pack("<II", 15, len(packed)) + packed


def test_a_matlab_file_with_a_huge_image_size_is_an_error(tmp_path: Path) -> None:
    save_instances(tmp_path / "one.mat")
    content = (tmp_path / "one.mat").read_bytes()
    place = zlib.decompress(content[136:]).index(struct.pack("<IIii", 5, 8, *SIZE))  # int32, 8 bytes
    with pytest.raises(ValueError, match="50000×50000, but 960 numbers"):
        read_instances(changed(content, place, struct.pack("<IIii", 5, 8, 50_000, 50_000)))


def test_a_matlab_file_that_inflates_too_much_is_an_error() -> None:
    packed = zlib.compress(bytes(80 << 20))
    head = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    with pytest.raises(ValueError, match="larger than any in SBD"):
        read_instances(head + struct.pack("<II", 15, len(packed)) + packed)


@settings(max_examples=300)
@given(data=st.data())
def test_a_damaged_matlab_file_gives_instances_or_a_named_error(content: bytes, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(zlib.decompress(content[136:])) - 4))
        content = changed(content, place, data.draw(st.binary(min_size=1, max_size=4)))
    else:
        content = content[: data.draw(st.integers(0, len(content)))]
    with suppress(ValueError):
        assert read_instances(content).ndim == 2
