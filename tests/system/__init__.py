"""Tests that take long or need root: real kills, mounts, servers, machines."""
