"""Methods of the paper's tables, trained here on `vos`: each is an entry point of its own, and none knows another."""
