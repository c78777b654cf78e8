"""What one statement of a module means: its text without what changes no result, what it names and what it runs."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Literal

from harness.errors import StudyError
from harness.meaning import (
    REGISTERING,
    Import,
    chain_of,
    decorator_chain,
    dump,
    full_name,
    is_harmless,
    is_main_guard,
    is_type_checking,
    meaning_of,
)
from harness.sources import is_package, source

Dynamic = Literal["module", "package", "files", "hints", "subclasses", "outside"]
"""What a statement may reach besides what it names: all of its module (`globals`), all of its package (an import under
a computed name), data files, type annotations, subclasses, or a program or library from outside."""

MAIN = "__main__"
"""Name under which `if __name__ == "__main__"` is reached: by `python -m` only."""

WHOLE = "*"

_DYNAMIC: dict[str, Dynamic] = {
    **dict.fromkeys(("globals", "sys.modules"), "module"),
    **dict.fromkeys(("eval", "exec", "__import__", "importlib.import_module", "importlib.util"), "package"),
    **dict.fromkeys(("importlib.machinery", "importlib.metadata.entry_points", "runpy", "pkgutil"), "package"),
    **dict.fromkeys(("__file__", "__path__", "pkgutil.get_data"), "files"),
    **dict.fromkeys(("importlib.resources", "importlib_resources", "pkg_resources"), "files"),
    **dict.fromkeys(("inspect.signature", "inspect.get_annotations", "inspect.getfullargspec"), "hints"),
    **dict.fromkeys(("typing.get_type_hints", "typing_extensions.get_type_hints"), "hints"),
    **dict.fromkeys(("subprocess", "os.system", "os.popen", "os.execv", "os.spawnv", "ctypes"), "outside"),
    **dict.fromkeys(("torch.hub.load", "torch.hub.load_state_dict_from_url"), "outside"),
    **dict.fromkeys(("torch.ops.load_library", "torch.utils.cpp_extension"), "outside"),
}
"""Dotted name of what a statement uses → what that may reach."""

_ATTRIBUTES: dict[str, Dynamic] = {
    **dict.fromkeys(("__file__", "__path__"), "files"),
    **{"__subclasses__": "subclasses", "__annotations__": "hints"},
}
_IMPORTERS = ("importlib.import_module", "__import__")
_MODULE_NAME = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
_RUN_AS_MODULE = re.compile(r"-m\s+([A-Za-z_][\w.]*)")
_SCRIPT = re.compile(r"(?:.*/)?([A-Za-z_]\w*)\.py")


@dataclass(frozen=True, eq=False)
class Unit:
    """One statement at the top level of a module, or one imported name. Most of it is computed when it is reached."""

    statement: ast.stmt
    binds: frozenset[str]
    package: str
    imported: Mapping[str, Import]
    """Names that the module imports at its top level."""

    import_text: str = ""
    """What the statement means, if it is one imported name."""

    executed: tuple[Import, ...] = ()
    """Imports that run when the module is imported."""

    acts: bool = False
    """Whether it does more on import than bind names: a call, a decorator that may register, a change elsewhere."""

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line, with decorators."""
        first = min([self.statement.lineno, *[one.lineno for one in getattr(self.statement, "decorator_list", ())]])
        return first, self.statement.end_lineno or first

    @cached_property
    def text(self) -> str:
        """Meaning of the statement, as text that no minor version of Python changes."""
        return self.import_text or dump(self.statement)

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Return the imports anywhere in it."""
        return self.executed if self.import_text else tuple(item for _, item in self._inner_imports)

    @cached_property
    def uses(self) -> frozenset[str]:
        """Names anywhere in it."""
        return frozenset(node.id for node in self._nodes[ast.Name])

    @cached_property
    def values(self) -> frozenset[str]:
        """Names that are used as they are, not for one of their attributes."""
        fronts = {id(node.value) for node in self._nodes[ast.Attribute]}
        return frozenset(node.id for node in self._nodes[ast.Name] if id(node) not in fronts)

    @cached_property
    def chains(self) -> Mapping[str, list[int]]:
        """Names and attributes of names, `a.b.c`, with the line of each time it is used."""
        found: dict[str, list[int]] = defaultdict(list)
        for node in (*self._nodes[ast.Name], *self._nodes[ast.Attribute]):
            if chain := chain_of(node):
                found[chain].append(node.lineno)
        return found

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """Base classes of a class; empty ones are computed."""
        if not isinstance(self.statement, ast.ClassDef):
            return ()
        opened = [base.value if isinstance(base, ast.Subscript) else base for base in self.statement.bases]
        return tuple(chain_of(base) for base in opened)

    @cached_property
    def hooks_subclasses(self) -> bool:
        """Whether it is a class that is called for every subclass: `__init_subclass__`, or a metaclass of one's own."""
        if not isinstance(self.statement, ast.ClassDef):
            return False
        metaclasses = [keyword.value for keyword in self.statement.keywords if keyword.arg == "metaclass"]
        return any(not is_harmless(chain_of(one), self.imported) for one in metaclasses) or any(
            isinstance(child, ast.FunctionDef) and child.name == "__init_subclass__" for child in self.statement.body
        )

    @cached_property
    def mentions(self) -> frozenset[str]:
        """Modules named in strings: `plug.models`, `plug.models:Net`, what `import_module` gets."""
        found = {text for text in self._texts if _MODULE_NAME.fullmatch(text)}
        return frozenset(found | {self._absolute(text) for call in self._import_calls if (text := _first_text(call))})

    @cached_property
    def scripts(self) -> frozenset[str]:
        """Modules that strings run: after `-m`, or a file's name that ends in `.py`."""
        found = {text for text in self._texts if "-m" in self._texts and text.replace(".", "").isidentifier()}
        found |= {name for text in self._texts if "-m" in text for name in _RUN_AS_MODULE.findall(text)}
        here = f"{self.package}." if self.package else ""
        return frozenset(found | {here + match[1] for text in self._texts if (match := _SCRIPT.fullmatch(text))})

    @cached_property
    def dynamic(self) -> Mapping[Dynamic, int]:
        """Dynamic ways in which the statement may reach what it does not name, with a line of each."""
        constant = Counter(chain_of(call.func) for call in self._import_calls if _is_text(call))
        found: dict[Dynamic, int] = {}
        for chain, lines in self.chains.items():
            first = chain.partition(".")[0]
            if (first in self._known or first in _DYNAMIC) and constant[chain] < len(lines):
                parts = full_name(chain, self._known).split(".")
                names = (".".join(parts[:depth]) for depth in reversed(range(1, len(parts) + 1)))
                if kind := next((_DYNAMIC[name] for name in names if name in _DYNAMIC), None):
                    found.setdefault(kind, lines[0])
        for node in self._nodes[ast.Attribute]:
            if kind := _ATTRIBUTES.get(node.attr):
                found.setdefault(kind, node.lineno)
        return found

    @cached_property
    def _known(self) -> Mapping[str, Import]:
        """All names that are imports in it."""
        return {**self.imported, **dict(self._inner_imports)}

    @cached_property
    def _inner_imports(self) -> list[tuple[str, Import]]:
        return list(_bound_imports((*self._nodes[ast.Import], *self._nodes[ast.ImportFrom]), self.package))

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(node.value for node in self._nodes[ast.Constant] if isinstance(node.value, str))

    @cached_property
    def _nodes(self) -> Mapping[type[ast.AST], list[Any]]:
        found: dict[type[ast.AST], list[Any]] = defaultdict(list)
        for node in () if self.import_text else ast.walk(self.statement):
            found[type(node)].append(node)
        return found

    @cached_property
    def _import_calls(self) -> tuple[ast.Call, ...]:
        calls = self._nodes[ast.Call]
        return tuple(call for call in calls if full_name(chain_of(call.func), self._known) in _IMPORTERS)

    def _absolute(self, name: str) -> str:
        level = len(name) - len(name.lstrip("."))
        return _absolute_name(name[level:], level, self.package).rstrip(".")


