"""Run a study: `python -m harness.run STUDY`."""

from harness.cli.run import main

if __name__ == "__main__":
    raise SystemExit(main())
