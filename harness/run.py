"""Run a study: `python -m harness.run STUDY`."""

from harness.cli.main import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("run", "python -m harness.run"))
