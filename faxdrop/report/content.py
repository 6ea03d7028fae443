"""What a transmission report says, in words; ``drawing`` decides how it looks.

Everything comes from the receipt and the address book. Nothing is invented: if sipgate does not
report a fact, the page says so.
"""

from datetime import UTC, datetime, tzinfo
from typing import Final, Literal

from faxdrop.fax.job import Record
from faxdrop.fax.reasons import PERHAPS_SENT
from faxdrop.fax.receipt import Receipt, ReceiptAttempt
from faxdrop.words import _, ngettext

MOST_ATTEMPTS: Final = 8  # that fit on the page; the receipt has them all

Mark = Literal["good", "bad", "none"]


class Row(Record):
    """A line of a table: a label and its value."""

    label: str
    value: str


class Comparison(Record):
    """Two values side by side, and whether they agree."""

    label: str
    ours: str
    theirs: str
    verdict: str
    mark: Mark


class Content(Record):
    """All words of a report, in the order of the page."""

    title: str
    language: str
    word: str  # in large letters
    mark: Mark
    result: tuple[str, ...]  # paragraphs
    facts: tuple[Row, ...]
    attempts_title: str
    attempts_head: tuple[str, str, str, str]
    attempts: tuple[tuple[str, str, str, str], ...]
    attempts_more: str  # "" if all are shown
    comparisons_title: str
    comparisons_head: tuple[str, str, str, str]
    comparisons: tuple[Comparison, ...]
    ids_title: str
    ids: tuple[Row, ...]
    picture_title: str
    no_picture: str  # shown instead, if the page cannot be drawn
    checked_by: str
    date: str
    simulated: str  # across the page; "" if a fax was sent
    footer: str


def compose(
    receipt: Receipt,
    *,
    sender: str = "",
    book_number: str | None = None,
    zone: tzinfo | None = None,
) -> Content:
    """Return what the report on a receipt says, in the current language.

    ``book_number`` is the address book's number for the folder, None if it has none. ``zone`` is
    the time zone of all times, None for the machine's.
    """
    word, mark = _word(receipt)
    shown = receipt.attempts
    if len(shown) > MOST_ATTEMPTS:
        shown = (shown[0], *shown[1 - MOST_ATTEMPTS :])
    more = len(receipt.attempts) - len(shown)
    return Content(
        title=_("Fax transmission report"),
        language=receipt.language,
        word=word,
        mark=mark,
        result=tuple(_result(receipt, zone)),
        facts=tuple(_facts(receipt, sender, zone)),
        attempts_title=_("Attempts"),
        attempts_head=(_("No."), _("Submitted at"), _("Number dialled"), _("Outcome")),
        attempts=tuple(_attempt(each, zone) for each in shown),
        attempts_more=ngettext(
            "{count} more attempt stands in the receipt that is attached.",
            "{count} more attempts stand in the receipt that is attached.",
            more,
        ).format(count=more)
        if more
        else "",
        comparisons_title=_("Comparison"),
        comparisons_head=("", _("Here"), _("Faxed"), ""),
        comparisons=(_pages(receipt), _number(receipt, book_number)),
        ids_title=_("For the record"),
        ids=tuple(_ids(receipt)),
        picture_title=_("First page, as a fax shows it"),
        no_picture=_("The first page cannot be drawn."),
        checked_by=_("Checked by"),
        date=_("Date"),
        simulated=_("SIMULATED") if receipt.faxdrop.endswith("(simulated)") else "",
        footer=_("Made by faxdrop {version}. The receipt is attached to this file.").format(
            version=receipt.faxdrop.split()[0]
        ),
    )


def local(at: datetime, zone: tzinfo | None) -> str:
    """Return an instant as a clock on the wall shows it, with its zone."""
    there = at.astimezone(UTC).astimezone(zone)
    return there.strftime(_("%Y-%m-%d %H:%M:%S")) + f" {there.tzname()}"


def _is_uncertain(receipt: Receipt) -> bool:
    return receipt.status == "failed" and (
        (receipt.reason is not None and receipt.reason.code in PERHAPS_SENT)
        or any(each.outcome in {"unknown", "no_final_status"} for each in receipt.attempts)
        or any(each.outcome is None for each in receipt.attempts)
    )


def _word(receipt: Receipt) -> tuple[str, Mark]:
    if receipt.status == "sent":
        return _("SENT"), "good"
    if _is_uncertain(receipt):
        return _("NOT CONFIRMED"), "bad"
    return _("NOT SENT"), "bad"


