"""Where the time of a run went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.timing import summarize_time

SPANS = st.lists(
    st.tuples(st.floats(10, 90), st.floats(0, 10)).map(lambda pair: (pair[0], pair[0] + pair[1])), min_size=1
)


def test_stages_that_overlap_count_once_and_gaps_are_between() -> None:
    summary = summarize_time([(10, 20), (15, 30), (40, 50)], begun=0, planned=4, ended=55)
    assert summary is not None
    parts = summary.planning, summary.starting, summary.stages, summary.between, summary.ending
    assert parts == (4, 6, 30, 10, 5)
    assert summary.outside == pytest.approx(25 / 55)
    assert str(summary).startswith("30.0 s in stages, 45% outside (planning 4.0 s")


@given(SPANS)
def test_the_parts_add_up_to_the_whole_time(spans: list[tuple[float, float]]) -> None:
    summary = summarize_time(spans, begun=0, planned=5, ended=120)
    assert summary is not None
    assert summary.planning + summary.starting + summary.stages + summary.between + summary.ending == pytest.approx(120)
    assert min(summary.stages, summary.between) >= -1e-9


def test_a_run_without_stages_has_no_summary() -> None:
    assert summarize_time([], begun=0, planned=1, ended=2) is None
