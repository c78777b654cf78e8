"""Score folders of masks: `python -m harness.score --truth DIR --pred DIR --protocol NAME`."""

from harness.cli.main import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("score", "python -m harness.score"))
