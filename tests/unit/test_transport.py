"""Networks and servers that fail: what is known of a submission then, and what it costs."""

import base64
import contextlib
import gc
import gzip
import hashlib
import http.client
import io
import json
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from requests import exceptions as re_
from urllib3 import exceptions as u3

from faxdrop.sipgate import Outcome, Withheld, connection
from tests.kit.rawserver import (
    LARGE,
    LOGIN,
    SMALL,
    Behaviour,
    Call,
    Elapsed,
    RawServer,
    answering,
    closed_port,
    outcome_of,
    sipgate,
    submit,
    taking,
)
from tests.kit.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("no_proxies")

ACCEPTED, REJECTED, NUMBER_REJECTED = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NUMBER_REJECTED
HOLD, LATER, UNKNOWN = Outcome.HOLD, Outcome.LATER, Outcome.UNKNOWN


# How the network fails


class Gated(io.BytesIO):
    """A document whose end is seen only when the server has done something."""

    def __init__(self, data: bytes, gate: threading.Event) -> None:
        super().__init__(data)
        self._gate = gate

    def read(self, size: int | None = -1, /) -> bytes:
        """Wait before the end is known."""
        piece = super().read(size)
        if not piece or size == 1:
            assert self._gate.wait(PATIENCE)
        return piece


def close_with_reset(call: Call) -> None:
    """Break the connection hard."""
    call.reset()


def close_politely(call: Call) -> None:
    """End the connection where nothing is left unread."""
    call.sock.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("end", [close_with_reset, close_politely])
@pytest.mark.parametrize("size", [100, 200_000])
def test_a_connection_that_breaks_before_the_last_byte_is_no_submission(
    end: Behaviour, size: int
) -> None:
    """If the server goes away while the last byte is still here, the fax was not taken."""
    gone = threading.Event()

    def behave(call: Call) -> None:
        call.read_head()
        # All of the announced body but its last two bytes, or what was sent before the gate.
        call.read_body(leave=call.length if size == 100 else 70_000)
        end(call)
        gone.set()

    data = LARGE[:size]
    with RawServer(behave) as server:
        answer = submit(server.url, data, document=Gated(data, gone))
    assert answer.outcome is LATER
    assert "while the document was handed over" in answer.words


@pytest.mark.parametrize("end", [close_with_reset, close_politely])
def test_a_connection_that_breaks_in_mid_upload_is_no_submission(end: Behaviour) -> None:
    """If the server goes away in the middle of a large body, the fax was not taken."""

    def behave(call: Call) -> None:
        call.read_head()
        call.sock.recv(100_000)
        end(call)

    assert outcome_of(behave, data=LARGE) is LATER


@pytest.mark.parametrize("end", [close_with_reset, close_politely])
@pytest.mark.parametrize(
    "part", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"]
)
def test_a_connection_that_breaks_behind_the_last_byte_leaves_the_doubt(
    end: Behaviour, part: bytes
) -> None:
    """If the answer is lost, or a part of it, nobody knows whether the fax was taken."""

    def behave(call: Call) -> None:
        call.read()
        call.send(part)
        end(call)

    assert outcome_of(behave) is UNKNOWN
    assert outcome_of(behave, data=LARGE) is UNKNOWN


def test_an_answer_that_breaks_off_behind_its_json_counts() -> None:
    """A session id that arrived whole is one, even where the connection then breaks."""

    def behave(call: Call) -> None:
        call.read()
        call.send(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"sessionId": 1}')

    assert outcome_of(behave) is ACCEPTED


def outcome_in_time(behave: Behaviour, tls: ssl.SSLContext | None = None) -> Outcome:
    """Return how a submission ends whose answer never does; in time, but handed over whole."""
    for timeout in (1.0, PATIENCE / 4):  # a machine may stand still for longer than a second
        with RawServer(behave, tls=tls) as server, Elapsed(PATIENCE):
            outcome = submit(server.url, timeout=timeout).outcome
        if server.calls and 0 < server.calls[0].length == len(server.calls[0].body):
            break
    return outcome


def test_a_time_out_behind_the_last_byte_leaves_the_doubt() -> None:
    """If no answer comes in time, nobody knows whether the fax was taken."""

    def behave(call: Call) -> None:
        call.read()
        call.wait()

    assert outcome_in_time(behave) is UNKNOWN


