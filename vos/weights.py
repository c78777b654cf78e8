"""Files of network weights: read without executing anything in them, or refused by a message that says what they are.

Planning imports this module, so it loads torch only to read a file."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.files import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

_HEAD = 512
"""Bytes from which the kind of a file is recognized."""

_AGAIN = "download it again"

IMAGENET: Mapping[str, Mapping[str, str]] = {
    "imagenet-v1": {
        "resnet18": "resnet18-f37072fd.pth",
        "resnet50": "resnet50-0676ba61.pth",
        "resnet101": "resnet101-63fe2227.pth",
        "mobilenet_v2": "mobilenet_v2-b0353104.pth",
    },
    "imagenet-v2": {
        "resnet50": "resnet50-11ad3fa6.pth",
        "resnet101": "resnet101-cd907fc2.pth",
        "mobilenet_v2": "mobilenet_v2-7ebf99e0.pth",
    },
}
"""Files of torchvision's IMAGENET1K_V1 and IMAGENET1K_V2, by option and backbone; each name ends in its SHA-256."""

_NAMED = f"{', '.join(f'`{option}`' for option in IMAGENET)} or `none`"


class WeightsError(HarnessError):
    """Weights that are not available, cannot be read, or belong to another network."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights as it was when the study was planned."""

    path: Path
    digest: str
    """SHA-256, 64 hex digits."""

    def __fspath__(self) -> str:
        """Return the path."""
        return str(self.path)

    def require(self) -> Path:
        """Return the path. Raises WeightsError if the file is missing or has changed, perhaps on one node only."""
        if not self.path.is_file():
            raise WeightsError(f"{self.path}: no such weights file on {os.uname().nodename}; put it there")
        if sha256_of(self.path) != self.digest:
            raise WeightsError(
                f"{self.path}: not the file planned with, on {os.uname().nodename} (SHA-256 {self.digest[:8]}); "
                "put that one there, or give the same command again to plan with this one"
            )
        return self.path


def read_tensors(path: Path, advice: str = _AGAIN, *, device: str = "cpu") -> Any:
    """Return what `torch.save` wrote: tensors and plain values. Raises WeightsError, which ends in `advice`."""
    require_tensors(path, advice)
    import torch

    try:
        return torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        if found := _pickled(path, str(error)):
            raise WeightsError(
                f"{path}: holds Python objects besides tensors ({found}), which may run any code and are not loaded; "
                "where you trust the file, save the state dict of its network alone: "
                "torch.save(network.state_dict(), FILE)"
            ) from None
        raise WeightsError(f"{path}: damaged or cut off ({_size(path)}); {advice}") from None
    except Exception:  # noqa: BLE001  torch raises errors of many kinds for damaged files
        raise WeightsError(f"{path}: damaged or cut off ({_size(path)}); {advice}") from None


def require_tensors(path: Path, advice: str = _AGAIN) -> None:
    """Raise WeightsError for a file that torch did not write, as far as its first bytes tell; this needs no torch."""
    if problem := _foreign(path):
        raise WeightsError(f"{path}: {problem[0]}, expected a file of tensors; {problem[1] or advice}")


