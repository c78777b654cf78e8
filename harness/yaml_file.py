"""YAML of studies and options, read strictly: a key that is given twice is an error, and so is `.nan` or `.inf`."""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as _SafeLoader  # ten times as fast
except ImportError:  # PyYAML was built without its loader in C
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

from harness.errors import StudyError


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a file. Raises StudyError if there is none, or it is not strict."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); expected a YAML file") from None
    content = parse_yaml(text, str(path))
    if not isinstance(content, dict):
        raise StudyError(f"{path}: found {type(content).__name__} at the top; expected a mapping of keys to values")
    return content


def parse_yaml(text: str, origin: str) -> Any:
    """Return the value that a YAML text holds. `origin` says in errors where it is. Raises StudyError."""
    try:
        return _StrictLoader(text).get_single_data()
    except yaml.YAMLError as error:
        raise StudyError(f"{origin}: {error}") from None


class _StrictLoader(_SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.YAMLError(f"line {line}: key {key.value!r} is given twice, first in line {seen[key.value]}")
            seen[key.value] = line
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        number: float = super().construct_yaml_float(node)
        if not math.isfinite(number):
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: found {node.value}, a finite number expected")
        return number


_StrictLoader.add_constructor("tag:yaml.org,2002:float", _StrictLoader.construct_yaml_float)
