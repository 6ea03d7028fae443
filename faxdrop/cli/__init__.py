"""The commands: the only rooms that print."""
