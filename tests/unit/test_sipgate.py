"""What sipgate is asked, and what its answers mean."""

import base64
import gzip
import hashlib
import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from faxdrop.sipgate import (
    AccountFaxline,
    AccountReport,
    Answer,
    DocumentChanged,
    Entry,
    Outcome,
    Unreachable,
)
from faxdrop.sipgate.outcome import OUTCOMES, PostResult, decide
from tests.kit.rawserver import (
    LARGE,
    LOGIN,
    SMALL,
    TOKEN,
    Behaviour,
    Call,
    Elapsed,
    RawServer,
    answering,
    closed_port,
    sipgate,
    submit,
    taking,
)
from tests.kit.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("no_proxies")

ACCEPTED, REJECTED, NUMBER_REJECTED = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NUMBER_REJECTED
HOLD, LATER, UNKNOWN = Outcome.HOLD, Outcome.LATER, Outcome.UNKNOWN


# What is sent


def test_the_request_is_what_the_api_asks_for() -> None:
    """A submission is one JSON object with the four documented fields and Basic authentication."""
    with RawServer(taking) as server:
        answer = submit(server.url)
        (call,) = server.calls
    assert answer == Answer(ACCEPTED, "4711", 200, "accepted", None)
    lines = call.head.split(b"\r\n")
    assert lines[0] == b"POST /v2/sessions/fax HTTP/1.1"
    assert b"Authorization: Basic " + LOGIN in lines
    assert b"Content-Type: application/json" in lines
    assert b"Content-Length: %d" % len(call.body) in lines
    assert not any(line.lower().startswith((b"transfer-encoding", b"cookie")) for line in lines)
    assert json.loads(call.body) == {
        "faxlineId": "f0",
        "recipient": "+492111234567",
        "filename": "letter.pdf",
        "base64Content": base64.b64encode(SMALL).decode(),
    }


@pytest.mark.parametrize("size", [0, 1, 2, 3, 49151, 49152, 49153, 98304, 1_000_001])
def test_a_document_arrives_byte_for_byte(size: int) -> None:
    """Documents of all lengths arrive as they are, and the announced length is right."""
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    with RawServer(taking) as server:
        assert submit(server.url, data).outcome is ACCEPTED
        (call,) = server.calls
    assert len(call.body) == call.length
    assert base64.b64decode(json.loads(call.body)["base64Content"], validate=True) == data


class Slow(io.RawIOBase):
    """A document that is read in odd bites."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        """Say so."""
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go there."""
        return self._inner.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        """Give at most 1000 bytes."""
        return self._inner.readinto(memoryview(buffer)[:1000])


def test_a_document_may_be_read_in_bites() -> None:
    """A file that gives less than it is asked for is sent whole all the same."""
    with RawServer(taking) as server:
        assert submit(server.url, LARGE[:200_000], document=Slow(LARGE[:200_000])).session_id
        (call,) = server.calls
    assert base64.b64decode(json.loads(call.body)["base64Content"]) == LARGE[:200_000]


@pytest.mark.parametrize("name", ['a "quoted".pdf', "ä\n\0.pdf", "\udcff.pdf", "💌.pdf"])
def test_any_file_name_can_be_submitted(name: str) -> None:
    """No file name breaks the JSON."""
    with RawServer(taking) as server, sipgate(server.url) as client:
        answer = client.submit(
            faxline="f0",
            recipient="+49211",
            filename=name,
            document=io.BytesIO(SMALL),
            size=len(SMALL),
            sha256=hashlib.sha256(SMALL).hexdigest(),
        )
        (call,) = server.calls
    assert answer.outcome is ACCEPTED
    assert json.loads(call.body)["filename"].encode().endswith(b".pdf")


def draining(call: Call) -> None:
    """Read a request without keeping it, and accept it."""
    call.read_head()
    left = call.length - len(call.body)
    buffer = bytearray(65536)
    while left > 0 and (got := call.sock.recv_into(buffer)):
        left -= got
    call.answer("200 OK", b'{"sessionId": "1"}')


