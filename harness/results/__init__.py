"""What a study has come to: cells, provenance, submissions, export."""
