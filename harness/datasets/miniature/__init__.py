"""The embedded miniature: rendered from a seed, written in the datasets' own layouts."""

from harness.datasets.miniature.embed import embed

__all__ = ["embed"]