def test_an_upload_takes_constant_memory(tmp_path: Path) -> None:
    """A document of 21 MB is submitted in less than 2 MB."""
    size, block = 21_247_500, bytes(range(250)) * 10_000
    path = tmp_path / "large.pdf"
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while file.tell() < size:
            piece = block[: size - file.tell()]
            file.write(piece)
            digest.update(piece)
    with RawServer(draining) as server, sipgate(server.url) as client, path.open("rb") as document:
        tracemalloc.start()
        try:
            answer = client.submit(
                faxline="f0",
                recipient="+49211",
                filename="large.pdf",
                document=document,
                size=size,
                sha256=digest.hexdigest(),
            )
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.outcome is ACCEPTED
    assert peak < 2_000_000


class Unreadable(io.BytesIO):
    """A document on a disk that fails."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Fail behind the first blocks."""
        if self.tell() >= 100_000:
            raise BrokenPipeError(5, "Input/output error")
        return super().read(size)


@pytest.mark.parametrize(
    "document",
    [
        io.BytesIO(LARGE[:200_000][:-1] + b"x"),
        io.BytesIO(LARGE[:199_999]),
        io.BytesIO(LARGE[:200_001]),
        io.BytesIO(b""),
        Unreadable(LARGE[:200_000]),
    ],
)
def test_a_document_that_changed_is_never_submitted(document: io.BytesIO) -> None:
    """A document that is not the one that was checked, or cannot be read, never arrives whole."""

    def behave(call: Call) -> None:
        call.read()
        assert len(call.body) < call.length
        call.answer("200 OK", b'{"sessionId": 1}')

    with RawServer(behave) as server:
        with pytest.raises(DocumentChanged):
            submit(server.url, LARGE[:200_000], document=document)
        assert len(server.calls) <= 1


# What is answered

TABLE = [
    ("200 OK", b'{"sessionId": "4711"}', ACCEPTED),
    ("200 OK", b'{"sessionId": 4711}', ACCEPTED),
    ("200 OK", b'{"sessionId": 99999999999999999999999999, "new": [1]}', ACCEPTED),
    ("200 OK", b"", UNKNOWN),
    ("200 OK", b"null", UNKNOWN),
    ("200 OK", b"[]", UNKNOWN),
    ("200 OK", b'"4711"', UNKNOWN),
    ("200 OK", b"{}", UNKNOWN),
    ("200 OK", b'{"sessionId": ""}', UNKNOWN),
    ("200 OK", b'{"sessionId": null}', UNKNOWN),
    ("200 OK", b'{"sessionId": true}', UNKNOWN),
    ("200 OK", b'{"sessionId": 1.5}', UNKNOWN),
    ("200 OK", b'{"sessionId": ["4711"]}', UNKNOWN),
    ("200 OK", b'{"sessionId": ".."}', UNKNOWN),
    ("200 OK", b'{"sessionId": "a b"}', UNKNOWN),
    ("200 OK", b'{"sessionId": %s}' % (b"9" * 5000), UNKNOWN),
    ("200 OK", b'{"sessionId": "%s"}' % (b"9" * 5000), UNKNOWN),
    ("200 OK", b'{"sessionId": "47', UNKNOWN),
    ("200 OK", b'{"sessionId": "\xff"}', UNKNOWN),
    ("200 OK", b"[" * 100_000, UNKNOWN),
    ("200 OK", b"<!DOCTYPE html><title>Welcome to the hotel</title>", UNKNOWN),
    ("201 Created", b'{"sessionId": "4711"}', UNKNOWN),
    ("204 No Content", b"", UNKNOWN),
    ("301 Moved", b"", UNKNOWN),
    ("400 Bad Request", b'{"name": "x", "message": "empty"}', REJECTED),
    ("401 Unauthorized", b"", HOLD),
    ("402 Payment Required", b"", HOLD),
    ("403 Forbidden", b"", HOLD),
    ("404 Not Found", b"", HOLD),
    ("405 Method Not Allowed", b"", HOLD),
    ("406 Not Acceptable", b"", UNKNOWN),
    ("407 Proxy Authentication Required", b"", NUMBER_REJECTED),
    ("408 Request Timeout", b"", UNKNOWN),
    ("409 Conflict", b"", UNKNOWN),
    ("413 Too Large", b"", REJECTED),
    ("415 Unsupported", b"", HOLD),
    ("429 Too Many Requests", b"", LATER),
    ("500 Internal Server Error", b"", UNKNOWN),
    ("502 Bad Gateway", b"", UNKNOWN),
    ("503 Unavailable", b"", UNKNOWN),
    ("504 Gateway Timeout", b"", UNKNOWN),
    ("600 Odd", b"", UNKNOWN),
    ("999 Odd", b"", UNKNOWN),
]


