"""Which project code a function reaches, as digests that only a change of meaning changes.

Sources are read, never imported. Only those statements of a module count that are reached by name, from the function's
own names through `from module import name`; a module that is imported as a whole counts as a whole. What a module does
on import besides binding names counts for every module that is imported on the way: calls, decorators that may
register, subclasses of a class that takes note of them. Comments, docstrings, formatting, the order of imports, `if
TYPE_CHECKING` and `if __name__ == "__main__"` do not count, nor do type annotations that nothing reads.

Where code is found under a computed name, all of its package counts; where it reads files of its package, all of these.
docs/own-method.md says what a key cannot cover."""

from __future__ import annotations

import ast
import builtins
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from harness.errors import StudyError
from harness.meaning import Import, full_name, is_harmless
from harness.sources import (
    extension_files,
    files_in,
    installed_with,
    is_foreign,
    is_package,
    location,
    modules_in,
    relative,
    source,
)
from harness.syntax import MAIN, WHOLE, Dynamic, Unit, annotations_of, binders, units

CONTRACT = frozenset(
    {f"harness.{name}" for name in ("stage", "method", "fingerprint", "syntax", "meaning", "sources", "plain")}
    | {f"harness.external.{name}" for name in ("process", "supervisor", "output", "sources", "tree")}
)
"""Modules that define what a stage is, watch over a command of others, or make the digests of what it consists of.

They cannot change what is computed, so they never count."""

_NOTES: Mapping[Dynamic, str] = {
    "package": "finds code under a computed name; keys cover all of package {package}, and nothing outside of it",
    "outside": "uses a program, a library or files from outside of a package; keys do not cover them",
}


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(content: Any) -> str:
    """Return the SHA-256 of a value that JSON can hold, 64 hex digits; the order of keys does not count."""
    return text_digest(json.dumps(content, sort_keys=True))


@dataclass(frozen=True, kw_only=True)
class Code:
    """The project code that a function reaches."""

    digests: Mapping[str, str]
    """Module → SHA-256 of the part of it that is reached; also the path of each file of a package that may be read."""

    libraries: frozenset[str]
    """Top-level packages of others that it imports."""

    notes: tuple[str, ...]
    """Sentences about what it may reach that no digest covers, with file and line."""

    lines: Mapping[str, tuple[tuple[int, int], ...]]
    """Module → first and last line of each statement that is reached."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the digests, 64 hex digits."""
        return digest_of(self.digests)


@cache
def reached_code(run: str, entries: frozenset[str] = frozenset()) -> Code:
    """Return the code that `run` ("package.module:function") reaches. Computed once per process.

    `entries` ("package.module" or "package.module:Name") count too, with what they import, as far as they are project
    code. Project code is the top-level packages of `run`, of `entries` and of the harness, what lies next to one of
    them outside `site-packages`, and what the distribution of `run` or of the harness installed. Raises StudyError if
    `run` does not exist, or a source cannot be parsed."""
    root, _, function = run.partition(":")
    reach = _Reach(root, entries)
    if not reach.is_module(root):
        raise StudyError(f"{run}: no source of module {root!r} was found; expected package.module:function")
    if function not in binders(root):
        raise StudyError(f"{run}: {root} defines no {function!r} at its top level")
    reach.follow(root, function)
    for entry in sorted(entries):
        reach.follow_entry(entry)
    return reach.code()


