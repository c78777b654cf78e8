"""What a command of others consists of: its folder, its files and what runs it, as the plan saw them.

These are values of a stage's data: their digests are in its key, and their places on this machine are not. A stage
calls `verify` before it runs the command."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from harness.errors import CommandError
from harness.external.tree import Tree, read_tree
from harness.files import sha256_of
from harness.fingerprint import digest_of

RunnerKind = Literal["python", "conda", "container", "none"]

_AGAIN = "give the same command again, so that it is planned anew"

_ASK = """
import json, os, sys
ends = (".dist-info", ".egg-info", ".egg-link")
found = [name for place in sys.path if os.path.isdir(place) for name in os.listdir(place) if name.endswith(ends)]
print("\\n" + json.dumps([sys.version.split()[0], sorted(set(found))]))
"""
"""Program that every Python runs: its version, and the files that name installed distributions with their versions."""

_SECONDS = 60.0
"""Time that an interpreter or a container engine has to answer."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A folder with a method's code, in which its command runs."""

    path: Path | None
    """None: the definition names no folder."""

    commit: str = ""
    """Commit that is checked out, with `+changes` if files differ from it; empty without git. Not in the key."""

    digest: str
    """Digest of the names and contents of its files."""

    ignore: tuple[str, ...] = ()

    def verify(self) -> None:
        """Raise CommandError if a file is not what it was when the stage was planned."""
        if self.path is None:
            return
        if not self.path.is_dir():
            raise CommandError(
                f"{self.path}: no such folder on this machine; expected where the study was planned with it"
            )
        tree = read_tree(self.path, self.ignore)
        if tree_digest(tree) != self.digest:
            newest = sorted(tree.files, key=lambda name: _changed_at(self.path, name), reverse=True)[:3]
            raise CommandError(
                f"{self.path}: files changed since the plan; changed last: {', '.join(newest) or 'none is left'}. "
                f"{_AGAIN}; what the command itself writes there is to be ignored by git, or listed under `ignore`"
            )


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files that a command reads, such as weights; `{file0}` is the first one."""

    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    """SHA-256 of each, 64 hex digits."""

    def verify(self) -> None:
        """Raise CommandError if a file is not what it was when the stage was planned."""
        for path, digest in zip(self.paths, self.digests, strict=True):
            if file_digest(path) != digest:
                raise CommandError(f"{path}: its content changed since the plan; {_AGAIN}")


@dataclass(frozen=True, kw_only=True)
class Runner:
    """What runs a command: an interpreter, a conda environment, a container, or nothing of these."""

    kind: RunnerKind
    python: Path | None = None
    """What `{python}` stands for; for a container the path inside. None for the kind `none`."""

    prefix: Path | None = None
    """Folder of the conda environment."""

    container: str = ""
    """Image, or the path of a file of Apptainer."""

    engine: Path | None = None
    """Program of docker, podman or apptainer."""

    program: Path | None = None
    """The command's first word if that is a path of an executable file; its content is in the digest."""

    digest: str = ""
    about: str = ""
    """Description in a few words, for people. Not in the key."""

    def verify(self) -> None:
        """Raise CommandError if it is not what it was when the stage was planned."""
        if self.identity()[0] != self.digest:
            what = self.program or self.container or self.prefix or self.python
            raise CommandError(f"{what}: changed since the plan (versions, packages or content); {_AGAIN}")

    def identity(self) -> tuple[str, str]:
        """Return the digest of what it is now, and a few words on it. Raises CommandError if it is not there."""
        facts: list[Any] = [self.kind, file_digest(self.program) if self.program else ""]
        if self.kind in ("python", "conda"):
            assert self.python is not None
            version, distributions = _ask(self.python)
            packages = _conda_packages(self.prefix) if self.prefix else []
            count = len(distributions) + len(packages)
            return digest_of([*facts, version, distributions, packages]), f"Python {version} with {count} packages"
        if self.kind == "container":
            assert self.engine is not None
            image = _image(self.engine, self.container)
            return digest_of([*facts, image, str(self.python)]), f"image {image.removeprefix('sha256:')[:12]}"
        return digest_of(facts), "no environment of its own"


def tree_digest(tree: Tree) -> str:
    """Return the digest of the files of a folder, 64 hex digits."""
    return digest_of(tree.files)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file. Raises CommandError if it cannot be read."""
    try:
        stamp = path.stat()
        if not path.is_file():
            raise CommandError(f"{path}: a file expected, and this is none")
        return _sha256(path, stamp.st_dev, stamp.st_ino, stamp.st_size, stamp.st_mtime_ns, stamp.st_ctime_ns)
    except OSError as error:
        raise CommandError(f"{path}: cannot be read ({error.strerror}); a file on this machine expected") from None


@lru_cache(maxsize=256)
def _sha256(path: Path, *_stamp: int) -> str:
    """Return the SHA-256. Cached in this process for as long as the file keeps its inode, size and time stamps."""
    return sha256_of(path)


def _ask(python: Path) -> tuple[str, list[str]]:
    """Return the version of an interpreter, and the names of what is installed for it."""
    words = _output([str(python), "-c", _ASK], f"{python}: a Python interpreter expected")
    try:
        version, distributions = json.loads(words.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise CommandError(f"{python}: a Python interpreter expected, but it printed {words[:80]!r}") from None
    return str(version), list(distributions)


def _conda_packages(prefix: Path) -> list[str]:
    """Return the packages of a conda environment, each with version and build."""
    try:
        return sorted(path.stem for path in (prefix / "conda-meta").iterdir() if path.suffix == ".json")
    except OSError as error:
        raise CommandError(f"{prefix}: no conda environment ({error.strerror}: conda-meta)") from None


def _image(engine: Path, image: str) -> str:
    """Return the digest of a container image on this machine."""
    if Path(image).is_absolute():
        return file_digest(Path(image))
    command = [str(engine), "image", "inspect", "--format", "{{.Id}}", image]
    return _output(command, f"container {image}: not there; `{engine.name} pull {image}` gets it").strip()


def _output(command: list[str], failed: str) -> str:
    """Return what a program prints; `failed` begins the error if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_SECONDS, cwd="/",
            stdin=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
    except OSError as error:
        raise CommandError(f"{failed} ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"{failed} (no answer within {_SECONDS:.0f} s)") from None
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no message"]
        raise CommandError(f"{failed} (status {done.returncode}: {words[-1]})")
    return done.stdout


def _changed_at(folder: Path | None, name: str) -> int:
    try:
        return os.lstat((folder or Path()) / name).st_ctime_ns
    except OSError:
        return 0
