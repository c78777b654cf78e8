"""Tables as HTML: columns explained on hover, some folded away until they are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from reports.inputs import NO_BENCHMARK
from reports.tables import COLUMNS, QUOTED, VERDICTS, Line, Table, Value


def table_html(table: Table) -> str:
    """Return heading, caption, table and footnotes; a folded table is in a `details` element."""
    titles = "".join(_head(title, table, "") for title in table.text_columns)
    titles += "".join(_head(title, table, ' class="number"') for title in table.columns)
    out = [f'<p class="caption">{caption(table.caption)}</p>']
    if table.method:
        out.append('<details class="method"><summary>How this is computed</summary>')
        out.append(f"<p>{escape(table.method)}</p></details>")
    out += [f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>']
    out += [_line(line, table) for line in table.lines]
    out += ["</tbody></table></div>"]
    if table.notes:
        listed = "<br>".join(f"<sup>{number}</sup> {escape(note)}" for note, number in table.notes.items())
        out.append(f'<p class="notes">{listed}</p>')
    content = "\n".join(out)
    name, title = anchor(table), escape(table.title)
    if table.folded:
        return f'<details id="{name}"><summary>{title} ({len(table.lines)})</summary>\n{content}\n</details>'
    return f'<h3 id="{name}">{title}</h3>\n{content}'


def anchor(table: Table) -> str:
    """Return the id of a table in the page; sections have some of the tables' names."""
    return f"table-{escape(table.name)}"


def glossary(tables: Iterable[Table]) -> list[str]:
    """Return what the columns of these tables mean, for readers without a mouse and on paper."""
    titles = sorted({title for table in tables for title in (*table.text_columns, *table.columns)}, key=str.casefold)
    known = {title: COLUMNS[title] for title in titles if title in COLUMNS}
    listed = (f"<dt>{escape(title)}</dt><dd>{escape(text)}</dd>" for title, text in known.items())
    return ["<dl>", *listed, "</dl>"]


def caption(text: str) -> str:
    """Return the caption with the warning that numbers are not benchmark results highlighted."""
    return escape(text).replace(NO_BENCHMARK, f'<span class="loud">{NO_BENCHMARK}</span>')


def verdict(name: str, count: int | None = None) -> str:
    """Return a verdict as a label, with how many there are."""
    number = "" if count is None else f"{count} "
    return f'<span class="verdict {name.replace(" ", "-")}">{number}{name}</span>'


def _head(title: str, table: Table, kind: str) -> str:
    meaning = table.meaning(title)
    explained = f' title="{escape(meaning)}"' if meaning else ""
    return f"<th{kind}{explained}>{escape(title)}</th>"


def _line(line: Line, table: Table) -> str:
    cells = [f"<td>{escape(line.label)}{_marks(line.notes, table.notes)}</td>"]
    if table.origins:
        cells.append(f'<td class="origin">{escape(line.origin_text)}</td>')
    cells += [f'<td class="fact">{verdict(fact) if fact in VERDICTS else escape(fact)}</td>' for fact in line.facts]
    cells += [_value(value, table.notes) for value in line.values]
    kind = ' class="quoted"' if line.origin == QUOTED else ""
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _value(value: Value, numbers: Mapping[str, int]) -> str:
    text = escape(value.shown)
    text = {0: text, 1: f"<strong>{text}</strong>", 2: f"<u>{text}</u>"}[value.rank]
    return f'<td class="number{" quoted" if value.quoted else ""}">{text}{_marks(value.notes, numbers)}</td>'


def _marks(notes: tuple[str, ...], numbers: Mapping[str, int]) -> str:
    return f" <sup>{','.join(str(numbers[note]) for note in notes)}</sup>" if notes else ""
