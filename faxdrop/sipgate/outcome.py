"""What became of a submission: the one table that decides. No I/O.

The question behind it is whether sipgate can have taken the fax. LATER and HOLD lead to another
submission, so they are only for faxes that were certainly not taken; any doubt is UNKNOWN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What became of a submission, and so what to do."""

    ACCEPTED = "accepted"  # queued at sipgate, under a session id
    REJECTED = "rejected"  # this fax never will be
    NUMBER_REJECTED = "number_rejected"  # this number never will be
    HOLD = "hold"  # not taken; the account or the set-up is at fault, and all faxes wait
    LATER = "later"  # not taken; nobody is at fault
    UNKNOWN = "unknown"  # perhaps taken, perhaps not


@dataclass(frozen=True)
class PostResult:
    """What came of a POST."""

    status: int | None  # None: no answer
    session_id: str | None = None
    proxy: bool = False  # the answer asks to log in at a proxy
    retry_after: float | None = None  # seconds
    handed_over: bool = True  # the request may have been sent whole
    misconfigured: bool = False  # it was not sent, nor will it be with this configuration

    def has(self, *statuses: int) -> bool:
        """Return whether the answer has one of these statuses."""
        return self.status in statuses


# fmt: off
OUTCOMES: Final[tuple[tuple[str, Outcome, Callable[[PostResult], bool]], ...]] = (
    # outcome of a POST; the first line that fits decides               decision
    ("200 with a session id",                                           Outcome.ACCEPTED,
     lambda c: c.has(200) and c.session_id is not None),
    ("200 whose body cannot be read (and its kin)",                     Outcome.UNKNOWN,
     lambda c: c.has(*range(200, 300))),
    ("400, 413",                                                        Outcome.REJECTED,
     lambda c: c.has(400, 413)),
    ("407 (without Proxy-Authenticate)",                                Outcome.NUMBER_REJECTED,
     lambda c: c.has(407) and not c.proxy),
    ("401, 402, 403, 404, 405, 415",                                    Outcome.HOLD,
     lambda c: c.has(401, 402, 403, 404, 405, 415)),
    ("407 with Proxy-Authenticate, an address that cannot be used",     Outcome.HOLD,
     lambda c: c.has(407) or c.misconfigured),
    ("429, and 503 with Retry-After",                                   Outcome.LATER,
     lambda c: c.has(429) or (c.has(503) and c.retry_after is not None)),
    ("no name, no connection, TLS refused, body not fully handed over", Outcome.LATER,
     lambda c: not c.handed_over),
    ("connection lost or time-out after the body, any other 5xx",       Outcome.UNKNOWN,
     lambda c: c.status is None or c.has(*range(500, 600))),
    ("anything not in this table",                                      Outcome.UNKNOWN,
     lambda _: True),
)
# fmt: on


def decide(came: PostResult) -> Outcome:
    """Return what the first line of OUTCOMES that fits says."""
    return next(outcome for _, outcome, fits in OUTCOMES if fits(came))
