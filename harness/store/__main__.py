"""Manage finished stages: `python -m harness.store list|size|prune|verify`."""

from harness.cli.store import main

if __name__ == "__main__":
    raise SystemExit(main())