@cache
def units(module: str) -> tuple[Unit, ...]:
    """Return the statements of a module that mean something. Raises StudyError if it cannot be parsed."""
    file = source(module)
    if file is None or file.is_dir():
        return ()
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise StudyError(f"{file}: cannot be parsed ({error}); a stage's key covers this file") from None
    package = module if is_package(module) else module.rpartition(".")[0]
    nodes = [list(_at_import(statement)) for statement in tree.body]
    imported = dict(_bound_imports((node for inner in nodes for node in inner), package))
    return tuple(
        unit
        for statement, inner in zip(tree.body, nodes, strict=True)
        for unit in _units(statement, inner, package, imported)
    )


def annotations_of(module: str) -> str:
    """Return all type annotations of a module as text."""
    file = source(module)
    tree = ast.parse(b"" if file is None or file.is_dir() else file.read_bytes())
    hints = (getattr(node, name, None) for node in ast.walk(tree) for name in ("annotation", "returns"))
    return dump([hint for hint in hints if isinstance(hint, ast.expr)])


@cache
def binders(module: str) -> Mapping[str, tuple[int, ...]]:
    """Return name → indices of the statements of a module that bind it."""
    found: dict[str, tuple[int, ...]] = {}
    for index, unit in enumerate(units(module)):
        for name in unit.binds:
            found[name] = (*found.get(name, ()), index)
    return found


