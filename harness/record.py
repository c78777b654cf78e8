"""Bring MLflow up to date: `python -m harness.record resync STUDY`."""

from harness.cli.mlflow import main

if __name__ == "__main__":
    raise SystemExit(main())
