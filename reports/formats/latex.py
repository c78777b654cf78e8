"""Tables as LaTeX with booktabs: the best bold, the second underlined, quoted numbers in italics with their source."""

from __future__ import annotations

from collections.abc import Mapping

from reports.tables import NOTHING, QUOTED, Line, Table, Value

SPECIAL = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{"↑": r"$\uparrow$", "↓": r"$\downarrow$"},
    **{
        "ω": r"$\omega$",
        "τ": r"$\tau$",
        "×": r"$\times$",
        "±": r"$\pm$",
        "–": "--",
        "…": r"\ldots{}",
        "<": "$<$",
        ">": "$>$",
    },
}
"""Character → its LaTeX source."""


def latex(table: Table) -> str:
    """Return a `table` float; the document needs `booktabs` and UTF-8 input."""
    head = [*table.text_columns, *table.columns]
    layout = "l" * len(table.text_columns) + "r" * len(table.columns)
    caption = f"{table.caption} {table.method}".rstrip()
    out = [r"\begin{table}", r"  \centering", f"  \\caption{{{escape(table.title)}. {escape(caption)}}}"]
    out += [f"  \\label{{tab:{table.name}}}", f"  \\begin{{tabular}}{{{layout}}}"]
    out += [r"    \toprule", "    " + " & ".join(escape(title) for title in head) + r" \\", r"    \midrule"]
    for line in table.lines:
        cells = [_emphasized(line.label, line) + _marks(line.notes, table.notes)]
        if table.origins:
            cells.append(_emphasized(line.origin_text, line))
        cells += [escape(fact) for fact in line.facts]
        cells += [_value(value, line) + _marks(value.notes, table.notes) for value in line.values]
        out.append("    " + " & ".join(cells) + r" \\")
    out += [r"    \bottomrule", r"  \end{tabular}"]
    out += [f"  \\par\\footnotesize $^{{{number}}}$ {escape(note)}" for note, number in table.notes.items()]
    return "\n".join([*out, r"\end{table}"]) + "\n"


def escape(text: str) -> str:
    """Return text that LaTeX prints verbatim, on one line."""
    return "".join(SPECIAL.get(character, character) for character in " ".join(text.split()))


def _value(value: Value, line: Line) -> str:
    if value.number is None:
        return _emphasized(value.text, line) if value.text != NOTHING else escape(value.text)
    if value.quoted:
        return f"\\textit{{{value.shown}}}"
    plain = _emphasized(value.shown, line)
    return {0: plain, 1: f"\\textbf{{{value.shown}}}", 2: f"\\underline{{{value.shown}}}"}[value.rank]


def _emphasized(text: str, line: Line) -> str:
    return f"\\textit{{{escape(text)}}}" if line.origin == QUOTED else escape(text)


def _marks(notes: tuple[str, ...], numbers: Mapping[str, int]) -> str:
    return f"$^{{{','.join(str(numbers[note]) for note in notes)}}}$" if notes else ""
