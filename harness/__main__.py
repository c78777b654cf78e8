"""Run the command `vos-harness`: `python -m harness VERB`."""

from harness.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main(program="python -m harness"))
