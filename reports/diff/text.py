"""A comparison as text, in lines of at most 100 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from reports.diff.findings import TOPICS, Finding, Topic, counted, listed
from reports.diff.pair import Number, Pair
from reports.diff.videos import ByVideo
from reports.inputs import format_number
from reports.statistics import MIN_SEQUENCES, Interval

WIDTH = 100

_NONE = "–"

_SHOWN = 12
"""Most findings of a topic that are shown."""

_VIDEOS = 10
"""Most videos at each end of the list that are shown."""

_TITLE = max(map(len, TOPICS.values()))


def pair_lines(pair: Pair, *, everything: bool) -> Iterator[str]:
    """Yield one pair: the numbers, what differs, what is not known, what is the same, and the videos."""
    for side, number in (("A", pair.first), ("B", pair.second)):
        yield from _wrapped(f"{side}  ", f"{number.name}: {', '.join(number.facts)}")
    yield ""
    yield from _numbers(pair)
    yield ""
    if pair.differs:
        yield "What differs, the likeliest cause first:"
        yield from _by_topic(pair.differs, everything=everything)
    else:
        yield "Nothing that is known differs."
    if pair.unknown:
        yield "Not known:"
        yield from _by_topic(_merged(pair.unknown), everything=everything)
    if pair.same:
        yield from _wrapped("The same: ", ", ".join(TOPICS[topic] for topic in pair.same))
    if pair.videos:
        yield ""
        yield from _videos(pair.videos, pair.measure.title, everything=everything)
    if pair.notes:
        yield ""
    for note in pair.notes:
        yield from _wrapped("", note)


def many_lines(
    pairs: Sequence[Pair], only: tuple[tuple[str, ...], tuple[str, ...]], *, everything: bool
) -> Iterator[str]:
    """Yield a table of several pairs, and what differs in how many of them."""
    for side, numbers in (("A", [pair.first for pair in pairs]), ("B", [pair.second for pair in pairs])):
        yield from _wrapped(f"{side}  ", ", ".join(_common(numbers)))
    yield ""
    names = _names(pairs)
    titles = [pair.measure.title for pair in pairs]
    shared = titles[0] if len({*titles}) == 1 else ""
    names = names if shared else [f"{name}, {title}" for name, title in zip(names, titles, strict=True)]
    width = max(len(shared), *map(len, names))
    yield f"{shared:<{width}}  {'A':>6} {'B':>6} {'B − A':>7}  {'95 % interval':<15} differs in"
    for name, pair in zip(names, pairs, strict=True):
        topics = dict.fromkeys(one.topic for one in pair.differs)
        difference = None if pair.incomparable else pair.difference
        interval = _range(pair.videos.interval if pair.videos else None)
        start = (
            f"{name:<{width}}  {_number(pair.first.value):>6} {_number(pair.second.value):>6} "
            f"{_number(difference):>7}  {interval:<15} "
        )
        yield from _wrapped(start, ", ".join(topics) or "nothing")
    yield ""
    yield from _shared(pairs, everything=everything)
    for side, found in zip("AB", only, strict=True):
        if found:
            yield from _wrapped(f"Only in {side}: ", listed(found, len(found) if everything else _SHOWN))
    yield "One pair in full, with its videos: name its variant, and --benchmark."


def _numbers(pair: Pair) -> Iterator[str]:
    """Yield the two values, their difference and what is known of its uncertainty."""
    values = f"A {_value(pair.first)}   B {_value(pair.second)}"
    if pair.difference is not None:
        values += f"   B − A {format_number(pair.difference)}" if not pair.incomparable else f"   {pair.incomparable}"
    yield from _wrapped(f"{pair.measure.title}  ", values)
    found = pair.videos.interval if pair.videos else None
    if found:
        seeds = f" and {found.seeds} seeds" if found.seeds > 1 else ""
        which = f"paired over the {counted(found.sequences, 'video')} that both have{seeds}"
        whole = None if pair.difference is None else format_number(pair.difference)
        estimate = "" if whole == format_number(found.estimate) else f"B − A {format_number(found.estimate)}, "
        if found.low is None or found.p is None:
            yield f"  {which}: {estimate}no interval below {MIN_SEQUENCES} videos"
        else:
            p = "p < .001" if found.p < 0.001 else f"p = {format_number(found.p)}"
            yield from _wrapped("  ", f"{which}: {estimate}95 % interval {_range(found)}, {p}")
    else:
        for side, number in (("A", pair.first), ("B", pair.second)):
            if number.interval and number.interval.low is not None:
                yield f"  95 % interval of {side} over other videos: {_range(number.interval)}"
    if common := pair.in_common:
        change = common.second - common.first
        text = (
            f"over what both counted ({counted(common.videos, 'video')}, {common.frames:,} values, mean over "
            f"{common.averaging}): A {format_number(common.first)}, B {format_number(common.second)}, "
            f"B − A {format_number(change)}"
        )
        if pair.difference is not None:
            text += f"; {format_number(pair.difference - change)} is due to what was counted"
        yield from _wrapped("  ", text)
    if pair.first.seconds and pair.second.seconds:
        yield f"  seconds per frame: A {pair.first.seconds}, B {pair.second.seconds}"


def _value(number: Number) -> str:
    return f"{_NONE} ({number.why})" if number.value is None else format_number(number.value)


def _by_topic(findings: Iterable[Finding], *, everything: bool) -> Iterator[str]:
    """Yield findings under the titles of their topics."""
    by_topic: dict[Topic, list[str]] = {}
    for one in findings:
        by_topic.setdefault(one.topic, []).append(one.text)
    for topic, texts in by_topic.items():
        shown = texts if everything else texts[:_SHOWN]
        if len(shown) < len(texts):
            shown = [*shown, f"and {len(texts) - len(shown)} more (--all)"]
        for place, text in enumerate(shown):
            title = TOPICS[topic] if not place else ""
            yield from _wrapped(f"  {title:<{_TITLE}}  ", text)


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return what is not known, with topics of the same text together under the first one."""
    by_text: dict[str, list[Finding]] = {}
    for one in findings:
        by_text.setdefault(one.text, []).append(one)
    return [
        same[0]
        if len(same) == 1
        else Finding(
            topic=same[0].topic, text=f"{same[0].text}; also {', '.join(TOPICS[one.topic] for one in same[1:])}"
        )
        for same in by_text.values()
    ]


