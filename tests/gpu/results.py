"""The results of a GPU check: `results.json` and `table.md`, both rewritten after every figure."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.files import atomic_file
from tests.gpu.plan import Line, Part


class Results:
    """State and figures of every line."""

    def __init__(
        self, folder: Path, about: Mapping[str, Any], plan: tuple[Line, ...], parts: Mapping[str, Part]
    ) -> None:
        self.folder, self.plan, self.parts = folder, plan, parts
        self.about = dict(about)
        self.begun = time.time()
        self.lines: dict[str, dict[str, Any]] = {}

    def update(self, name: str, state: str, **content: Any) -> None:
        """Add what is known of a line, and write both files."""
        line = self.lines.setdefault(name, {"state": state, "begun": time.time(), "seconds": 0.0, "values": {}})
        line |= {"state": state, "seconds": time.time() - line["begun"]}
        line["values"] |= content.pop("values", {})
        line |= {key: value for key, value in content.items() if value}
        self.write()

    def write(self) -> None:
        """Write both files, each under another name first."""
        seconds = time.time() - self.begun
        lines = [
            {"part": line.part, "name": line.name, "expected_seconds": line.seconds, **self.lines[line.name]}
            for line in self.plan
            if line.name in self.lines
        ]
        content = {**self.about, "seconds": seconds, "lines": lines}
        for name, text in (("results.json", json.dumps(content, indent=1)), ("table.md", self.table())):
            with atomic_file(self.folder / name) as draft:
                draft.write_text(text + "\n", encoding="utf-8")

    @property
    def good(self) -> bool:
        """Whether every line has passed."""
        return all(self.lines.get(line.name, {}).get("state") == "passed" for line in self.plan)

    def table(self) -> str:
        """Return everything as Markdown, a table for each part."""
        about = ", ".join(f"{key} {shown(value)}" for key, value in self.about.items())
        rows = [f"{about}; {time.time() - self.begun:.0f} s in all."]
        for key, part in self.parts.items():
            rows += ["", f"**{part.title}**", "", "| line | outcome | s | figures |", "|---|---|---:|---|"]
            for line in self.plan:
                if line.part == key:
                    found = self.lines.get(line.name, {"state": "not begun", "seconds": 0.0, "values": {}})
                    figures = [f"{name.replace('_', ' ')} {shown(value)}" for name, value in found["values"].items()]
                    problems = [*found.get("problems", []), *found.get("traceback", "").strip().splitlines()[-1:]]
                    text = "; ".join([*figures, *(f"**{problem}**" for problem in problems)]).replace("|", "\\|")
                    rows.append(f"| {line.name}: {line.about} | {found['state']} | {found['seconds']:.1f} | {text} |")
        return "\n".join(rows)


def shown(value: Any) -> str:
    """Return a value as a table shows it: numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
