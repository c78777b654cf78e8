"""The HTML page is self-contained, well-formed and safe against names."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports.formats.latex import escape
from reports.report import write_report
from tests.test_reports_golden import frozen_cells


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("html")
    write_report(frozen_cells(folder), "frozen <study>", folder / "report")
    return (folder / "report" / "index.html").read_text()


class Tags(HTMLParser):
    """Open tags, and all tags seen."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_tag_is_closed(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    assert tags.open == []


def test_the_page_fetches_nothing_and_forbids_it(page: str) -> None:
    tags = Tags()
    tags.feed(page)
    links = [value for tag, given in tags.seen for name, value in given.items() if (tag, name) == ("a", "href")]
    assert [value for value in links if value and not value.startswith("#")] == ["compare.html"]
    sources = [value for tag, given in tags.seen for name, value in given.items() if name == "src" or tag == "link"]
    assert sources
    assert all(value is not None and value.startswith("data:") for value in sources)
    assert not re.search(r"<script|@import|url\(", page)
    policies = [given["content"] for _, given in tags.seen if given.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"]


def test_quoted_rows_have_their_own_class(page: str) -> None:
    quoted = re.findall(r"<tr( class=\"quoted\")?><td>[^\n]*?</td><td class=\"origin\">quoted: ", page)
    assert len(quoted) > 20
    assert all(quoted)


def test_a_name_cannot_break_the_page(page: str) -> None:
    assert "<title>frozen &lt;study&gt;</title>" in page


def test_latex_prints_special_characters_verbatim() -> None:
    assert escape("J&F_mean 95 % {ω} ↑") == r"J\&F\_mean 95 \% \{$\omega$\} $\uparrow$"


def test_latex_tables_use_characters_of_plain_latex_only(tmp_path: Path) -> None:
    write_report(frozen_cells(tmp_path), "frozen", tmp_path / "report")
    found = {mark for path in (tmp_path / "report/tables").glob("*.tex") for mark in path.read_text()}
    assert {mark for mark in found if not mark.isascii()} <= {"é", "ü"}
