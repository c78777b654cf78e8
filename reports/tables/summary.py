"""Three sentences that answer a study, never more than its intervals and verdicts allow.

They say which variant scores highest and from which others it differs, what each single change does, and what is not
decided and how many videos that would need. They are about one benchmark of one part; `limits` says of what kind its
numbers are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reports.inputs import (
    Part,
    Scorebook,
    TableSet,
    coverage,
    format_number,
    label_of,
    lead_benchmark,
    lead_part,
    limits,
    main_measure,
)
from reports.statistics import ALPHA, MIN_SEQUENCES, MORE, Interval, Needed, holm
from reports.tables.changes import Change, Changes, single_changes
from reports.tables.claims import NOT_MEASURED, Verdict
from reports.tables.values import cell_value, expected_sequences

NAMED = 4
"""Variants or differences that a sentence names; of more, it gives the number."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The top of a report."""

    part: Part
    benchmark: str
    coverage: str
    limits: str
    """Scale, kind and extent of the data, as sentences."""

    sentences: dict[str, str]
    """Heading → text."""


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """A difference that is not decided."""

    text: str
    found: Interval
    needed: Needed


def summarize(
    parts: Sequence[Part], verdicts: Sequence[Sequence[Verdict]], tables: TableSet, scores: Scorebook
) -> Summary | None:
    """Return the summary of a study's leading part; None without results. `verdicts`: those of every part."""
    part = lead_part(parts)
    if part is None:
        return None
    benchmark = lead_benchmark(part)
    changes = single_changes(part, benchmark, tables, scores)
    own = next(given for one, given in zip(parts, verdicts, strict=True) if one is part)
    others = f" The study has {len(parts)} sets of results that cannot be compared; this is about one of them."
    return Summary(
        part=part,
        benchmark=benchmark,
        coverage=coverage(part.cells),
        limits=f"{limits(part, masks=False)}{others if len(parts) > 1 else ''}",
        sentences={
            "Best": best_sentence(part, benchmark, tables, scores),
            "Changes": changes_sentence(part, benchmark, changes),
            "Undecided": undecided_sentence(own, changes.single),
        },
    )


def best_sentence(part: Part, benchmark: str, tables: TableSet, scores: Scorebook) -> str:
    """Return which variant has the highest main measure on a benchmark, and from which others that tells it apart."""
    where, (means, incomplete) = part.title(benchmark), ranked(part, benchmark)
    title, skipped = main_measure(part.select(benchmark)).title, ""
    if incomplete:
        skipped = f" {incomplete} without a complete result {'is' if incomplete == 1 else 'are'} not compared."
    if not means:
        return f"No variant has a complete result on {where}."
    shown = [(_named(name, part, tables), format_number(value)) for name, value in means]
    best, top = shown[0]
    if len(means) == 1:
        return f"{best} is the only variant with a complete result on {where}: {title} {top}.{skipped}"
    same = [name for name, value in shown if value == top]
    ends = _ends(scores.mean(part.select(benchmark, means[0][0]), main_measure(part.select(benchmark)).name))
    text = f"Of {len(means)} variants on {where}, {_some(same, ', ')} score{'s' if len(same) == 1 else ''} highest: "
    text += f"{title} {top}{f', 95 % interval{ends}' if ends else ''}"
    text += f"; next {shown[1][0]}, {shown[1][1]}. " if len(same) == 1 else ". "
    apart = _compared([name for name, _ in means], part, benchmark, scores)
    return f"{text}{apart}{skipped}{_elsewhere(part, benchmark)}"


def ranked(part: Part, benchmark: str) -> tuple[list[tuple[str, float]], int]:
    """Return the variants with a complete result and their main measure, the best first, and how many have none.

    Submitted masks are not among them, unless there is nothing else."""
    measure, expected = main_measure(part.select(benchmark)), expected_sequences(part)[benchmark]
    names = [name for name in part.variants_on(benchmark) if not part.scale or name not in part.submitted]
    values = {name: cell_value(part.select(benchmark, name), measure.name, expected) for name in names}
    means = [(name, one.number) for name, one in values.items() if one.comparable and one.number is not None]
    means.sort(key=lambda one: round(one[1], 9), reverse=measure.higher_is_better)
    return means, len(names) - len(means)


def changes_sentence(part: Part, benchmark: str, changes: Changes) -> str:
    """Return what each single change does to the main measure, the decided ones first."""
    decided = [_change(one) for one in changes.single if one.decided]
    others = [_change(one) for one in changes.single if not one.decided and not one.idle]
    idle = [f"{one.base} → {one.variant}" for one in changes.single if one.idle]
    title = main_measure(part.select(benchmark)).title
    text = ""
    if decided:
        text = f"Changing one option moves {title}: {_some(decided)}. "
    if others and any(one.found.low is not None for one in changes.single):
        text += "Not decided: " if decided else f"No effect of a single option on {title} is decided: "
        text += f"{_some(others)}. "
    elif others:
        count = max(one.found.sequences for one in changes.single)
        text += f"Changing one option moves {title} on {_videos(count)}, too few to decide: {_some(others)}. "
    if idle:
        text += f"No difference in any video: {_some(idle)}. "
    means = dict(ranked(part, benchmark)[0])
    for option, variants in changes.ranges.items():
        known = sorted((means[name], name) for name in variants if name in means)
        if known:
            low, high = (f"{format_number(value)} ({name})" for value, name in (known[0], known[-1]))
            text += f"Over {len(known)} values of {option}, {title} lies between {low} and {high}. "
    return text.strip() or "No two variants differ in a single option, so no difference is attributed to one."


