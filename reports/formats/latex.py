"""Tables → LaTeX with booktabs: the best bold, the second underlined, quoted numbers in italics with their source."""

from __future__ import annotations

from reports.formats.markdown import number
from reports.tables.model import MEASURED, NOTHING, QUOTED, Line, Table, Value

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$"},
    **{"ω": r"$\omega$", "τ": r"$\tau$", "×": r"$\times$", "–": "--", "…": r"\ldots{}", "<": "$<$", ">": "$>$"},
}
"""Character → what LaTeX prints as it."""


def latex(table: Table) -> str:
    """A `table` float; the document needs `booktabs` and UTF-8 input."""
    notes = {note: place for place, note in enumerate(table.notes, 1)}
    head = [table.first, *(("origin",) if table.origins else ()), *table.facts, *table.columns]
    left = len(head) - len(table.columns)
    out = [r"\begin{table}", r"  \centering", f"  \\caption{{{escape(table.title)}. {escape(table.caption)}}}"]
    out += [f"  \\label{{tab:{table.name}}}", f"  \\begin{{tabular}}{{{'l' * left}{'r' * len(table.columns)}}}"]
    out += [r"    \toprule", "    " + " & ".join(escape(title) for title in head) + r" \\", r"    \midrule"]
    for line in table.lines:
        label = escape(line.label)
        cells = [(f"\\textit{{{label}}}" if line.origin == QUOTED else label) + _marks(line.notes, notes)]
        if table.origins:
            cells.append(
                line.how or MEASURED if line.origin == MEASURED else f"\\textit{{quoted: {escape(line.source)}}}"
            )
        cells += [escape(fact) for fact in line.facts]
        cells += [_value(value, line) + _marks(value.notes, notes) for value in line.values]
        out.append("    " + " & ".join(cells) + r" \\")
    out += [r"    \bottomrule", r"  \end{tabular}"]
    out += [f"  \\par\\footnotesize $^{{{place}}}$ {escape(note)}" for note, place in notes.items()]
    return "\n".join([*out, r"\end{table}"]) + "\n"


def escape(text: str) -> str:
    """Text that LaTeX prints as it is, on one line."""
    return "".join(SPECIAL.get(character, character) for character in " ".join(text.split()))


def _value(value: Value, line: Line) -> str:
    if value.number is None:
        shown = line.origin == QUOTED and value.text != NOTHING
        return f"\\textit{{{escape(value.text)}}}" if shown else escape(value.text)
    text = number(value.number, value.decimals)
    if line.origin == QUOTED or value.quoted:
        return f"\\textit{{{text}}}"
    return {0: text, 1: f"\\textbf{{{text}}}", 2: f"\\underline{{{text}}}"}[value.rank]


def _marks(notes: tuple[str, ...], places: dict[str, int]) -> str:
    return f"$^{{{','.join(str(places[note]) for note in notes)}}}$" if notes else ""
