"""The tables of a report as values."""

from reports.tables.claims import VERDICTS
from reports.tables.columns import COLUMNS
from reports.tables.content import Content, Section, compose
from reports.tables.model import NOTHING, QUOTED, Line, Table, Value
from reports.tables.summary import Summary

__all__ = [
    "COLUMNS",
    "NOTHING",
    "QUOTED",
    "VERDICTS",
    "Content",
    "Line",
    "Section",
    "Summary",
    "Table",
    "Value",
    "compose",
]
