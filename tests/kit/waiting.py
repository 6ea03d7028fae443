"""Waits for other programs: only as long as needed, and never for ever."""

import time
from collections.abc import Callable

PATIENCE = 60.0  # seconds for what takes one second on an idle machine


def until(
    condition: Callable[[], object], seconds: float = PATIENCE, what: str = "what another does"
) -> None:
    """Wait for something that other programs do; fail with ``what``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)
