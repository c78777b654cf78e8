"""Layouts of the datasets as they are distributed: their readers by name, and writers for generated data."""

from collections.abc import Mapping

from harness.datasets.layouts.base import Layout, Reader, Video
from harness.datasets.layouts.davis import davis16, davis17, write_davis16, write_davis17
from harness.datasets.layouts.sbd import sbd
from harness.datasets.layouts.segtrack import segtrack, write_segtrack
from harness.datasets.layouts.voc import voc, write_voc
from harness.datasets.layouts.youtube_objects import write_youtube_objects, youtube_objects

LAYOUTS: Mapping[str, Layout] = {
    "davis16": davis16,
    "davis17": davis17,
    "youtube-objects": youtube_objects,
    "segtrack": segtrack,
    "voc": voc,
    "sbd": sbd,
}
"""Name of a layout in `studies/protocols.yaml` → its reader."""

__all__ = [
    "LAYOUTS", "Layout", "Reader", "Video", "write_davis16", "write_davis17", "write_segtrack", "write_voc",
    "write_youtube_objects",
]  # fmt: skip
