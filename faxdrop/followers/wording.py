"""How notices and digests read. Pure; a hostile name in them is shown as harmless text."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from faxdrop.fax.sentences import in_short
from faxdrop.journal.history import part, reason_of
from faxdrop.journal.lines import Head
from faxdrop.names.printable import shown
from faxdrop.words import _, ngettext, short_moment

LineData = Mapping[str, Any]
"""The content of a line of the journal."""

Why = Callable[[LineData], tuple[str, str] | None]
"""Finds message and advice of a document that failed, in its receipt; None if that is gone."""

_LONGEST_NAME: Final = 80  # characters of a name in a subject; whole names are in the text


class Told(NamedTuple):
    """One entry of a notice. Its texts are safe to show anywhere."""

    name: str  # of the file; of a hold, nothing
    folder: str
    what: str  # what happened, in a few words
    text: tuple[str, ...]  # the details, and what to do, in sentences


class Open(NamedTuple):
    """How many documents have not ended yet."""

    in_the_inbox: int
    on_their_way: int


def end(line: LineData, why: Why) -> Told:
    """Return the entry of a document that ended."""
    is_sent = line.get("event") == "sent"
    words: tuple[str, ...] = ()
    if not is_sent:
        unknown = _("Its receipt is not where it was filed; `faxdrop receipts` shows more.")
        words = why(line) or (_sentence(in_short(reason_of(line))), unknown)
    what = _("sent") if is_sent else _("not sent")
    if line.get("simulated"):
        what = _("{what} (simulated)").format(what=what)
    return Told(
        shown(fact(line, "document", "name") or _("a document without a name")),
        shown(fact(line, "recipient", "folder") or fact(line, "recipient", "number") or ""),
        what,
        tuple(shown(each, lines=True) for each in words),
    )


def held(causes: Mapping[str, datetime]) -> Told:
    """Return the entry of new holds: in which words, and since when."""
    text = [
        _("Since {when}: {words}.").format(when=short_moment(since), words=_part_of(words))
        for words, since in causes.items()
    ]
    advice = _(
        "Nothing is lost. `faxdrop status` says what to do; after that, faxdrop continues by "
        "itself."
    )
    return Told("", "", _("Faxes are held"), (*text, advice))


def released(causes: Mapping[str, datetime], still: Mapping[str, datetime]) -> Told:
    """Return the entry of holds that were released, and of those that hold ``still``.

    Both: in which words, and since when.
    """
    text = [
        _("This had held the faxes since {when}, and is over: {words}.").format(
            when=short_moment(since), words=_part_of(words)
        )
        for words, since in causes.items()
    ]
    text += [
        _("Since {when}: {words}.").format(when=short_moment(since), words=_part_of(words))
        for words, since in still.items()
    ]
    what = _("Faxes are still held") if still else _("Faxes go out again")
    return Told("", "", what, tuple(text))


def stuck(name: str, folder: str | None, since: datetime, words: str) -> Told:
    """Return the entry of a document that waits too long."""
    text = _("Since {when}.").format(when=short_moment(since))
    return Told(shown(name), shown(folder or ""), _("waits"), (text, shown(words, lines=True)))


def notice(told: Sequence[Told]) -> tuple[str, str]:
    """Return subject and text of a notice. The subject: file, recipient, what happened."""
    first, more = told[0], len(told) - 1
    subject = _joined(_cut(first.name), _cut(first.folder), first.what)
    if more:
        subject += " " + ngettext("(and {n} more)", "(and {n} more)", more).format(n=more)
    return subject, _text(told) + "\n"


def digest(
    lines: Iterable[LineData],
    holds: Sequence[str],
    still: Open | None,
    head: Head,
    day: date,
    why: Why,
    most: int,
) -> tuple[str, str]:
    """Return the summary of what ended since the last digest, also if nothing did.

    An empty digest proves that faxdrop and this way to people work. ``lines`` are ends, and
    documents that were put in again: those no longer count as not sent.
    """
    counts: Counter[str] = Counter()
    not_sent: dict[str, Told] = {}
    for number, line in enumerate(lines):
        if line.get("event") == "retried":
            counts["again"] += not_sent.pop(str(line.get("job_id")), None) is not None
        elif line.get("event") == "sent":
            counts["sent"] += 1
        else:
            not_sent[str(line.get("job_id") or number)] = end(line, why)
    parts = [
        _("Sent: {sent}. Not sent: {failed}.").format(sent=counts["sent"], failed=len(not_sent))
    ]
    if counts["again"]:
        again = _("Dropped again after a failure: {n}.").format(n=counts["again"])
        parts[0] = f"{parts[0]} {again}"
    if still is not None:
        words = _("On their way: {n}. In the inbox: {m}.")
        parts.append(words.format(n=still.on_their_way, m=still.in_the_inbox))
    parts += [_("Faxes are held: {words}.").format(words=_part_of(words)) for words in holds]
    told = list(not_sent.values())
    if told:
        parts.append(_text(told[:most]))
    if (more := len(told) - most) > 0:
        parts.append(_("And {n} more: `faxdrop receipts --status failed`.").format(n=more))
    words = _("The journal ends with line {seq}, whose SHA-256 is\n{hash}")
    parts.append(words.format(seq=head.seq, hash=head.hash))
    subject = _("Faxes until {day}: {sent} sent, {failed} not sent").format(
        # Translators: strftime(3); digits only.
        day=day.strftime(_("%Y-%m-%d")),
        sent=counts["sent"],
        failed=len(told),
    )
    return subject, "\n\n".join(parts) + "\n"


def fact(content: LineData, table: str, key: str) -> str | None:
    """Return a value in a table of a line or a receipt, if it is there."""
    value = part(content, table).get(key)
    return None if value is None else str(value)


def _text(told: Iterable[Told]) -> str:
    return "\n\n".join(
        "\n".join((_joined(each.name, each.folder, each.what), *filter(None, each.text)))
        for each in told
    )


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _joined(*parts: str) -> str:
    return ": ".join(filter(None, parts))


def _part_of(words: str) -> str:
    """Return a sentence without its final full stop, to stand within another."""
    return shown(words).rstrip(".")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
