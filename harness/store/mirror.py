"""The finished stages at a URL that several homes share.

manifests/<name>/<key>.json               a stage counts as published there if, and only if, this is there
files/<name>/<key>/<attempt>/<file>       its files, sent before; every attempt has a folder of its own, so that two
                                          homes that finish one stage do not mix; the first manifest counts
leases/                                   who works on what: harness/store/leases.py
failed/<key>.json                         why it failed on a machine that does not see the driver's home
damaged/                                  manifests of damaged stages

Everything fetched is hashed against its manifest, and the manifest against its key."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from harness.errors import RemoteError
from harness.files import sha256_of
from harness.stage import SCHEME, Stage
from harness.store.manifest import MANIFEST, Manifest
from harness.store.objects import ObjectStore


class DamagedError(RemoteError):
    """A stage at the URL is not what was published there."""


class Mirror:
    """Finished stages at a URL. Every method raises RemoteError if the URL cannot be reached."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self.url = objects.url

    def published(self) -> set[tuple[str, str]]:
        """Return name and key of every stage."""
        paths = (PurePosixPath(name) for name in self.objects.sizes("manifests") if name.endswith(".json"))
        return {(path.parent.name, path.stem) for path in paths}

    def manifests(self, stages: Collection[tuple[str, str]]) -> dict[tuple[str, str], Manifest | None]:
        """Return the manifests by name and key, of those stages that are there; None if one is damaged."""
        wanted = {manifest_object(*pair): pair for pair in stages}
        found: dict[tuple[str, str], Manifest | None] = {}
        for name, content in self.objects.read_many(list(wanted)).items():
            try:
                found[wanted[name]] = _checked(content, *wanted[name])
            except DamagedError:
                found[wanted[name]] = None
        return found

    def seconds(self, stages: Iterable[Stage]) -> dict[str, float]:
        """Return key → seconds that it took, of those stages that are there with an undamaged manifest."""
        there = self.published() & {(stage.name, stage.key) for stage in stages}
        return {key: one.seconds or 0.0 for (_, key), one in self.manifests(there).items() if one is not None}

    def read(self, name: str, key: str) -> bytes | None:
        """Return the manifest of a stage, unchecked; None if it is not there."""
        return self.objects.read(manifest_object(name, key))

    def send(self, manifest: Manifest) -> Manifest:
        """Send a stage of a home unless it is there; return the manifest that counts."""
        name, key = manifest.name, manifest.key
        there = self.read(name, key)
        if there is not None:
            with suppress(DamagedError):
                return _checked(there, name, key)
        attempt = secrets.token_hex(8)
        sent = {file: f"{_files(name, key, attempt)}/{file}" for file in manifest.files}
        for file, target in sent.items():
            self.objects.upload(manifest.folder / file, target)
        mine = replace(manifest, attempt=attempt)
        if self.objects.create(manifest_object(name, key), json.dumps(mine.to_dict(), indent=1).encode()):
            return mine
        self.objects.remove(list(sent.values()))  # another home was first
        there = self.read(name, key)
        return mine if there is None else _checked(there, name, key)

    def download(self, name: str, key: str, content: bytes, folder: Path) -> Manifest:
        """Download the files of the stage with that manifest into a folder, which it makes anew.

        Raises DamagedError for a manifest or a file that is not what was published, OSError if it cannot be written."""
        manifest = _checked(content, name, key)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file, facts in manifest.files.items():
            source, path = f"{_files(name, key, manifest.attempt)}/{file}", folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self.objects.download(source, path):
                raise DamagedError(f"{self.url}/{source}: missing")
            if path.stat().st_size != facts["size"]:
                raise DamagedError(f"{self.url}/{source}: {path.stat().st_size} bytes, {facts['size']} expected")
            if sha256_of(path) != facts.get("sha256"):
                raise DamagedError(f"{self.url}/{source}: its content has changed")
        return manifest

    def find_damage(self, name: str, key: str, scratch: Path) -> str | None:
        """Return what is wrong with a stage, every byte read and hashed; None if nothing."""
        content = self.read(name, key)
        if content is None:
            return f"{manifest_object(name, key)}: gone"
        try:
            self.download(name, key, content, scratch)
        except DamagedError as error:
            return str(error)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return None

    def set_aside(self, name: str, key: str, content: bytes | None = None) -> bool:
        """Withdraw a damaged stage, if its manifest still is the given one; return whether it was withdrawn."""
        found = self.read(name, key)
        if found is None or content not in (None, found):
            return False
        self.objects.replace(f"damaged/{name}-{key}-{time.time_ns()}.json", found)
        self.objects.remove([manifest_object(name, key)])
        return True


def manifest_object(name: str, key: str) -> str:
    """Return the name of the object that holds a stage's manifest."""
    return f"manifests/{name}/{key}.json"


def _files(name: str, key: str, attempt: str) -> str:
    return f"files/{name}/{key}/{attempt}"


def _checked(content: bytes, name: str, key: str) -> Manifest:
    """Return the manifest if its content agrees with its key. Raises DamagedError."""
    place = manifest_object(name, key)
    try:
        manifest = Manifest.from_dict(json.loads(content))
        files = [PurePosixPath(file) for file in manifest.files]
        whole = all({"size", "sha256"} <= facts.keys() for facts in manifest.files.values())
        old = manifest.identity.scheme != SCHEME  # from another release: how its key was made is not known
        whole = whole and manifest.key == key and (old or manifest.identity.key == key)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedError(f"{place}: not a manifest") from None
    if not whole or manifest.name != name:
        raise DamagedError(f"{place}: its content does not agree with its key")
    leads_out = (file.is_absolute() or ".." in file.parts or str(file) == MANIFEST for file in files)
    if not manifest.attempt.isalnum() or any(leads_out):
        raise DamagedError(f"{place}: names files that no stage can have written")
    return manifest
