"""The engine: plans studies, runs their stages, stores and tracks results. It knows no network."""
