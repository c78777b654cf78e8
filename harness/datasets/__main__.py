"""Check or make datasets: `python -m harness.datasets check|embed|compose`."""

from harness.cli.main import run_verb

if __name__ == "__main__":
    raise SystemExit(run_verb("data", "python -m harness.datasets"))
