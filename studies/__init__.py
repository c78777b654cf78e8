"""Studies, scales, protocols and claims as YAML files."""
