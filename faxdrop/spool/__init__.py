"""Every durable step: the only room that renames and syncs."""
