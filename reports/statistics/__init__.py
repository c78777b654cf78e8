"""Intervals and tests."""

from reports.statistics.intervals import ALPHA, MIN_SEQUENCES, MORE, Interval, Needed, holm, interval

__all__ = ["ALPHA", "MIN_SEQUENCES", "MORE", "Interval", "Needed", "holm", "interval"]
