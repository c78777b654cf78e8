"""Values as a key sees them: what of them is plain, and which classes, functions and modules are in them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import cache, lru_cache, partial
from pathlib import PosixPath, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from harness.config import Same
from harness.errors import StudyError

_PLAIN = frozenset({bool, int, str, type(None)})
_LEAVES = _PLAIN | {float, bytes, PosixPath}
_NAMED = (FunctionType, BuiltinFunctionType, type)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plain:
    """A config without its classes, and these."""

    values: dict[str, Any]
    """Every field as a value that JSON can hold, also those that a dump excludes. Sets are sorted."""

    classes: Mapping[str, str]
    """Dotted option → "module:Name" of what it holds: a config (`""`: the whole), dataclass, enum, function."""

    code: frozenset[str]
    """The same names, and the texts that may name code: `package.module.Name`."""


def plain(config: BaseModel) -> Plain:
    """Return what a key covers of a config. Raises StudyError for a value that has no canonical form."""
    return _plain(Same(config))


@lru_cache(maxsize=4096)
def _plain(same: Same[BaseModel]) -> Plain:
    """Return the same. Cached, as many configs hold the same configs, and large plans have thousands."""
    config = same.config
    classes = {"": _name(type(config))}
    names: set[str] = set()
    held = vars(config)
    fields = {name: held[name] for name in type(config).model_fields if name in held}
    walk = _Walk(type(config).__name__, classes, names)
    values = walk.mapping(fields | (config.__pydantic_extra__ or {}), "")
    return Plain(values=values, classes=classes, code=frozenset({*classes.values(), *names}))


def code_in(value: object) -> frozenset[str]:
    """Return the classes, functions and modules in a value and in its attributes, as "module:Name"."""
    found: set[str] = set()
    seen: set[int] = set()
    work = [value]
    while work:
        value = work.pop()
        if type(value) in _LEAVES or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            work += value.values()
        elif isinstance(value, list | tuple | AbstractSet | deque):
            work += () if {*map(type, value)} <= _LEAVES else value
        elif isinstance(value, partial):
            work += [value.func, value.args, value.keywords]
        elif isinstance(value, MethodType):
            work += [value.__func__, value.__self__]
        elif _is_own(type(value)):
            work += _attributes(value)
        found |= {_name(item) for item in (value, type(value)) if isinstance(item, (*_NAMED, ModuleType))}
    return frozenset(name for name in found if _is_code(name))


class _Walk:
    """One walk through a config, which notes what is not plain."""

    def __init__(self, origin: str, classes: dict[str, str], names: set[str]) -> None:
        self._origin = origin
        self._classes = classes
        self._names = names

    def plain(self, value: Any, place: str) -> Any:
        """Return a value as JSON can hold it."""
        kind = type(value)
        if kind is str and ("." in value or ":" in value) and _DOTTED.fullmatch(value):
            self._names.add(value)
        if kind in _PLAIN or (kind is float and math.isfinite(value)):
            return value
        if isinstance(value, (*_NAMED, ModuleType)):
            return self._named(value, place)
        if isinstance(value, BaseModel):
            inner = plain(value)
            self._classes.update({f"{place}.{name}" if name else place: one for name, one in inner.classes.items()})
            self._names.update(inner.code)
            return inner.values
        if _is_own(kind):
            self._classes[place] = _name(kind)
        if isinstance(value, Enum):
            return value.value if type(value.value) in _PLAIN else value.name
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(value)
        if isinstance(value, int | str):
            return int(value) if isinstance(value, int) else str(value)
        if dataclasses.is_dataclass(value):
            return self.mapping({one.name: getattr(value, one.name) for one in dataclasses.fields(value)}, place)
        if isinstance(value, Mapping):
            return self.mapping(value, place)
        if isinstance(value, list | tuple | deque):
            return [self.plain(item, _inside(place, index)) for index, item in enumerate(value)]
        if isinstance(value, AbstractSet):
            return self._set(value, place)
        return self._other(value, place)

    def mapping(self, items: Mapping[Any, Any], place: str) -> dict[str, Any]:
        """Return a mapping as JSON can hold it."""
        found: dict[str, Any] = {}
        for key, value in items.items():
            name = key if type(key) is str else str(self.plain(key, _inside(place, f"key {len(found)}")))
            if name in found:
                raise self._refusal(items, place, f"two keys that read {name!r}")
            is_plain = type(value) in _PLAIN and type(value) is not str  # asked here as it is most of the work
            found[name] = value if is_plain else self.plain(value, f"{place}.{name}" if place else name)
        return found

    def _set(self, items: AbstractSet[Any], place: str) -> list[Any]:
        walked = []
        for item in items:
            classes: dict[str, str] = {}
            values = _Walk(self._origin, classes, self._names).plain(item, "")
            walked.append((json.dumps([values, classes], sort_keys=True), values, classes))
        walked.sort(key=lambda one: one[0])
        for index, (_, _, classes) in enumerate(walked):
            for inner, name in classes.items():
                self._classes[_inside(place, f"{index}.{inner}" if inner else index)] = name
        return [values for _, values, _ in walked]

    def _named(self, value: Any, place: str) -> str:
        name = _name(value)
        if "<" in name:
            raise self._refusal(value, place, "a function that has no name of its own in a module")
        self._classes[place] = name
        return name

    def _other(self, value: Any, place: str) -> Any:
        if isinstance(value, PurePath):
            return str(value)
        if isinstance(value, re.Pattern):
            return [self.plain(value.pattern, place), value.flags]
        if not _is_own(type(value)) and not isinstance(value, Iterator):
            try:
                return to_jsonable_python(value, bytes_mode="base64")
            except PydanticSerializationError:
                pass  # refused below
        raise self._refusal(value, place, "a value that has no canonical form")

    def _refusal(self, value: Any, place: str, what: str) -> StudyError:
        return StudyError(
            f"{self._origin}, option {place or '(the whole)'}: found {what} ({value!r:.80}, {_name(type(value))}); "
            "expected numbers, texts, paths, enums, configs, dataclasses, lists, sets and mappings of these, or a "
            "function or class that a module defines"
        )


def _inside(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _attributes(value: object) -> Iterator[Any]:
    """Yield what an object holds in its attributes."""
    yield from getattr(value, "__dict__", {}).values()
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    yield from (getattr(value, name) for name in slots - {"__dict__", "__weakref__"} if hasattr(value, name))


def _name(item: Any) -> str:
    return item.__name__ if isinstance(item, ModuleType) else f"{item.__module__}:{item.__qualname__}"


def _is_own(kind: type) -> bool:
    """Return whether a class is not of Python itself."""
    return _is_code(kind.__module__)


@cache
def _is_code(name: str) -> bool:
    return name.partition(".")[0].partition(":")[0] not in sys.stdlib_module_names
