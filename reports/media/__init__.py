"""Contact sheets and strips of the masks."""

from reports.media.sheets import COLORS, draw_sheets, highlights, object_ids
from reports.media.strip import draw_strip

__all__ = ["COLORS", "draw_sheets", "draw_strip", "highlights", "object_ids"]
