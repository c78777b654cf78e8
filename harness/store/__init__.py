"""Finished stages, one folder each, in a home and at a URL."""
