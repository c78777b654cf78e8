"""Configs and readers of data with all that a key may overlook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from harness.config import Config


class Base(Config):
    size: int = 1


class Wide(Base):
    width: int = 1


class High(Base):
    pass


class Low(Base):
    pass


class Outer(Config):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    first: Base = Base()
    second: Base = Base()
    hidden: int = Field(0, exclude=True)
    rounded: float = 0.0
    names: frozenset[str] = frozenset()
    many: tuple[Base, ...] = ()
    table: dict[str, float] = Field(default_factory=dict)
    extra: Any = None
    call: Callable[..., Any] | None = None

    @field_serializer("rounded")
    def _round(self, value: float) -> int:
        return round(value)


class Open(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Kind(Enum):
    LINE = 1
    AREA = 2


@dataclass(frozen=True)
class Point:
    x: int = 0


@dataclass(frozen=True)
class FarPoint(Point):
    z: int = 0


@dataclass(frozen=True)
class Reader:
    decoder: Any = None


class Decoder: ...