def _units(statement: ast.stmt, nodes: list[ast.AST], package: str, imported: Mapping[str, Import]) -> Iterator[Unit]:
    """Yield what a top-level statement is made of. `nodes`: those that run on import."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for bound, item in _bound_imports([statement], package):
            if item.module != "__future__":
                text, star = f"import {item.module} {item.name} as {bound}", item.name == WHOLE
                binds = frozenset[str]() if star else frozenset({bound})
                yield Unit(statement, binds, package, imported, import_text=text, executed=(item,), acts=star)
        return
    executed = tuple(item for _, item in _bound_imports(nodes, package))
    acts = any(_acts(node, imported) for node in nodes)
    for kept in meaning_of(statement, imported):
        binds = frozenset({MAIN} if is_main_guard(kept) else _bound(kept))
        yield Unit(kept, binds, package, imported, executed=executed, acts=acts or not binds)


def _at_import(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement that run when its module is imported: no bodies of functions."""
    work: list[ast.AST] = [statement]
    while work:
        node = work.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            work += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif isinstance(node, ast.If) and is_type_checking(node):
            work += node.orelse
        elif not isinstance(node, ast.Lambda) and not is_main_guard(node):
            work += ast.iter_child_nodes(node)


def _acts(node: ast.AST, imported: Mapping[str, Import]) -> bool:
    """Return whether a node that runs on import may do more than bind a name of its module."""
    if isinstance(node, ast.Expr):
        return any(isinstance(inner, ast.Call) for inner in ast.walk(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return any(not is_harmless(decorator_chain(one), imported) for one in node.decorator_list)
    if isinstance(node, ast.Call):
        return bool(REGISTERING.search(chain_of(node.func).rpartition(".")[2]))
    if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
        return any(inner.id in imported for inner in ast.walk(node.value) if isinstance(inner, ast.Name))
    return isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == "_" for one in node.targets)


def _bound_imports(nodes: Iterable[ast.AST], package: str) -> Iterator[tuple[str, Import]]:
    """Yield every imported name and what it stands for."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.split(".")[0], Import(alias.name)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute_name(node.module or "", node.level, package)
            for alias in node.names:
                yield alias.asname or alias.name, Import(module, alias.name)


def _absolute_name(module: str, level: int, package: str) -> str:
    if not level:
        return module
    parts = package.split(".")
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{module}" if module else base


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


def _is_text(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)


def _first_text(call: ast.Call) -> str:
    """Return the text that the first argument of a call is, or begins with."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.JoinedStr) and first.values:
        first = first.values[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
