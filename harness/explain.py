"""Explain a result: `python -m harness.explain STUDY CELL`."""

from harness.cli.main import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("explain", "python -m harness.explain"))
