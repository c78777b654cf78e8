"""The whole report as one self-contained HTML page: nothing is fetched, and a content security policy forbids it.

Styles, figures, some contact sheets and up to 6 MB of their videos are embedded. The page includes measured seconds, so
it differs from run to run."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from PIL import Image

from reports.figures import Figure
from reports.formats.pictures import Pictures
from reports.inputs import NO_BENCHMARK, coverage
from reports.tables import QUOTED, VERDICTS, Content, Line, Table, Value

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
"""On a narrow screen, tables, figures and sheets keep a legible size and scroll sideways; the first column stays."""

FURTHER = (("figures", "Figures"), ("sheets", "Contact sheets"), ("speed", "Speed"))
"""Anchor and title of the sections after the tables."""

EMBEDDED = 6 * 2**20
"""Bytes of video in the page, so that it can be mailed; further videos are links to files next to it."""


def html_page(content: Content, pictures: Pictures, folder: Path) -> str:
    """Return `index.html`; `folder` holds the files of the pictures."""
    out = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">']
    out += ['<meta name="viewport" content="width=device-width,initial-scale=1">']
    out += [f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">']
    out += [f"<title>{escape(content.study)}</title><style>{STYLE}</style></head><body>"]
    out += [f"<h1>{escape(content.study)}</h1>", f"<p><strong>{coverage(content.cells)}</strong> Measured numbers are "]
    out += ["upright, the best of the comparable rows <strong>bold</strong>, the second <u>underlined</u>; "]
    out += ['<span class="quoted">quoted numbers are in italics</span> with their source and were not measured here. ']
    out += ["Rows of different protocol, scale or kind of data never share a table.</p>"]
    filled = [section for section in content.sections if section.tables]
    names = [*((section.name, section.title) for section in filled), *FURTHER]
    out += ["<nav>", *(f'<a href="#{name}">{title}</a>' for name, title in names), "</nav>"]
    for section in filled:
        out += [f'<section id="{section.name}">', *(table_html(table) for table in section.tables), "</section>"]
    out += _list("Omitted tables", content.absent)
    out += ['<section id="figures"><h2>Figures</h2>', *(_figure(figure, folder) for figure in pictures.figures)]
    out += _list("Omitted figures", pictures.missing_figures)
    out += ['</section><section id="sheets"><h2>Contact sheets</h2>', *_sheets(pictures, folder)]
    out += _list("Not drawn", {**pictures.missing_sheets, **pictures.missing_videos})
    out += ['</section><section id="speed"><h2>Speed</h2>', *(table_html(table) for table in content.seconds)]
    out += [*(_figure(figure, folder) for figure in pictures.speed_figures), "</section></body></html>"]
    return "\n".join(out) + "\n"


def table_html(table: Table) -> str:
    """Return heading, caption, table and footnotes."""
    titles = "".join(f"<th>{escape(title)}</th>" for title in table.text_columns)
    titles += "".join(f'<th class="number">{escape(title)}</th>' for title in table.columns)
    out = [f'<h2 id="{escape(table.name)}">{escape(table.title)}</h2>']
    out += [f'<p class="caption">{_caption(table.caption)}</p>']
    out += [f'<div class="wide"><table><thead><tr>{titles}</tr></thead><tbody>']
    out += [_line(line, table) for line in table.lines]
    out += ["</tbody></table></div>"]
    if table.notes:
        listed = "<br>".join(f"<sup>{number}</sup> {escape(note)}" for note, number in table.notes.items())
        out.append(f'<p class="notes">{listed}</p>')
    return "\n".join(out)


def embedded(sheets: Iterable[str], videos: Mapping[str, str], folder: Path, limit: int = EMBEDDED) -> set[str]:
    """Return the sheets whose videos the page embeds, up to `limit` bytes.

    The first sheet of every benchmark (its worst sequence) has priority, then the second of each, and so on."""
    turns: Counter[str] = Counter()
    rank: dict[str, int] = {}
    for path in filter(videos.__contains__, sheets):
        benchmark = path.rpartition("/")[0]
        rank[path] = turns[benchmark]
        turns[benchmark] += 1
    inside: set[str] = set()
    for path in sorted(rank, key=rank.__getitem__):
        size = (folder / videos[path]).stat().st_size
        if size <= limit:
            inside.add(path)
            limit -= size
    return inside


def _line(line: Line, table: Table) -> str:
    cells = [f"<td>{escape(line.label)}{_marks(line.notes, table.notes)}</td>"]
    if table.origins:
        cells.append(f'<td class="origin">{escape(line.origin_text)}</td>')
    cells += [f'<td class="fact">{_fact(fact)}</td>' for fact in line.facts]
    cells += [_value(value, table.notes) for value in line.values]
    kind = ' class="quoted"' if line.origin == QUOTED else ""
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _fact(text: str) -> str:
    if text in VERDICTS:
        return f'<span class="verdict {text.replace(" ", "-")}">{text}</span>'
    return escape(text)


def _value(value: Value, numbers: Mapping[str, int]) -> str:
    text = escape(value.shown)
    text = {0: text, 1: f"<strong>{text}</strong>", 2: f"<u>{text}</u>"}[value.rank]
    return f'<td class="number{" quoted" if value.quoted else ""}">{text}{_marks(value.notes, numbers)}</td>'


def _marks(notes: tuple[str, ...], numbers: Mapping[str, int]) -> str:
    return f" <sup>{','.join(str(numbers[note]) for note in notes)}</sup>" if notes else ""


def _caption(text: str) -> str:
    return escape(text).replace(NO_BENCHMARK, f'<span class="loud">{NO_BENCHMARK}</span>')


def _list(title: str, entries: Mapping[str, str]) -> list[str]:
    lines = [f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in entries.items()]
    return [f"<h2>{title}</h2><ul>", *lines, "</ul>"] if lines else []


def _figure(figure: Figure, folder: Path) -> str:
    data = _base64((folder / "figures" / f"{figure.name}.svg").read_bytes())
    text = f"<strong>{escape(figure.title)}.</strong> {_caption(figure.caption)}"
    image = f'<img alt="{escape(figure.title)}" src="data:image/svg+xml;base64,{data}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{text}</figcaption></figure>'


def _sheets(pictures: Pictures, folder: Path) -> list[str]:
    videos, out = pictures.videos, []
    if pictures.viewer:
        out.append(f'<p><a href="{pictures.viewer}">Compare two variants</a> frame by frame, next to this page.</p>')
    if pictures.highlights:
        out.append("<p>The sequences with the worst, the middle and the best score, with their videos.</p>")
    inside = embedded(pictures.highlights.values(), videos, folder)
    for title, path in pictures.highlights.items():
        image = f'<img class="sheet" alt="{escape(title)}" src="data:image/jpeg;base64,{_as_jpeg(folder / path)}">'
        video = link = ""
        if path in videos:
            file, size = folder / videos[path], ""
            if path in inside:
                source = f"data:video/webm;base64,{_base64(file.read_bytes())}"
                video = f'<video controls loop muted preload="metadata" src="{source}"></video>'
            else:
                size = f", {file.stat().st_size / 1e6:.1f} MB, next to this page"
            link = f' (<a href="{escape(videos[path])}">video</a>{size})'
        caption = f"<figcaption>{escape(title)}{link}</figcaption>"
        out.append(f'<figure><div class="wide">{image}</div>{video}{caption}</figure>')
    if pictures.sheets:
        links = (f'<li><a href="{escape(path)}">{escape(name)}</a></li>' for name, path in pictures.sheets.items())
        out += ["<p>All sheets, as files next to this page:</p>", '<ul class="all">', *links, "</ul>"]
    return out


def _as_jpeg(path: Path) -> str:
    smaller = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(smaller, format="JPEG", quality=75)
    return _base64(smaller.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