def test_an_upload_that_makes_no_progress_is_no_submission() -> None:
    """If the server stops reading, the upload ends, and the fax was not taken."""

    def behave(call: Call) -> None:
        call.read_head()
        call.stop.wait()

    with Elapsed(PATIENCE):
        assert outcome_of(behave, data=LARGE * 2, timeout=0.4) is LATER


def test_an_upload_that_creeps_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that reads ever so slowly does not keep an upload for ever."""
    monkeypatch.setattr(connection, "SLOWEST_UPLOAD", 10**12)

    def behave(call: Call) -> None:
        call.read_head()
        while not call.stop.wait(0.02):
            call.sock.recv(200_000)

    with Elapsed(PATIENCE):
        assert outcome_of(behave, data=LARGE * 2, timeout=0.3) is LATER


# The last byte follows the record


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_the_last_byte_waits_for_the_record(data: bytes) -> None:
    """When the record is written, all of the request is sent but its closing brace."""
    arrived, recorded = threading.Event(), threading.Event()
    seen: list[int] = []

    def behave(call: Call) -> None:
        call.read_head()
        call.read_body(leave=1)
        call.sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            call.body += call.sock.recv(1)
        seen.append(call.length - len(call.body))
        assert call.body.endswith(b'"')
        arrived.set()
        call.sock.settimeout(PATIENCE)
        call.read_body()
        assert recorded.is_set()
        call.answer("200 OK", b'{"sessionId": 1}')

    def record() -> None:
        assert arrived.wait(PATIENCE)
        recorded.set()

    with RawServer(behave) as server:
        answer = submit(server.url, data, before_last=record)
    assert answer.outcome is ACCEPTED
    assert seen == [1]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("a mistake")])
def test_what_is_not_recorded_is_not_handed_over(error: Exception) -> None:
    """If the record fails, the connection ends without the last byte, and the error is raised."""

    def record() -> None:
        raise error

    def behave(call: Call) -> None:
        call.read()
        ended.set()

    ended = threading.Event()
    with RawServer(behave) as server:
        with pytest.raises(Withheld) as raised:
            submit(server.url, before_last=record)
        assert ended.wait(PATIENCE)
        assert len(server.calls[0].body) == server.calls[0].length - 1
    assert raised.value.error is error


def say_408(call: Call) -> None:
    """Tell the client that it was too slow."""
    call.answer("408 Request Timeout")


@pytest.mark.parametrize("end", [close_with_reset, close_politely, say_408])
def test_a_server_that_gives_up_while_the_record_is_written_has_taken_nothing(
    end: Behaviour,
) -> None:
    """A disk that hangs until the server goes away costs another try, and leaves no doubt."""
    gone = threading.Event()

    def behave(call: Call) -> None:
        call.read_head()
        call.read_body(leave=1)
        end(call)
        gone.set()
        call.stop.wait()

    def record() -> None:
        assert gone.wait(PATIENCE)

    with RawServer(behave) as server:
        answer = submit(server.url, before_last=record)
        assert len(server.calls[0].body) == server.calls[0].length - 1
    assert answer.outcome is LATER


def test_a_record_that_takes_longer_than_an_upload_may_leaves_no_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When the time for the upload is over, the last byte stays here."""

    def record() -> None:
        hours_later = SimpleNamespace(monotonic=lambda: time.monotonic() + 7200.0)
        monkeypatch.setattr(connection, "time", hours_later)

    with RawServer(taking) as server:
        answer = submit(server.url, before_last=record)
    assert len(server.calls[0].body) == server.calls[0].length - 1
    assert answer.outcome is LATER


@pytest.mark.parametrize("status", ["401 X", "413 X", "429 X"])
def test_a_refusal_before_the_last_byte_needs_no_record(status: str) -> None:
    """What is refused while it is uploaded is never recorded as submitted."""
    answered = threading.Event()

    def behave(call: Call) -> None:
        call.read_head()
        call.answer(status)
        answered.set()
        call.stop.wait()

    def record() -> None:
        raise AssertionError("recorded")

    with RawServer(behave) as server:
        answer = submit(server.url, LARGE, document=Gated(LARGE, answered), before_last=record)
    assert answer.status == int(status[:3])


