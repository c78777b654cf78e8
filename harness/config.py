"""Options as frozen values: any pydantic model that is frozen and forbids unknown keys is a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import StudyError


class Config(BaseModel):
    """Base of the harness's own configs: keyword-only, frozen, unknown keys refused, defaults validated."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


C = TypeVar("C", bound=BaseModel)


class Same(Generic[C]):
    """A frozen config as a key of a cache, by identity: 1 and 1.0 are equal, and comparing large configs takes long."""

    __slots__ = ("config",)

    def __init__(self, config: C) -> None:
        self.config = config

    def __hash__(self) -> int:
        return id(self.config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.config is self.config


def resolve(config_type: type[C], options: Mapping[str, Any], origin: str) -> C:
    """Return the config that `options` describe; keys may be dotted (`one_shot.frame_iterations`).

    `origin` says in errors where the options are: a file and a key in it. Raises StudyError, which names the key, what
    was found and what is allowed."""
    try:
        return config_type.model_validate(nested(options, origin))
    except ValidationError as error:
        raise StudyError("\n".join(_explain(config_type, problem, origin) for problem in error.errors())) from None


def nested(options: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """Return the options with dotted keys turned into nested mappings. Raises StudyError if a key is given twice."""
    result: dict[str, Any] = {}
    for key, value in options.items():
        *path, last = str(key).split(".")
        place = result
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise StudyError(f"{origin}: {key!r} reaches into {part!r}, which is also given a plain value")
        opened = nested(value, f"{origin}.{key}") if isinstance(value, Mapping) else value
        if isinstance(place.get(last), dict) and isinstance(opened, dict):
            opened = merged(place[last], opened)
        elif last in place:
            raise StudyError(f"{origin}: {key!r} is given twice")
        place[last] = opened
    return result


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` updated with `change`, mapping by mapping; both are nested."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(value, Mapping) and isinstance(old, Mapping) else value
    return result


def _explain(config_type: type[BaseModel], problem: Any, origin: str) -> str:
    path = [str(part) for part in problem["loc"]]
    where = ".".join(path)
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(sorted(_fields(config_type, path[:-1]))) or "none"
        return f"{origin}: unknown key {where!r} (found {problem['input']!r}); allowed here: {allowed}"
    if problem["type"] == "missing":
        return f"{origin}: key {where!r} is missing"
    return f"{origin}: {where}: {problem['msg']} (found {problem['input']!r})"


def _fields(config_type: type[BaseModel], path: list[str]) -> list[str]:
    for part in path:
        field = config_type.model_fields.get(part)
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        config_type = annotation
    return list(config_type.model_fields)
