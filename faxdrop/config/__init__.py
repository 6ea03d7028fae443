"""Settings and secrets: where they are found, and what is wrong with them."""
