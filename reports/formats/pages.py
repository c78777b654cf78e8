"""The Markdown pages: the report, and the speed page with what differs from run to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reports.figures.canvas import Figure
from reports.formats.markdown import escape, loud, markdown
from reports.inputs.captions import coverage
from reports.inputs.published import Published
from reports.tables.content import Content
from reports.tables.model import Table

HOW_TO_READ = (
    "Numbers that this study **measured** are upright; the best of the comparable measured rows is **bold**, the "
    "second <u>underlined</u>. Numbers *quoted* from a publication are in *italics* and name their source; they were "
    "never measured here. Rows of different protocol, scale or kind of data never share a table."
)


def index_page(
    content: Content,
    figures: Sequence[Figure],
    undrawn: Mapping[str, str],
    sheets: Mapping[str, str],
    unseen: Mapping[str, str],
) -> str:
    """`index.md`. `undrawn`: title → why there is no figure; `sheets`: title → path beside the page; `unseen`: title →
    why there is no sheet."""
    out = [f"# {content.study}", ""]
    out += [f"**{coverage(content.rows)}** {HOW_TO_READ}", ""]
    if not content.rows:
        out += ["No rows are recorded for this study yet: run it first (`python -m harness.run`).", ""]
    out += ["Seconds a frame and hardware: [speed.md](speed.md). All on one page: [index.html](index.html).", ""]
    out += ["Every table as CSV and LaTeX: [tables/](tables/).", ""]
    for section in content.sections:
        for table in section.tables:
            out += _table(table)
    if content.absent:
        out += ["## Tables without rows here", ""]
        out += [f"- {escape(title)}: {escape(reason)}" for title, reason in content.absent.items()] + [""]
    if figures or undrawn:
        out += ["## Figures", ""]
        for figure in figures:
            out += _figure(figure)
        out += [f"- {escape(title)}: {escape(reason)}" for title, reason in undrawn.items()] + [""]
    if sheets or unseen:
        out += ["## Contact sheets", "", "Frames evenly sampled; the truth in the first row, then every variant.", ""]
        out += [f"- [{escape(name)}]({path})" for name, path in sheets.items()]
        out += [f"- {escape(name)}: {escape(reason)}" for name, reason in unseen.items()] + [""]
    return "\n".join(out).rstrip() + "\n"


def speed_page(content: Content, published: Published, figures: Sequence[Figure]) -> str:
    """`speed.md`."""
    out = [f"# {content.study}: speed", ""]
    out += ["Measured seconds differ from run to run and from machine to machine.", ""]
    for table in content.seconds:
        out += _table(table)
    for figure in figures:
        out += _figure(figure)
    out += ["## Durations in the paper's text", "", "| what | seconds | origin |", "| --- | ---: | --- |"]
    for entry in published.seconds:
        out.append(f"| {escape(entry.what)} | *{entry.value}* | *quoted: {escape(published.cite(entry))}* |")
    return "\n".join(out) + "\n"


def _figure(figure: Figure) -> list[str]:
    path = f"figures/{figure.name}"
    words = f"**{escape(figure.title)}.** {loud(figure.caption)} [SVG]({path}.svg)"
    return [f"![{escape(figure.title)}]({path}.png)", "", words, ""]


def _table(table: Table) -> list[str]:
    return [markdown(table), f"[CSV](tables/{table.name}.csv) · [LaTeX](tables/{table.name}.tex)", ""]
