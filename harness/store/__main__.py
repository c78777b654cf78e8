"""Manage finished stages: `python -m harness.store list|size|prune|verify`."""

from harness.cli.main import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("store", "python -m harness.store"))
