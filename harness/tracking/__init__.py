"""Results into MLflow, and back from it."""
