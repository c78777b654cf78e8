"""Methods of the paper's tables, trained here on `vos`: each is an entry point of its own. Only CINM, which combines two, knows others."""
