"""Which files are complete, and how they get from the inbox into the spool."""
