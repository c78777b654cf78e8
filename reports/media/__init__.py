"""Contact sheets and videos of the masks."""

from reports.media.sheets import draw_sheets, highlights
from reports.media.strip import draw_strip
from reports.media.videos import draw_videos

__all__ = ["draw_sheets", "draw_strip", "draw_videos", "highlights"]
