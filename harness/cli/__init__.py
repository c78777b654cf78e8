"""The command `vos-harness`: one module per verb, found by its name in `harness.cli.main`."""
