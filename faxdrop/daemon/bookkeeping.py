"""Bookkeeping: writes to the journal what the daemon knows, and does its upkeep once a day.

Everything here happens in the loop's thread, except the writing itself. None of it delays a fax:
what cannot be written now is written later.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial

import structlog

from faxdrop.backoff import Trouble
from faxdrop.clock import Clock
from faxdrop.config.settings import Config
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import HoldLine, ReleaseLine
from faxdrop.journal.upkeep import Upkeep
from faxdrop.workers import StepEnd, Steps, Then

log = structlog.stdlib.get_logger(__name__)

_DAILY = 86400.0  # seconds
_AGAIN = 60.0  # seconds until what went wrong is tried again


class Bookkeeping:
    """The journal of one daemon."""

    def __init__(
        self,
        journal: Journal,
        make_upkeep: Callable[[Config], Upkeep],
        config: Config,
        *,
        clock: Clock,
        steps: Steps,
        pool: Executor,
    ) -> None:
        self._journal = journal
        self._make_upkeep = make_upkeep
        self._upkeep = make_upkeep(config)
        self._clock = clock
        self._steps = steps
        self._pool = pool
        self._told: dict[str, Trouble] = {}  # what holds, as far as the journal knows
        self._untold: list[HoldLine | ReleaseLine] = []
        self._tell_at = self._daily_at = 0.0
        self._waits_for_clock = False  # the upkeep was done without it
        self.under_way = 0

    @property
    def problems(self) -> dict[str, str]:
        """What is not as it should be, and why."""
        return self._upkeep.problems

    def reload(self, config: Config) -> None:
        """Use another config."""
        self._upkeep = self._make_upkeep(config)
        self._daily_at = 0.0

    def turn(self, troubles: Mapping[str, Trouble], clock_offset: float | None = None) -> None:
        """Start what is due now; ``clock_offset``: see ``Upkeep.daily``."""
        self._compare(troubles)
        now = self._clock.monotonic()
        if self.under_way:
            return
        if self._untold and now >= self._tell_at:
            telling = list(self._untold)
            self._start(self._on_told, telling, partial(self._journal.append_all, telling))
        elif now >= self._daily_at or (self._waits_for_clock and clock_offset is not None):
            self._daily_at = now + _DAILY
            self._waits_for_clock = clock_offset is None and self._upkeep.needs_clock
            self._start(self._on_kept, None, partial(self._upkeep.daily, clock_offset))

    def close(self) -> None:
        """Write what is still unwritten; at a stop, when nothing else is under way.

        What cannot be written then is lost, unless the hold is still there after the next start.
        """
        if not self._untold:
            return
        try:
            self._journal.append_all(self._untold)
        except OSError as error:
            log.warning("journal.not_written", why=str(error))
        else:
            self._untold = []

    def dues(self) -> list[float]:
        """Return the monotonic instants at which there is something to do."""
        dues = [self._daily_at]
        if self._untold:
            dues.append(self._tell_at)
        return [] if self.under_way else dues

    # -- inside -----------------------------------------------------------------------------

    def _compare(self, troubles: Mapping[str, Trouble]) -> None:
        """Find out which holds have begun or ended since the last turn."""
        for what in self._told.keys() - troubles.keys():
            trouble = self._told.pop(what)
            self._untold.append(ReleaseLine(what=what, words=trouble.words, since=trouble.since))
        for what in troubles.keys() - self._told.keys():
            self._told[what] = troubles[what]
            self._untold.append(HoldLine(what=what, words=troubles[what].words))

    def _start(self, then: Then, of: object, step: Callable[[], None]) -> None:
        self.under_way += 1
        self._steps.start(self._pool, then, of, step)

    def _on_told(self, ended: StepEnd) -> None:
        self.under_way -= 1
        if ended.error is None:
            del self._untold[: len(ended.of)]
            return
        self._tell_at = self._clock.monotonic() + _AGAIN
        log.warning("journal.not_written", why=str(ended.error))

    def _on_kept(self, ended: StepEnd) -> None:
        self.under_way -= 1
        if ended.error is not None:
            log.error("journal.upkeep_failed", exc_info=ended.error)
