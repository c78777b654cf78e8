"""Tables as text: Markdown to read, CSV for further computation.

Measured numbers are upright, with the best bold and the second underlined; quoted numbers are in italics, with their
source."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from reports.inputs import NO_BENCHMARK
from reports.tables import NOTHING, QUOTED, Line, Table, Value


def markdown(table: Table) -> str:
    """Return heading, caption, table and footnotes; ends with one line break. A folded table has no heading."""
    out = [] if table.folded else [f"## {table.title}", ""]
    out += [highlight(f"{table.caption} {table.method}".rstrip()), "", _row([*table.text_columns, *table.columns])]
    out.append("|" + "|".join([" --- "] * len(table.text_columns) + [" ---: "] * len(table.columns)) + "|")
    for line in table.lines:
        cells = [_emphasized(escape(line.label), line) + _marks(line.notes, table.notes)]
        if table.origins:
            cells.append(_emphasized(escape(line.origin_text), line))
        cells += [escape(fact) for fact in line.facts]
        cells += [_value(value, line) + _marks(value.notes, table.notes) for value in line.values]
        out.append(_row(cells))
    if table.notes:
        out += ["", *(f"<sup>{number}</sup> {escape(note)}  " for note, number in table.notes.items())]
    return "\n".join(out) + "\n"


def as_csv(table: Table) -> str:
    """Return the table as CSV: numbers with six decimals, without ranks, notes in the last column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([table.first, "origin", "source", "name", *table.facts, *table.columns, "notes"])
    for line in table.lines:
        noted = [*line.notes]
        for title, value in zip(table.columns, line.values, strict=True):
            noted += [f"{title}: {note}" for note in value.notes]
        numbers = ["" if value.number is None else f"{value.number:z.6f}" for value in line.values]
        notes = "; ".join(dict.fromkeys(noted))
        writer.writerow([line.label, line.origin, line.source, line.variant, *line.facts, *numbers, notes])
    return out.getvalue()


def escape(text: str) -> str:
    """Return text that Markdown prints verbatim, on one line."""
    for mark in ("\\", "|", "*", "_", "`", "<", ">", "[", "]"):
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


def highlight(caption: str) -> str:
    """Return the caption with the warning that numbers are not benchmark results in bold."""
    return caption.replace(NO_BENCHMARK, f"**{NO_BENCHMARK}**")


def _value(value: Value, line: Line) -> str:
    if value.number is None:
        return _emphasized(value.text, line) if value.text != NOTHING else value.text
    shown = escape(value.shown)
    if value.quoted:
        return f"*{shown}*"
    return {0: _emphasized(shown, line), 1: f"**{shown}**", 2: f"<u>{shown}</u>"}[value.rank]


def _emphasized(text: str, line: Line) -> str:
    return f"*{text}*" if line.origin == QUOTED else text


def _marks(notes: tuple[str, ...], numbers: Mapping[str, int]) -> str:
    return f" <sup>{','.join(str(numbers[note]) for note in notes)}</sup>" if notes else ""


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
