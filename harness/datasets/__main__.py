"""Check or make datasets: `python -m harness.datasets check|embed|compose`."""

from harness.cli.data import main

if __name__ == "__main__":
    raise SystemExit(main())
