"""Bring MLflow up to date: `python -m harness.record resync STUDY`."""

from harness.cli.main import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("mlflow", "python -m harness.record"))
