"""Explain a result: `python -m harness.explain STUDY CELL`."""

from harness.cli.explain import main

if __name__ == "__main__":
    raise SystemExit(main())
