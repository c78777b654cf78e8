"""What of a statement can change a result, as a tree and as text."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

_BUILTIN_DECORATORS = {"property", "staticmethod", "classmethod", "setter", "getter", "deleter"}
_NO_REGISTRIES = frozenset(
    {*("torch", "torchvision", "numpy", "numba", "pydantic", "yaml", "jaxtyping", "beartype", "typing_extensions")}
)
"""Libraries whose decorators and base classes keep no list of what they are used on, as those of Python do not."""

REGISTERING = re.compile(r"regist|YAMLObject")
"""Names in them that do."""

_TYPING_ONLY = {"type_comment", "type_params", "type_ignores", "kind", "ctx"}


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`, or `import module` if the name is empty."""

    module: str
    name: str = ""

    @property
    def dotted(self) -> str:
        """Full name of what is imported."""
        return f"{self.module}.{self.name}" if self.name else self.module


def meaning_of(statement: ast.stmt, imported: Mapping[str, Import]) -> list[ast.stmt]:
    """Return what is left of a top-level statement without what cannot change a result; it is changed in place.

    `imported`: the imports at the top level of its module."""
    return _as_list(_Strip(imported).visit(statement))


def dump(node: object) -> str:
    """Return a tree as text that no minor version of Python changes: without empty fields and typing."""
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!a}"
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={dump(value)}"
            for name, value in ast.iter_fields(node)
            if name not in _TYPING_ONLY
            and value is not None
            and value != []
            and not (name == "annotation" and isinstance(node, _Quiet))
        ]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(dump(item) for item in node)}]"
    return ascii(node)


def full_name(chain: str, imported: Mapping[str, Import]) -> str:
    """Return `a.b.c` with the name that `a` was imported as replaced by what it stands for."""
    first, dot, rest = chain.partition(".")
    item = imported.get(first)
    if item is None or (not item.name and item.module.split(".")[0] == first):
        return chain
    return f"{item.dotted}{dot}{rest}"


def is_harmless(chain: str, imported: Mapping[str, Import], known: frozenset[str] = _NO_REGISTRIES) -> bool:
    """Return whether a decorator or base class is of a library that keeps no list of what it is used on."""
    *_, last = chain.split(".")
    item = imported.get(chain.partition(".")[0])
    if item is None:
        return last in _BUILTIN_DECORATORS
    top = item.module.split(".")[0]
    return not REGISTERING.search(last) and (top in sys.stdlib_module_names or top in known)


def chain_of(node: ast.AST) -> str:
    """Return `a.b.c` for an attribute of a name; empty for attributes of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := chain_of(node.value)):
        return f"{front}.{node.attr}"
    return ""


def decorator_chain(node: ast.expr) -> str:
    """Return `a.b.c` for a decorator, without what it is called with."""
    return chain_of(node.func if isinstance(node, ast.Call) else node)


def is_main_guard(statement: ast.AST) -> bool:
    """Return whether a statement is `if __name__ == …`."""
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Compare)
        and isinstance(statement.test.left, ast.Name)
        and statement.test.left.id == "__name__"
    )


def is_type_checking(node: ast.If) -> bool:
    """Return whether a statement is `if TYPE_CHECKING`."""
    return chain_of(node.test).rpartition(".")[2] == "TYPE_CHECKING"


class _Quiet(ast.AnnAssign):
    """A field whose annotation is followed, but is not part of the text: nothing reads it."""


class _Strip(ast.NodeTransformer):
    """Remove what cannot change a result. The tree may no longer compile.

    The annotations of fields stay: a class with bases or decorators may read them, as pydantic and dataclasses do.
    Those of functions stay if they have a decorator that is no built-in and not of the standard library."""

    def __init__(self, imported: Mapping[str, Import]) -> None:
        self._imported = imported
        self._fields: dict[ast.stmt, type[ast.AnnAssign]] = {}

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        kind = ast.AnnAssign if node.bases or node.keywords or node.decorator_list else _Quiet
        self._fields |= {child: kind for child in node.body if isinstance(child, ast.AnnAssign)}
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        bare = isinstance(node.value, ast.Constant) and (isinstance(node.value.value, str) or node.value.value is ...)
        return None if bare else self.generic_visit(node)

    def visit_Pass(self, _: ast.Pass) -> None:
        return None

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        target, value = self.visit(node.target), self.visit(node.value) if node.value else None
        if kind := self._fields.get(node):
            hint = _Unquote().visit(node.annotation)
            return ast.copy_location(kind(target=target, annotation=hint, value=value, simple=node.simple), node)
        if value is None:
            return ast.copy_location(ast.Expr(value=target), node)  # the name of a field stays
        return ast.copy_location(ast.Assign(targets=[target], value=value), node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        if is_type_checking(node):
            return [inner for child in node.orelse for inner in _as_list(self.visit(child))]
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        read = not all(is_harmless(decorator_chain(one), self._imported, frozenset()) for one in node.decorator_list)
        given = node.args
        listed = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
        for one in listed:
            one.annotation = _Unquote().visit(one.annotation) if read and one.annotation else None
        node.returns = _Unquote().visit(node.returns) if read and node.returns else None
        return self.generic_visit(node)


class _Unquote(ast.NodeTransformer):
    """Turn quoted parts of an annotation into expressions, except for literals and the metadata of `Annotated`."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str):
            try:
                return ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return node
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = chain_of(node.value).rpartition(".")[2]
        if name == "Annotated" and isinstance(node.slice, ast.Tuple):
            node.slice.elts[0] = self.visit(node.slice.elts[0])
        elif name != "Literal":
            self.generic_visit(node)
        return node


def _as_list(found: object) -> list[ast.stmt]:
    """Return what a visit gives for a statement: a statement, several, or none."""
    if isinstance(found, list):
        return found
    return [found] if isinstance(found, ast.stmt) else []
