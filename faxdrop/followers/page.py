"""What stands on the status page, and how it becomes HTML.

Names and sentences from files are plain text here; Jinja2 escapes everything it puts into the page.
The page needs no script and nothing from outside, and its Content-Security-Policy forbids both.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from faxdrop.status.ended import Filed, LatestFiled
from faxdrop.status.overview import INBOX, Document, Overview
from faxdrop.words import _, language, ngettext, number, short_moment

if TYPE_CHECKING:
    from jinja2 import Template

MARK: Final = b"<!DOCTYPE html>\n<!-- faxdrop-page/1 -->\n"
"""What the page begins with, and nothing else that lies in its place."""

_LISTED: Final = 50  # documents of a kind, and troubles
_REFRESH: Final = 60  # seconds
_ON_THE_WAY: Final = ("submitting", "accepted", "unknown", "sent", "failed")
_WAITING: Final = ("queued", INBOX)


class Alert(NamedTuple):
    """A problem that needs a person."""

    title: str
    words: str
    is_grave: bool  # it keeps faxes from going out


class PageRow(NamedTuple):
    """One document."""

    name: str
    href: str | None  # where the browser finds it
    to: str
    when: str
    words: str
    advice: str
    report: str | None  # where the browser finds it


class Section(NamedTuple):
    """Documents of a kind."""

    key: str
    title: str
    number: str
    rows: tuple[PageRow, ...]
    more: str  # how many are not listed; "": none
    empty: str  # the sentence where there is none


class PageContent(NamedTuple):
    """All that the page shows except its time."""

    language: str
    title: str
    root: str
    state: str
    tone: str  # good, held, bad
    troubles: tuple[Alert, ...]
    sections: tuple[Section, ...]
    is_moving: bool  # a document is in the inbox or on its way


def page_of(seen: Overview, *, without: str = "") -> PageContent:
    """Return what the page shows of a root; ``without`` leaves out the problem of one path."""
    state, tone = _state(seen)
    on_the_way = sum(seen.counts[state] for state in _ON_THE_WAY)
    waiting = sum(seen.counts[state] for state in _WAITING)
    return PageContent(
        language=language(),
        title=_("Faxes"),
        root=seen.root,
        state=state,
        tone=tone,
        troubles=tuple(_bounded(_troubles(seen, without))),
        sections=(
            _ended("failed", _("Not sent"), seen.failed, _("failed/ is empty.")),
            _open("way", _("On the way"), seen, _ON_THE_WAY, on_the_way),
            _open("waiting", _("Waiting"), seen, _WAITING, waiting),
            _ended("sent", _("Sent today"), seen.sent_today, _("Nothing yet.")),
        ),
        is_moving=bool(on_the_way or waiting),
    )


def render(page: PageContent, at: datetime) -> bytes:
    """Return the page as HTML, as of an instant."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    text = _template().render(
        page=page,
        style=style,
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'",
        refresh=_REFRESH,
        at=f"{short_moment(at)} ({at.astimezone():%Z})",
        _=_,
    )
    return MARK + text.encode("utf-8", "backslashreplace")


@cache
def _template() -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - the page alone

    environment = Environment(
        loader=PackageLoader("faxdrop.followers", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


@cache
def _style() -> str:
    return resources.files("faxdrop.followers").joinpath("page.css").read_text("utf-8")


# -- what is said ----------------------------------------------------------------------------


def _state(seen: Overview) -> tuple[str, str]:
    if not seen.running:
        return _("faxdrop is not running: nothing is faxed."), "bad"
    if any(hold.what != "intake" for hold in seen.holds):
        return _("Faxes are held."), "held"
    if seen.holds:
        return _("Nothing is taken from the inbox."), "held"
    return _("faxdrop is running."), "good"


def _troubles(seen: Overview, without: str) -> Iterator[Alert]:
    if not seen.running:
        yield Alert(
            _("Not running"),
            _("What is in the inbox is faxed once faxdrop runs again. Tell your administrator."),
            is_grave=True,
        )
    for hold in seen.causes:
        calm = _("faxdrop tries again by itself; no document is lost or fails because of it.")
        yield Alert(
            _("Held since {time}").format(time=short_moment(hold.since)),
            " ".join(part for part in (_sentence(hold.words), hold.advice, calm) if part),
            is_grave=True,
        )
    if seen.corrupt:
        words = ngettext(
            "A record could not be read. It is in {folder}, beside its document; the sipgate "
            "account shows whether that was faxed.",
            "{number} records could not be read. They are in {folder}, each beside its document; "
            "the sipgate account shows whether that was faxed.",
            seen.corrupt,
        )
        words = words.format(number=_counted(seen.corrupt), folder=seen.corrupt_folder)
        yield Alert(_("Look"), words, is_grave=False)
    for wrong in seen.problems:
        if wrong.path != without:
            yield Alert(_("Look"), f"{wrong.path} {wrong.problem}", is_grave=False)


def _sentence(words: str) -> str:
    return words if words.endswith((".", "!", "?")) else words + "."


def _bounded(troubles: Iterable[Alert]) -> Iterator[Alert]:
    left = 0
    for count, one in enumerate(troubles):
        if count < _LISTED:
            yield one
        else:
            left += 1
    if left:
        yield Alert(_("Look"), _more(left), is_grave=False)


def _open(key: str, title: str, seen: Overview, states: tuple[str, ...], count: int) -> Section:
    found = [one for one in seen.documents if one.state in states]
    rows = tuple(_of_document(one) for one in found[:_LISTED])
    return _section(key, title, count, rows, _("Nothing."))


def _of_document(one: Document) -> PageRow:
    words = one.words
    if one.attempts and one.next_attempt_at is not None:  # else nothing leads to the time
        words = _("{words} at {time}").format(words=words, time=short_moment(one.next_attempt_at))
    return PageRow(
        name=one.name,
        href=None,
        to=_to(one.folder, one.number),
        when="" if one.since is None else _("since {time}").format(time=short_moment(one.since)),
        words=words,
        advice="",
        report=None,
    )


def _ended(key: str, title: str, found: LatestFiled, empty: str) -> Section:
    return _section(key, title, found.number, tuple(_of_filed(one) for one in found.latest), empty)


def _of_filed(one: Filed) -> PageRow:
    return PageRow(
        name=one.name,
        href=one.document,
        to=_to(one.folder, one.number),
        when="" if one.at is None else short_moment(one.at),
        words=one.message,
        advice=one.advice,
        report=one.report,
    )


def _section(key: str, title: str, count: int, rows: tuple[PageRow, ...], empty: str) -> Section:
    left = count - len(rows)
    return Section(key, title, _counted(count), rows, _more(left) if left > 0 else "", empty)


def _counted(count: int) -> str:
    """Return a number as the language writes it; below a thousand that needs no library."""
    return str(count) if count < 1000 else number(count)  # noqa: PLR2004 - a thousand


def _more(left: int) -> str:
    return ngettext("... and one more.", "... and {number} more.", left).format(
        number=_counted(left)
    )


def _to(folder: str | None, number: str | None) -> str:
    """Return whom a document is for: the folder's name, and the number if the name lacks it."""
    if folder is None:
        return number or _("(no recipient folder)")
    return folder if number is None or number in folder.replace(" ", "") else f"{folder} {number}"
