"""The text of a command: which placeholders it names, and the arguments that it becomes when they are filled.

The text is split into arguments first and filled afterwards, argument by argument, so that a value never becomes two
arguments, whatever is in it. For a shell, every value is quoted instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping

from harness.errors import StudyError
from harness.external.config import Scalar

_PART = re.compile(r"\{\{|\}\}|\{([A-Za-z_]\w*)\}|[{}]")
_PROBE = "a 'b\" $c"
"""A value that only quoting keeps whole."""

_COMMON = frozenset(
    {"python", "worker", "folder", "device", "seed", "root", "flat", "list", "output", "scratch", "frames"}
)


def known_names(*, training: bool, per_sequence: bool = False, trained: bool = False, files: int = 0) -> frozenset[str]:
    """Return the placeholders that a command may name besides its options.

    `trained`: whether there is a command that trains. `files`: how many files the definition lists."""
    names = _COMMON | {f"file{number}" for number in range(files)}
    if training:
        return names | {"annotations"}
    names |= {"first_mask", "prompts", "masks"}
    return names | ({"sequence"} if per_sequence else set()) | ({"trained"} if trained else set())


def names_in(template: str, origin: str) -> frozenset[str]:
    """Return the names of the placeholders in a template, options included.

    Raises StudyError, which names `origin`, if a brace has no partner or the quotes are not closed."""
    text = " ".join(_split(template, origin))
    _fill(text, lambda name: name, origin)
    return frozenset(_named(text))


def require_unquoted(template: str, origin: str) -> None:
    """Raise StudyError if a placeholder in a template for a shell stands inside quotes, which would break its own."""
    for name in sorted(names_in(template, origin)):
        probed = {one: shlex.quote(_PROBE) if one == name else "x" for one in _named(template)}
        text = _fill(template, probed.__getitem__, origin)
        whole = sum(argument.count(_PROBE) for argument in _split(text, origin))
        if whole < _named(template).count(name):
            raise StudyError(f"{origin}: {{{name}}} stands inside quotes; remove them, since values are quoted already")


def arguments(template: str, values: Mapping[str, str], *, shell: bool = False, origin: str = "command") -> list[str]:
    """Return the arguments of a command with its placeholders filled: `sh -c TEXT` for a shell.

    Raises StudyError for a placeholder without a value, and lists those that have one."""

    def value(name: str) -> str:
        if name not in values:
            known = ", ".join(f"{{{one}}}" for one in sorted(values))
            raise StudyError(f"{origin}: {{{name}}} found; known here: {known}; write {{{{ and }}}} for braces")
        return shlex.quote(values[name]) if shell else values[name]

    if shell:
        return ["/bin/sh", "-c", _fill(template, value, origin)]
    return [_fill(argument, value, origin) for argument in _split(template, origin)]


def text_of(value: Scalar) -> str:
    """Return an option's value as a command gets it: `true` and `false` as YAML writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split(template: str, origin: str) -> list[str]:
    try:
        found = shlex.split(template)
    except ValueError as error:
        raise StudyError(f"{origin}: {template!r} cannot be split into arguments ({error})") from None
    if not found:
        raise StudyError(f"{origin}: an empty command found; a program and its arguments expected")
    return found


def _named(text: str) -> list[str]:
    """Return the name of every placeholder, as often as it is there."""
    return [match[1] for match in _PART.finditer(text) if match[1]]


def _fill(text: str, value: Callable[[str], str], origin: str) -> str:
    def part(match: re.Match[str]) -> str:
        if match[1]:
            return value(match[1])
        if len(match[0]) == 1:
            raise StudyError(
                f"{origin}: a single {match[0]} in {text!r}; write {{name}} for a value, or {match[0] * 2} for a brace"
            )
        return match[0][0]

    return _PART.sub(part, text)
