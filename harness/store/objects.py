"""Objects under a URL: read, created, replaced, listed. Only this file imports fsspec; it knows nothing of stages.

Two things are needed of a file system: an object appears whole or not at all, and one can be created on condition that
there is none of that name. S3 and its kin, Google's and Azure's stores, and folders (`file:`) have both."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import RemoteError

_S3_CONFIG = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 3, "mode": "standard"}}
"""Timeouts in seconds and retries of S3; fsspec's own configuration overrides it (`FSSPEC_S3_CONFIG_KWARGS`)."""

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_PROBE = "probe"
_DRAFT = ".draft-"


class ObjectStore:
    """The objects under one URL. Names are relative to it, with slashes. Every method raises RemoteError.

    Safe to use from several threads, but not in a forked process."""

    def __init__(self, url: str) -> None:
        """Open a URL without contacting the server. Raises RemoteError for one that no file system can serve."""
        self.url = url.rstrip("/")
        scheme, found, rest = url.partition("://")
        if not found or not rest.strip("/"):
            raise RemoteError(f"--store {url}: expected a URL such as s3://bucket/prefix or file:///folder")
        if scheme == "memory":
            raise RemoteError(f"--store {url}: it exists in one process only; give s3:// or file://")
        if "@" in rest.partition("/")[0]:
            raise RemoteError(f"--store: no password in a URL; give it in the environment ({scheme}://…)")
        self._fs, self._root = _file_system(self.url, scheme)
        self._folder = Path(self._root) if "file" in _protocols(self._fs) else None
        self._ahead = 0.0

    def check(self) -> None:
        """Try what a run needs: writing, and creating an object only if there is none."""
        if self._folder is not None and not self._folder.parent.is_dir():
            raise RemoteError(f"{self.url}: there is no folder {self._folder.parent}; is it mounted?")
        name, content = f"{_PROBE}/{secrets.token_hex(8)}", secrets.token_bytes(8)
        try:
            sent = time.time()
            if not self.create(name, content) or self.read(name) != content or name not in self.sizes(_PROBE):
                raise RemoteError(f"{self.url}: an object just written is not read or listed correctly")
            with self._errors_named("reading times"):
                modified = self._fs.modified(self._path(name)).timestamp()
            self._ahead = 0.0 if abs(modified - sent) < 2.0 else modified - sent  # S3 reports whole seconds
            if self.create(name, secrets.token_bytes(8)):
                raise RemoteError(
                    f"{self.url}: an object was created over an existing one; two machines could compute one stage. "
                    "Expected a server that supports If-None-Match, as S3 and MinIO do"
                )
        finally:
            with suppress(RemoteError):
                self.remove([name])

    def now(self) -> float:
        """Return the seconds since the epoch by the server's clock, as `check` found it, so that machines agree."""
        return time.time() + self._ahead

    def create(self, name: str, content: bytes) -> bool:
        """Create an object unless there is one; return whether it was created. `content` must be unique."""
        failed: Exception | None = None
        for pause in (0.2, 1.0, 0.0):
            try:
                with self._errors_named("writing"):
                    self._put(name, content, create=True)
                return True
            except FileExistsError:
                pass
            except RemoteError as error:
                failed = error  # servers report an existing object in many ways, and answers get lost: look
            found = self.read(name)
            if found is not None:
                return found == content
            time.sleep(pause)
        raise failed or RemoteError(f"{self.url}: {name} exists and cannot be read")

    def replace(self, name: str, content: bytes) -> None:
        """Create an object, or replace the one that is there."""
        with self._errors_named("writing"):
            self._put(name, content, create=False)

    def read(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        try:
            with self._errors_named("reading"):
                return bytes(self._fs.cat_file(self._path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_many(self, names: Collection[str]) -> dict[str, bytes]:
        """Return name → content of those of the objects that exist, read in parallel."""
        if not names:
            return {}
        paths = {self._path(name): name for name in names}
        with self._errors_named("reading"):
            found = self._fs.cat(list(paths), on_error="return")
            for result in found.values():
                if isinstance(result, Exception) and not isinstance(result, FileNotFoundError):
                    raise result
        return {paths[path]: content for path, content in found.items() if isinstance(content, bytes)}

    def sizes(self, folder: str) -> dict[str, int]:
        """Return name → bytes of every object under a folder."""
        root = self._path(folder)
        try:
            with self._errors_named("listing"):
                found = self._fs.find(root, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        sizes = {path[len(root) + 1 :]: facts["size"] for path, facts in found.items()}
        # s3fs lists the folder itself, with an empty rest, if its first object appears while it is looking.
        names = {name: size for name, size in sizes.items() if name and not name.rpartition("/")[2].startswith(_DRAFT)}
        return {f"{folder}/{name}": int(size) for name, size in names.items()}

    def age(self, name: str) -> float:
        """Return the seconds since an object was written; 0 if there is none."""
        try:
            with self._errors_named("reading times"):
                return self.now() - float(self._fs.modified(self._path(name)).timestamp())
        except FileNotFoundError:
            return 0.0

    def upload(self, path: Path, name: str) -> None:
        """Upload a file as an object."""
        with self._errors_named("writing"):
            if self._folder is not None:
                (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
            self._fs.put_file(str(path), self._path(name))

    def download(self, name: str, path: Path) -> bool:
        """Download an object to a file; return False if there is none. Raises OSError if the file cannot be written."""
        try:
            with self._errors_named("reading"):
                self._fs.get_file(self._path(name), str(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def remove(self, names: Collection[str]) -> None:
        """Remove objects; those that do not exist are ignored."""
        with self._errors_named("removing"):
            for name in names:
                with suppress(FileNotFoundError):
                    self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _put(self, name: str, content: bytes, *, create: bool) -> None:
        if self._folder is None:
            self._fs.pipe_file(self._path(name), content, mode="create" if create else "overwrite")
            return
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{_DRAFT}{os.getpid()}.{secrets.token_hex(4)}")
        try:
            draft.write_bytes(content)
            if create:
                path.hardlink_to(draft)
            else:
                draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _errors_named(self, doing: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if doing == "writing":  # nothing else can be missing then
                bucket = self._root.partition("/")[0]
                raise RemoteError(f"{self.url}: there is no bucket {bucket!r} ({error}); make it first") from None
            raise
        except (FileExistsError, NotADirectoryError, RemoteError):
            raise
        except Exception as error:  # every file system has errors of its own
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # this machine's disk, not the server's
            raise RemoteError(f"{self.url}: {doing} failed: {_first_line(error)}") from None


def _file_system(url: str, scheme: str) -> tuple[Any, str]:
    import fsspec
    from fsspec.config import conf

    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in ("s3", "s3a") and "config_kwargs" not in conf.get(scheme, {}):
        options["config_kwargs"] = _S3_CONFIG
    try:
        fs, root = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        package = _PACKAGES.get(scheme, f"what fsspec needs for {scheme}://")
        raise RemoteError(f"--store {url}: {error}; pip install {package}") from None
    except ValueError as error:
        known = "s3://, gs://, abfs:// and file://"
        raise RemoteError(f"--store {url}: {error}; known are {known}") from None
    except Exception as error:  # noqa: BLE001  every file system has errors of its own
        raise RemoteError(f"--store {url}: {_first_line(error)}") from None
    return fs, root.rstrip("/")


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _first_line(error: Exception) -> str:
    kind = type(error).__name__
    first = (str(error).strip() or kind).splitlines()[0][:300]
    if "Credentials" in kind or "InvalidAccessKeyId" in first:
        return f"{first}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws"
    if isinstance(error, PermissionError):
        return f"no permission ({first}); do the credentials allow to list, read, write and delete there?"
    return first if isinstance(error, OSError) else f"{kind}: {first}"
