"""What each outcome of a submission means for the fax and for the queue: the one table.

``sipgate.outcome`` decides which outcome an answer is.
"""

from collections.abc import Callable
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, NamedTuple

from faxdrop.fax import sentences
from faxdrop.fax.events import AnswerLost, NotTaken, Refused, Taken
from faxdrop.sipgate import Answer, Outcome

SubmissionEvent = Taken | Refused | NotTaken | AnswerLost


class Effect(Enum):
    """What an answer does to the hold on submitting."""

    RELEASE = auto()  # sipgate and the account are well
    HOLD = auto()  # nothing is submitted for a while
    COUNT = auto()  # nobody knows; several in a row hold


class Meaning(NamedTuple):
    """What an outcome means."""

    event: Callable[[Answer], SubmissionEvent]  # in the fax's life
    effect: Effect
    is_postponed: bool  # the fax waits as long as the hold: the next try is another's


def _taken(answer: Answer) -> SubmissionEvent:
    return Taken(answer.session_id) if answer.session_id else AnswerLost()


def _rejected(answer: Answer) -> SubmissionEvent:
    return Refused(sentences.rejected(answer.words))


def _number_rejected(answer: Answer) -> SubmissionEvent:
    return Refused(sentences.number_rejected(answer.words))


def _not_taken(answer: Answer) -> SubmissionEvent:
    return NotTaken(answer.retry_after or 0.0)


def _lost(_answer: Answer) -> SubmissionEvent:
    return AnswerLost()


# If one document is what gives sipgate trouble, only that document is postponed. A hold is no
# fax's fault, so the faxes keep their order.
_TABLE: Final[dict[Outcome, Meaning]] = {
    Outcome.ACCEPTED: Meaning(_taken, Effect.RELEASE, is_postponed=False),
    Outcome.REJECTED: Meaning(_rejected, Effect.RELEASE, is_postponed=False),
    Outcome.NUMBER_REJECTED: Meaning(_number_rejected, Effect.RELEASE, is_postponed=False),
    Outcome.HOLD: Meaning(_not_taken, Effect.HOLD, is_postponed=False),
    Outcome.LATER: Meaning(_not_taken, Effect.HOLD, is_postponed=True),
    Outcome.UNKNOWN: Meaning(_lost, Effect.COUNT, is_postponed=False),
}
MEANINGS = MappingProxyType(_TABLE)
