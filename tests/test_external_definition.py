"""A method that a study defines by its command is checked when the study is loaded: key, what was found, remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.datasets import load_protocols
from harness.errors import StudyError
from harness.external.definition import Definition, read_definition
from harness.external.method import ExternalMethod
from harness.planning.study import Study, load_study

GOOD = """
name: try
method: mine
benchmarks: [davis16-val]
methods:
  mine:
    command: "{python} track.py --frames {frames} --mask {first_mask} --out {masks} --every {mem_every} {trained}"
    train: "{python} train.py {root} {output} --steps {steps}"
    python: envs/mine/bin/python
    folder: code
    files: [weights.pth, /weights/other.pth]
    options: {mem_every: 5, steps: 100}
  mine-1.0:
    command: track {frames} {first_mask} {masks}
    label: Mine, first version
variants:
  whole: {}
  rare:  {mem_every: 10}
  old:   {method: mine-1.0}
"""


def load(folder: Path, study: str = GOOD, **options: object) -> Study:
    (folder / "study.yaml").write_text(study)
    return load_study(folder / "study.yaml", load_protocols(), options=options)


def definition(study: Study, variant: int = 0) -> Definition:
    method = study.variants[variant].implementation
    assert isinstance(method, ExternalMethod)
    return method.definition


def test_a_study_may_name_the_methods_that_it_defines(tmp_path: Path) -> None:
    whole, rare, old = load(tmp_path).variants
    assert (whole.method, whole.implementation.label) == ("mine", "mine")
    assert (old.method, old.implementation.label) == ("mine-1.0", "Mine, first version")
    assert whole.config.model_dump() == {"mem_every": 5, "steps": 100}
    assert rare.config.model_dump() == {"mem_every": 10, "steps": 100}
    assert rare.options == {"mem_every": 10}


def test_options_of_the_command_line_reach_a_defined_method(tmp_path: Path) -> None:
    whole, rare, _ = load(tmp_path, mem_every=7).variants
    assert (whole.config.model_dump()["mem_every"], rare.config.model_dump()["mem_every"]) == (7, 10)
    with pytest.raises(StudyError, match=r"--option: unknown key 'memevery'.*allowed here: mem_every, steps"):
        load(tmp_path, memevery=7)


def test_relative_paths_start_from_the_folder_of_the_study(tmp_path: Path) -> None:
    found = definition(load(tmp_path))
    assert found.python == tmp_path / "envs/mine/bin/python"
    assert found.folder == tmp_path / "code"
    assert found.files == (tmp_path / "weights.pth", Path("/weights/other.pth"))


def test_a_definition_may_take_over_another_one(tmp_path: Path) -> None:
    study = GOOD.replace("  mine:\n", "  mine: &mine\n").replace(
        "variants:", "  tiny: {<<: *mine, files: [t.pth]}\nvariants:"
    )
    study = study.replace("  old: ", "  tiny: {method: tiny}\n  old: ")
    found = definition(load(tmp_path, study), 2)
    assert found.command == definition(load(tmp_path)).command
    assert found.files == (tmp_path / "t.pth",)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{frames} --mask", "{frame} --mask", ["mine.command", "{frame}", "{frames}", "{mem_every}", "{{"]),
        ("{mem_every} {t", "{t", ["mine.options", "'mem_every'", "named in no command"]),
        ("    train:", "    title:", ["unknown key 'title'", "train"]),
        ('    train: "{python} train.py {root} {output} --steps {steps}"\n', "", ["{trained}", "no `train` command"]),
        (" {trained}", "", ["mine.command", "{trained} is not in it"]),
        ("{root} {output}", "{root}", ["mine.train", "{output} is not in it"]),
        ("{root} {output}", "{root} {output} {masks}", ["mine.train", "unknown placeholder {masks}"]),
        ("--out {masks} ", "", ["mine.command", "{masks} is not in it"]),
        ("    python: envs/mine/bin/python\n", "", ["{python}", "python, conda or container"]),
        ("envs/mine/bin/python\n", "p\n    conda: mine\n", ["python and conda", "one of these"]),
        ("{frames} --mask", '{frames} \\"--mask', ["mine.command", "quotation"]),
        ("{frames} --mask", "{frames --mask", ["mine.command", "single {"]),
        ("steps: 100", "steps: [1]", ["options.steps"]),
        ("steps: 100", "frames: 1", ["'frames'", "another name"]),
        ("steps: 100", "seeds-1: 1", ["'seeds-1'", "letters"]),
        ("steps: 100", "copy: 1", ["'copy'", "another name"]),
        ("steps: 100", "benchmarks: 1", ["'benchmarks'", "another name"]),
        ("  mine:\n", "  dipnet:\n", ["methods.dipnet", "installed method", "another name"]),
        ("  mine:\n", "  mi/ne:\n", ["'mi/ne'", "letters"]),
        ("method: mine\n", "method: yours\n", ["'yours'", "first-mask", "defined here: mine, mine-1.0"]),
        ("    command: track", "    program: track", ["methods.mine-1.0", "program, label", "command"]),
        ("{mem_every: 10}", "{memevery: 10}", ["variants.rare", "memevery", "mem_every, steps"]),
        ("    folder: code\n", "    folder: code\n    per: video\n", ["mine: per", "'sequence' or 'benchmark'"]),
        ("    folder: code\n", "    folder: code\n    cpus: 0\n", ["mine: cpus", "0"]),
        ("{first_mask} {masks}\n", "{first_mask} {masks} {sequence}\n    per: benchmark\n", ["{sequence}", "at once"]),
        ("{first_mask} {masks}\n", "{first_mask} '{masks}'\n    shell: true\n", ["mine-1.0.command", "inside quotes"]),
        ("{first_mask} {masks}\n", "{first_mask} {masks} {folder}\n", ["mine-1.0", "{folder}", "no key folder"]),
        ("{first_mask} {masks}\n", "{first_mask} {masks} {file0}\n", ["unknown placeholder {file0}"]),
    ],
)
def test_a_wrong_definition_is_one_error_with_key_and_remedy(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in GOOD
    with pytest.raises(StudyError) as error:
        load(tmp_path, GOOD.replace(old, new, 1))
    for word in ["study.yaml", *words]:
        assert word in str(error.value)


def is_read_or_refused(content: dict[str, object]) -> bool:
    """Whether a definition is read, or refused by an error that says where it is."""
    try:
        return bool(read_definition(content, "origin", Path("/study.yaml")).command)
    except StudyError as error:
        return "origin" in str(error)


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()))))
def test_no_definition_is_anything_but_accepted_or_a_named_error(content: dict[str, object]) -> None:
    assert is_read_or_refused({"command": "run {masks}", **content})


@given(st.text(st.sampled_from("{}masks '\"\\$ \n"), max_size=30))
def test_no_text_of_a_command_is_anything_but_accepted_or_a_named_error(text: str) -> None:
    assert is_read_or_refused({"command": text})
