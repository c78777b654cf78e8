"""Intervals and tests."""

from reports.statistics.bootstrap import MIN_SEQUENCES, Interval, holm, interval

__all__ = ["MIN_SEQUENCES", "Interval", "holm", "interval"]
