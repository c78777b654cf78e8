"""Tables → text: Markdown to read, CSV to go on computing with.

Measured numbers are upright, with the best bold and the second underlined; quoted numbers are in italics, with their
source. Shares are printed as the paper prints them: .858."""

from __future__ import annotations

import csv
import io

from reports.inputs.captions import NO_BENCHMARK
from reports.tables.model import MEASURED, NOTHING, QUOTED, Line, Table, Value


def number(value: float, decimals: int) -> str:
    """As the paper prints shares: `.858`, `-.012`, `1.000`."""
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def markdown(table: Table, level: int = 2) -> str:
    """Heading, caption, table and footnotes; ends with one line break."""
    notes = {note: place for place, note in enumerate(table.notes, 1)}
    head = [table.first, *(("origin",) if table.origins else ()), *table.facts, *table.columns]
    left = 1 + table.origins + len(table.facts)
    out = [f"{'#' * level} {table.title}", "", loud(table.caption), "", _row(head)]
    out.append("|" + "|".join([" --- "] * left + [" ---: "] * len(table.columns)) + "|")
    for line in table.lines:
        cells = [_emphasised(escape(line.label), line) + _marks(line.notes, notes)]
        if table.origins:
            cells.append(line.how or MEASURED if line.origin == MEASURED else f"*quoted: {escape(line.source)}*")
        cells += [escape(fact) for fact in line.facts]
        cells += [_value(value, line) + _marks(value.notes, notes) for value in line.values]
        out.append(_row(cells))
    if notes:
        out += ["", *(f"<sup>{place}</sup> {escape(note)}  " for note, place in notes.items())]
    return "\n".join(out) + "\n"


def as_csv(table: Table) -> str:
    """One line a row, numbers with six decimals, ranks left out; notes in the last column."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([table.first, "origin", "source", "name", *table.facts, *table.columns, "notes"])
    for line in table.lines:
        noted = [*line.notes]
        for title, value in zip(table.columns, line.values, strict=True):
            noted += [f"{title}: {note}" for note in value.notes]
        numbers = ["" if value.number is None else f"{value.number:.6f}" for value in line.values]
        writer.writerow(
            [
                line.label,
                line.origin,
                line.source or line.how,
                line.variant,
                *line.facts,
                *numbers,
                "; ".join(dict.fromkeys(noted)),
            ]
        )
    return out.getvalue()


def escape(text: str) -> str:
    """Text that Markdown prints as it is, on one line."""
    for mark in ("\\", "|", "*", "_", "`", "<", ">", "[", "]"):
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


def loud(caption: str) -> str:
    """The caption with what nobody may overlook in bold."""
    return caption.replace(NO_BENCHMARK, f"**{NO_BENCHMARK}**")


def _value(value: Value, line: Line) -> str:
    if value.number is None:
        return f"*{value.text}*" if line.origin == QUOTED and value.text != NOTHING else value.text
    text = number(value.number, value.decimals)
    if line.origin == QUOTED or value.quoted:
        return f"*{text}*"
    return {0: text, 1: f"**{text}**", 2: f"<u>{text}</u>"}[value.rank]


def _emphasised(text: str, line: Line) -> str:
    return f"*{text}*" if line.origin == QUOTED else text


def _marks(notes: tuple[str, ...], places: dict[str, int]) -> str:
    return f" <sup>{','.join(str(places[note]) for note in notes)}</sup>" if notes else ""


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
