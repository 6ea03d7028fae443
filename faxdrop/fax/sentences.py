"""Why a fax ended as it did, in words for the person at the folder: what happened, what to do.

What is wrong with a document or a number is said where it is found (``verdict``, ``recipient``).
"""

from faxdrop.fax.job import Reason
from faxdrop.fax.reasons import ReasonCode
from faxdrop.words import N_, _, ngettext, number

SHARED_ADVICE = N_(
    "Give each root its own fax line: then a fax can be found again if its answer was lost."
)

_CHANGES = (  # of the copy that is faxed (``Change``), as commands say them
    N_("decrypted"),
    N_("flattened"),
    N_("repaired"),
    N_("rasterized"),
)


def cancelled() -> Reason:
    """Return the reason for a fax that a person cancelled."""
    return Reason.said(
        ReasonCode.CANCELLED,
        _("The fax was cancelled before it was sent."),
        _("There is nothing to do. To fax it after all, put the PDF into the inbox again."),
    )


def outcome_unknown() -> Reason:
    """Return the reason if the answer was lost and the history does not show the fax."""
    return _unknown(
        _(
            "The fax was handed over, but sipgate's answer was lost or unclear, and sipgate's "
            "history does not show the fax. Whether it was sent is not known; it was not sent "
            "again."
        )
    )


def outcome_ambiguous() -> Reason:
    """Return the reason if the answer was lost and entries could be this fax or another."""
    return _unknown(
        _(
            "The fax was handed over, but sipgate's answer was lost or unclear. What sipgate's "
            "history shows for that time could be this fax or another, so whether this one was "
            "sent is not known; it was not sent again."
        )
    )


def outcome_failed() -> Reason:
    """Return the reason if the answer was lost and the only entry that could be it failed."""
    return _unknown(
        _(
            "The fax was handed over, but sipgate's answer was lost or unclear. sipgate's "
            "history shows one fax to this number at that time, which failed. It is probably "
            "this one, but could be another, such as one sent by hand; so this one was not sent "
            "again."
        )
    )


def outcome_open() -> Reason:
    """Return the reason if the answer was lost and the only entry that could be it never ended."""
    return _unknown(
        _(
            "The fax was handed over, but sipgate's answer was lost or unclear. sipgate's "
            "history shows one fax to this number at that time, probably this one, but has not "
            "said since whether it was delivered."
        )
    )


def outcome_shared() -> Reason:
    """Return the reason if the answer was lost and the entry may be another root's fax."""
    return _unknown(
        _(
            "The fax was handed over, but sipgate's answer was lost or unclear. sipgate's "
            "history shows a fax to this number at that time, but another faxdrop on this "
            "machine uses the same fax line, so it may be the other one's. This fax was not sent "
            "again."
        ),
        more=" " + _(SHARED_ADVICE),
    )


def _unknown(message: str, more: str = "") -> Reason:
    advice = _(
        "Check the sipgate account or ask the recipient. If the fax did not arrive, put the PDF "
        "into the inbox again."
    )
    return Reason.said(ReasonCode.OUTCOME_UNKNOWN, message, advice + more)


def rejected(words: str) -> Reason:
    """Return the reason if sipgate refused a fax; ``words`` are sipgate's, without a full stop."""
    return Reason.said(
        ReasonCode.REJECTED,
        f"{words}.",
        _("Print the document to a new PDF, then put that into the inbox."),
    )


def number_rejected(words: str) -> Reason:
    """Return the reason if sipgate refused the number; ``words`` as for ``rejected``."""
    return Reason.said(
        ReasonCode.NUMBER_REJECTED,
        f"{words}.",
        _("Correct the number, in the recipient folder's name or in the address book."),
    )


def transmission_failed(tried: int) -> Reason:
    """Return the reason if sipgate could not deliver the fax in all attempts (``tried``)."""
    return Reason.said(
        ReasonCode.TRANSMISSION_FAILED,
        _(
            "sipgate could not deliver the fax: the recipient's line was busy, did not answer, "
            "or is not a fax machine. Attempts made: {tried}."
        ).format(tried=tried),
        _("Check the fax number, then put the PDF into the inbox again."),
    )


