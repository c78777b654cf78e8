"""What the two sides of `vos-harness diff` are called, and what a wrong name is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.main import main
from harness.errors import StudyError
from harness.report import find_comparer
from harness.results.study_file import StudyFile
from reports.diff import COMPARER
from reports.diff.names import parse
from tests.diff_homes import save, scored
from tests.report_cells import cell, submitted

WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True).filter(
    lambda word: not word.endswith((".yaml", ".yml"))
)
HOME = Path("runs")


@given(
    place=st.sampled_from(["", "/disk/runs::", "a:b::c::", "../other home::"]),
    study=WORDS,
    variant=WORDS,
    where=st.sampled_from(["", "/davis16-val", "/davis16-val/3"]),
    size=st.sampled_from(["", "@mini", "@mini/real"]),
)
def test_the_parts_of_a_name_are_read_back(place: str, study: str, variant: str, where: str, size: str) -> None:
    name = parse(f"{place}{study}:{variant}{where}{size}", HOME)
    assert name.home == (Path(place[:-2]) if place else HOME)
    assert (name.study, name.variant or name.word) == (study, variant)
    assert (name.benchmark, name.seed) == ("davis16-val" if where else "", 3 if where.endswith("3") else None)
    assert (name.scale, name.data_kind) == ("mini" if size else "", "real" if size.endswith("real") else "")


@given(word=WORDS)
def test_one_word_is_a_study_or_a_variant_and_after_paper_a_method(word: str) -> None:
    assert (parse(word, HOME).word, parse(word, HOME).paper) == (word, False)
    assert (parse(f"paper:{word}", HOME).word, parse(f"paper:{word}", HOME).paper) == (word, True)
    assert not parse(f"runs::paper:{word}", HOME).paper  # a study of that name in a home


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Homes `a` (studies s and t) and `b` (s), with variants `full` and `no-crop` on two benchmarks."""
    root = tmp_path_factory.mktemp("homes")
    for home, study, scale in (("a", "s", "mini"), ("a", "t", "mini"), ("b", "s", "mini"), ("a", "s", "light")):
        cells = [
            scored(root / home, cell(variant, 0.5, benchmark=on, scale=scale, study=study), {"x": 0.5})
            for variant in ("full", "no-crop")
            for on in ("davis16-val", "davis17-val")
        ]
        extra = [scored(root / home, cell("only", 0.5, scale=scale), {"x": 0.1})] if study == "t" else []
        save(root / home, *cells, *extra, study=study)
    masks = scored(root / "a", submitted("OSVOS", 0.5), {"x": 0.7})
    save(root / "a", masks, study="t")
    return root


def compared(root: Path, first: str, second: str, **options: str) -> list[str]:
    """Return the facts of the two sides of every pair."""
    sides = (one.replace("B::", f"{root / 'b'}::") for one in (first, second))
    pairs = COMPARER.compare(*sides, root / "a", **options).pairs
    numbers = [number for pair in pairs for number in (pair.first, pair.second)]
    return [f"{one.facts[-1].removeprefix('study ')} {one.name} {one.benchmark} {one.facts[-3]}" for one in numbers]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        ("s:full/davis16-val", "no-crop", ["s full davis16-val scale light", "s no-crop davis16-val scale light"]),
        ("no-crop", "s:full/davis16-val", ["s no-crop davis16-val scale light", "s full davis16-val scale light"]),
        ("s:full/davis16-val", "t", ["s full davis16-val scale light", "t full davis16-val scale mini"]),
        ("s:full/davis16-val", "B::@mini", ["s full davis16-val scale mini", "s full davis16-val scale mini"]),
        ("only", "t:full/davis16-val", ["t only davis16-val scale mini", "t full davis16-val scale mini"]),
        ("only", "full", ["t only davis16-val scale mini", "t full davis16-val scale mini"]),
        ("osvos", "full", ["t osvos davis16-val masks made by others", "t full davis16-val scale mini"]),
        ("s:full/davis16-val@mini", "full@light", ["s full davis16-val scale mini", "s full davis16-val scale light"]),
        ("full/davis16-val@mini", "B::s:", ["s full davis16-val scale mini", "s full davis16-val scale mini"]),
    ],
)  # fmt: skip
def test_what_one_side_does_not_say_is_taken_from_the_other(
    homes: Path, first: str, second: str, found: list[str]
) -> None:
    if first.startswith("full/"):
        first = f"s:{first}"
    assert compared(homes, first, second) == found


