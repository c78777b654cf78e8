"""The tables of a report as values."""

from reports.tables.claims import VERDICTS
from reports.tables.content import Content, compose
from reports.tables.model import NOTHING, QUOTED, Line, Table, Value

__all__ = ["NOTHING", "QUOTED", "VERDICTS", "Content", "Line", "Table", "Value", "compose"]
