"""The whole report as one self-contained HTML page: nothing is fetched, and a content security policy forbids it.

Styles, a script, figures and some contact sheets are embedded. The first screen shows the
study's question, what it found, a figure and a strip of frames. The page includes measured seconds, so it differs from
run to run."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path

from PIL import Image

from harness.hardware import cores
from reports.figures import Figure
from reports.formats.html_tables import anchor, caption, glossary, table_html, verdict
from reports.formats.pictures import Pictures
from reports.inputs import coverage
from reports.tables import VERDICTS, Content, Section

STYLE, SCRIPT = ((Path(__file__).parent / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))

HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{HASH}'; base-uri 'none'; form-action 'none'"
)
"""No script but the one that has this hash runs, whatever a name in the results contains."""

FURTHER = (("figures", "Figures"), ("sheets", "Contact sheets"), ("speed", "Speed"), ("columns", "Columns"))
"""Anchor and title of the sections after the tables."""

FILES = (
    ("index.md", "this report as Markdown"),
    ("speed.md", "seconds and hardware"),
    ("tables/", "tables as CSV and LaTeX"),
    ("figures/", "figures as SVG and PNG"),
)
"""Files and folders next to the page → text of their links at the top of it."""


def html_page(content: Content, pictures: Pictures, folder: Path) -> str:
    """Return `index.html`; `folder` holds the files of the pictures."""
    filled = [section for section in content.sections if section.tables]
    names = [("top", content.study), *((section.name, section.title) for section in filled), *FURTHER]
    out = ["<!doctype html>", '<html lang="en"><head><meta charset="utf-8">']
    out += ['<meta name="viewport" content="width=device-width,initial-scale=1">']
    out += [f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">']
    out += [f"<title>{escape(content.study)}</title><style>{STYLE}</style></head><body>"]
    out += ['<nav class="contents" aria-label="Contents">']
    out += [*(f'<a href="#{name}">{escape(title)}</a>' for name, title in names), "</nav><main>"]
    out += _top(content, pictures, folder)
    for section in filled:
        out += [f'<section id="{section.name}"><h2>{section.title}</h2>']
        out += [*_intro(section, content), *map(table_html, section.tables), "</section>"]
    out += _list("Omitted tables", content.absent)
    out += ['<section id="figures"><h2>Figures</h2>', *_figures(pictures.figures, pictures, folder)]
    out += _list("Omitted figures", pictures.missing_figures)
    out += ['</section><section id="sheets"><h2>Contact sheets</h2>', *_sheets(pictures, folder)]
    out += _list("Not drawn", pictures.missing_sheets)
    out += ['</section><section id="speed"><h2>Speed</h2>', *map(table_html, content.seconds)]
    out += _figures(pictures.speed_figures, pictures, folder)
    out += ['</section><section id="columns"><h2>Columns</h2>', *glossary((*content.steady, *content.seconds))]
    out += [f"</section></main><script>{SCRIPT}</script></body></html>"]
    return "\n".join(out) + "\n"


def _top(content: Content, pictures: Pictures, folder: Path) -> list[str]:
    """Return the first screen: the question, three sentences, a figure and a strip of frames."""
    summary = content.summary
    out = ['<header id="top">']
    if content.question:
        out.append(f'<p class="study">Study {escape(content.study)}</p><h1>{escape(content.question)}</h1>')
    else:
        out.append(f"<h1>{escape(content.study)}</h1>")
    limits = f" {caption(summary.limits)}" if summary else ""
    out.append(f'<p class="facts"><strong>{coverage(content.cells)}</strong>{limits}</p>')
    viewer = [(pictures.viewer, "two variants compared frame by frame")] if pictures.viewer else []
    links = (f'<a href="{path}">{text}</a>' for path, text in (*viewer, *FILES))
    out += [f'<p class="files">Next to this page: {" · ".join(links)}</p>']
    if summary:
        both = " both" if pictures.lead and pictures.strip else ""
        out += [f'<div class="top{both}"><div class="answers">']
        out += [f"<p><b>{title}</b>{escape(text)}</p>" for title, text in summary.sentences.items()]
        out += ["</div>", _figure(pictures.lead, folder) if pictures.lead else "", *_strip(pictures, folder), "</div>"]
    return [*out, "</header>"]


def _strip(pictures: Pictures, folder: Path) -> list[str]:
    if not pictures.strip:
        return []
    out = ['<figure class="strip">']
    for label, path in pictures.strip.items():
        name, _, score = label.partition(", ")
        rest = f", {escape(score)}" if score else ""
        image = f'<img alt="{escape(label)}" src="data:image/jpeg;base64,{_base64((folder / path).read_bytes())}">'
        out.append(f"<p><b>{escape(name)}</b>{rest}</p>{image}")
    return [*out, f"<figcaption>{escape(pictures.about_strip)}</figcaption></figure>"]


def _intro(section: Section, content: Content) -> list[str]:
    """Return what stands above the tables of a section: the number of each verdict, or links to its tables."""
    if section.name == "claims":
        counts = (f"<li>{verdict(name, content.counts[name])}</li>" for name in VERDICTS if content.counts.get(name))
        out = [f'<ul class="counts">{"".join(counts)}</ul>']
        if not any(content.counts.get(name) for name in VERDICTS[:2]):
            out.append("<p>No claim is decided by this study's data.</p>")
        return out
    links = (f'<a href="#{anchor(table)}">{escape(table.title)}</a>' for table in section.tables)
    return [f'<p class="within">{" · ".join(links)}</p>'] if len(section.tables) > 2 else []


def _list(title: str, entries: Mapping[str, str]) -> list[str]:
    lines = [f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in entries.items()]
    return [f"<h3>{title}</h3><ul>", *lines, "</ul>"] if lines else []


def _figures(figures: Iterable[Figure], pictures: Pictures, folder: Path) -> list[str]:
    """Return the figures, with a link in place of the one that is at the top of the page."""
    top = '<p class="within"><a href="#top">{}</a> is at the top of the page.</p>'
    return [top.format(escape(one.title)) if one is pictures.lead else _figure(one, folder) for one in figures]


def _figure(figure: Figure, folder: Path) -> str:
    data = _base64((folder / "figures" / f"{figure.name}.svg").read_bytes())
    text = f"<strong>{escape(figure.title)}.</strong> {caption(figure.caption)}"
    image = f'<img class="chart" alt="{escape(figure.title)}" src="data:image/svg+xml;base64,{data}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{text}</figcaption></figure>'


def _sheets(pictures: Pictures, folder: Path) -> list[str]:
    out = []
    if pictures.highlights:
        out.append("<p>The sequences with the worst, the middle and the best score.</p>")
    with ThreadPoolExecutor(cores()) as pool:
        smaller = list(pool.map(lambda path: _as_jpeg(folder / path), pictures.highlights.values()))
    for title, jpeg in zip(pictures.highlights, smaller, strict=True):
        image = f'<img class="sheet" alt="{escape(title)}" src="data:image/jpeg;base64,{jpeg}">'
        out.append(f'<figure><div class="wide">{image}</div><figcaption>{escape(title)}</figcaption></figure>')
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
