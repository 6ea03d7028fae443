"""Names of files and hosts, and text that is safe to show: no terminal tricks, no secrets."""