def dripped(call: Call, data: bytes) -> None:
    """Answer drop by drop."""
    call.read()
    call.drip(data)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK" + b" " * 5000,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b" " * 5000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 5000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5000,
    ],
)
def test_drips_do_not_stretch_the_time(answer: bytes) -> None:
    """An answer whose head or body drips without end is given up in time, and is a doubt."""
    assert outcome_in_time(lambda call: dripped(call, answer)) is UNKNOWN


def flooding(head: bytes, forever: bytes) -> Behaviour:
    """Return the behaviour of answering without end."""

    def behave(call: Call) -> None:
        call.read()
        call.send(head)
        while True:
            call.send(forever)

    return behave


@pytest.mark.parametrize(
    ("head", "forever"),
    [
        (b"", b"x" * 65536),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nA: ", b"x" * 65536),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"8000\r\n" + b" " * 32768 + b"\r\n",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"f" * 65536),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", b" " * 65536),
    ],
)
def test_floods_do_not_fill_the_memory(head: bytes, forever: bytes) -> None:
    """An answer without end, in whatever part, is given up within time and memory, as a doubt."""
    tracemalloc.start()
    try:
        assert outcome_in_time(flooding(head, forever)) is UNKNOWN
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize("status", ["200 OK", "401 X"])
def test_a_gzip_bomb_does_not_fill_the_memory(status: str) -> None:
    """A small answer that inflates to gigabytes is cut off; the status still counts."""
    bomb = gzip.compress(gzip.compress(b" " * 200_000_000))
    for coding in ("gzip", "gzip, gzip", "deflate", "br", "nonsense"):
        body = gzip.decompress(bomb) if coding == "gzip" else bomb
        with RawServer(answering(status, body, f"Content-Encoding: {coding}")) as server:
            tracemalloc.start()
            try:
                outcome = submit(server.url).outcome
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert outcome is (HOLD if status == "401 X" else UNKNOWN)
        assert peak < 8_000_000


def test_a_compressed_answer_is_read() -> None:
    """An honest gzip answer is understood."""
    body = gzip.compress(b'{"sessionId": "12"}')
    assert outcome_of(answering("200 OK", body, "Content-Encoding: gzip")) is ACCEPTED


