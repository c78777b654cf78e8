"""Which project code a function reaches, as digests that only a change of meaning changes.

Sources are read, never imported. Only those statements of a module count that are reached by name, from the function's
own names through `from module import name`; a module that is imported as a whole counts as a whole. Comments,
docstrings, formatting, the order of imports, `if TYPE_CHECKING` and `if __name__ == "__main__"` do not count. Type
annotations do not count either, but the classes that annotate the fields of a class are followed: a config reaches the
configs nested in it. What is imported under a computed name is not seen: raise the stage's version for it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from harness.errors import StudyError

CONTRACT = frozenset({"harness.stage", "harness.method", "harness.fingerprint"})
"""Modules that define what a stage is and cannot change what it computes; they never count."""

_WHOLE = "*"
_INSTALLED = {"site-packages", "dist-packages"}
_TYPING_ONLY = {"annotation", "returns", "type_comment", "type_params", "type_ignores", "kind", "ctx"}


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(content: Any) -> str:
    """Return the SHA-256 of a value that JSON can hold, 64 hex digits; the order of keys does not count."""
    return text_digest(json.dumps(content, sort_keys=True))


def code_fingerprint(run: str, modules: list[str]) -> dict[str, str]:
    """Return module name → SHA-256 of the part of it that `run` ("package.module:function") reaches.

    `modules` ("package.module" or "package.module:Name") count too, with what they import, as far as they are project
    code. Project code is the top-level packages of `run`, of `modules` and of the harness, what lies next to one of
    them outside `site-packages`, and what the distribution of `run` or of the harness installed. Computed once per
    process. Raises StudyError if `run` does not exist, or a source cannot be parsed."""
    return dict(_fingerprint(run, tuple(modules)))


@cache
def _fingerprint(run: str, modules: tuple[str, ...]) -> dict[str, str]:
    root, _, function = run.partition(":")
    reach = _Reach(root, modules)
    if not reach.is_module(root):
        raise StudyError(f"{run}: no source of module {root!r} was found; expected package.module:function")
    if not any(function in unit.binds for unit in _units(root)):
        raise StudyError(f"{run}: {root} defines no {function!r} at its top level")
    reach.follow(root, function)
    for entry in modules:
        module, _, name = entry.partition(":")
        if reach.is_module(module):
            reach.follow(module, name or _WHOLE)
    return reach.digests()


@dataclass(frozen=True)
class _Import:
    """One imported name: `from module import name`, or `import module` if the name is empty."""

    module: str
    name: str = ""


@dataclass(frozen=True)
class _Unit:
    """One statement at the top level of a module, or one imported name."""

    text: str
    binds: frozenset[str]
    uses: frozenset[str]
    chains: frozenset[str]
    imports: tuple[_Import, ...]
    is_import: bool


class _Reach:
    """The closure over names and imports."""

    def __init__(self, run: str, modules: Iterable[str]) -> None:
        own = {run.split(".", maxsplit=1)[0], "harness"}
        own |= {neighbor for top in own if _is_foreign(top) for neighbor in _installed_with(top)}
        near = own | {top for top in (module.split(".")[0] for module in modules) if not _is_foreign(top)}
        self._project = dict.fromkeys(near, True)
        self._folders = {place.parent for top in near if (place := _location(top)) and not _is_foreign(top)}
        self._taken: dict[str, set[int]] = {}
        self._asked: set[tuple[str, str]] = set()

    def is_module(self, name: str) -> bool:
        """Return whether there is project source under this name."""
        return bool(name) and self._is_project(name) and _source(name) is not None

    def follow(self, module: str, name: str) -> None:
        """Add what `name` reaches in `module` ("*": all of it), and what that imports."""
        work = [(module, name), *self._parents(module)]
        while work:
            place, wanted = question = work.pop()
            if question in self._asked:
                continue
            self._asked.add(question)
            taken = self._taken.setdefault(place, set())
            units = _units(place)
            for index, unit in enumerate(units):
                if index in taken or not (wanted == _WHOLE or wanted in unit.binds or not unit.binds):
                    continue
                taken.add(index)
                work += [(place, used) for used in unit.uses]
                work += [target for item in unit.imports for target in self._targets(item)]
                work += self._through_attributes(units, unit)

    def digests(self) -> dict[str, str]:
        """Return module name → SHA-256 of the statements that were reached."""
        result = {}
        for module in sorted(self._taken):
            units = [_units(module)[index] for index in sorted(self._taken[module])]
            lines = sorted({unit.text for unit in units if unit.is_import})
            lines += [unit.text for unit in units if not unit.is_import]
            if lines:
                result[module] = text_digest("\n".join(lines))
        return result

    def _targets(self, item: _Import) -> Iterator[tuple[str, str]]:
        yield from self._parents(item.module)
        inner = f"{item.module}.{item.name}"
        if item.name and item.name != _WHOLE and self._counts(inner):
            yield inner, _WHOLE
        if self._counts(item.module):
            yield item.module, item.name or _WHOLE

    def _parents(self, module: str) -> Iterator[tuple[str, str]]:
        """Yield the packages around a module, without a name: what runs there on import counts."""
        parts = module.split(".")
        for depth in range(1, len(parts)):
            if self._counts(package := ".".join(parts[:depth])):
                yield package, ""

    def _through_attributes(self, units: tuple[_Unit, ...], unit: _Unit) -> Iterator[tuple[str, str]]:
        """Yield the modules reached by `import package` and then `package.module.function`."""
        for chain in sorted(unit.chains):
            first, *rest = chain.split(".")
            for item in (item for other in units if other.is_import and first in other.binds for item in other.imports):
                start = f"{item.module}.{item.name}" if item.name else item.module.split(".")[0]
                for depth in range(1, len(rest) + 1):
                    module = ".".join([start, *rest[:depth]])
                    if self._counts(module):
                        yield module, _WHOLE

    def _counts(self, module: str) -> bool:
        return module not in CONTRACT and self.is_module(module)

    def _is_project(self, module: str) -> bool:
        top = module.split(".", maxsplit=1)[0]
        if top not in self._project:
            place = _location(top)
            self._project[top] = not _is_foreign(top) and place is not None and place.parent in self._folders
        return self._project[top]


@cache
def _is_foreign(top: str) -> bool:
    """Return whether a package belongs to the standard library, or is installed among third-party packages."""
    place = _location(top)
    return top in sys.stdlib_module_names or place is None or bool(_INSTALLED & set(place.parts))


@cache
def _installed_with(top: str) -> frozenset[str]:
    """Return the top-level packages of the distribution that installed this one, unless it is an editable one."""
    owners = packages_distributions()
    return frozenset(name for name, distributions in owners.items() if set(distributions) & set(owners.get(top, ())))


@cache
def _location(top: str) -> Path | None:
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
def _source(module: str) -> Path | None:
    """Source file of a module; the folder of a package that has no `__init__`; None if there is no such module."""
    top, *rest = module.split(".")
    place = _location(top)
    if place is None or (place.is_file() and rest):
        return None
    if place.is_file():
        return place
    place = place.joinpath(*rest)
    for candidate in (place / "__init__.py", place.with_name(place.name + ".py")):
        if candidate.is_file():
            return candidate
    return place if place.is_dir() else None


def _is_package(module: str) -> bool:
    source = _source(module)
    return source is not None and (source.is_dir() or source.name == "__init__.py")


@cache
def _units(module: str) -> tuple[_Unit, ...]:
    source = _source(module)
    if source is None or source.is_dir():
        return ()
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise StudyError(f"{source}: cannot be parsed ({error}); a stage's key covers this file") from None
    package = module if _is_package(module) else module.rpartition(".")[0]
    units: list[_Unit] = []
    for statement in _meaning(tree).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            units += _import_units(statement, package)
        else:
            units.append(_unit(statement, package))
    return tuple(units)


def _import_units(statement: ast.Import | ast.ImportFrom, package: str) -> Iterator[_Unit]:
    for alias, item in zip(statement.names, _imports(statement, package), strict=True):
        if item.module == "__future__":
            continue
        bound = alias.asname or (alias.name if item.name else alias.name.split(".")[0])
        binds = frozenset() if item.name == _WHOLE else frozenset({bound})
        text = f"import {item.module} {item.name} as {bound}"
        yield _Unit(text, binds, frozenset(), frozenset(), (item,), is_import=True)


def _unit(statement: ast.stmt, package: str) -> _Unit:
    nodes = list(ast.walk(statement))
    imports = [item for n in nodes if isinstance(n, ast.Import | ast.ImportFrom) for item in _imports(n, package)]
    uses = {node.id for node in nodes if isinstance(node, ast.Name)}
    chains = {chain for node in nodes if isinstance(node, ast.Attribute) and (chain := _chain(node))}
    return _Unit(
        _dump(statement), frozenset(_bound(statement)), frozenset(uses), frozenset(chains), tuple(imports), False
    )


def _imports(statement: ast.Import | ast.ImportFrom, package: str) -> list[_Import]:
    if isinstance(statement, ast.Import):
        return [_Import(alias.name) for alias in statement.names]
    module = statement.module or ""
    if statement.level:
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - statement.level + 1])
        module = f"{base}.{module}" if module else base
    return [_Import(module, alias.name) for alias in statement.names]


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a top-level statement defines or changes; empty if it only has an effect."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            names |= {inner.id for inner in ast.walk(node.value) if isinstance(inner, ast.Name)}
    return names


def _chain(node: ast.expr) -> str:
    """Return `a.b.c` for an attribute of a name; empty for attributes of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := _chain(node.value)):
        return f"{front}.{node.attr}"
    return ""


