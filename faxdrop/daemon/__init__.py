"""The loop, its wiring, and its messages to systemd."""