def read_state(path: Path, network: str) -> dict[str, Tensor]:
    """Return the state dict in a file. `network` names the expected one in errors. Raises WeightsError."""
    import torch

    state = read_tensors(path)
    expected = f"expected the state dict of {network}"
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, {expected}")
    if nested := [key for key, value in state.items() if isinstance(value, Mapping) and _is_state(value)]:
        raise WeightsError(
            f"{path}: a checkpoint with the keys {_few(state)}, {expected} on its own; save that part alone: "
            f"torch.save(torch.load({str(path)!r}, weights_only=True)[{nested[0]!r}], FILE)"
        )
    if not _is_state(state):
        raise WeightsError(f"{path}: holds other values than tensors (keys {_few(state)}), {expected}")
    if all(key.startswith("module.") for key in state):
        raise WeightsError(
            f"{path}: names begin with 'module.', as DataParallel saves them, {expected}; save it without that prefix"
        )
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def imagenet_file(option: str, backbone: str) -> Path:
    """Return where torch's cache of downloads has, or will have, the ImageNet weights that the option names.

    Raises WeightsError if there is no such version for the backbone, or if the file is damaged: torch would not notice.
    No file is no error: it is downloaded when the network is made."""
    files = IMAGENET[option]
    if backbone not in files:
        others = " or ".join(f"`{other}`" for other in IMAGENET if backbone in IMAGENET[other])
        raise WeightsError(
            f"weights {option!r}: torchvision has none for {backbone}, only for {', '.join(files)}; set the option "
            f"`weights` to {others}, or to a file"
        )
    path = downloads() / files[backbone]
    if path.is_file() and not sha256_of(path).startswith(path.stem.rpartition("-")[2]):
        problem = _foreign(path) or ("damaged or cut off", "")
        raise WeightsError(f"{path}: {problem[0]} ({_size(path)}); delete it, and it is downloaded again")
    return path


def downloads() -> Path:
    """Return the folder of torch's downloads, as `torch.hub` finds it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    return Path(os.environ.get("TORCH_HOME", cache)).expanduser() / "hub" / "checkpoints"


def _foreign(path: Path) -> tuple[str, str] | None:
    """Return what a file is that torch did not write, and what to do about it (or ""); None if torch may have."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except FileNotFoundError:
        return "no such weights file", f"give a file, {_NAMED}"
    except IsADirectoryError:
        return "a folder", "give the file in it"
    except OSError as error:
        return f"cannot be read ({error.strerror})", "make it readable"
    return next((found for test, *found in _KINDS if test(path, head)), None)  # type: ignore[return-value]


_KINDS: tuple[tuple[Callable[[Path, bytes], bool], str, str], ...] = (
    (lambda _, head: not head, "an empty file", ""),
    (
        lambda _, head: head.startswith(b"version https://git-lfs.github.com/spec/"),
        "a Git LFS pointer and not the file itself",
        "run `git lfs pull` where it was cloned",
    ),
    (
        lambda _, head: head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")),
        "a web page, as a failed download leaves",
        f"{_AGAIN}; its text may say why that failed",
    ),
    (lambda _, head: head.startswith(b"\x1f\x8b"), "a gzip archive", "unpack it and give the file in it"),
    (lambda _, head: head[257:262] == b"ustar", "a tar archive", "unpack it and give the file in it"),
    (
        lambda _, head: head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 30,
        "a safetensors file",
        "convert it: torch.save(safetensors.torch.load_file(FILE), NEW)",
    ),
    (
        lambda path, head: head.startswith(b"PK") and not zipfile.is_zipfile(path),
        "cut off (a zip archive without the directory at its end)",
        "",
    ),
    (
        lambda path, head: head.startswith(b"PK") and not any(n.endswith("data.pkl") for n in _names(path)),
        "a zip archive that torch.save did not write",
        "unpack it and give the file in it",
    ),
    (lambda _, head: not head.startswith((b"PK", b"\x80")), "no file of torch.save", ""),
)
"""What else people give, in the order in which it is looked for: test of path and first bytes, what it is, advice."""


def _names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def _pickled(path: Path, message: str) -> str:
    """Return the names of the classes in a file that are not loaded; empty if that is not why it was refused."""
    import torch

    found: list[str] = []
    if zipfile.is_zipfile(path):
        try:
            found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except Exception:  # noqa: BLE001  the damage is reported by the caller
            return ""
    return _few(sorted(found) or re.findall(r"GLOBAL ([\w.]+)", message)[:1])


def _is_state(state: Mapping[Any, Any]) -> bool:
    import torch

    return (
        bool(state)
        and all(isinstance(key, str) for key in state)
        and any(isinstance(value, torch.Tensor) for value in state.values())
    )


def _few(names: Any, most: int = 4) -> str:
    shown = list(map(str, names))
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes"
