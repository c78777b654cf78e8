"""Markdown, CSV, LaTeX and HTML."""

from reports.formats.html import html_page
from reports.formats.latex import latex
from reports.formats.markdown import as_csv, markdown
from reports.formats.pages import index_page, speed_page
from reports.formats.pictures import Pictures

__all__ = ["Pictures", "as_csv", "html_page", "index_page", "latex", "markdown", "speed_page"]
