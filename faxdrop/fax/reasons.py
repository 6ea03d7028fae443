"""Why a fax ended as it did, in sentences for the person at the folder: what happened, what to do.

What a document or a number lacks is said where it is found out (``verdict``, ``recipient``).
"""

from faxdrop.fax.job import Reason, ReasonCode

CANCELLED = Reason(
    code=ReasonCode.CANCELLED,
    message="The fax was cancelled before it was sent.",
    advice="Nothing to do. To fax it after all, put the PDF into the inbox again.",
)

_HANDED_OVER = "The fax was handed over, but sipgate's answer was lost or was no answer"
SHARED_ADVICE = (
    "Give each root a fax line of its own: then a fax whose answer was lost can be found."
)
_LOOK_OR_ASK = (
    "Look into the sipgate account or ask the recipient. If the fax did not arrive, put the PDF "
    "into the inbox again."
)

OUTCOME_UNKNOWN = Reason(
    code=ReasonCode.OUTCOME_UNKNOWN,
    message=(
        f"{_HANDED_OVER}, and sipgate's history does not show the fax. Whether it was sent is not "
        "known; it was not sent again."
    ),
    advice=(
        "Ask the recipient, or look into the sipgate account. If the fax did not arrive, put the "
        "PDF into the inbox again."
    ),
)

OUTCOME_AMBIGUOUS = Reason(
    code=ReasonCode.OUTCOME_UNKNOWN,
    message=(
        f"{_HANDED_OVER}, and what sipgate's history shows of that time could be this fax or "
        "another. Which one is this document is not known; it was not sent again."
    ),
    advice=_LOOK_OR_ASK,
)

OUTCOME_FAILED = Reason(
    code=ReasonCode.OUTCOME_UNKNOWN,
    message=(
        f"{_HANDED_OVER}. sipgate's history shows one fax to this number at that time, and that it "
        "failed. It is probably this one, but may be another, such as one sent by hand; so it was "
        "not sent again."
    ),
    advice=_LOOK_OR_ASK,
)

OUTCOME_OPEN = Reason(
    code=ReasonCode.OUTCOME_UNKNOWN,
    message=(
        f"{_HANDED_OVER}. sipgate's history shows one fax to this number at that time, which is "
        "probably this one, and did not say in all the time since whether it was delivered."
    ),
    advice=_LOOK_OR_ASK,
)

OUTCOME_SHARED = Reason(
    code=ReasonCode.OUTCOME_UNKNOWN,
    message=(
        f"{_HANDED_OVER}. sipgate's history shows a fax to this number at that time, but another "
        "faxdrop on this machine uses the same fax line, so it may be the other's; it was not sent "
        "again."
    ),
    advice=f"{_LOOK_OR_ASK} {SHARED_ADVICE}",
)


def rejected(words: str) -> Reason:
    """Return why a fax failed that sipgate refused; ``words`` are sipgate's, without an end."""
    return Reason(
        code=ReasonCode.REJECTED,
        message=f"{words}.",
        advice="Save the document as a new PDF (print it to PDF), and try once more.",
    )


def number_rejected(words: str) -> Reason:
    """Return why a fax failed whose number sipgate refused; ``words`` as for ``rejected``."""
    return Reason(
        code=ReasonCode.NUMBER_REJECTED,
        message=f"{words}.",
        advice="Correct the number (the recipient folder's name, or the address book).",
    )


def transmission_failed(tried: int) -> Reason:
    """Return why a fax failed that sipgate could not deliver in so many attempts."""
    return Reason(
        code=ReasonCode.TRANSMISSION_FAILED,
        message=(
            "sipgate could not deliver the fax: the recipient's line was busy, did not answer, or "
            f"is no fax machine. Attempts made: {tried}."
        ),
        advice="Check the fax number, then put the PDF into the inbox again.",
    )


def no_final_status(seconds: float) -> Reason:
    """Return why a fax is given up whose end sipgate did not tell in so many seconds."""
    return Reason(
        code=ReasonCode.NO_FINAL_STATUS,
        message=(
            "sipgate took the fax but did not say within "
            f"{_in_words(seconds)} whether it was delivered. It may still be."
        ),
        advice=(
            "Look into the sipgate account before anything else. Put the PDF into the inbox again "
            "only if sipgate shows that it was not sent."
        ),
    )


def duplicate(first: str, job_id: str, standing: str, window: float) -> Reason:
    """Return why a document is not faxed that is the same as a first, to the same number.

    ``first`` is the file name of that, as it can be shown; ``standing`` its state, or the reason
    why it failed; ``window`` in seconds.
    """
    words = _STANDING.get(standing, _STANDING["outcome_unknown"])
    later = f"in {_in_words(window)}" if standing in _ENDED else "once that one is done"
    return Reason(
        code=ReasonCode.DUPLICATE,
        message=(
            f"The same document was put in for the same number a moment ago ({first}, job "
            f"{job_id}: {words}), so it was not faxed once more."
        ),
        advice=(
            "Nothing to do, if once is enough. To fax it all the same, put it into the inbox again "
            f"{later}, or run `faxdrop retry --even-if-sent` with its path."
        ),
    )


def after_a_lost_answer(reason: Reason) -> Reason:
    """Return a reason with the word that an earlier attempt may have reached the recipient."""
    return Reason(
        code=reason.code,
        message=f"{reason.message} An earlier attempt, whose answer was lost, may have been sent "
        "all the same.",
        advice=f"Ask the recipient whether the fax has arrived. If not: {reason.advice}",
    )


_ENDED = {
    "sent": "it was sent",
    "outcome_unknown": "it may have been sent",
    "no_final_status": "it may have been sent",
    "transmission_failed": "an attempt of it may have been sent",
    "cancelled": "an attempt of it may have been sent",
}
_STANDING = {
    **_ENDED,
    "queued": "it waits for its turn",
    "submitting": "it is on its way",
    "accepted": "it is on its way",
    "unknown": "it may have been sent, which is being looked up",
}


def _in_words(seconds: float) -> str:
    for unit, name in ((3600, "hours"), (60, "minutes")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} seconds"
