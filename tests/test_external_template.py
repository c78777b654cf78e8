"""Placeholders of a command: a value stays one argument whatever is in it, also in a shell."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import StudyError
from harness.external.output import Lines
from harness.external.template import arguments, known_names, names_in, require_unquoted

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(VALUES, VALUES)
def test_a_value_is_never_two_arguments(one: str, two: str) -> None:
    found = arguments("eval.py --a {one} --b={two} 'x {one} y' {{}}", {"one": one, "two": two})
    assert found == ["eval.py", "--a", one, f"--b={two}", f"x {one} y", "{}"]


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_a_shell_passes_values_on_as_they_are(values: list[str]) -> None:
    names = [f"v{index}" for index in range(len(values))]
    template = "printf '%s\\0' " + " ".join(f"{{{name}}}" for name in names) + " | cat"
    require_unquoted(template, "test")
    argv = arguments(template, dict(zip(names, values, strict=True)), shell=True)
    printed = subprocess.run(argv, capture_output=True, check=True).stdout
    assert printed == b"".join(value.encode() + b"\0" for value in values)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("python {x", "a single {"),
        ("python x}", "a single }"),
        ("python { x }", "a single {"),
        ("python 'x", "cannot be split into arguments"),
        ("  ", "an empty command"),
    ],
)
def test_a_template_that_cannot_be_read_is_named(template: str, message: str) -> None:
    with pytest.raises(StudyError, match=f"study.yaml: .*{message}"):
        names_in(template, "study.yaml")


@pytest.mark.parametrize("template", ["run '{x}'", 'run "{x}"', 'run {x} "a {x}"', "run 'a'\"{x}\""])
def test_a_placeholder_inside_quotes_of_a_shell_is_an_error(template: str) -> None:
    with pytest.raises(StudyError, match=r"{x} stands inside quotes"):
        require_unquoted(template, "study.yaml")


@pytest.mark.parametrize("template", ["run {x}", "run --a={x}", "run {{x}} {x} > log", "cd {x} && run '{{x}}'"])
def test_a_placeholder_outside_of_quotes_is_none(template: str) -> None:
    require_unquoted(template, "study.yaml")


def test_names_are_those_that_the_command_can_have() -> None:
    assert names_in("{python} x {frames} {{no}} '{mem_every}'", "test") == {"python", "frames", "mem_every"}
    assert {"sequence", "masks", "file1"} <= known_names(training=False, per_sequence=True, files=2)
    assert not {"masks", "first_mask", "trained"} & known_names(training=True)
    assert not {"sequence", "trained", "file0"} & known_names(training=False)


@given(st.lists(st.text("ab\r\n"), max_size=6), st.integers(1, 3))
def test_lines_do_not_depend_on_how_they_arrive(parts: list[str], size: int) -> None:
    text = "".join(parts)
    found: list[str] = []
    lines = Lines(lambda line, when: found.append(line))
    for place in range(0, len(text), size):
        lines.add(text[place : place + size].encode(), 0.0)
    lines.close(0.0)
    assert found == [line for line in text.replace("\r", "\n").split("\n") if line]
