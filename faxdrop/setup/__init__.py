"""What an administrator does once: set up, install, check."""
