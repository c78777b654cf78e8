"""A study file becomes a printable plan of cached stages."""