def test_a_variant_alone_is_compared_on_all_benchmarks(homes: Path) -> None:
    assert len(compared(homes, "s:full", "no-crop")) == 4
    assert len(compared(homes, "s:full", "no-crop", benchmark="davis17-val")) == 2


def test_a_study_alone_is_compared_with_all_its_variants(homes: Path) -> None:
    assert len(compared(homes, "s@mini", "t")) == 8
    assert len(compared(homes, "s@mini", "B::")) == 8


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("ful", "s:full", "no study and no variant 'ful' in .*a \\(did you mean full\\?\\); studies there: s, t"),
        ("s:ful", "no-crop", "study s has no variant 'ful' \\(did you mean full\\?\\); there are full, no-crop"),
        ("u:full", "full", "study 'u' was not run in"),
        ("full", "no-crop", "full: in 2 studies: s, t; say which, as in s:full"),
        ("s:full/davis16", "no-crop", "no benchmark 'davis16' \\(did you mean davis16-val\\?\\)"),
        ("s:full/davis16-val/7", "no-crop", "no seed '7'; there are 0"),
        ("s:full/davis16-val/x", "no-crop", "seed 'x'; variant/benchmark/seed expected"),
        ("s:full@ligt", "no-crop", "no results at @ligt \\(did you mean light\\?\\); there are @"),
        ("s:full", "s:full", "both are the same result"),
        ("::full", "s:full", "no home before `::`"),
        ("nowhere::full", "s:full", "nowhere: no such folder"),
        ("t:only", "full/davis17-val", "has no benchmark 'davis17-val'.*there are davis16-val"),
        ("paper:OSVS", "s:full", "no published number of 'OSVS' \\(did you mean OSVOS\\?\\)"),
        ("paper:OSVOS", "paper:MSK", "both are published numbers"),
        ("s", "paper:OSVOS", "a whole study; say which variant"),
        ("only", "paper:", "no published number for only on davis16-val; there are davis16-val: DIPNet"),
        ("t:only", "paper:FAVOS", "no published number of FAVOS for only on davis16-val"),
    ],
)  # fmt: skip
def test_a_wrong_name_is_an_error_with_the_right_ones(homes: Path, first: str, second: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        compared(homes, first, second)


def test_an_unknown_measure_is_an_error_with_status_2(homes: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["diff", "s:full", "no-crop", "--home", str(homes / "a"), "--measure", "J_men"]
    assert main(words) == 2
    assert "no measure 'J_men' (did you mean J_mean?)" in capsys.readouterr().err


def test_a_word_that_is_study_and_variant_is_ambiguous(tmp_path: Path) -> None:
    save(tmp_path, scored(tmp_path, cell("full", 0.5)), scored(tmp_path, cell("other", 0.5)), study="full")
    with pytest.raises(StudyError, match=r"full is a study and a variant: write full: for the study, full:full for it"):
        COMPARER.compare("full", "other", tmp_path)
    assert COMPARER.compare("full:full", "other", tmp_path).pairs


def test_results_with_nothing_in_common_are_an_error(tmp_path: Path) -> None:
    for study, on in (("s", "davis16-val"), ("t", "davis17-val")):
        cells = [scored(tmp_path, cell(variant, 0.5, benchmark=on)) for variant in ("one", "two")]
        save(tmp_path, *cells, study=study)
    with pytest.raises(StudyError, match=r"nothing in common; A is on davis16-val, B on davis17-val"):
        COMPARER.compare("s", "t", tmp_path)


def test_a_study_without_results_says_how_to_get_them(tmp_path: Path) -> None:
    StudyFile(tmp_path, "plans", "s").update(lambda content: {"plans": []})  # planned, and stopped before its end
    save(tmp_path, scored(tmp_path, cell("one", 0.5)), study="t")
    with pytest.raises(StudyError, match=r"study s has no results in .* yet; run it to its end"):
        COMPARER.compare("s:one", "t:one", tmp_path)


def test_an_unknown_comparer_is_an_error() -> None:
    assert find_comparer() is COMPARER
    with pytest.raises(StudyError, match="no comparer named 'absent'; installed: paper"):
        find_comparer("absent")
