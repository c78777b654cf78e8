"""The files of a code folder with a digest of each: what git knows of its work tree, or every file without git.

Files that git ignores do not count, nor what tools and runs leave: byte code, environments, caches, homes."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from harness.console import human_size
from harness.errors import CommandError

MOST_FILES, MOST_BYTES = 20_000, 2 << 30
"""Limits of what is hashed file by file: all files of a folder without git, else changed and untracked ones."""

_SKIPPED_NAMES = ("__pycache__", "*.pyc", ".git")
_GENERATED = ("CACHEDIR.TAG", "pyvenv.cfg", "conda-meta", "store/locks")
"""What marks a folder as a cache, a Python environment or a home of the harness; these are skipped."""

_SUBMODULE, _LINK = "160000", "120000"


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The files of a folder."""

    files: dict[str, str]
    """Path in the folder → digest of the content, as git names it (SHA-1 of a blob); a commit for a submodule."""

    commit: str = ""
    """Commit that is checked out; empty without git."""

    changed: bool = False
    """Whether files differ from the commit, or git does not track them."""


def read_tree(folder: Path, ignore: Iterable[str] = ()) -> Tree:
    """Return the files of a folder. `ignore`: patterns of names or paths in it that do not count (see `Definition`).

    A commit that changes no file changes no digest. Raises CommandError if git fails, a file cannot be read, or there
    is more to hash than the limits allow."""
    patterns = (*_SKIPPED_NAMES, *ignore)
    found = _git_tree(folder, patterns) if _in_git(folder) else None
    return found or Tree(files=_hash_all(folder, _walk(folder, patterns)))


def _in_git(folder: Path) -> bool:
    return any((place / ".git").exists() for place in (folder, *folder.parents))


def _git_tree(folder: Path, patterns: tuple[str, ...]) -> Tree | None:
    """Return the work tree below a folder; None if git tracks nothing there."""
    tracked: dict[str, str] = {}
    inner: dict[str, Tree] = {}
    special, unmerged = set(), set()
    for line in _git(folder, "ls-files", "-s", "-z"):
        facts, _, path = line.partition("\t")
        mode, blob, stage = facts.split()
        if _is_skipped(path, patterns):
            continue
        tracked[path] = blob
        if stage != "0":
            unmerged.add(path)
        if mode == _SUBMODULE:
            special.add(path)
            if (folder / path / ".git").exists():
                inner[path] = read_tree(folder / path, patterns)
        elif mode == _LINK:
            special.add(path)
    if not tracked:
        return None
    head = _git(folder, "rev-parse", "--verify", "-q", "HEAD", statuses=(0, 1))
    differing = {*_git(folder, "diff-files", "--name-only", "--relative", "--ignore-submodules=all", "-z"), *unmerged}
    files = {path: blob for path, blob in tracked.items() if path not in inner}
    gone = {path for path in differing & tracked.keys() if not os.path.lexists(folder / path)}
    edited = _blobs(folder, sorted((differing & tracked.keys()) - gone - special))
    edited |= {path: _blob(folder / path) for path in differing & special if (folder / path).is_symlink()}
    new = _hash_all(folder, _untracked(folder, patterns, inner))
    for path, tree in inner.items():
        files |= {f"{path}/{name}": digest for name, digest in tree.files.items()}
    files = {path: blob for path, blob in (files | edited).items() if path not in gone} | new
    staged = _git(folder, "diff-index", "--cached", "--name-only", "--relative", "-z", "HEAD") if head else ["all"]
    changed = bool(gone or new or staged or any(tracked[path] != blob for path, blob in edited.items()))
    changed = changed or any(tree.changed or tree.commit != tracked[path] for path, tree in inner.items())
    return Tree(files=files, commit=head[0].strip() if head else "", changed=changed)


def _git(folder: Path, *arguments: str, statuses: tuple[int, ...] = (0,), given: str | None = None) -> list[str]:
    """Return what git prints, taken apart at zero bytes. Raises CommandError with git's own words if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            input=given,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError as error:
        raise CommandError(f"{folder}: git is needed there and cannot be started ({error.strerror})") from None
    if done.returncode not in statuses:
        words = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise CommandError(f"{folder}: git {arguments[0]} failed ({words}); make `git status` work there")
    return [part for part in done.stdout.split("\0") if part]


def _blobs(folder: Path, paths: list[str]) -> dict[str, str]:
    """Return the digests that git would store edited files under, with its filters for line ends and large files."""
    if not paths:
        return {}
    if any("\n" in path for path in paths):
        return {path: _blob(folder / path) for path in paths}
    above = "".join(_git(folder, "rev-parse", "--show-prefix")).rstrip("\n")  # these paths start at the top
    lines = _git(folder, "hash-object", "--stdin-paths", given="\n".join(f"{above}{path}" for path in paths))
    return dict(zip(paths, "".join(lines).split(), strict=True))


def _untracked(folder: Path, patterns: tuple[str, ...], inner: Iterable[str]) -> Iterator[str]:
    generated: dict[Path, bool] = {}
    for path in _git(folder, "ls-files", "--others", "--exclude-standard", "-z"):
        if _is_skipped(path, patterns) or any(path.startswith(f"{name}/") for name in inner):
            continue
        place = folder / path
        if any(_is_generated(above, generated) for above in place.parents if folder in above.parents):
            continue
        if path.endswith("/"):  # a repository of its own
            yield from (f"{path}{name}" for name in _walk(place, patterns))
        else:
            yield path


def _walk(folder: Path, patterns: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths of all files in a folder, as text from there."""
    for place, folders, files in os.walk(folder):
        above = Path(place).relative_to(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not _is_skipped((above / name).as_posix(), patterns) and not _is_generated(Path(place) / name, {})
        )
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for path in ((above / name).as_posix() for name in sorted([*files, *links])):
            if not _is_skipped(path, patterns):
                yield path


def _is_skipped(path: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a path, or a folder that it is in, has a name or a path that a pattern describes."""
    pure = PurePosixPath(path)
    places = [pure, *pure.parents][:-1]
    return any(
        fnmatch(f"/{one}", pattern) or fnmatch(one.name, pattern) or fnmatch(str(one), pattern)
        for one in places
        for pattern in patterns
    )


def _is_generated(folder: Path, known: dict[Path, bool]) -> bool:
    if folder not in known:
        known[folder] = any((folder / marker).exists() for marker in _GENERATED)
    return known[folder]


def _hash_all(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    size = 0
    for path in paths:
        place = folder / path
        try:
            size += place.lstat().st_size
            if len(found) >= MOST_FILES or size > MOST_BYTES:
                raise CommandError(
                    f"{folder}: more than {MOST_FILES} files or {human_size(MOST_BYTES)} that git does not keep, "
                    "to be hashed for every plan; move data and results elsewhere, let git ignore them, or "
                    "list them under `ignore` in the method's definition"
                )
            if place.is_symlink() or place.is_file():  # no sockets and devices
                found[path] = _blob(place)
        except OSError as error:
            raise CommandError(f"{place}: cannot be read ({error.strerror}); its content is part of the key") from None
    return found


def _blob(path: Path) -> str:
    """Return the SHA-1 that git would give the file, without its filters; of a link, that of its target's path."""
    if path.is_symlink():
        target = os.fsencode(path.readlink())
        return hashlib.sha1(b"blob %d\0" % len(target) + target, usedforsecurity=False).hexdigest()
    total = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            total.update(part)
    return total.hexdigest()
