"""Methods without a network, to compare others with."""
