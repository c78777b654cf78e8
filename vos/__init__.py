"""Everything a network for video object segmentation needs besides the method itself."""

from vos.segment import Segmenter, segment_video
from vos.video import FolderVideo, Video

__all__ = ["FolderVideo", "Segmenter", "Video", "segment_video"]