@pytest.mark.parametrize(("status", "body", "expected"), TABLE)
def test_each_answer_has_its_outcome(status: str, body: bytes, expected: Outcome) -> None:
    """The answer to a whole request decides as the design's table says."""
    with RawServer(answering(status, body)) as server:
        answer = submit(server.url)
        assert len(server.calls) == 1
    assert answer.outcome is expected
    assert answer.status == int(status[:3])
    assert (answer.session_id is not None) == (expected is ACCEPTED)


def test_the_table_holds_what_the_design_says() -> None:
    """Of all statuses, only those in the design's table mean HOLD or LATER."""
    outcomes = {status: decide(PostResult(status)) for status in range(100, 1000)}
    assert {s for s, o in outcomes.items() if o is HOLD} == {401, 402, 403, 404, 405, 415}
    assert {s for s, o in outcomes.items() if o is LATER} == {429}
    assert {s for s, o in outcomes.items() if o is REJECTED} == {400, 413}
    assert {s for s, o in outcomes.items() if o is NUMBER_REJECTED} == {407}
    assert {o for s, o in outcomes.items() if o is ACCEPTED} == set()
    assert decide(PostResult(503, retry_after=1.0)) is LATER
    assert decide(PostResult(500, retry_after=1.0)) is UNKNOWN
    assert decide(PostResult(None)) is UNKNOWN
    assert decide(PostResult(None, handed_over=False)) is LATER
    assert len({text for text, _, _ in OUTCOMES}) == len(OUTCOMES)


def test_a_proxy_that_wants_a_login_is_not_the_numbers_fault() -> None:
    """A 407 with Proxy-Authenticate holds the queue, with advice about the proxy."""
    with RawServer(answering("407 X", b"", 'Proxy-Authenticate: Basic realm="x"')) as server:
        answer = submit(server.url)
    assert answer.outcome is HOLD
    assert answer.words == "the proxy asks for a login (407)"
    assert "HTTPS_PROXY" in answer.advice


@pytest.mark.parametrize(
    ("status", "header", "outcome", "seconds"),
    [
        ("429 X", "Retry-After: 7", LATER, 7.0),
        ("429 X", "Retry-After: 0", LATER, 1.0),
        ("429 X", "Retry-After: -5", LATER, None),
        ("429 X", "Retry-After: soon", LATER, None),
        ("429 X", "Retry-After: 1e3", LATER, None),
        ("429 X", "Retry-After: " + "9" * 5000, LATER, 3600.0),
        ("429 X", "Retry-After: Wed, 21 Oct 2015 07:28:20 GMT", LATER, 20.0),
        ("429 X", "Retry-After: Wed, 21 Oct 2015 07:27:00 GMT", LATER, 1.0),
        ("429 X", "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", LATER, 3600.0),
        ("429 X", "Retry-After: Fri, 31 Dec 99999 23:59:59 GMT", LATER, None),
        ("503 X", "Retry-After: 120", LATER, 120.0),
        ("503 X", "Retry-After: Wed, 21 Oct 2015 07:28:20 GMT", LATER, 20.0),
        ("503 X", "Retry-After: soon", UNKNOWN, None),
        ("500 X", "Retry-After: 9", UNKNOWN, 9.0),
    ],
)
def test_retry_after_is_read_in_both_forms(
    status: str, header: str, outcome: Outcome, seconds: float | None
) -> None:
    """Retry-After counts in seconds or as a date by the server's own clock, within bounds."""
    date = "Date: Wed, 21 Oct 2015 07:28:00 GMT"
    with RawServer(answering(status, b"", header, date)) as server:
        answer = submit(server.url)
    assert (answer.outcome, answer.retry_after) == (outcome, seconds)


