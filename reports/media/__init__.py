"""Contact sheets and videos of the masks."""

from reports.media.sheets import COLORS, draw_sheets, highlights, object_ids
from reports.media.strip import draw_strip
from reports.media.videos import draw_videos

__all__ = ["COLORS", "draw_sheets", "draw_strip", "draw_videos", "highlights", "object_ids"]
