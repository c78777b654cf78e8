"""Score folders of masks: `python -m harness.score --truth DIR --pred DIR --protocol NAME`."""

from harness.cli.score import main

if __name__ == "__main__":
    raise SystemExit(main())