def test_words_are_fit_for_people() -> None:
    """A server's words are shown on one short line, without control characters or secrets."""
    said = f"no \x1b[31m{TOKEN}\r\n {LOGIN.decode()} " + "so " * 200
    body = json.dumps({"name": "bad_request", "message": said}).encode()
    with RawServer(answering("401 Unauthorized", body)) as server:
        answer = submit(server.url)
    assert answer.words.startswith(
        "sipgate refused the token (401): no [31m[redacted] [redacted] so "
    )
    assert len(answer.words) < 300
    assert answer.words.isprintable()
    assert "TOKEN_ID" in answer.advice
    for body, words in (
        (b"plain words", "sipgate rejected the request (400): plain words"),
        (b"<html>x</html>", "sipgate rejected the request (400)"),
        (b'{"message": {"a": 1}}', "sipgate rejected the request (400)"),
        (b"[" * 100_000, "sipgate rejected the request (400)"),
        (b"\xff\x00", "sipgate rejected the request (400): \ufffd"),
        (
            b"see https://sipgate.de/report?key=1",
            "sipgate rejected the request (400): see [redacted]",
        ),
        (b"no " + base64.b64encode(SMALL * 2), "sipgate rejected the request (400): no [redacted]"),
    ):
        with RawServer(answering("400 Bad Request", body)) as server:
            assert submit(server.url).words[:80].startswith(words[:80])


def test_the_token_follows_no_redirect() -> None:
    """A redirect is not followed, nor is its body read, wherever it points."""

    def endless(call: Call) -> None:
        call.read()
        call.send(f"HTTP/1.1 307 X\r\nLocation: {elsewhere.url}/x\r\n\r\n".encode())
        while True:
            call.send(b"x" * 65536)

    with RawServer(taking) as elsewhere, RawServer(endless) as server, Elapsed(PATIENCE):
        assert submit(server.url).outcome is UNKNOWN
        with sipgate(server.url) as client, pytest.raises(Unreachable) as caught:
            client.account()
        assert caught.value.answer.outcome is LATER
        assert elsewhere.calls == []


def test_netrc_and_cookies_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .netrc does not replace the token, and a cookie never comes back."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    setting = answering("200 OK", b'{"sub": "w0", "items": []}', "Set-Cookie: a=b; Path=/")
    with RawServer(setting) as server, sipgate(server.url) as client:
        client.account()
        assert len(server.calls) == 4
        for call in server.calls:
            assert LOGIN in call.head
            assert b"cookie" not in call.head.lower()


# What is asked

SINCE = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=timezone(timedelta(hours=1)))
SENT = {
    "id": "1001",
    "type": "FAX",
    "direction": "OUTGOING",
    "target": "+492111234567",
    "faxStatusType": "SENT",
    "created": "2026-01-02T03:04:05Z",
    "pageCount": 2,
    "connectionIds": ["f0"],
    "archived": False,
    "reportUrl": "https://elsewhere.example/secret",
}
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENTRY = Entry("1001", "+492111234567", "SENT", CREATED, 2, ("f0",), archived=False)


def listing(*entries: Any, total: Any = None) -> Behaviour:
    """Return the behaviour of answering with a list."""
    page = {"items": list(entries), "totalCount": len(entries) if total is None else total}
    return answering("200 OK", json.dumps(page).encode())