def undecided_sentence(verdicts: Iterable[Verdict], changes: Iterable[Change]) -> str:
    """Return how many measured claims are not decided, and how many videos they would need.

    If no claim was measured, it is about the single changes."""
    verdicts, changes = [one for one in verdicts if one.verdict != NOT_MEASURED], list(changes)
    if verdicts:
        one_of, what, count = "claim measured here", "claims measured here", len(verdicts)
        rest = [
            Undecided(text=f"“{one.claim.text}”", found=one.interval, needed=one.needed)
            for one in verdicts
            if one.undecided and one.interval
        ]
    else:
        one_of, what, count = "change of one option", "changes of one option", len(changes)
        rest = [
            Undecided(text=f"{one.base} → {one.variant}", found=one.found, needed=one.needed)
            for one in changes
            if not one.decided
        ]
    partial = [one for one in verdicts if one.extent]
    if not count:
        return "The study measures none of the paper's claims, and no two variants differ in a single option."
    left = len(rest) + len(partial)
    if left == count:
        text = f"None of {count} {what} is decided." if count > 1 else f"The only {one_of} is not decided."
    elif left:
        text = f"{left} of {count} {what} {'is' if left == 1 else 'are'} not decided."
    else:
        return f"Each of {count} {what} is decided." if count > 1 else f"The only {one_of} is decided."
    if partial:
        text += f" {len(partial)} would need the whole benchmark ({partial[0].extent} here)."
    return f"{text}{_needs(rest)}"


def _needs(rest: Sequence[Undecided]) -> str:
    """Return how many videos would decide these differences, as sentences."""
    known = sorted((one.needed.sequences, one.text, one.found.sequences) for one in rest if one.needed.sequences)
    texts = []
    if known:
        count, first, here = known[0]
        texts.append(f"{first} would need about {count} videos ({here} here)")
    if len(known) > 1:
        low, high = known[1][0], known[-1][0]
        span = f"{low}" if low == high else f"{low} to {high}"
        texts.append(f"{_others(len(known) - 1)} {span}")
    for instead in dict.fromkeys(one.needed.instead for one in rest if one.needed.instead):
        same = [one.text for one in rest if one.needed.instead == instead]
        who = _others(len(same)) if texts else same[0] if len(same) == 1 else f"{len(same)} of them"
        texts.append(f"{who} {'' if texts else 'would need '}{INSTEAD[instead]}")
    few = any(here < MIN_SEQUENCES for *_, here in known)
    rough = f" Estimates from fewer than {MIN_SEQUENCES} videos are rough." if few else ""
    return f" If mean and scatter stayed as observed, {_listed(texts)}.{rough}" if texts else ""


INSTEAD = {
    MORE: f"{MORE} videos",
    "more seeds": "more seeds first",
    "unknown": "an unknown number, from a single video",
}
"""Text of `Needed.instead` → how a sentence says it."""


def _others(count: int) -> str:
    return "another one" if count == 1 else f"{count} others"


def _compared(names: Sequence[str], part: Part, benchmark: str, scores: Scorebook) -> str:
    """Return from which others the first variant differs, by paired differences corrected for their number."""
    best, *others = names
    cells = part.select(benchmark, best)
    found = [
        scores.difference(cells, part.select(benchmark, name), main_measure(part.select(benchmark)).name)
        for name in others
    ]
    known = [one for one in found if one]
    if not known:
        return "They have no scores by video in common to compare."
    if all(one.low is None for one in known):
        count = max(one.sequences for one in known)
        return f"{_videos(count)} {'is' if count == 1 else 'are'} too few to show a difference."
    corrected = holm([one.p if one else None for one in found])
    close = [name for name, p in zip(others, corrected, strict=True) if p is None or p >= ALPHA]
    if not close:
        return f"{best} differs from all others (p < .05, Holm-corrected)."
    if len(close) == len(others):
        return f"{best} does not differ significantly from any of the others (p < .05 needed, Holm-corrected)."
    return (
        f"{best} differs from {len(others) - len(close)} of the {len(others)} others (p < .05, Holm-corrected), but "
        f"does not differ significantly from {_some(close, ', ')}."
    )


def _elsewhere(part: Part, benchmark: str) -> str:
    """Return which variant scores highest on each other benchmark, without a judgment; empty if there is no other."""
    highest: dict[str, list[str]] = {}
    for other in part.benchmarks:
        if other != benchmark and (means := ranked(part, other)[0]):
            highest.setdefault(means[0][0], []).append(part.title(other))
    return "".join(f" Highest on {'; '.join(titles)}: {name}." for name, titles in highest.items())


def _change(one: Change) -> str:
    return f"{one.base} → {one.variant} ({one.option} = {one.value}) by {_signed(one.found)}{_ends(one.found)}"


def _signed(found: Interval) -> str:
    return f"{'+' if found.estimate > 0 else ''}{_number(found.estimate)}"


def _ends(found: Interval | None) -> str:
    """Return the 95 % interval in brackets; empty without one."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f" [{_number(found.low)}, {_number(found.high)}]"


def _number(value: float) -> str:
    """Return a number with a minus sign, after which no line breaks."""
    return format_number(value).replace("-", "−")


def _named(variant: str, part: Part, tables: TableSet) -> str:
    """Return the label of a variant with its name, if they differ."""
    label = label_of(variant, part, tables)
    return label if label == variant else f"{label} ({variant})"


def _some(texts: Sequence[str], mark: str = "; ") -> str:
    """Return the first NAMED texts in a row, and how many more there are."""
    more = len(texts) - NAMED
    return mark.join(texts if more <= 0 else [*texts[:NAMED], f"and {more} more"])


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts[:-1]) + (" and " if len(texts) > 1 else "") + "".join(texts[-1:])


def _videos(count: int) -> str:
    return f"{count} video{'s' if count != 1 else ''}"
