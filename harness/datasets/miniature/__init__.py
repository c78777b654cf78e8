"""The embedded miniature of every dataset: rendered from a seed, written in the datasets' own layouts."""

from harness.datasets.miniature.dataset import embedded_data, write_miniature

__all__ = ["embedded_data", "write_miniature"]