def test_the_history_is_asked_as_documented() -> None:
    """One request names types, directions, lines (repeated keys), time, archive and limit."""
    with RawServer(listing(SENT)) as server, sipgate(server.url) as client:
        found = client.history(faxlines=["f1", "f0", "f1"], since=SINCE, archived=True)
        (call,) = server.calls
    assert call.head.split(b"\r\n")[0] == (
        b"GET /v2/history?types=FAX&directions=OUTGOING&directions=MISSED_OUTGOING"
        b"&connectionIds=f0&connectionIds=f1&from=2026-01-02T02%3A04%3A05Z&archived=true"
        b"&limit=1000&offset=0 HTTP/1.1"
    )
    assert b"Authorization: Basic " + LOGIN in call.head
    assert found == [ENTRY]
    assert found.complete


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": 1001}, {}),
        ({"faxStatusType": "WHATEVER"}, {"status": "WHATEVER"}),
        ({"faxStatusType": None}, {"status": ""}),
        ({"faxStatusType": ["SENT"]}, {"status": ""}),
        ({"faxStatusType": "x" * 5000}, {"status": ""}),
        ({"faxStatusType": "https://sipgate.de/report?key=1"}, {"status": ""}),
        (
            {"created": "2026-01-02T04:04:05.500+01:00"},
            {"created": CREATED + timedelta(milliseconds=500)},
        ),
        ({"pageCount": "2"}, {"pages": None}),
        ({"pageCount": -1}, {"pages": None}),
        ({"pageCount": 0}, {"pages": None}),
        ({"pageCount": True}, {"pages": None}),
        ({"pageCount": 10**30}, {"pages": None}),
        ({"connectionIds": None}, {"faxlines": ()}),
        ({"connectionIds": [1]}, {"faxlines": ()}),
        ({"connectionIds": ["f0", "f1"]}, {"faxlines": ("f0", "f1")}),
        ({"archived": True}, {"archived": True}),
        ({"archived": "no"}, {}),
        ({"type": None, "direction": None}, {}),
        ({"new": {"field": [1]}}, {}),
    ],
)
def test_an_odd_field_spoils_no_entry(change: dict[str, Any], expected: dict[str, Any]) -> None:
    """A field of a wrong type counts as not given; an unknown status stays as it is."""
    wanted = Entry(**{**vars(ENTRY), **expected})
    with RawServer(listing(SENT | change)) as server, sipgate(server.url) as client:
        found = client.history(faxlines=["f0"], since=SINCE)
        assert found == [wanted]
        assert found.complete


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"created": "yesterday"}, {"created": None}),
        ({"created": 1767323045}, {"created": None}),
        ({"created": "0001-01-01T00:00:00+14:00"}, {"created": None}),
        ({"target": 49}, {"target": ""}),
    ],
)
def test_an_entry_without_time_or_number(change: dict[str, Any], expected: dict[str, Any]) -> None:
    """An unreadable entry may be anybody's, so the list no longer proves what is *not* there."""
    wanted = Entry(**{**vars(ENTRY), **expected})
    with RawServer(listing(SENT | change)) as server, sipgate(server.url) as client:
        found = client.history(faxlines=["f0"], since=SINCE)
        assert found == [wanted]
        assert not found.complete


@pytest.mark.parametrize("bad", [None, 5, "x", [], {}, {"id": None}, {"id": ""}, {"id": True}])
def test_a_bad_entry_spoils_no_list(bad: Any) -> None:
    """What cannot be read is left out, and the list no longer shows what is *not* there."""
    with RawServer(listing(bad, SENT)) as server, sipgate(server.url) as client:
        found = client.history(faxlines=["f0"], since=SINCE)
    assert found == [ENTRY]
    assert not found.complete


def test_what_was_not_asked_for_is_left_out() -> None:
    """Incoming faxes and calls are no faxes of ours, should a server ignore the filters."""
    others = (SENT | {"id": "2", "direction": "INCOMING"}, SENT | {"id": "3", "type": "CALL"})
    with RawServer(listing(*others, SENT, SENT)) as server, sipgate(server.url) as client:
        found = client.history(faxlines=["f0"], since=SINCE)
    assert found == [ENTRY]


def pages_of(total: Any, *pages: list[str]) -> list[Behaviour]:
    """Return the behaviours of answering with one page of ids after the other."""
    return [listing(*(SENT | {"id": each} for each in page), total=total) for page in pages]


