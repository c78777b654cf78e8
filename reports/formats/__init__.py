"""Markdown, LaTeX and HTML."""
