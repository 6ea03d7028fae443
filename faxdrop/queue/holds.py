"""What holds the queue: trouble with the account or with sipgate, tried again with growing pauses.

*Submitting* and *following* (looking at sipgate's history) hold separately. The table in
``meaning`` says which answers hold.
"""

from dataclasses import replace

import structlog

from faxdrop.backoff import Hold, Trouble
from faxdrop.clock import Clock
from faxdrop.queue.meaning import MEANINGS, Effect
from faxdrop.sipgate import Answer

log = structlog.stdlib.get_logger(__name__)

_UNKNOWN_IN_A_ROW = 3  # lost answers after which submitting pauses
_UNKNOWN_PAUSE, _LONGEST_UNKNOWN_PAUSE = 30.0, 300.0  # seconds, doubled with each one more


class Holds:
    """The two holds of a queue."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._submitting = Hold()
        self._following = Hold()
        self._unknown_in_a_row = 0

    @property
    def troubles(self) -> dict[str, Trouble]:
        """What holds: submitting, following."""
        holds = {"submitting": self._submitting.trouble, "following": self._following.trouble}
        return {what: trouble for what, trouble in holds.items() if trouble is not None}

    def reset(self) -> None:
        """Try everything again at once: with another config it may work."""
        self._submitting.release()
        self._following.release()

    # -- submitting -------------------------------------------------------------------------

    @property
    def submitting_until(self) -> float:
        """The monotonic instant before which nothing is submitted."""
        return self._submitting.until

    @property
    def is_submitting_held(self) -> bool:
        """Whether submitting holds."""
        return self._submitting.trouble is not None

    def may_submit(self, now: float, under_way: int) -> bool:
        """Return whether one more fax may be submitted besides those under way."""
        following = self._following.trouble
        if following and not self._submitting.trouble:
            # If sipgate does not answer questions now, it will hardly take a fax now.
            wall = self._clock.now()
            self._submitting.trip(following.words, following.advice, now=now, wall=wall)
        if self._submitting.trouble and under_way:
            return False
        return self._submitting.may_try(now)

    def submits(self, now: float) -> None:
        """Note that a submission begins."""
        self._submitting.trying(now)

    def submitted(self, answer: Answer) -> None:
        """Note what the answer to a submission says about sipgate and the account."""
        match MEANINGS[answer.outcome].effect:
            case Effect.RELEASE:
                self._unknown_in_a_row = 0
                self.release_submitting()
            case Effect.HOLD:
                self._hold(self._submitting, "submitting", answer)
            case Effect.COUNT:
                self._unknown_in_a_row += 1
                excess = self._unknown_in_a_row - _UNKNOWN_IN_A_ROW
                if excess >= 0:  # each try may cost a document its end: fewer and fewer are made
                    told = min(_UNKNOWN_PAUSE * 2.0 ** min(excess, 10), _LONGEST_UNKNOWN_PAUSE)
                    told = max(told, answer.retry_after or 0.0)
                    self._hold(self._submitting, "submitting", replace(answer, retry_after=told))

    def release_submitting(self) -> None:
        """End the hold on submitting."""
        self._release(self._submitting, "submitting")

    # -- following --------------------------------------------------------------------------

    @property
    def following_until(self) -> float:
        """The monotonic instant before which the history is not looked at."""
        return self._following.until

    @property
    def is_following_held(self) -> bool:
        """Whether following holds."""
        return self._following.trouble is not None

    def may_look(self, now: float) -> bool:
        """Return whether the history may be looked at."""
        return self._following.may_try(now)

    def looks(self, now: float) -> None:
        """Note that a look begins."""
        self._following.trying(now)

    def not_told(self, answer: Answer) -> None:
        """Note that a look brought no answer."""
        self._hold(self._following, "following", answer)

    def told(self, now: float) -> None:
        """Note that sipgate answered a look; if it did not before, submit again at once."""
        if self._following.trouble:
            self._release(self._following, "following")
            self._submitting.until = now

    # -- inside -----------------------------------------------------------------------------

    def _hold(self, hold: Hold, what: str, answer: Answer) -> None:
        news = hold.trip(
            answer.words,
            answer.advice,
            now=self._clock.monotonic(),
            wall=self._clock.now(),
            told=answer.retry_after,
        )
        if news:
            log.error("queue.held", what=what, why=answer.words, advice=answer.advice)

    def _release(self, hold: Hold, what: str) -> None:
        trouble = hold.release()
        if trouble is not None:
            log.info("queue.released", what=what, held=trouble.words, since=str(trouble.since))
