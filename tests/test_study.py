"""A study file that is wrong says so when it is loaded: file, key, what was found, what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets import load_protocols
from harness.errors import StudyError
from harness.planning.study import Study, load_study, shipped_studies, study_name

GOOD = """
name: try
question: Does it load?
method: dipnet
scale: small
benchmarks: [davis16-val]
seeds: [0, 1]
variants:
  first: {method: first-mask}
  full: {}
  half: {omega: 0.5, one_shot.frame_iterations: 3, benchmarks: [davis17-val]}
"""
STUDIES = sorted(path.name for path in shipped_studies().glob("*.yaml") if "\nvariants:" in path.read_text())
SCALE = "name: small\nmethods: {dipnet: {omega: 0.25, one_shot: {frame_iterations: 7, batch: 2}}}\n"


def load(folder: Path, study: str = GOOD, scale: str = SCALE, asked: str | None = None) -> Study:
    (folder / "study.yaml").write_text(study)
    (folder / "small.yaml").write_text(scale)
    return load_study(folder / "study.yaml", load_protocols(), asked, folder)


def test_a_variant_is_the_scale_with_its_own_options_laid_over(tmp_path: Path) -> None:
    study = load(tmp_path)
    configs = {variant.name: variant.config.model_dump() for variant in study.variants if variant.method == "dipnet"}
    assert configs["full"]["omega"] == 0.25
    assert configs["half"]["omega"] == 0.5
    assert configs["half"]["one_shot"]["frame_iterations"] == 3
    assert configs["half"]["one_shot"]["batch"] == 2


def test_a_variant_may_name_method_and_benchmarks_of_its_own(tmp_path: Path) -> None:
    first, full, half = load(tmp_path).variants
    assert (first.method, full.method) == ("first-mask", "dipnet")
    assert (full.benchmarks, half.benchmarks) == (("davis16-val",), ("davis17-val",))


def test_a_dot_in_the_name_of_a_variant_is_a_part_of_the_name(tmp_path: Path) -> None:
    study = load(tmp_path, GOOD.replace("full: {}", "omega-0.95: {omega: 0.95}"))
    assert study.variants[1].name == "omega-0.95"


def test_a_study_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path).name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("question:", "quest:", ["unknown key 'quest'", "question"]),
        ("full: {}", "full: {omga: 1}", ["variants.full", "omga", "omega"]),
        ("full: {}", "full: {one_shot.steps: 1}", ["one_shot.steps", "frame_iterations"]),
        ("full: {}", "full: {omega: 2}", ["variants.full", "omega", "2"]),
        ("full: {}", "full: {method: absent}", ["absent", "first-mask"]),
        ("full: {}", "full: {benchmarks: []}", ["variants.full.benchmarks", "[]"]),
        ("full: {}", "full: {training_sets: {offline: davis15-train}}", ["training_sets", "davis15", "davis16-train"]),
        ("full: {}", "full: {training_sets: {on-line: davis16-train}}", ["on-line", "pretraining or offline"]),
        ("full: {}", "full: {training_sets: davis16-train}", ["training_sets", "'davis16-train'"]),
        ("full: {}", "first: {}", ["'first' is given twice", "line"]),
        ("full: {}", "fu/ll: {}", ["fu/ll", "letters"]),
        ("full: {}", "..: {}", ["'..'", "the first a letter or digit"]),
        ("full: {}", "-x: {}", ["'-x'", "the first a letter or digit"]),
        ("full: {}", "'': {}", ["''", "1 to 100"]),
        ("full: {}", f"{'long' * 30}: {{}}", ["longlong", "1 to 100"]),
        ("name: try", "name: ../try", ["'../try'", "letters"]),
        ("name: try", "name: .try", ["'.try'", "the first a letter or digit"]),
        ("full: {}", "full: 3", ["variants.full", "3", "mapping"]),
        ("[davis16-val]\n", "[davis15-val]\n", ["davis15-val", "davis16-val"]),
        ("[davis16-val]\n", "[davis16-val, davis16-val]\n", ["twice"]),
        ("seeds: [0, 1]", "seeds: [0, 0]", ["seeds", "twice"]),
        ("seeds: [0, 1]", "seeds: [-1]", ["seeds", "-1"]),
        ("scale: small", "scale: huge", ["huge", "small"]),
        ("method: dipnet\n", "", ["method", "missing"]),
        ("variants:", "variants: [", ["study.yaml", "line"]),
    ],
)
def test_a_wrong_study_is_one_error_with_file_key_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in GOOD
    with pytest.raises(StudyError) as error:
        load(tmp_path, GOOD.replace(old, new, 1))
    for word in ["study.yaml", *words]:
        assert word in str(error.value)


@given(st.text(st.sampled_from("aZ9._-/\\ \n\0ä~*"), max_size=110))
def test_every_name_that_a_study_may_have_is_one_plain_file_in_its_folder(name: str) -> None:
    try:
        study_name(name)
    except StudyError:
        return
    assert Path("home", f"{name}.json").resolve().parent == Path("home").resolve()
    assert name[0] not in ".-"
    assert len(f".{name}.json.{2**22}") < 256  # as it is written before it is renamed


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ("name: small\nmethods: {dipnet: {omga: 1}}\n", ["small.yaml", "omga"]),
        ("name: other\n", ["small.yaml", "other"]),
        ("name: small\nsize: 3\n", ["small.yaml", "size", "requires_gpu"]),
        ("name: small\nmethods: {absent: {}}\n", ["small.yaml", "absent"]),
    ],
)
def test_a_wrong_scale_is_an_error_that_names_its_file(tmp_path: Path, scale: str, words: list[str]) -> None:
    with pytest.raises(StudyError) as error:
        load(tmp_path, scale=scale)
    for word in words:
        assert word in str(error.value)


def test_a_study_that_is_not_there_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"absent\.yaml"):
        load_study(tmp_path / "absent.yaml", load_protocols())


@pytest.mark.parametrize("scale", sorted(path.stem for path in (shipped_studies() / "scales").glob("*.yaml")))
@pytest.mark.parametrize("study", STUDIES)
def test_every_shipped_study_loads_at_every_shipped_scale(study: str, scale: str) -> None:
    assert load_study(shipped_studies() / study, load_protocols(), scale).scale.name == scale
