"""The definition of a method by its command, as a study file has it under `methods`."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, create_model

from harness.config import Config, resolve
from harness.errors import StudyError
from harness.external.config import Frames, LateObjects, Per, Scalar
from harness.external.template import known_names, names_in, require_unquoted

_OPTION = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")
_TAKEN = {"method", "benchmarks", "training_sets"}
"""Keys of a variant that are no options."""

_RUNNERS = ("python", "conda", "container")

IMAGE_FILE = ".sif"
"""Ending of an image that is a file, of Apptainer."""


class Definition(Config):
    """What is written under the name of a method."""

    command: str = Field(min_length=1)
    """Command that segments one sequence, or all of a benchmark; placeholders in braces."""

    train: str | None = Field(default=None, min_length=1)
    """Command that trains; the other one gets the folder that it wrote as `{trained}`."""

    label: str = ""
    """Name in tables; empty: the name of the method."""

    python: Path | None = None
    """Interpreter that `{python}` stands for; with `container`, its path inside."""

    conda: str | None = None
    """Name or folder of a conda environment."""

    container: str | None = None
    """Image for docker or podman, or a file of Apptainer."""

    folder: Path | None = None
    """Folder of the code, in which the commands run."""

    files: tuple[Path, ...] = ()
    """Files that the commands read: `{file0}`, `{file1}`, …"""

    options: dict[str, Scalar] = Field(default_factory=dict)
    """Option → default. Each is a placeholder, and a variant may set it."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the commands."""

    ignore: tuple[str, ...] = ()
    """Patterns of names or paths in `folder` that do not count: `output`, `*.log`, `/runs` for the one at its top."""

    per: Per = "sequence"
    frames: Frames = "stored"
    late_objects: LateObjects = "separate"
    """`given` if the command takes up objects that appear later; else it is called for each group of them."""

    shell: bool = False
    """Whether a shell runs the commands."""

    training: Literal["pretraining", "offline"] = "offline"
    """Training set of a benchmark that `train` gets."""

    timed: bool = True
    """Whether seconds per frame are measured."""

    cpus: float = Field(default=1.0, gt=0)
    """CPU cores for each call."""

    gpus: float | None = Field(default=None, ge=0)
    """GPUs for each call; None: what the scale of the study says."""

    memory: float = Field(default=0.0, ge=0)
    """Gigabytes of main memory that a call needs; 0: unknown."""

    time_limit: float | None = Field(default=None, gt=0)
    """Seconds for each attempt at a call; None: the limit of the run, if there is one."""

    def names(self, origin: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the placeholders in `command` and in `train`. Raises StudyError for text that is no template."""
        of_train = names_in(self.train, f"{origin}.train") if self.train else frozenset()
        return names_in(self.command, f"{origin}.command"), of_train


def read_definition(definition: Mapping[str, Any], origin: str, file: Path) -> Definition:
    """Return a checked definition, in which relative paths start from the folder of its `file`. Nothing is read.

    If the code is in that folder too, the file does not count as code. `origin` says in errors where the definition is.
    Raises StudyError."""
    file = file.absolute()
    folder = file.parent
    found = resolve(Definition, definition, origin)
    given = [name for name in _RUNNERS if getattr(found, name) is not None]
    if len(given) > 1 and given != ["python", "container"]:
        raise StudyError(f"{origin}: found {' and '.join(given)}; expected one of these, or python inside a container")
    _check_options(found, origin)
    _check_commands(found, origin)
    code = found.folder and _absolute(found.folder, folder)
    place = os.path.relpath(file, code) if code else ".."
    own = () if place.startswith("..") else (f"/{glob.escape(place)}",)
    return found.model_copy(
        update={
            "ignore": (*found.ignore, *own),
            "python": _program(found.python, folder) if not found.container else found.python,
            "conda": _place(found.conda, folder) if "/" in (found.conda or "") else found.conda,
            "container": _place(found.container, folder) if _is_image_file(found.container) else found.container,
            "folder": code,
            "files": tuple(_absolute(path, folder) for path in found.files),
        }
    )


def options_type(definition: Definition, name: str) -> type[Config]:
    """Return the config of the method: its options with their defaults."""
    base = type("Options", (Config,), {"model_config": ConfigDict(protected_namespaces=()), "__doc__": f"Of {name}."})
    fields: dict[str, Any] = {option: (Scalar, default) for option, default in definition.options.items()}
    return create_model("Options", __base__=base, **fields)


def _check_options(found: Definition, origin: str) -> None:
    files = len(found.files)
    taken = _TAKEN | known_names(training=False, per_sequence=True, trained=True, files=files)
    taken |= known_names(training=True, files=files)
    for name in found.options:
        if not _OPTION.fullmatch(name):
            raise StudyError(f"{origin}.options: name {name!r}; expected letters, digits and '_', the first a letter")
        if name in taken or hasattr(Config, name):
            raise StudyError(f"{origin}.options: {name!r} has a meaning already; give the option another name")


def _check_commands(found: Definition, origin: str) -> None:
    files = len(found.files)
    of_command, of_train = found.names(origin)
    per_sequence, trains = found.per == "sequence", found.train is not None
    known = known_names(training=False, per_sequence=per_sequence, trained=trains, files=files)
    _require_known(of_command, known, found, f"{origin}.command")
    if not {"masks", "output"} & of_command:
        raise StudyError(f"{origin}.command: {{masks}} is not in it; expected, since the masks are to be written there")
    shows = {"prompts", "root", "flat", *(() if per_sequence else ("first_mask",))}
    if found.late_objects == "given" and not shows & of_command:
        names = " or ".join(f"{{{name}}}" for name in sorted(shows))
        raise StudyError(
            f"{origin}: late_objects is given, but the command sees the first masks only; name {names} in it, or set "
            "late_objects to separate"
        )
    if found.train is not None:
        _require_known(of_train, known_names(training=True, files=files), found, f"{origin}.train")
        if "output" not in of_train:
            raise StudyError(
                f"{origin}.train: {{output}} is not in it; expected, since the result is to be written there"
            )
        if "trained" not in of_command:
            raise StudyError(f"{origin}.command: {{trained}} is not in it; expected, or `train` would be of no use")
    for key, text in (("command", found.command), ("train", found.train)):
        if found.shell and text:
            require_unquoted(text, f"{origin}.{key}")
    has_python = any(getattr(found, name) is not None for name in _RUNNERS)
    if "python" in of_command | of_train and not has_python:
        raise StudyError(f"{origin}: {{python}} found, but no key python, conda or container that says which one")
    if "folder" in of_command | of_train and found.folder is None:
        raise StudyError(f"{origin}: {{folder}} found, but no key folder")
    if unused := sorted(found.options.keys() - of_command - of_train):
        raise StudyError(
            f"{origin}.options: {unused[0]!r} is named in no command; write {{{unused[0]}}} there, or remove the option"
        )


def _require_known(names: frozenset[str], known: frozenset[str], found: Definition, origin: str) -> None:
    for name in sorted(names - known - found.options.keys()):
        hint = {
            "trained": "there is no `train` command, whose folder it would be; ",
            "sequence": "the command gets all sequences at once (per: benchmark); ",
        }.get(name, "")
        options = f"; options: {', '.join(f'{{{one}}}' for one in found.options)}" if found.options else ""
        places = ", ".join(f"{{{one}}}" for one in sorted(known))
        raise StudyError(
            f"{origin}: unknown placeholder {{{name}}}; {hint}known here: {places}{options}; "
            "write {{ and }} for braces"
        )


def _absolute(path: Path, folder: Path) -> Path:
    return (folder / os.path.expanduser(path)).absolute()  # noqa: PTH111  Path's own fails for an unknown user


def _place(text: str | None, folder: Path) -> str:
    return str(_absolute(Path(text or ""), folder))


def _is_image_file(container: str | None) -> bool:
    return container is not None and container.endswith(IMAGE_FILE)


def _program(path: Path | None, folder: Path) -> Path | None:
    """Return the path of a program; a bare name is looked up when it is needed."""
    return path if path is None or len(path.parts) == 1 else _absolute(path, folder)
