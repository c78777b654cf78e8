"""The first mask, copied to every frame: all that a tracker needs."""


class Tracker:
    """One for all sequences; the options of the command, `--option NAME=VALUE`, are arguments."""

    def __init__(self, device="cpu"):
        self.device = device

    def initialize(self, frame, mask):
        """Begin a sequence: RGB, height × width × 3; object ids, height × width, 0 is the background."""
        self.mask = mask

    def track(self, frame):
        """Return the object ids of the next frame, height × width."""
        return self.mask
