"""The whole report as one HTML page that needs nothing else: styles, figures, chosen contact sheets and as many
of their videos as keep it handy are in it, and its content security policy forbids every outside request. It holds the
seconds too, so it differs from run to run."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from reports.figures.canvas import Figure
from reports.formats.markdown import number
from reports.inputs.captions import NO_BENCHMARK, coverage
from reports.inputs.claims import CONTRADICTED, INCONCLUSIVE, NOT_MEASURED, REPRODUCED
from reports.tables.content import Content
from reports.tables.model import MEASURED, QUOTED, Line, Table, Value

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:80rem;padding:1rem;color:#1a1a1a;background:#fff}
h1,h2{line-height:1.2}h2{margin-top:2.5rem;font-size:1.25rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem}
th,td{padding:.25rem .45rem;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}
thead th{border-bottom:2px solid #333;white-space:nowrap}.number{text-align:right;font-variant-numeric:tabular-nums}
.quoted{font-style:italic;color:#555;background:#f6f6f2}.notes,.caption{font-size:.875rem;color:#444}
.verdict{padding:.05rem .4rem;border-radius:.3rem;white-space:nowrap;border:1px solid #888}
.reproduced{background:#d7efe4}.contradicted{background:#fbdccb}.loud{font-weight:bold;color:#a33b00}
figure{margin:1.5rem 0}img,video{max-width:100%;height:auto;display:block}figcaption{font-size:.875rem;color:#444}
nav a{margin-right:1rem}td:first-child{min-width:8rem}.origin{white-space:nowrap}.fact{max-width:24rem}
.all{columns:14rem;padding-left:1.2rem}
@media(max-width:45rem){body{padding:.75rem}nav a{display:inline-block;padding:.3rem 0}
.wide table{width:max-content}.fact{max-width:15rem}.origin{white-space:normal;max-width:7rem}
.wide img{max-width:none;width:40rem}.wide img.sheet{width:60rem}
th:first-child,td:first-child{position:sticky;left:0;max-width:9rem;background:#fff;white-space:normal}
.quoted td:first-child{background:#f6f6f2}}
"""
"""On a narrow screen tables, figures and sheets keep a legible size and are moved sideways, each by itself, while the
first column stays in view."""

FURTHER = (("figures", "Figures"), ("sheets", "Contact sheets"), ("speed", "Speed"))
"""Anchor and title of the sections that follow the tables."""

EMBEDDED = 6 * 2**20
"""Bytes of video that the page holds, so that it can be mailed; further videos are links to files beside it."""

VERDICTS = (REPRODUCED, CONTRADICTED, INCONCLUSIVE, NOT_MEASURED)


