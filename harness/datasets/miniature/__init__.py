"""The embedded miniature of every dataset: rendered from a seed, written in the datasets' own layouts."""

from harness.datasets.miniature.dataset import embedded_data, write_miniature
from harness.datasets.miniature.today import write_today

__all__ = ["embedded_data", "write_miniature", "write_today"]
