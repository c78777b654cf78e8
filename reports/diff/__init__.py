"""Why two results differ: `vos-harness diff A B`."""

from reports.diff.compare import COMPARER

__all__ = ["COMPARER"]
