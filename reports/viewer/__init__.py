"""The page that compares two variants frame by frame."""

from reports.viewer.page import LIMIT, PAGE, write_viewer

__all__ = ["LIMIT", "PAGE", "write_viewer"]
