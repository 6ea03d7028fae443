"""Names of files and hosts, and words fit to be shown: without tricks, without secrets."""
