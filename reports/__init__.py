"""Reports: results as tables, figures and contact sheets. `python -m reports STUDY`."""
