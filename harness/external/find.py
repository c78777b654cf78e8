"""Finds what a definition names on this machine, before anything is run: folder, files, interpreter, image."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from harness.errors import CommandError
from harness.external.definition import IMAGE_FILE, Definition
from harness.external.sources import Files, Repository, Runner, file_digest, tree_digest
from harness.external.tree import read_tree
from harness.fingerprint import digest_of

_ENGINES, _FILE_ENGINES = ("docker", "podman"), ("apptainer", "singularity")


def find_repository(definition: Definition, origin: str) -> Repository:
    """Return the folder of the code as it is now. Raises CommandError if there is none, or it cannot be read."""
    folder = definition.folder
    if folder is None:
        return Repository(path=None, digest=digest_of({}))
    if not folder.is_dir():
        raise CommandError(f"{origin}.folder: no folder {folder}")
    tree = read_tree(folder, definition.ignore)
    return Repository(
        path=folder,
        commit=f"{tree.commit}{'+changes' if tree.changed else ''}" if tree.commit else "",
        digest=tree_digest(tree),
        ignore=definition.ignore,
    )


def find_files(definition: Definition, origin: str) -> Files:
    """Return the files with their digests. Raises CommandError if one cannot be read."""
    for path in definition.files:
        if not path.is_file():
            raise CommandError(f"{origin}.files: no file {path}")
    return Files(paths=definition.files, digests=tuple(file_digest(path) for path in definition.files))


def find_runner(definition: Definition, template: str, origin: str, key: str) -> Runner:
    """Return what runs a command of this text, which stands under `key` of the definition at `origin`.

    Raises CommandError if it, or the command's program, is not there."""
    runner = _runner(definition, origin)
    if runner.digest:
        return runner
    if not definition.shell:
        runner = replace(runner, program=_program(template, runner, definition, f"{origin}.{key}"))
    digest, about = runner.identity()
    return replace(runner, digest=digest, about=about)


def _runner(definition: Definition, origin: str) -> Runner:
    if definition.container is not None:
        return _container(definition.container, definition.python or Path("python"), origin)
    if definition.conda is not None:
        prefix = _conda_prefix(definition.conda, origin)
        return Runner(kind="conda", prefix=prefix, python=prefix / "bin" / "python")
    if definition.python is not None:
        place = shutil.which(definition.python)
        if place is None:
            raise CommandError(f"{origin}.python: no program {definition.python}; give the path of an interpreter")
        return Runner(kind="python", python=Path(place).absolute())
    return Runner(kind="none")


def _container(image: str, python: Path, origin: str) -> Runner:
    is_file = image.endswith(IMAGE_FILE)
    if is_file and not Path(image).is_file():
        raise CommandError(f"{origin}.container: no file {image}")
    names = _FILE_ENGINES if is_file else _ENGINES
    engines = [Path(place).absolute() for name in names if (place := shutil.which(name))]
    if not engines:
        others = "" if is_file else "; Apptainer takes a file: `apptainer pull NAME.sif docker://IMAGE`"
        raise CommandError(f"{origin}.container: neither {' nor '.join(names)} is installed{others}")
    failures = []
    for engine in engines:
        runner = Runner(kind="container", container=image, engine=engine, python=python)
        try:
            digest, about = runner.identity()
        except CommandError as error:
            failures.append(str(error))  # docker's client may be installed without a running daemon, next to podman
        else:
            return replace(runner, digest=digest, about=about)
    raise CommandError(f"{origin}.container: " + "; ".join(failures))


def _conda_prefix(name: str, origin: str) -> Path:
    """Return the folder of a conda environment."""
    if "/" in name:
        places = [Path(name)]
    else:
        places = [place for place in _conda_prefixes() if place.name == name or (name == "base" and _is_base(place))]
    if not places:
        known = ", ".join(sorted(place.name for place in _conda_prefixes())) or "none"
        raise CommandError(f"{origin}.conda: no environment {name!r}; found: {known}; a folder may be given instead")
    if len(places) > 1:
        raise CommandError(f"{origin}.conda: {name!r} is the name of {' and '.join(map(str, places))}; give the folder")
    if not (places[0] / "conda-meta").is_dir() or not (places[0] / "bin" / "python").exists():
        raise CommandError(f"{origin}.conda: {places[0]} is no conda environment with Python")
    return places[0]


def _conda_prefixes() -> list[Path]:
    """Return the environments that conda and its relatives have noted, and those that they list."""
    noted = Path.home() / ".conda" / "environments.txt"
    lines = noted.read_text(encoding="utf-8").split("\n") if noted.is_file() else []
    for name in ("conda", "mamba", "micromamba"):
        program = os.environ.get("CONDA_EXE") if name == "conda" else None
        if place := program or shutil.which(name):
            command = [place, "env", "list", "--json"]
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
                lines += json.loads(done.stdout)["envs"]
            except (OSError, subprocess.SubprocessError, ValueError, KeyError):
                continue  # what is noted in the file has to do
            break
    return [Path(line) for line in dict.fromkeys(line.strip() for line in lines) if line and Path(line).is_dir()]


def _is_base(prefix: Path) -> bool:
    return (prefix / "condabin").is_dir()


def _program(template: str, runner: Runner, definition: Definition, origin: str) -> Path | None:
    """Return the command's first word if that is a path. Raises CommandError if it, or the script, is absent."""
    words = shlex.split(template)
    folder = definition.folder
    if words[0] == "{python}":
        script = words[1] if len(words) > 1 else ""
        if folder and script.endswith(".py") and "{" not in script and not (folder / script).is_file():
            raise CommandError(f"{origin}: no file {script} in {folder}")
        return None
    if "{" in words[0]:
        return None
    if "/" in words[0]:
        place = (folder or Path("/")) / Path(words[0])
        if not os.access(place, os.X_OK) or not place.is_file():
            raise CommandError(f"{origin}: no program {place}; a file that may be executed expected")
        return place
    neighbors = (runner.python.parent / words[0],) if runner.python else ()
    if not any(place.is_file() for place in neighbors) and shutil.which(words[0]) is None:
        raise CommandError(f"{origin}: no program {words[0]!r} is installed")
    return None
