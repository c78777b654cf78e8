"""Methods that are programs of others: input laid out for a command, the command run, its masks checked and read."""
