"""Methods of the paper's tables, trained here on `vos`: each is an entry point of its own.

None knows another, but CINM, which combines two."""
