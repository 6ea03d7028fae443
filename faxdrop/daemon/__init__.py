"""The loop, its wiring, and what systemd hears of it."""
