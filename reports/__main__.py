"""Write the report of a study: `python -m reports STUDY`."""

from harness.cli.main import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("report", "python -m reports"))
