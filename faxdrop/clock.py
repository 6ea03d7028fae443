"""The source of time; tests bring their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Clock:
    """The wall clock, for records and people, and a monotonic one in seconds, for everything else.

    The wall clock may jump at any time; only what is shown depends on it.
    """

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    monotonic: Callable[[], float] = time.monotonic