def _shared(pairs: Sequence[Pair], *, everything: bool) -> Iterator[str]:
    """Yield what differs, each with the number of pairs in which it does."""
    found: dict[tuple[Topic, str], int] = {}
    for pair in pairs:
        for one in pair.differs:
            found[one.topic, one.text] = found.get((one.topic, one.text), 0) + 1
    places = {topic: place for place, topic in enumerate(TOPICS)}
    ranked = sorted(found.items(), key=lambda item: (places[item[0][0]], -item[1]))
    lines = [
        Finding(topic=topic, text=text if count == len(pairs) else f"{text} [{count} of {len(pairs)}]")
        for (topic, text), count in ranked
    ]
    if lines:
        yield f"What differs, the likeliest cause first (in all {len(pairs)} unless it says in how many):"
        yield from _by_topic(lines, everything=everything)
    unknown = dict.fromkeys(TOPICS[one.topic] for pair in pairs for one in pair.unknown)
    if unknown:
        yield from _wrapped("Not known, at least in part: ", ", ".join(unknown))
    same = [title for topic, title in TOPICS.items() if all(topic in pair.same for pair in pairs)]
    if same:
        yield from _wrapped("The same in all: ", ", ".join(same))


def _common(numbers: Sequence[Number]) -> list[str]:
    """Return the facts that all numbers of a side have in common, after its name."""
    names = list(dict.fromkeys(number.name for number in numbers))
    shared = [fact for fact in numbers[0].facts if all(fact in number.facts for number in numbers)]
    return [names[0] if len(names) == 1 else counted(len(names), "variant"), *shared]


def _names(pairs: Sequence[Pair]) -> list[str]:
    """Return the benchmark of each pair, after its variant if there are several."""
    several = len({pair.first.name for pair in pairs}) > 1 and len({pair.second.name for pair in pairs}) > 1
    return [f"{pair.first.name}/{pair.first.benchmark}" if several else pair.first.benchmark for pair in pairs]


def _videos(found: ByVideo, title: str, *, everything: bool) -> Iterator[str]:
    """Yield the videos by their part in the difference, and a sentence about them."""
    videos, shares = found.videos, found.shares
    if not any(one.difference for one in videos):
        yield f"{title} by video: equal in {'the only video' if len(videos) == 1 else f'all {len(videos)} videos'}."
        return
    width = max(len("video"), *(len(one.name) for one in videos))
    yield f"{title} by video, the largest part of the difference first:"
    yield f"  {'video':<{width}}  {'A':>6} {'B':>6} {'B − A':>7}" + ("   share" if shares else "")
    cut = not everything and len(videos) > 2 * _VIDEOS
    for place, one in enumerate(videos):
        if cut and _VIDEOS <= place < len(videos) - _VIDEOS:
            if place == _VIDEOS:
                yield f"  … {len(videos) - 2 * _VIDEOS} more (--all)"
            continue
        share = f"  {shares[place]:>5.0%}" if shares else ""
        yield (
            f"  {one.name:<{width}}  {_number(one.first):>6} {_number(one.second):>6} "
            f"{_number(one.difference):>7} {share}"
        ).rstrip()
    yield from _wrapped("", found.summary)


def _number(value: float | None) -> str:
    return _NONE if value is None else format_number(value)


def _range(found: Interval | None) -> str:
    if found is None or found.low is None or found.high is None:
        return _NONE
    return f"[{format_number(found.low)}, {format_number(found.high)}]"


def _wrapped(front: str, text: str) -> list[str]:
    """Return text after `front`, with further lines below the text."""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=front,
        subsequent_indent=" " * min(len(front), WIDTH // 2),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [front.rstrip()]
