"""The Markdown pages: the report, and the speed page with everything that differs from run to run."""

from __future__ import annotations

from collections.abc import Mapping

from reports.figures import Figure
from reports.formats.markdown import escape, highlight, markdown
from reports.formats.pictures import Pictures
from reports.inputs import Published, coverage
from reports.tables import Content, Table

HOW_TO_READ = (
    "Numbers that this study **measured** are upright; the best of the comparable measured rows is **bold**, the "
    "second <u>underlined</u>. Numbers *quoted* from a publication are in *italics* with their source and were not "
    "measured here. Rows of different protocol, scale or kind of data never share a table."
)


def index_page(content: Content, pictures: Pictures) -> str:
    """Return `index.md`."""
    out = [f"# {escape(content.question) or content.study}", ""]
    out += [f"Study {content.study}.", ""] if content.question else []
    limits = f" {highlight(content.summary.limits)}" if content.summary else ""
    out += [f"**{coverage(content.cells)}**{limits}", ""]
    if content.summary:
        out += [f"- **{title}:** {escape(text)}" for title, text in content.summary.sentences.items()]
        out += ["", *_pictures(pictures)]
    if not content.cells:
        out += ["No results are recorded for this study yet: run it first (`python -m harness.run`).", ""]
    out += [f"{HOW_TO_READ} All on one page: [index.html](index.html). Seconds per frame and hardware: "]
    out[-1] += "[speed.md](speed.md). Every table as CSV and LaTeX: [tables/](tables/)."
    out += ["", *(text for table in content.steady for text in _table(table))]
    if content.absent:
        out += ["## Omitted tables", "", *_list(content.absent)]
    if pictures.figures or pictures.missing_figures:
        out += ["## Figures", "", *(text for figure in pictures.figures for text in _figure(figure))]
        out += _list(pictures.missing_figures)
    if pictures.viewer:
        out += [f"Two variants frame by frame: [{pictures.viewer}]({pictures.viewer}).", ""]
    if pictures.sheets or pictures.missing_sheets:
        out += ["## Contact sheets", "", "Evenly sampled frames: the truth in the first row, then every variant.", ""]
        out += [f"- [{escape(name)}]({path})" for name, path in pictures.sheets.items()]
        out += _list(pictures.missing_sheets)
    return "\n".join(out).rstrip() + "\n"


def _pictures(pictures: Pictures) -> list[str]:
    """Return the figure and the strip at the top of the page."""
    out = _figure(pictures.lead) if pictures.lead else []
    for label, path in pictures.strip.items():
        out += [f"{escape(label)}:", "", f"![{escape(label)}]({path})", ""]
    return [*out, pictures.about_strip, ""] if pictures.strip else out


def speed_page(content: Content, published: Published, pictures: Pictures) -> str:
    """Return `speed.md`."""
    out = [f"# {content.study}: speed", ""]
    out += ["Measured seconds differ from run to run and from machine to machine.", ""]
    out += [text for table in content.seconds for text in _table(table)]
    out += [text for figure in pictures.speed_figures for text in _figure(figure)]
    out += ["## Durations in the paper's text", "", "| what | seconds | origin |", "| --- | ---: | --- |"]
    for entry in published.seconds:
        out.append(f"| {escape(entry.what)} | *{entry.value}* | *quoted: {escape(published.cite(entry))}* |")
    return "\n".join(out) + "\n"


def _figure(figure: Figure) -> list[str]:
    path = f"figures/{figure.name}"
    text = f"**{escape(figure.title)}.** {highlight(figure.caption)} [SVG]({path}.svg)"
    return [f"![{escape(figure.title)}]({path}.png)", "", text, ""]


def _table(table: Table) -> list[str]:
    out = [markdown(table), f"[CSV](tables/{table.name}.csv) · [LaTeX](tables/{table.name}.tex)", ""]
    if table.folded:  # GitHub and others show what is inside on demand
        return [f"<details><summary>{table.title} ({len(table.lines)})</summary>", "", *out, "</details>", ""]
    return out


def _list(entries: Mapping[str, str]) -> list[str]:
    return [*(f"- {escape(title)}: {escape(reason)}" for title, reason in entries.items()), ""]
