"""One command with verbs."""
