"""`vos-harness method [NAME | check FILE]`: the installed methods, the card of one, or a try of those in a file."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.cli.arguments import add_options
from harness.config import merged, nested, resolve
from harness.errors import StudyError
from harness.method import HasCard, find_method, method_names
from harness.planning.study import load_scale, parse_options

EPILOG = """\
Operations are counted on one frame, with untrained networks: a card needs no data, and at the scale `paper` up to a
minute.

`check` runs the commands that FILE defines under `methods` on two tiny sequences, with training if there is one, and
exits with status 1 if anything fails (docs/external.md).

examples:
  %(prog)s
  %(prog)s osvos --scale light
  %(prog)s check studies/mine.yaml --option steps=10"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the method, the scale and options."""
    parser.set_defaults(execute=execute)
    parser.add_argument("name", metavar="NAME", nargs="?", help="a method, or `check`; without one, all are listed")
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="with `check`: a YAML file with `methods`")
    parser.add_argument("chosen", metavar="METHOD", nargs="*", help="with `check`: methods in it (default: all)")
    parser.add_argument("--scale", default="paper", help="mini, light or paper (default: paper)")
    add_options(parser, "option of the method; repeatable")
    parser.add_argument("--json", action="store_true", help="print the card as JSON")


def execute(options: argparse.Namespace) -> int:
    """Print the card, the list, or how a check went, and return the exit status.

    Raises StudyError for an unknown method, scale or option, and what `check` raises."""
    if options.name == "check":
        from harness.cli.method_check import check  # knows how to run stages, which cards need not

        if options.file is None or options.json:
            raise StudyError("method check: expected FILE with definitions under `methods`, and no --json")
        return check(options.file, options.chosen, parse_options(options.method_options))
    if options.file is not None:
        raise StudyError(f"method {options.name}: {options.file} found; a file is for `check` only")
    if options.name is None:
        labels = {name: find_method(name, "installed").label for name in method_names()}
        print(json.dumps(labels, indent=1, ensure_ascii=False) if options.json else _columns(labels))
        return 0
    method = find_method(options.name, "method")
    scale = load_scale(options.scale, "--scale")
    given = nested(parse_options(options.method_options), "--option")
    base = nested(scale.methods.get(options.name, {}), f"scale {scale.name}")
    config = resolve(method.config, merged(base, given), "--option")
    if not isinstance(method, HasCard):
        raise StudyError(f"method {options.name!r} has no card: it offers no function `card` (docs/own-method.md)")
    card = {"method": method.label, "scale": scale.name, **method.card(config)}
    print(json.dumps(card, indent=1, ensure_ascii=False) if options.json else _columns(card))
    return 0


def _columns(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{title:<{width}}  {text}" for title, text in rows.items())