def test_an_interim_answer_is_skipped() -> None:
    """A "100 Continue", before or behind the body, and others of its kind change nothing."""

    def behave(call: Call) -> None:
        call.read_head()
        call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        call.read_body()
        call.send(b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n")
        call.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        call.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: close\r\n\r\n" * 2)
        call.answer("200 OK", b'{"sessionId": 5}')

    assert outcome_of(behave) is ACCEPTED
    assert outcome_of(behave, data=LARGE) is ACCEPTED


EARLY = [
    ("413 Too Large", (), REJECTED),
    ("400 Bad Request", (), REJECTED),
    ("401 Unauthorized", (), HOLD),
    ("407 X", (), NUMBER_REJECTED),
    ("407 X", ("Proxy-Authenticate: Basic",), HOLD),
    ("429 X", ("Retry-After: 3",), LATER),
    ("500 X", (), LATER),
    ("503 X", (), LATER),
    ("408 Request Timeout", (), LATER),
    ("302 Found", (), LATER),
    ("201 Created", (), UNKNOWN),
]


@pytest.mark.parametrize("how", ["close", "keep reading", "stop reading"])
@pytest.mark.parametrize(("status", "headers", "expected"), EARLY)
def test_an_early_answer_is_heard(
    status: str, headers: tuple[str, ...], expected: Outcome, how: str
) -> None:
    """An answer that comes while the body is being sent counts, and what could not be is not."""
    answered = threading.Event()

    def behave(call: Call) -> None:
        call.read_head()
        call.answer(status, b"words", *headers)
        answered.set()
        if how == "close":
            return
        if how == "keep reading":
            call.read_body()
        call.stop.wait()

    if status == "201 Created" and how == "keep reading":
        expected = UNKNOWN  # the whole body is sent then
    for timeout in (1.0, PATIENCE / 4):
        answered.clear()
        with RawServer(behave) as server, Elapsed(PATIENCE):
            answer = submit(server.url, LARGE, document=Gated(LARGE, answered), timeout=timeout)
        if answer.status is not None:  # else it gave up before it could be heard
            break
    assert answer.outcome is expected
    assert answer.status == int(status[:3])


def test_a_refusal_ends_the_upload() -> None:
    """A large body is not sent to its end to a server that has already refused it."""
    answered = threading.Event()

    def behave(call: Call) -> None:
        call.read_head()
        call.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        call.answer("413 Too Large")
        answered.set()
        call.read_body()

    with RawServer(behave) as server:
        answer = submit(server.url, LARGE, document=Gated(LARGE, answered))
    assert len(server.calls[0].body) < server.calls[0].length
    assert answer.outcome is REJECTED


def test_an_early_acceptance_is_one() -> None:
    """A 200 that comes before the body was read does not stop the body."""
    answered = threading.Event()

    def behave(call: Call) -> None:
        call.read_head()
        call.send(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"sessionId": 1}')
        answered.set()
        call.read_body()

    with RawServer(behave) as server:
        answer = submit(server.url, LARGE, document=Gated(LARGE, answered))
    assert len(server.calls[0].body) == server.calls[0].length
    assert answer.outcome is ACCEPTED


def test_an_answer_that_is_not_http_leaves_the_doubt() -> None:
    """Garbage after a whole request leaves a doubt; before its end it leaves none."""
    for garbage in (
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\n\n",
    ):

        def behave(call: Call, garbage: bytes = garbage) -> None:
            call.read()
            call.send(garbage)

        assert outcome_of(behave) is UNKNOWN


def test_no_connection_is_no_submission() -> None:
    """An unknown name, a closed port or a TLS that fails: later."""
    for url, words in (
        ("https://nowhere.invalid/v2", "the name nowhere.invalid cannot be looked up"),
        (f"http://127.0.0.1:{closed_port()}/v2", "no connection to 127.0.0.1 (Connection refused)"),
        (
            f"https://127.0.0.1:{closed_port()}/v2",
            "no connection to 127.0.0.1 (Connection refused)",
        ),
    ):
        answer = submit(url)
        assert (answer.outcome, answer.words) == (LATER, words)
        assert answer.status is None


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "ftp://example.org/v2",
        "https://a..b/v2",
        "https://[::1/v2",
        "https://" + "x" * 70 + ".de/v2",
    ],
)
def test_an_address_that_cannot_be_used_holds(url: str) -> None:
    """An address that no try could ever reach holds the queue instead of failing each fax."""
    answer = submit(url)
    assert answer.outcome is HOLD
    assert "base_url" in answer.advice


