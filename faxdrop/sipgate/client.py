"""The sipgate REST API v2, as far as faxing needs it: what each answer means.

``Sipgate.submit`` never raises for anything that a network or a server does: it returns an Answer,
whose outcome the table in ``outcome`` decides. The questions (``history``, ``entry``, ``account``)
raise Unreachable instead, which carries the same kind of Answer. Nothing is tried twice here: the
daemon decides when to try again.

Statuses and fields are from sipgate's published API description and example scripts; where these
differ, both forms are read.
"""

import base64
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, SecretStr

from faxdrop.names.redaction import IN_ANSWERS, redacted, spellings
from faxdrop.sipgate.answers import (
    LONGEST_WORDS,
    Balance,
    FaxlineList,
    FaxlineShape,
    HistoryEntry,
    HistoryPage,
    NewSession,
    UserInfo,
    own_words,
    phrase,
)
from faxdrop.sipgate.connection import Upload
from faxdrop.sipgate.download import fetch
from faxdrop.sipgate.outcome import Outcome, PostResult, decide
from faxdrop.sipgate.results import (
    AccountFaxline,
    AccountReport,
    Answer,
    Entry,
    History,
    Unreachable,
)
from faxdrop.sipgate.server_clock import ServerClock
from faxdrop.sipgate.transport import NoAnswer, Reply, Transport
from faxdrop.words import _

SMALL = 1 << 20  # bytes of an answer that should be a few hundred
LARGE = 16 << 20  # bytes of a list of 1000 entries, which are 1 to 2 kB each
MOST_PAGES = 100  # requests for one look at the history, whatever the server says of its length
_Shaped = TypeVar("_Shaped", bound=BaseModel)


