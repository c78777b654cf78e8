"""A plan's missing stages, run by Ray Tune."""