def html_page(
    content: Content,
    folder: Path,
    figures: Sequence[Figure],
    apart: Sequence[Figure],
    undrawn: Mapping[str, str],
    sheets: Mapping[str, str],
    every: Mapping[str, str],
    unseen: Mapping[str, str],
    videos: Mapping[str, str],
) -> str:
    """`index.html`. `folder` holds the saved figures (`figures` and, with seconds, `apart`), the chosen `sheets` and
    `every` sheet (title → path in it); `undrawn` and `unseen`: title → why there is no figure or sheet; `videos`: path
    of a sheet → path of its video."""
    out = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">']
    out += ['<meta name="viewport" content="width=device-width,initial-scale=1">']
    out += [f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">']
    out += [f"<title>{escape(content.study)}</title><style>{STYLE}</style></head><body>"]
    out += [f"<h1>{escape(content.study)}</h1>", f"<p><strong>{coverage(content.rows)}</strong> Measured numbers are "]
    out += ["upright, the best of the comparable rows <strong>bold</strong>, the second <u>underlined</u>; "]
    out += [
        '<span class="quoted">quoted numbers are in italics</span>, with their source, and were never measured here. '
    ]
    out += ["Rows of different protocol, scale or kind of data never share a table.</p>"]
    filled = [section for section in content.sections if section.tables]
    names = [*((section.name, section.title) for section in filled), *FURTHER]
    out += ["<nav>", *(f'<a href="#{name}">{title}</a>' for name, title in names), "</nav>"]
    for section in filled:
        out += [f'<section id="{section.name}">', *(table_html(table) for table in section.tables), "</section>"]
    out += _list("Tables without rows here", content.absent)
    out += ['<section id="figures"><h2>Figures</h2>', *(_figure(figure, folder) for figure in figures)]
    out += _list("Figures that are not drawn", undrawn)
    out += ['</section><section id="sheets"><h2>Contact sheets</h2>']
    out += ["<p>The sequences with the worst, the middle and the best J, and their videos.</p>"] if sheets else []
    inside = embedded(sheets.values(), videos, folder)
    out += [_sheet(title, folder, path, videos, inside) for title, path in sheets.items()]
    links = [f'<li><a href="{escape(path)}">{escape(name)}</a></li>' for name, path in every.items()]
    out += ["<p>Every sheet, as a file beside this page:</p>", '<ul class="all">', *links, "</ul>"] if links else []
    out += _list("Not drawn", unseen)
    out += ['</section><section id="speed"><h2>Speed</h2>', *(table_html(table) for table in content.seconds)]
    out += [*(_figure(figure, folder) for figure in apart), "</section></body></html>"]
    return "\n".join(out) + "\n"


def table_html(table: Table) -> str:
    """Heading, caption, table and footnotes."""
    notes = {note: place for place, note in enumerate(table.notes, 1)}
    head = [table.first, *(("origin",) if table.origins else ()), *table.facts]
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    titles += "".join(f'<th class="number">{escape(title)}</th>' for title in table.columns)
    out = [
        f'<h2 id="{escape(table.name)}">{escape(table.title)}</h2>',
        f'<p class="caption">{_caption(table.caption)}</p>',
    ]
    out += [f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>']
    out += [_line(line, table, notes) for line in table.lines]
    out += ["</tbody></table></div>"]
    if notes:
        listed = "<br>".join(f"<sup>{place}</sup> {escape(note)}" for note, place in notes.items())
        out.append(f'<p class="notes">{listed}</p>')
    return "\n".join(out)


def _line(line: Line, table: Table, notes: Mapping[str, int]) -> str:
    cells = [f"<td>{escape(line.label)}{_marks(line.notes, notes)}</td>"]
    if table.origins:
        origin = line.how or MEASURED if line.origin == MEASURED else f"quoted: {line.source}"
        cells.append(f'<td class="origin">{escape(origin)}</td>')
    cells += [f'<td class="fact">{_fact(fact)}</td>' for fact in line.facts]
    cells += [_value(value, notes) for value in line.values]
    kind = ' class="quoted"' if line.origin == QUOTED else ""
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _fact(text: str) -> str:
    if text in VERDICTS:
        return f'<span class="verdict {text.replace(" ", "-")}">{text}</span>'
    return escape(text)


def _value(value: Value, notes: Mapping[str, int]) -> str:
    text = escape(value.text) if value.number is None else number(value.number, value.decimals)
    text = {0: text, 1: f"<strong>{text}</strong>", 2: f"<u>{text}</u>"}[value.rank]
    return f'<td class="number{" quoted" if value.quoted else ""}">{text}{_marks(value.notes, notes)}</td>'


def _marks(notes: tuple[str, ...], places: Mapping[str, int]) -> str:
    return f" <sup>{','.join(str(places[note]) for note in notes)}</sup>" if notes else ""


def _caption(text: str) -> str:
    return escape(text).replace(NO_BENCHMARK, f'<span class="loud">{NO_BENCHMARK}</span>')


def _list(title: str, entries: Mapping[str, str]) -> list[str]:
    if not entries:
        return []
    lines = (f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in entries.items())
    return [f"<h2>{title}</h2><ul>", *lines, "</ul>"]


def _figure(figure: Figure, folder: Path) -> str:
    data = base64.b64encode((folder / "figures" / f"{figure.name}.svg").read_bytes()).decode()
    words = f"<strong>{escape(figure.title)}.</strong> {_caption(figure.caption)}"
    image = f'<img alt="{escape(figure.title)}" src="data:image/svg+xml;base64,{data}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{words}</figcaption></figure>'


def embedded(sheets: Iterable[str], videos: Mapping[str, str], folder: Path, limit: int = EMBEDDED) -> set[str]:
    """Of the given sheets, those whose videos stand in the page: the first of every benchmark, which is its worst, then
    the second of each, …, while they have room in `limit` (bytes)."""
    turns: Counter[str] = Counter()
    ranked: list[tuple[int, int, str]] = []
    for path in sheets:
        if path in videos:
            benchmark = path.rpartition("/")[0]
            ranked.append((turns[benchmark], len(ranked), path))
            turns[benchmark] += 1
    inside: set[str] = set()
    for _, _, path in sorted(ranked):
        size = (folder / videos[path]).stat().st_size
        if size <= limit:
            inside.add(path)
            limit -= size
    return inside


def _sheet(title: str, folder: Path, path: str, videos: Mapping[str, str], inside: Container[str]) -> str:
    smaller = io.BytesIO()
    with Image.open(folder / path) as image:
        image.convert("RGB").save(smaller, format="JPEG", quality=75)
    data = base64.b64encode(smaller.getvalue()).decode()
    image_tag = f'<img class="sheet" alt="{escape(title)}" src="data:image/jpeg;base64,{data}">'
    video = link = ""
    if path in videos:
        file, about = folder / videos[path], ""
        if path in inside:
            film = base64.b64encode(file.read_bytes()).decode()
            video = f'<video controls loop muted preload="metadata" src="data:video/webm;base64,{film}"></video>'
        else:
            about = f", {file.stat().st_size / 1e6:.1f} MB, beside this page"
        link = f' (<a href="{escape(videos[path])}">video</a>{about})'
    return f'<figure><div class="wide">{image_tag}</div>{video}<figcaption>{escape(title)}{link}</figcaption></figure>'