class Sipgate:
    """sipgate at ``base_url``. ``timeout``: seconds to wait for an answer. Thread-safe.

    ``clock`` is the wall clock in seconds, which may be set at any time. ``monotonic`` is a clock
    that is never set and runs on while the machine sleeps (None: ``clock`` is one).
    """

    def __init__(
        self,
        base_url: str,
        token_id: str,
        token: SecretStr,
        timeout: float,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] | None = None,
    ) -> None:
        secret = token.get_secret_value()
        basic = base64.b64encode(f"{token_id}:{secret}".encode()).decode()
        self._secrets = spellings((secret, basic))
        self._clock = ServerClock(clock, monotonic or clock)
        self._transport = Transport(base_url, token_id, secret, timeout)
        self._reports: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def close(self) -> None:
        """Close the connections that are kept alive; a report is waited for no longer."""
        self._reports.put(None)
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def clock_offset(self) -> float | None:
        """By how many seconds sipgate's clock is ahead of ``clock``; None until an answer says."""
        return self._clock.offset

    def submit(
        self,
        *,
        faxline: str,
        recipient: str,
        filename: str,
        document: BinaryIO,
        size: int,
        sha256: str,
        before_last: Callable[[], None] = lambda: None,
    ) -> Answer:
        """Submit a document of ``size`` bytes with this SHA-256 (hexadecimal).

        ``before_last`` is called when all but the last byte of the request is handed over, and only
        then; until it returns, sipgate cannot take the fax. What it raises comes as Withheld.
        Raises DocumentChanged if the document is another one or cannot be read. After both, nothing
        was submitted.
        """
        name = filename.encode("utf-8", "backslashreplace").decode()
        fields = {"faxlineId": faxline, "recipient": recipient, "filename": name}
        upload = Upload(fields, "base64Content", document, size, sha256, before_last)
        try:
            reply = self._transport.post("/sessions/fax", upload, limit=SMALL)
        except NoAnswer as lost:
            came = PostResult(None, handed_over=lost.handed_over, misconfigured=lost.misconfigured)
            return Answer(decide(came), None, None, lost.words, None, lost.advice)
        came = PostResult(
            reply.status,
            session_id=_session_id(reply),
            proxy="Proxy-Authenticate" in reply.headers,
            retry_after=self._clock.retry_after(reply),
            handed_over=reply.handed_over,
        )
        if came.session_id:
            self._clock.learn(reply)
        return self._answer(decide(came), reply, came.session_id)

    def history(
        self, *, faxlines: Iterable[str], since: datetime, limit: int = 1000, archived: bool = False
    ) -> History:
        """List the outgoing faxes of ``faxlines`` since then (by sipgate's clock).

        The archived ones and the others are two lists. ``limit`` entries a request, at most 1000.
        """
        params = [("types", "FAX")]
        # The documentation does not say whether a failed fax counts as missed.
        params += [("directions", "OUTGOING"), ("directions", "MISSED_OUTGOING")]
        params += [("connectionIds", faxline) for faxline in sorted(set(faxlines))]
        params += [("from", since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))]
        params += [("archived", str(archived).lower()), ("limit", str(min(limit, 1000)))]
        found = History()
        ids: set[str] = set()
        total: int | None = None
        offset = 0
        for _again in range(MOST_PAGES):
            reply = self._ask("/history", [*params, ("offset", str(offset))], limit=LARGE)
            page = self._read(HistoryPage, reply)
            known = len(ids)
            for each in page.items:
                one = _shaped(HistoryEntry, each)
                if one is not None and one.id not in ids:
                    ids.add(str(one.id))
                    if _is_outgoing_fax(one):
                        found.append(_entry(one, archived=archived))
            offset += len(page.items)
            total = page.total
            more = len(page.items) >= limit if total is None else offset < total
            if not more or len(ids) == known:
                break
        else:
            more = True
        # An entry without a time or a number may be any fax.
        are_clear = all(entry.created is not None and entry.target for entry in found)
        found.complete = not more and are_clear and len(ids) >= (offset if total is None else total)
        return found

    def entry(self, session_id: str) -> Entry | None:
        """Return one fax of the history; None if sipgate does not know it (yet)."""
        reply = self._ask(f"/history/{quote(session_id, safe='')}", tolerate={400, 404})
        if reply.status in {400, 404}:
            return None
        one = self._read(HistoryEntry, reply)
        if one.id != session_id:
            raise Unreachable(self._unreadable(reply))
        return _entry(one, archived=False)

    def report(self, session_id: str, seconds: float) -> bytes | None:
        """Return sipgate's own report on a fax, a PDF; None where there is none to be had.

        ``seconds`` bound all of it, whatever names, connections and servers do. One at a time.
        """
        found = self._reports = queue.SimpleQueue()
        until = time.monotonic() + seconds
        # A look-up of a name cannot be bounded, so it may go on in a thread that nobody waits for.
        asking = threading.Thread(
            target=self._fetch_report, args=(session_id, until, found), daemon=True
        )
        asking.start()
        try:
            return found.get(timeout=seconds)
        except queue.Empty:
            return None

    def _fetch_report(
        self, session_id: str, until: float, found: queue.SimpleQueue[bytes | None]
    ) -> None:
        report: bytes | None = None
        try:
            reply = self._ask(f"/history/{quote(session_id, safe='')}", tolerate={400, 404})
            one = _shaped_json(HistoryEntry, reply.body) if reply.status == HTTPStatus.OK else None
            left = until - time.monotonic()
            if one is not None and str(one.id) == session_id and left > 0:
                report = fetch(one.report_url, left, from_here=self._transport.is_here)
        except Unreachable:
            pass
        finally:
            found.put(report)

    def account(self) -> AccountReport:
        """Return what the token may see of its account."""
        user = self._read(UserInfo, self._ask("/authorization/userinfo")).sub
        faxlines: dict[str, AccountFaxline] | None = None
        for path in (f"/{user}/faxlines", "/groupfaxlines"):
            reply = self._ask(path, tolerate={403, 404})
            if reply.status in {403, 404}:
                continue
            faxlines = faxlines or {}
            for each in self._read(FaxlineList, reply).items:
                line = _shaped(FaxlineShape, each)
                if line is not None:
                    faxlines.setdefault(
                        line.id, AccountFaxline(line.id, line.alias, bool(line.can_send))
                    )
        reply = self._ask("/balance", tolerate={403, 404})
        balance = _shaped_json(Balance, reply.body) if reply.status not in {403, 404} else None
        return AccountReport(
            user,
            None if faxlines is None else tuple(faxlines.values()),
            None if balance is None else balance.amount / 10_000,
            None if balance is None else balance.currency,
        )

    def _ask(
        self,
        path: str,
        params: Iterable[tuple[str, str]] = (),
        *,
        tolerate: Collection[int] = (),
        limit: int = SMALL,
    ) -> Reply:
        try:
            reply = self._transport.get(path, list(params), limit=limit)
        except NoAnswer as lost:
            outcome = Outcome.HOLD if lost.misconfigured else Outcome.LATER
            answer = Answer(outcome, None, None, lost.words, None, lost.advice)
            raise Unreachable(answer) from lost
        if reply.status == HTTPStatus.OK or reply.status in tolerate:
            return reply
        # A question takes no fax: what holds a submission holds it too, the rest can be repeated.
        outcome = decide(PostResult(reply.status, proxy="Proxy-Authenticate" in reply.headers))
        holds = outcome is Outcome.HOLD
        raise Unreachable(self._answer(Outcome.HOLD if holds else Outcome.LATER, reply))

    def _read(self, shape: type[_Shaped], reply: Reply) -> _Shaped:
        read = _shaped_json(shape, reply.body)
        if read is None:
            raise Unreachable(self._unreadable(reply))
        self._clock.learn(reply)
        return read

    def _unreadable(self, reply: Reply) -> Answer:
        words = _not_readable(reply.status)
        return Answer(Outcome.LATER, None, reply.status, words, self._clock.retry_after(reply))

    def _answer(self, outcome: Outcome, reply: Reply, session_id: str | None = None) -> Answer:
        if outcome is Outcome.ACCEPTED:
            return Answer(outcome, session_id, reply.status, "accepted", None)
        if reply.status in range(200, 300):
            words, advice = _not_readable(reply.status), ""
        else:
            words, advice = phrase(reply.status, proxy="Proxy-Authenticate" in reply.headers)
            if said := self._redacted(own_words(reply.body)):
                words = f"{words}: {said}"
        return Answer(outcome, None, reply.status, words, self._clock.retry_after(reply), advice)

    def _redacted(self, text: str) -> str:
        text = redacted(text, self._secrets, IN_ANSWERS)
        return text if len(text) <= LONGEST_WORDS else text[:LONGEST_WORDS].rstrip() + "..."


def _not_readable(status: int) -> str:
    words = _("sipgate's answer cannot be read")
    return f"{words} ({status})"


def _session_id(reply: Reply) -> str | None:
    taken = _shaped_json(NewSession, reply.body)
    return None if taken is None else str(taken.session_id)


def _shaped_json(shape: type[_Shaped], body: bytes) -> _Shaped | None:
    try:
        return shape.model_validate_json(body)
    except (ValueError, RecursionError):
        return None


def _shaped(shape: type[_Shaped], value: Any) -> _Shaped | None:
    try:
        return shape.model_validate(value)
    except (ValueError, RecursionError):
        return None


def _is_outgoing_fax(one: HistoryEntry) -> bool:
    """Return whether an entry is an outgoing fax, if the server ignores the filters.

    A field that is missing counts as right.
    """
    return one.type in {"", "FAX"} and one.direction not in {"INCOMING", "MISSED_INCOMING"}


def _entry(one: HistoryEntry, *, archived: bool) -> Entry:
    return Entry(
        session_id=str(one.id),
        target=one.target,
        status=one.status,
        created=one.created,
        pages=one.pages or None,  # 0: not counted yet
        faxlines=tuple(one.faxlines),
        archived=archived if one.archived is None else one.archived,
    )