@pytest.mark.parametrize(
    ("total", "pages", "ids", "complete"),
    [
        (5, [["1", "2"], ["3", "4"], ["5"]], "12345", True),
        (4, [["1", "2"], ["3", "4"]], "1234", True),
        (4, [["1", "2"], ["2", "3"]], "123", False),  # something moved between the pages
        (4, [["1", "2"], []], "12", False),
        (9, [["1", "2"], ["1", "2"], ["3"]], "12", False),
        (0, [["1", "2"]], "12", True),
        (0, [[]], "", True),
        ("many", [["1", "2"], ["3"]], "123", True),
        (-1, [["1", "2"], []], "12", True),
    ],
)
def test_a_long_history_comes_in_pages(
    total: Any,
    pages: list[list[str]],
    ids: str,
    complete: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Pages are asked for while there are more; only what came whole is called complete."""
    with RawServer(*pages_of(total, *pages)) as server, sipgate(server.url) as client:
        found = client.history(faxlines=["f0"], since=SINCE, limit=2)
        offsets = [call.head.split(b"offset=")[1].split(b" ")[0] for call in server.calls]
    assert "".join(entry.session_id for entry in found) == ids
    assert found.complete is complete
    assert offsets == [b"%d" % (2 * number) for number in range(len(offsets))]


def test_a_history_without_end_ends() -> None:
    """A server that always claims to have more is given up after a hundred requests."""
    count = iter(range(10**6))

    def behave(call: Call) -> None:
        listing(SENT | {"id": str(next(count))}, total=2_000_000_000)(call)

    with RawServer(behave) as server, sipgate(server.url) as client:
        found = client.history(faxlines=["f0"], since=SINCE)
        assert len(server.calls) == 100
    assert len(found) == 100
    assert not found.complete


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        ("401 X", (), HOLD),
        ("402 X", (), HOLD),
        ("403 X", (), HOLD),
        ("404 X", (), HOLD),
        ("405 X", (), HOLD),
        ("415 X", (), HOLD),
        ("407 X", ("Proxy-Authenticate: Basic",), HOLD),
        ("407 X", (), LATER),
        ("400 X", (), LATER),
        ("413 X", (), LATER),
        ("429 X", ("Retry-After: 30",), LATER),
        ("302 X", ("Location: http://127.0.0.1:1/",), LATER),
        ("500 X", (), LATER),
        ("503 X", ("Retry-After: 30",), LATER),
        ("201 X", (), LATER),
    ],
)
def test_a_question_without_an_answer(
    status: str, headers: tuple[str, ...], outcome: Outcome
) -> None:
    """What holds a submission also holds a question; anything else is tried later, as told."""
    with (
        RawServer(answering(status, b"", *headers)) as server,
        sipgate(server.url) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.history(faxlines=["f0"], since=SINCE)
    answer = caught.value.answer
    assert (answer.outcome, answer.status) == (outcome, int(status[:3]))
    assert answer.retry_after == (30.0 if "Retry-After: 30" in headers else None)
    assert f"({status[:3]})" in answer.words
    assert answer.advice or outcome is LATER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"items": null}',
        b'{"items": {}}',
        b'{"items": [',
        b'{"items": [%s]}' % (b"9" * 5000),
        b'{"items": ' + b"[" * 100_000,
        b"<html>hotel</html>",
        b'{"items": [], "x": "\xff"}',
    ],
)
def test_an_unreadable_history_is_for_later(body: bytes) -> None:
    """Nothing is concluded from garbage in place of a list."""
    with (
        RawServer(answering("200 OK", body)) as server,
        sipgate(server.url) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.history(faxlines=["f0"], since=SINCE)
    assert caught.value.answer.outcome is LATER
    assert caught.value.answer.words == "sipgate's answer cannot be read (200)"


def test_a_history_that_inflates_is_cut_off() -> None:
    """A list that inflates without bounds takes no memory, and nothing is concluded from it."""
    body = gzip.compress(b'{"items": [' + b" " * 300_000_000)
    bomb = answering("200 OK", body, "Content-Encoding: gzip")
    with RawServer(bomb) as server, sipgate(server.url) as client, Elapsed(PATIENCE):
        tracemalloc.start()
        try:
            with pytest.raises(Unreachable):
                client.history(faxlines=["f0"], since=SINCE)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 64_000_000


def test_no_server_no_answer() -> None:
    """A closed port means later; an impossible address holds the queue."""
    with sipgate(f"http://127.0.0.1:{closed_port()}/v2") as client:
        with pytest.raises(Unreachable, match="Connection refused") as caught:
            client.account()
        assert caught.value.answer.outcome is LATER
    with sipgate("https://a..b/v2") as client, pytest.raises(Unreachable) as caught:
        client.entry("1")
    assert caught.value.answer.outcome is HOLD


def test_one_entry_is_asked_for() -> None:
    """An entry comes by its id; 400 and 404 mean that it is not there (yet)."""
    with (
        RawServer(
            answering("200 OK", json.dumps(SENT).encode()),
            answering("400 Bad Request"),
            answering("404 Not Found"),
            answering("200 OK", json.dumps(SENT | {"id": "../1"}).encode()),
            answering("200 OK", json.dumps(SENT).encode()),
        ) as server,
        sipgate(server.url) as client,
    ):
        assert client.entry("1001") == ENTRY
        assert client.entry("1001") is None
        assert client.entry("1001") is None
        assert client.entry("../1") is not None
        with pytest.raises(Unreachable):
            client.entry("1002")  # that is not the one
        assert server.calls[0].head.startswith(b"GET /v2/history/1001 HTTP/1.1\r\n")
        assert server.calls[3].head.startswith(b"GET /v2/history/..%2F1 HTTP/1.1\r\n")


def test_the_account_is_reported() -> None:
    """The report names the user, all fax lines with the right to send, and the balance."""
    lines = {"items": [{"id": "f0", "alias": "Front", "canSend": True}, {"id": 7}, {"id": "f1"}]}
    group = {
        "items": [{"id": "f0", "canSend": False}, {"id": "f9", "alias": None, "canSend": True}]
    }
    with (
        RawServer(
            answering("200 OK", b'{"sub": "w0"}'),
            answering("200 OK", json.dumps(lines).encode()),
            answering("200 OK", json.dumps(group).encode()),
            answering("200 OK", b'{"amount": 186378, "currency": "EUR"}'),
        ) as server,
        sipgate(server.url) as client,
    ):
        assert client.account() == AccountReport(
            "w0",
            (
                AccountFaxline("f0", "Front", can_send=True),
                AccountFaxline("f1", "", can_send=False),
                AccountFaxline("f9", "", can_send=True),
            ),
            Decimal("18.6378"),
            "EUR",
        )
        assert [call.head.split()[1] for call in server.calls] == [
            b"/v2/authorization/userinfo",
            b"/v2/w0/faxlines",
            b"/v2/groupfaxlines",
            b"/v2/balance",
        ]


def test_what_a_token_may_not_see_is_not_known() -> None:
    """A 403 on a part of the account leaves that part out; the token itself must be good."""
    user = answering("200 OK", b'{"sub": "w0"}')
    with RawServer(user, answering("403 X")) as server, sipgate(server.url) as client:
        assert client.account() == AccountReport("w0", None, None, None)
    empty = answering("200 OK", b'{"items": []}')
    with RawServer(user, empty, answering("403 X")) as server, sipgate(server.url) as client:
        assert client.account().faxlines == ()
    for bad in (b"{}", b'{"sub": "../w0"}', b'{"sub": 0}', b""):
        with (
            RawServer(answering("200 OK", bad)) as server,
            sipgate(server.url) as client,
            pytest.raises(Unreachable),
        ):
            client.account()
    for amount in (b'"a"', b"null", b"1e400", b"NaN", b"9" * 5000, b"true"):
        answers = (user, empty, empty, answering("200 OK", b'{"amount": %s}' % amount))
        with RawServer(*answers) as server, sipgate(server.url) as client:
            assert client.account().balance is None


def test_the_clocks_are_compared() -> None:
    """The offset of sipgate's clock is known from the first good answer, and from no other."""
    date = "Date: Fri, 02 Jan 2026 03:04:05 GMT"
    behaviours = (
        answering("500 X", b"", "Date: Fri, 02 Jan 2015 03:04:05 GMT"),
        answering("200 OK", b'{"sessionId": 1}', "Date: nonsense"),
        answering("200 OK", b'{"sessionId": 1}', date),
    )
    known: list[float | None] = []
    with (
        RawServer(*behaviours) as server,
        sipgate(server.url, clock=lambda: CREATED.timestamp() - 7.5) as client,
    ):
        for _ in behaviours:
            client.submit(
                faxline="f0",
                recipient="+49",
                filename="x",
                document=io.BytesIO(SMALL),
                size=len(SMALL),
                sha256=hashlib.sha256(SMALL).hexdigest(),
            )
            known.append(client.clock_offset)
    assert known == [None, None, 7.5]


def test_nothing_that_is_shown_holds_the_token() -> None:
    """Neither the client nor its errors give the token away."""
    with RawServer(answering("401 X", TOKEN.encode() + b" " + LOGIN)) as server:
        client = sipgate(server.url)
        with pytest.raises(Unreachable) as caught:
            client.account()
        client.close()
    for text in (repr(client), repr(caught.value), str(caught.value), repr(caught.value.answer)):
        assert TOKEN not in text
        assert LOGIN.decode() not in text
