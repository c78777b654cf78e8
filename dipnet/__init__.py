"""DIPNet: Dynamic Identity Propagation Network for video object segmentation (WACV 2020)."""

from dipnet.loading import load

__all__ = ["load"]