def _meaning(tree: ast.Module) -> ast.Module:
    """Return the tree without what cannot change a result. It may no longer compile."""
    stripped: ast.Module = _Strip().visit(tree)
    stripped.body = [statement for statement in stripped.body if not _is_main_guard(statement)]
    return stripped


class _Strip(ast.NodeTransformer):
    def __init__(self) -> None:
        self._fields: set[ast.AnnAssign] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._fields.update(child for child in node.body if isinstance(child, ast.AnnAssign))
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        bare = isinstance(node.value, ast.Constant) and (isinstance(node.value.value, str) or node.value.value is ...)
        return None if bare else self.generic_visit(node)

    def visit_Pass(self, _: ast.Pass) -> None:
        return None

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.target = self.visit(node.target)
        if node in self._fields:  # its annotation stays, and is followed; `_dump` skips it
            node.annotation = _unquoted(node.annotation)
            node.value = self.visit(node.value) if node.value else None
            return node
        if node.value is None:
            return ast.Expr(value=node.target)  # the name of a field stays
        return ast.Assign(targets=[node.target], value=self.visit(node.value))

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        if _chain(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            kept = [self.visit(child) for child in node.orelse]
            return [child for child in kept if child is not None]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)


def _unquoted(annotation: ast.expr) -> ast.expr:
    """Return a quoted annotation as an expression."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return ast.parse(annotation.value, mode="eval").body
    return annotation


def _is_main_guard(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Compare)
        and isinstance(statement.test.left, ast.Name)
        and statement.test.left.id == "__name__"
    )


def _dump(node: object) -> str:
    """Return the tree as text that no minor version of Python changes: without empty fields and typing."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!a}"
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={_dump(value)}"
            for name, value in ast.iter_fields(node)
            if name not in _TYPING_ONLY and value is not None and value != []
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(_dump(item) for item in node)}]"
    return ascii(node)
