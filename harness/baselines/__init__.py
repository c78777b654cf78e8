"""Methods without a network, to compare others with."""

from harness.baselines.first_mask import FirstMask, FirstMaskConfig

__all__ = ["FirstMask", "FirstMaskConfig"]
