"""Places of the sources of project code, and installed versions of libraries; nothing is imported."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages"}
_COMPILED = (".pyc", ".pyo")
_OPENCV = (*("opencv-python-headless", "opencv-python"), *("opencv-contrib-python-headless", "opencv-contrib-python"))


@cache
def is_foreign(top: str) -> bool:
    """Return whether a package belongs to the standard library, or is installed among third-party packages."""
    place = location(top)
    return top in sys.stdlib_module_names or place is None or bool(_INSTALLED & set(place.parts))


@cache
def installed_with(top: str) -> frozenset[str]:
    """Return the top-level packages of the distribution that installed this one, unless it is an editable one."""
    owners = packages_distributions()
    return frozenset(name for name, distributions in owners.items() if set(distributions) & set(owners.get(top, ())))


@cache
def location(top: str) -> Path | None:
    """Return the folder of a top-level package, or the file of a top-level module; None if there is no source."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin and spec.origin.endswith(".py") else None


@cache
def source(module: str) -> Path | None:
    """Source file of a module; the folder of a package that has no `__init__`; None if there is no such module."""
    place = _place(module)
    if place is None or (place.is_file() and place.suffix == ".py"):
        return place
    for candidate in (place / "__init__.py", place.with_name(place.name + ".py")):
        if candidate.is_file():
            return candidate
    return place if place.is_dir() else None


@cache
def is_package(module: str) -> bool:
    """Return whether a module is a package."""
    file = source(module)
    return file is not None and (file.is_dir() or file.name == "__init__.py")


def modules_in(package: str) -> list[str]:
    """Return every module of a package, or a module and those next to it if it is no package."""
    place = source(package)
    if place is None:
        return []
    if not is_package(package):
        front = package.rpartition(".")[0]
        return [f"{front}.{file.stem}" if front else file.stem for file in sorted(place.parent.glob("*.py"))]
    folder = place if place.is_dir() else place.parent
    names = {".".join([package, *file.relative_to(folder).with_suffix("").parts]) for file in folder.rglob("*.py")}
    return sorted(name.removesuffix(".__init__") for name in names)


def files_in(top: str) -> list[Path]:
    """Return the files of a top-level package that are no Python; none for a module without a package."""
    folder = location(top)
    if folder is None or folder.is_file():
        return []
    found = (file for file in folder.rglob("*") if not _is_hidden(file.relative_to(folder)))
    return sorted(file for file in found if file.is_file() and file.suffix not in (".py", *_COMPILED))


def extension_files(module: str) -> list[Path]:
    """Return what a compiled module is made of, by the name before the first dot: `fast.pyx`, `fast.cpython-312.so`."""
    place = _place(module)
    if place is None or place.is_file() or not place.parent.is_dir():
        return []
    return sorted(file for file in place.parent.glob(f"{place.name}.*") if file.is_file() and file.suffix != ".py")


def relative(file: Path, module: str) -> str:
    """Return the path of a file as it is named from the folder that holds the module's top-level package."""
    place = location(module.split(".", maxsplit=1)[0])
    return file.relative_to(place.parent).as_posix() if place else file.name


@cache
def major_version(library: str) -> str:
    """Return the first number of the version that is installed of an importable library; `none` if it is not."""
    for name in _OPENCV if library == "cv2" else (library,):
        try:
            return version(name).split(".")[0]
        except PackageNotFoundError:
            continue
    return "none"


def _place(module: str) -> Path | None:
    top, *rest = module.split(".")
    place = location(top)
    if place is None or (place.is_file() and rest):
        return None
    return place if place.is_file() else place.joinpath(*rest)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)