def no_final_status(seconds: float) -> Reason:
    """Return the reason if sipgate did not say in so many seconds how the fax ended."""
    return Reason.said(
        ReasonCode.NO_FINAL_STATUS,
        _(
            "sipgate accepted the fax but did not say within {time} whether it was delivered. It "
            "may still arrive."
        ).format(time=_in_words(seconds)),
        _(
            "Check the sipgate account first. Put the PDF into the inbox again only if sipgate "
            "shows that it was not sent."
        ),
    )


def duplicate(first: str, job_id: str, standing: str, window: float) -> Reason:
    """Return the reason for a document that repeats an earlier one to the same number.

    ``first`` is the file name of the earlier one, safe to print; ``standing`` is its state, or the
    reason why it failed; ``window`` is in seconds.
    """
    if standing in _ENDED:
        advice = _(
            "If once is enough, there is nothing to do. To fax it all the same, put it into the "
            "inbox again in {time}, or run `faxdrop retry --even-if-sent` with its path."
        ).format(time=_in_words(window))
    else:
        advice = _(
            "If once is enough, there is nothing to do. To fax it all the same, put it into the "
            "inbox again when the first one is done, or run `faxdrop retry --even-if-sent` with "
            "its path."
        )
    return Reason.said(
        ReasonCode.DUPLICATE,
        _(
            "The same document was dropped for the same number shortly before ({first}, job "
            "{job}: {standing}), so it was not faxed again."
        ).format(
            first=first,
            job=job_id,
            standing=_(_STANDING.get(standing, _STANDING["outcome_unknown"])),
        ),
        advice,
    )


def in_short(code: object) -> str:
    """Return a reason in a few words, for a table; of a code that is not ours, the code itself."""
    return _(_IN_SHORT.get(str(code), "")) or str(code)


def after_a_lost_answer(reason: Reason) -> Reason:
    """Return a reason with the warning that an earlier attempt may have reached the recipient."""
    more = _("An earlier attempt, whose answer was lost, may have been sent all the same.")
    ask = _("Ask the recipient whether the fax has arrived. If not: {advice}")
    return Reason.said(reason.code, f"{reason.message} {more}", ask.format(advice=reason.advice))


_IN_SHORT = {  # by the reason's code
    "not_a_pdf": N_("it is not a PDF"),
    "damaged_pdf": N_("the PDF is damaged"),
    "encrypted_pdf": N_("the PDF needs a password"),
    "unsafe_file": N_("it is not an ordinary file"),
    "too_large": N_("the file is too large"),
    "too_many_pages": N_("it has too many pages"),
    "recipient_unknown": N_("the folder names no recipient"),
    "number_invalid": N_("the fax number does not exist"),
    "number_blocked": N_("the fax number is blocked"),
    "rejected": N_("sipgate refused the document"),
    "number_rejected": N_("sipgate refused the number"),
    "transmission_failed": N_("the recipient could not be reached"),
    "outcome_unknown": N_("it may have been sent"),
    "no_final_status": N_("sipgate did not say how it ended"),
    "cancelled": N_("it was cancelled"),
    "duplicate": N_("it was dropped twice"),
}
_ENDED = {
    "sent": N_("it was sent"),
    "outcome_unknown": N_("it may have been sent"),
    "no_final_status": N_("it may have been sent"),
    "transmission_failed": N_("one attempt may have been sent"),
    "cancelled": N_("one attempt may have been sent"),
}
_STANDING = {
    **_ENDED,
    "queued": N_("it waits for its turn"),
    "submitting": N_("it is on its way"),
    "accepted": N_("it is on its way"),
    "unknown": N_("it may have been sent; faxdrop is looking it up"),
}


def _in_words(seconds: float) -> str:
    """Return a duration as it is written after "within" and "in"."""
    if seconds >= 3600:  # noqa: PLR2004 - an hour
        value = seconds / 3600
        words = ngettext("{value} hour", "{value} hours", _counted(value))
    elif seconds >= 60:  # noqa: PLR2004 - a minute
        value = seconds / 60
        words = ngettext("{value} minute", "{value} minutes", _counted(value))
    else:
        value = seconds
        words = ngettext("{value} second", "{value} seconds", _counted(value))
    return words.format(value=number(float(f"{value:.3g}")))


def _counted(value: float) -> int:
    """Return the number that selects the plural: 1 for exactly one, not for one and a half."""
    return 1 if value == 1 else 2