def _result(receipt: Receipt, zone: tzinfo | None) -> list[str]:
    at = local(receipt.finished_at, zone)
    words = []
    if receipt.reason is not None:
        words += [receipt.reason.message, receipt.reason.advice]
    elif receipt.status == "sent":
        words += [_("sipgate reports the fax as sent (seen at {at}).").format(at=at)]
    if any(each.found_in_history for each in receipt.attempts):
        words += [
            _(
                "The answer to a submission was lost: that fax was found in sipgate's history by "
                "its number and time."
            )
        ]
    return [each for each in words if each]


def _facts(receipt: Receipt, sender: str, zone: tzinfo | None) -> list[Row]:
    untold = _("not told by sipgate") if receipt.attempts else "-"
    folder, number = receipt.recipient.folder, receipt.recipient.number
    return [
        Row(label=_("Sender"), value=sender or "-"),
        Row(label=_("Fax line"), value=receipt.faxline or "-"),
        Row(label=_("Recipient"), value="-" if folder is None else folder),
        Row(label=_("Fax number"), value=number or "-"),
        Row(label=_("Document"), value=receipt.document.name),
        Row(label=_("Pages"), value=_known(receipt.document.pages)),
        Row(label=_("Received"), value=local(receipt.claimed_at, zone)),
        Row(label=_("Finished"), value=local(receipt.finished_at, zone)),
        Row(label=_("Duration"), value=untold),
        Row(label=_("Station id"), value=untold),
    ]


def _known(number: int | None) -> str:
    return _("not known") if number is None else str(number)


def _outcome(outcome: str | None) -> str:
    return {
        "SENT": _("sent"),
        "FAILED": _("failed"),
        "rejected": _("rejected"),
        "unknown": _("unknown: the answer was lost"),
        "no_final_status": _("no final status"),
        None: _("not known"),
    }.get(outcome, outcome or "")


def _attempt(attempt: ReceiptAttempt, zone: tzinfo | None) -> tuple[str, str, str, str]:
    outcome = _outcome(attempt.outcome)
    if attempt.statuses and attempt.statuses[-1].status == attempt.outcome:
        seen = local(attempt.statuses[-1].at, zone)
        outcome = _("{outcome}, seen at {at}").format(outcome=outcome, at=seen)
    return (
        str(attempt.number),
        local(attempt.submitted_at, zone),
        attempt.number_dialled or _("not known"),
        outcome,
    )


def _compared(label: str, ours: str | None, theirs: str | None, untold: str) -> Comparison:
    verdict, mark = untold, "none"
    if ours is not None and theirs is not None:
        verdict, mark = (_("agrees"), "good") if ours == theirs else (_("differs"), "bad")
    return Comparison.model_validate(
        {
            "label": label,
            "ours": _("not known") if ours is None else ours,
            "theirs": "-" if theirs is None else theirs,
            "verdict": verdict,
            "mark": mark,
        }
    )


def _pages(receipt: Receipt) -> Comparison:
    ours = receipt.document.pages
    theirs = receipt.faxed.pages if receipt.faxed is not None else None
    return _compared(
        _("Pages: of the document, as sipgate counts them"),
        None if ours is None else str(ours),
        None if theirs is None else str(theirs),
        _("not told by sipgate") if receipt.attempts else _("not submitted"),
    )


def _number(receipt: Receipt, book_number: str | None) -> Comparison:
    dialled = receipt.attempts[-1].number_dialled if receipt.attempts else None
    if book_number is None:
        label = _("Number: of the folder, dialled")
    else:
        label = _("Number: in the address book, dialled")
    return _compared(
        label,
        book_number or receipt.recipient.number,
        dialled,
        _("not known") if receipt.attempts else _("not submitted"),
    )


def _ids(receipt: Receipt) -> list[Row]:
    shown = receipt.attempts[-MOST_ATTEMPTS:]
    sessions = [f"{each.number}: {each.session_id}" for each in shown if each.session_id]
    rows = [
        Row(label=_("Job id"), value=receipt.job_id),
        Row(label=_("Session ids"), value=", ".join(sessions) or "-"),
        Row(label=_("SHA-256 of the document"), value=receipt.document.sha256 or _("not known")),
    ]
    if receipt.faxed is not None and receipt.faxed.sha256 != receipt.document.sha256:
        rows.append(Row(label=_("SHA-256 of the copy faxed"), value=receipt.faxed.sha256))
    return rows