class _Reach:
    """The closure over names and imports."""

    def __init__(self, run: str, entries: Iterable[str]) -> None:
        self._top = _top(run)
        own = {self._top, "harness"}
        own |= {neighbor for top in own if is_foreign(top) for neighbor in installed_with(top)}
        near = own | {top for top in map(_top, entries) if not is_foreign(top)}
        self._project = dict.fromkeys(near, True)
        self._folders = {place.parent for top in near if (place := location(top)) and not is_foreign(top)}
        self._taken: dict[str, set[int]] = {}
        self._asked: set[tuple[str, str]] = set()
        self._libraries: set[str] = set()
        self._files: dict[str, Path] = {}
        self._notes: dict[str, None] = {}
        self._noting: dict[tuple[str, str], bool] = {}
        self._hints = self._subclasses = False

    def is_module(self, name: str) -> bool:
        """Return whether there is project source under this name."""
        return bool(name) and self._is_project(name) and source(name) is not None

    def follow(self, module: str, name: str) -> None:
        """Add what `name` reaches in `module` (`WHOLE`: all of it; empty: what runs on import), and what follows."""
        work = [(module, name), *self._parents(module)]
        while work:
            place, wanted = question = work.pop()
            if question in self._asked:
                continue
            self._asked.add(question)
            if place not in self._taken:
                self._taken[place] = set()
                work.append((place, ""))
                work += [target for unit in units(place) for item in unit.executed for target in self._executed(item)]
            for index in self._reached(place, wanted) - self._taken[place]:
                self._taken[place].add(index)
                work += self._from(place, units(place)[index])

    def follow_entry(self, entry: str) -> None:
        """Follow "package.module:Name", or all of the module if it binds no such name itself, or a dotted text."""
        module, _, name = entry.partition(":")
        if not name:
            for target in self._mentioned(entry):
                self.follow(*target)
        elif self._counts(module):
            first = name.split(".")[0]
            self.follow(module, first if first in binders(module) else WHOLE)

    def code(self) -> Code:
        """Return what was reached."""
        digests, lines = {}, {}
        for module in sorted(self._taken):
            taken = [units(module)[index] for index in sorted(self._taken[module])]
            texts = sorted({unit.text for unit in taken if unit.import_text})
            texts += [unit.text for unit in taken if not unit.import_text]
            texts += [annotations_of(module)] if texts and self._hints else []
            if texts:
                digests[module] = text_digest("\n".join(texts))
                lines[module] = tuple(unit.lines for unit in taken)
        for name, file in sorted(self._files.items()):
            digests[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        return Code(digests=digests, libraries=frozenset(self._libraries), notes=tuple(self._notes), lines=lines)

    def _reached(self, module: str, wanted: str) -> set[int]:
        """Return the indices of the statements that a name reaches."""
        if wanted not in (WHOLE, ""):
            return set(binders(module).get(wanted, ()))
        whole = wanted == WHOLE
        return {
            index
            for index, unit in enumerate(units(module))
            if unit.acts or (whole and MAIN not in unit.binds) or self._registers(module, unit)
        }

    def _from(self, place: str, unit: Unit) -> Iterator[tuple[str, str]]:
        """Yield what a statement reaches."""
        yield from ((place, used) for used in unit.uses)
        for item in unit.imports:
            yield from self._targets(item)
        yield from self._through_attributes(place, unit)
        for name in unit.mentions:
            yield from self._mentioned(name)
        for script in unit.scripts:
            for module in (script, f"{script}.{MAIN}"):
                if self._counts(module):
                    yield from ((module, WHOLE), (module, MAIN))
        for kind, line in unit.dynamic.items():
            yield from self._through(kind, place, line)

    def _through(self, kind: Dynamic, place: str, line: int) -> Iterator[tuple[str, str]]:
        """Yield what a dynamic feature reaches, and remember what it makes count."""
        if kind == "module":
            yield place, WHOLE
        elif kind == "package":
            yield from self._all_of(self._top)
            yield from self._all_of(_top(place))
        elif kind == "files":
            self._files |= {relative(file, place): file for file in files_in(_top(place))}
            kind = "outside" if _top(place) == place and not is_package(place) else kind
        elif kind == "hints":
            self._hints = True
        elif kind == "subclasses" and not self._subclasses:
            self._subclasses = True
            self._noting.clear()
            self._asked -= {(module, "") for module in self._taken}
            yield from ((module, "") for module in self._taken)
        if kind in _NOTES and _top(place) != "harness" and (file := source(place)):
            text = _NOTES[kind].format(package=_top(place))
            self._notes[f"{relative(file, place)}:{line} {text}: raise the stage's `version` when that changes"] = None

    def _targets(self, item: Import) -> Iterator[tuple[str, str]]:
        yield from self._parents(item.module)
        if not self._is_project(item.module):
            self._libraries.add(_top(item.module))
            return
        is_name = bool(item.name) and item.name != WHOLE
        if is_name and self._counts(item.dotted):
            yield item.dotted, WHOLE
        elif item.name not in binders(item.module) if is_name else source(item.module) is None:
            yield from self._unbound(item)
        if self._counts(item.module):
            yield item.module, item.name or WHOLE

    def _unbound(self, item: Import) -> Iterator[tuple[str, str]]:
        """Yield where an imported name may come from that no statement binds: `__getattr__`, or a compiled module."""
        built = extension_files(item.dotted)
        self._files |= {relative(file, item.module): file for file in built}
        if not built and self._counts(item.module):
            yield item.module, WHOLE

    def _executed(self, item: Import) -> Iterator[tuple[str, str]]:
        """Yield the modules that an import runs, without a name."""
        yield from self._parents(item.module)
        for module in (item.module, item.dotted):
            if self._counts(module):
                yield module, ""

    def _parents(self, module: str) -> Iterator[tuple[str, str]]:
        """Yield the packages around a module, without a name: what runs there on import counts."""
        parts = module.split(".")
        for depth in range(1, len(parts)):
            if self._counts(package := ".".join(parts[:depth])):
                yield package, ""

    def _mentioned(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield what a string names: a module, or what is in one."""
        parts = name.replace(":", ".").split(".")
        if not self._is_project(name.partition(":")[0]):
            self._libraries.add(parts[0])
            return
        for depth in reversed(range(1, len(parts) + 1)):
            if self._counts(module := ".".join(parts[:depth])):
                yield from self._parents(module)
                yield module, parts[depth] if depth < len(parts) else WHOLE
                if depth == len(parts) and is_package(module):
                    yield from self._all_of(module)
                return

    def _through_attributes(self, place: str, unit: Unit) -> Iterator[tuple[str, str]]:
        """Yield the modules reached by `import package` and then `package.module.function`.

        A package that is used in another way, as in `getattr(package, name)`, counts with all its modules."""
        for chain in sorted(unit.chains):
            first, *rest = chain.split(".")
            for item in (
                one for other in units(place) if other.import_text and first in other.binds for one in other.imports
            ):
                start = item.dotted if item.name else full_name(first, unit.imported)
                if not rest and first in unit.values and self._counts(start) and is_package(start):
                    yield from self._all_of(start)
                for depth in range(1, len(rest) + 1):
                    module = ".".join([start, *rest[:depth]])
                    if self._counts(module):
                        yield module, WHOLE

    def _all_of(self, package: str) -> Iterator[tuple[str, str]]:
        yield from ((module, WHOLE) for module in modules_in(package) if self._counts(module))

    def _registers(self, module: str, unit: Unit) -> bool:
        """Return whether a class is noted when it is defined: by a base class, a metaclass, or `__subclasses__`."""
        if not isinstance(unit.statement, ast.ClassDef):
            return False
        return unit.hooks_subclasses or any(self._is_noting(module, base, unit.imported) for base in unit.bases)

    def _is_noting(self, module: str, base: str, imported: Mapping[str, Import]) -> bool:
        """Return whether a class takes note of its subclasses; one that is not found may."""
        parts = full_name(base, imported).split(".")
        if base.partition(".")[0] in imported:
            owners = (depth for depth in reversed(range(1, len(parts))) if self.is_module(".".join(parts[:depth])))
            if not (depth := next(owners, 0)):
                return not is_harmless(base, imported)
            module, parts = ".".join(parts[:depth]), parts[depth:]
        question = module, parts[0]
        if question not in self._noting:
            self._noting[question] = self._subclasses and module not in CONTRACT and parts[0] in binders(module)
            found = [units(module)[index] for index in binders(module).get(parts[0], ())]
            self._noting[question] |= not (found or parts[0] in vars(builtins)) or any(
                self._is_noting(module, parts[0], one.imported) if one.import_text else self._registers(module, one)
                for one in found
            )
        return self._noting[question]

    def _counts(self, module: str) -> bool:
        return module not in CONTRACT and self.is_module(module)

    def _is_project(self, module: str) -> bool:
        top = _top(module)
        if top not in self._project:
            place = location(top)
            self._project[top] = not is_foreign(top) and place is not None and place.parent in self._folders
        return self._project[top]


def _top(module: str) -> str:
    return module.split(".", maxsplit=1)[0].partition(":")[0]