# TLS


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a self-signed certificate with its key in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = path.with_name("key.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1,DNS:fax.example"]
    files = ["-keyout", str(key), "-out", str(path)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """Return what a TLS server needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the client trust the test's certificate, as an administrator would."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))


def test_an_untrusted_server_gets_nothing(tls: ssl.SSLContext) -> None:
    """A certificate that is not trusted ends the matter before a byte of the request."""
    with RawServer(taking, tls=tls) as server:
        answer = submit(server.url)
        assert [call.head for call in server.calls] == [b""]
    assert answer.outcome is LATER
    assert answer.words == "no trusted connection to 127.0.0.1 (self-signed certificate)"


# ssl leaves a socket that was reset before its handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_server_without_tls_gets_nothing() -> None:
    """A server that answers a TLS greeting with HTTP, with silence or not at all: later."""

    def plain(call: Call) -> None:
        call.sock.recv(1000)
        call.answer("200 OK", b'{"sessionId": 1}')

    for behave in (plain, Call.reset, Call.wait):
        with RawServer(behave) as server, Elapsed(PATIENCE):
            answer = submit(server.url.replace("http:", "https:"), timeout=0.5)
        assert answer.outcome is LATER
    gc.collect()


def test_a_certificate_bundle_that_is_not_there_is_no_submission(
    monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext
) -> None:
    """A set-up without certificates fails before anything is sent, and never turns checks off."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/at/all.pem")
    with RawServer(taking, tls=tls) as server:
        assert submit(server.url).outcome is LATER
        assert server.calls == []


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_over_tls_the_same_holds(tls: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    """Over TLS too, acceptance, breaks before and behind the last byte and refusals are told."""
    tls.minimum_version = tls.maximum_version = version
    with RawServer(taking, tls=tls) as server:
        assert submit(server.url, LARGE).outcome is ACCEPTED
        assert base64.b64decode(json.loads(server.calls[0].body)["base64Content"]) == LARGE

    for end in (close_with_reset, close_politely):
        gone = threading.Event()

        def early(call: Call, end: Behaviour = end, gone: threading.Event = gone) -> None:
            call.read_head()
            call.read_body(leave=70_000)
            end(call)
            gone.set()

        def late(call: Call, end: Behaviour = end) -> None:
            call.read()
            end(call)

        data = LARGE[:200_000]
        with RawServer(early, tls=tls) as server:
            answer = submit(server.url, data, document=Gated(data, gone))
            assert answer.outcome is LATER
        with RawServer(late, tls=tls) as server:
            assert submit(server.url, data).outcome is UNKNOWN

    answered = threading.Event()

    def refuse(call: Call) -> None:
        call.read_head()
        call.answer("413 Too Large")
        answered.set()
        call.stop.wait()

    with RawServer(refuse, tls=tls) as server, Elapsed(PATIENCE):
        assert submit(server.url, LARGE, document=Gated(LARGE, answered)).outcome is REJECTED

    def stop_reading(call: Call) -> None:
        call.read_head()
        call.stop.wait()

    with RawServer(stop_reading, tls=tls) as server:
        assert submit(server.url, LARGE * 2, timeout=0.4).outcome is LATER

    def drip(call: Call) -> None:
        dripped(call, b"HTTP/1.1 200 OK" + b" " * 5000)

    assert outcome_in_time(drip, tls=tls) is UNKNOWN


# Proxies


def test_a_proxy_that_refuses_the_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's 407 holds; any other trouble with it is for later; the token never goes there."""
    for status, expected in (("407 Login", HOLD), ("502 Bad", LATER), ("403 No", LATER)):

        def refuse(call: Call, status: str = status) -> None:
            call.read_head()
            call.answer(status, b"", "Proxy-Authenticate: Basic")

        with RawServer(refuse) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://u:hush@127.0.0.1:{proxy.port}")
            answer = submit("https://fax.example/v2")
            (call,) = proxy.calls
        assert answer.outcome is expected
        assert f"({status[:3]})" in answer.words
        assert "HTTPS_PROXY" in answer.advice
        assert "hush" not in answer.words
        assert call.head.startswith(b"CONNECT fax.example:443 ")
        assert LOGIN not in call.head


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("http://127.0.0.1:{closed}", LATER),
        ("http://nowhere.invalid:3128", LATER),
        ("http://", HOLD),
        ("http://[::1:hush", HOLD),
        ("gopher://127.0.0.1:1", HOLD),
        ("socks5://127.0.0.1:{closed}", HOLD),
    ],
)
def test_a_proxy_that_is_not_there(
    proxy: str, expected: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that cannot be reached is for later; one that cannot be understood holds."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(closed=closed_port()))
    answer = submit("https://fax.example/v2")
    assert answer.outcome is expected
    assert "hush" not in answer.words


def test_a_proxy_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's answer to CONNECT is bounded in time like any other."""

    def behave(call: Call) -> None:
        call.read_head()
        call.drip(b"HTTP/1.0 200 OK" + b" " * 5000)

    with RawServer(behave) as proxy, Elapsed(PATIENCE):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert submit("https://fax.example/v2", timeout=0.5).outcome is LATER


@pytest.mark.usefixtures("trusted")
def test_a_tunnel_carries_a_fax(monkeypatch: pytest.MonkeyPatch, tls: ssl.SSLContext) -> None:
    """Through a proxy the same holds: accepted, and a doubt where the answer is lost."""
    for end, expected in ((taking, ACCEPTED), (Call.read, UNKNOWN)):

        def behave(call: Call, end: Callable[[Call], None] = end) -> None:
            call.read_head()
            call.send(b"HTTP/1.0 200 Connection established\r\n\r\n")
            call.sock = tls.wrap_socket(call.sock, server_side=True)
            end(call)

        with RawServer(behave) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
            assert submit("https://fax.example/v2", LARGE).outcome is expected


def test_loopback_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator on loopback is reached directly, whatever the environment says."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    with RawServer(taking) as server:
        assert submit(server.url).outcome is ACCEPTED
        assert submit(server.url.replace("127.0.0.1", "localhost")).outcome is ACCEPTED


# Errors of every kind

POOL = urllib3.HTTPConnectionPool("example.org")
ERRORS: list[Exception] = [
    *(kind("secret") for kind in (re_.RequestException, re_.ConnectionError, re_.ProxyError)),
    *(kind("secret") for kind in (re_.SSLError, re_.Timeout, re_.ConnectTimeout, re_.ReadTimeout)),
    *(kind("secret") for kind in (re_.InvalidURL, re_.InvalidSchema, re_.MissingSchema)),
    *(kind("secret") for kind in (re_.ChunkedEncodingError, re_.ContentDecodingError)),
    *(kind("secret") for kind in (re_.InvalidHeader, re_.InvalidProxyURL, re_.RetryError)),
    *(kind("secret") for kind in (re_.StreamConsumedError, re_.URLRequired, re_.TooManyRedirects)),
    *(kind("secret") for kind in (u3.HTTPError, u3.SSLError, u3.ProtocolError, u3.DecodeError)),
    *(kind("secret") for kind in (u3.TimeoutError, u3.ConnectTimeoutError, u3.ResponseError)),
    *(kind("secret") for kind in (u3.LocationValueError, u3.LocationParseError, u3.InvalidHeader)),
    *(kind("secret") for kind in (u3.UnrewindableBodyError, u3.TimeoutStateError)),
    *(kind(POOL, "secret") for kind in (u3.PoolError, u3.FullPoolError, u3.ClosedPoolError)),
    u3.ProxyError("secret", OSError("Tunnel connection failed: 407 secret")),
    u3.ReadTimeoutError(POOL, "/", "secret"),
    u3.MaxRetryError(POOL, "/", u3.ProxyError("secret", OSError())),
    u3.MaxRetryError(POOL, "/", None),
    u3.IncompleteRead(1, 2),
    u3.HostChangedError(POOL, "/"),
    u3.ProxySchemeUnknown("secret"),
    u3.NewConnectionError(urllib3.connection.HTTPConnection("x"), "secret"),
    u3.NameResolutionError("x", urllib3.connection.HTTPConnection("x"), socket.gaierror(-2, "s")),
    *(kind("secret") for kind in (http.client.HTTPException, http.client.BadStatusLine)),
    *(kind("secret") for kind in (http.client.RemoteDisconnected, http.client.InvalidURL)),
    *(kind("secret") for kind in (http.client.LineTooLong, http.client.UnknownProtocol)),
    *(kind("secret") for kind in (http.client.CannotSendRequest, http.client.ResponseNotReady)),
    http.client.IncompleteRead(b"secret"),
    ssl.SSLError(1, "secret"),
    ssl.SSLEOFError(8, "secret"),
    ssl.SSLZeroReturnError(6, "secret"),
    ssl.SSLWantReadError(2, "secret"),
    ssl.SSLCertVerificationError(1, "secret"),
    ssl.CertificateError("secret"),
    socket.gaierror(-2, "secret"),
    socket.herror(1, "secret"),
    *(kind("secret") for kind in (OSError, TimeoutError, ConnectionError, InterruptedError)),
    *(
        OSError(number, "secret")
        for number in (4, 5, 9, 11, 12, 22, 24, 28, 32, 104, 110, 111, 113)
    ),
    UnicodeEncodeError("idna", "secret", 0, 1, "secret"),
    UnicodeError("secret"),
    *(kind("secret") for kind in (ValueError, TypeError, KeyError, AttributeError, MemoryError)),
    *(kind("secret") for kind in (RuntimeError, RecursionError, AssertionError, EOFError)),
    *(kind("secret") for kind in (StopIteration, BufferError, ArithmeticError, Exception)),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_no_error_of_whatever_kind_makes_a_second_fax(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same error leaves a doubt after the body's last byte, and none before it."""

    def fail(*_: object, **__: object) -> None:
        raise error

    arrived = threading.Event()

    def behave(call: Call) -> None:
        call.read()
        assert len(call.body) == call.length
        arrived.set()

    with RawServer(behave) as server:
        with monkeypatch.context() as patch:
            patch.setattr(connection._Connection, "connect", fail)  # noqa: SLF001
            before = submit(server.url)
        assert not arrived.is_set()
        with monkeypatch.context() as patch:
            patch.setattr(connection._Connection, "getresponse", fail)  # noqa: SLF001
            behind = submit(server.url)
        assert arrived.wait(PATIENCE)
    assert before.outcome in {LATER, HOLD}
    assert behind.outcome is UNKNOWN
    assert "secret" not in before.words + before.advice + behind.words + behind.advice


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_while_the_last_byte_is_sent_is_a_doubt_unless_the_kernel_refused_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a connection that is known to be gone did not take the last byte."""
    push = connection._Connection._push  # noqa: SLF001

    class Broken:
        """A socket that fails."""

        def settimeout(self, seconds: float) -> None:
            """Do nothing."""

        def send(self, _: bytes) -> int:
            """Fail."""
            raise error

    def fail(self: Any, upload: connection.Upload, piece: memoryview) -> None:
        if bytes(piece) != b"}":
            push(self, upload, piece)
            return
        real, self.sock = self.sock, Broken()
        try:
            push(self, upload, piece)
        finally:
            self.sock = real

    monkeypatch.setattr(connection._Connection, "_push", fail)  # noqa: SLF001

    def behave(call: Call) -> None:
        call.read()

    monkeypatch.setattr(connection, "GRACE_SECONDS", 0.05)
    with RawServer(behave) as server:
        answer = submit(server.url)
    assert answer.outcome is (LATER if isinstance(error, ConnectionError) else UNKNOWN)


def test_an_interruption_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not an Exception (Ctrl-C) passes through; the record on disk then shows the doubt."""

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(connection._Connection, "getresponse", fail)  # noqa: SLF001
    with RawServer(taking) as server, pytest.raises(KeyboardInterrupt):
        submit(server.url)


def test_an_upload_is_sent_once() -> None:
    """Nothing in the libraries can make the same body go out a second time."""
    upload = connection.Upload(
        {"a": "b"}, "c", io.BytesIO(b"x"), 1, hashlib.sha256(b"x").hexdigest()
    )
    assert len(b"".join(upload)) == len(upload)
    with pytest.raises(RuntimeError):
        list(upload)


# Connections


def keeping(*bodies: bytes) -> Behaviour:
    """Return the behaviour of answering one request after the other on one connection."""

    def behave(call: Call) -> None:
        for body in bodies:
            call.read()
            if not call.head:
                return
            call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        call.wait()

    return behave


def test_each_submission_has_a_connection_of_its_own() -> None:
    """A kept-alive connection, which may be dead, is never used for a fax."""
    entry, taken = b'{"id": "1"}', b'{"sessionId": 1}'
    behaviours = (keeping(entry, entry), keeping(taken), keeping(taken))
    with RawServer(*behaviours) as server, sipgate(server.url) as client:
        client.entry("1")
        for _ in range(2):
            answer = client.submit(
                faxline="f0",
                recipient="+49",
                filename="x",
                document=io.BytesIO(SMALL),
                size=len(SMALL),
                sha256=hashlib.sha256(SMALL).hexdigest(),
            )
            assert answer.outcome is ACCEPTED
        client.entry("1")
        assert len(server.calls) == 3


def test_a_slow_answer_does_not_shorten_the_next_ones_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline of one answer is not left behind on a connection that is kept alive."""
    late = 0.0

    def behave(call: Call) -> None:
        nonlocal late
        for _ in range(2):
            call.read()
            late += 400.0
            call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n")
            call.stop.wait(0.2)  # so that it is read by itself
            call.send(b'\r\n{"id": "1"}')

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + late)
    monkeypatch.setattr(connection, "time", clock)
    with RawServer(behave) as server, sipgate(server.url, 10 * PATIENCE) as client:
        assert client.entry("1")
        assert client.entry("1")
        assert len(server.calls) == 1
