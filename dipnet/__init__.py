"""DIPNet: Dynamic Identity Propagation Network for video object segmentation (WACV 2020)."""

from dipnet.config import DIPNetConfig
from dipnet.loading import load

__all__ = ["DIPNetConfig", "load"]
