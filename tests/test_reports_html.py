"""The HTML page shows before it tells, is self-contained and well-formed, and is safe against names."""

import base64
import hashlib
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
    write_report(frozen_cells(folder), "frozen <study>", folder / "report", "Which <part> helps?")
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
    next_to_it = {"compare.html", "index.md", "speed.md", "tables/", "figures/"}
    assert {value for value in links if value and not value.startswith("#")} == next_to_it
    sources = [value for tag, given in tags.seen for name, value in given.items() if name == "src" or tag == "link"]
    assert sources
    assert all(value is not None and value.startswith("data:") for value in sources)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttp", page)
    policies = [given["content"] for _, given in tags.seen if given.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert str(policies[0]).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")


def test_only_the_pages_own_script_may_run(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.findall(r"script-src ([^;]*)", page) == [f"'sha256-{digest}'"]
    assert not re.search(r"\son\w+=", re.sub(r"<script>.*</script>", "", page, flags=re.DOTALL))


def test_the_first_screen_has_question_answers_and_figure(page: str) -> None:
    top = page[page.index('<header id="top">') : page.index("</header>")]
    marks = ["<h1>Which &lt;part&gt; helps?</h1>", "not a benchmark result", "<b>Best</b>", "<b>Undecided</b>", "<img "]
    places = [top.index(mark) for mark in marks]
    assert places == sorted(places)
    assert top.count("<img ") == 1
    assert page.count('alt="Accuracy against seconds per frame, DAVIS16 val (figure 4)"') == 1


def test_decided_claims_come_first_and_the_others_are_folded(page: str) -> None:
    claims = page[page.index('<section id="claims">') :]
    claims = claims[: claims.index("</section>")]
    decided, folded = claims.split('<details id="table-claims-undecided">')
    assert decided.count('<td class="fact"><span class="verdict reproduced">') == 5
    assert "inconclusive</span></td>" not in decided
    assert folded.count("inconclusive</span></td>") == 18
    assert '<span class="verdict inconclusive">18 inconclusive</span>' in decided


def test_contents_lead_to_every_section(page: str) -> None:
    contents = page[page.index('<nav class="contents"') : page.index("</nav>")]
    linked = re.findall(r'href="#([^"]+)"', contents)
    assert linked == ["top", *re.findall(r'<section id="([^"]+)"', page)]
    names = re.findall(r'\sid="([^"]+)"', page)
    assert len(set(names)) == len(names)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(names)


def test_every_column_is_explained_on_hover(page: str) -> None:
    heads = re.findall(r"<th( [^>]*)?>([^<]*)</th>", page)
    assert len(heads) > 200
    assert {title for attributes, title in heads if "title=" not in attributes} == set()


def test_without_a_question_the_study_is_the_heading(tmp_path: Path) -> None:
    write_report(frozen_cells(tmp_path), "frozen", tmp_path / "report")
    assert "<h1>frozen</h1>" in (tmp_path / "report" / "index.html").read_text()
    assert (tmp_path / "report" / "index.md").read_text().startswith("# frozen\n")


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
