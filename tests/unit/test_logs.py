"""The log: readable where people look, JSON where machines do, and secrets in neither."""

import io
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from faxdrop import logs
from faxdrop.names.redaction import REDACTED

TOKEN = "5a0b/f6e8d3c4b7e9a5"  # noqa: S105 - nobody's


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Claim to be one."""
        return True


class Broken(io.StringIO):
    """A stream on a full disk."""

    def write(self, _text: str) -> int:
        """Fail as the system does."""
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Leave no trace of a test in the logging of the next."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    root.handlers[:] = before
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return the events of a stream of JSON lines."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def logged(**data: Any) -> dict[str, Any]:
    """Log one event with this data, and return it as it left."""
    stream = io.StringIO()
    logs.configure(stream, secrets=[TOKEN])
    structlog.get_logger().info("test.event", **data)
    (event,) = events(stream)
    return event


def test_an_event_is_one_line_of_json() -> None:
    """Away from a terminal, an event is one JSON object: time, level and name first, then data."""
    event = logged(folder="Dr. Müller", pages=2, waits=1.5, at=Path("/srv/x"), none=None)
    assert list(event) == ["timestamp", "level", "event", "folder", "pages", "waits", "at", "none"]
    assert event["timestamp"].endswith("Z")
    assert (event["level"], event["event"]) == ("info", "test.event")
    assert (event["folder"], event["pages"], event["at"]) == ("Dr. Müller", 2, "/srv/x")


def test_umlauts_stay_readable_in_json() -> None:
    """A person who greps the journal for a name finds it."""
    stream = io.StringIO()
    logs.configure(stream)
    structlog.get_logger().info("test.event", folder="Dr. Müller")
    assert "Dr. Müller" in stream.getvalue()


def test_a_terminal_gets_a_line_for_people() -> None:
    """On a terminal, an event is a line with its data as key and value, and steers nothing."""
    stream = Terminal()
    logs.configure(stream, secrets=[TOKEN])
    structlog.get_logger().warning("test.event", folder="Labor\x1b[2J\u202e", token=TOKEN)
    line = stream.getvalue()
    assert re.fullmatch(r"\d\d:\d\d:\d\d \x1b\[33mtest\.event +\x1b\[0m .*\n", line)
    assert "\x1b[2J" not in line
    assert "\u202e" not in line
    assert r"Labor\x1b[2J\u202e" in line.replace("\\\\", "\\")
    assert TOKEN not in line


def test_sentences_come_first_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an event says in words is read before its data, an exception comes below."""
    monkeypatch.setenv("TZ", "UTC")
    stream = Terminal()
    logs.configure(stream)
    log = structlog.get_logger()
    log.info("queue.held", words="no money", advice="Top it up.", status=402, folder="Dr. Müller")
    try:
        int("x")
    except ValueError:
        log.exception("loop.failed")
    first, second, *rest = stream.getvalue().splitlines()
    assert first[8:] == " queue.held       no money. Top it up. status=402 folder='Dr. Müller'"
    assert second.endswith("loop.failed     \x1b[0m")
    assert rest[0].startswith("Traceback")


def test_the_journal_stamps_for_itself(tmp_path: Path) -> None:
    """A line to systemd's journal has no time of its own; one to any other place has."""
    stamped = []
    for name in ("journal", "file"):
        with (tmp_path / name).open("w+") as stream:
            status = os.fstat(stream.fileno())
            inode = status.st_ino + (name == "file")
            environ = {"JOURNAL_STREAM": f"{status.st_dev}:{inode}"}
            logs.configure(stream, environ=environ)
            structlog.get_logger().info("test.event")
            stream.seek(0)
            stamped.append("timestamp" in json.loads(stream.read()))
    assert stamped == [False, True]


def test_debug_events_are_left_out() -> None:
    """Events below info are not logged."""
    stream = io.StringIO()
    logs.configure(stream)
    structlog.get_logger().debug("test.event")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "key",
    [
        *("token", "TOKEN_ID", "Authorization", "Set-Cookie", "password", "base64Content"),
        *("reportUrl", "report_url", "documentUrl", "previewUrl"),
    ],
)
def test_a_telling_key_hides_its_value(key: str) -> None:
    """Values under a secret's name are dropped, also deep in an answer."""
    event = logged(**{key: ["hunter22"]}, answer={"items": [{key: "hunter22", "id": 7}]})
    assert "hunter22" not in str(event)
    assert event[key] == REDACTED
    assert event["answer"] == {"items": [{key: REDACTED, "id": 7}]}


@pytest.mark.parametrize(
    "text",
    [
        f"wrong token {TOKEN}!",
        "x?t=5a0b%2Ff6e8d3c4b7e9a5",
        "Authorization: Basic dG9rZW4tQTo1YTBiOWY2ZQ==",
        "got https://reports.example.com/fax/hunter22.pdf from sipgate",
        "got 'https://reports.example.com/hunter22', 3 bytes",
        "at https://me:hunter22@api.sipgate.com/v2",
        "https://reports.example.com?id=hunter22",
    ],
)
def test_a_secret_is_hidden_wherever_it_stands(text: str) -> None:
    """Known values, credentials and addresses of reports vanish from any text, key or list."""
    event = str(logged(text=text, error=ValueError(text), words=[{text: 1}, (text,)]))
    for secret in (TOKEN, "5a0b%2F", "dG9rZW4", "hunter22"):
        assert secret not in event


@pytest.mark.parametrize(
    "address", ["https://api.sipgate.com/v2", "http://127.0.0.1:8099/v2", "https://a.example/"]
)
def test_the_address_of_a_server_is_no_secret(address: str) -> None:
    """Which server faxdrop talks to stays visible."""
    assert logged(text=f"talking to {address}, as told")["text"] == f"talking to {address}, as told"


def test_an_exception_is_logged_without_its_secrets() -> None:
    """A traceback is part of the event, without the secrets in its messages."""
    stream = io.StringIO()
    logs.configure(stream, secrets=[TOKEN])
    try:
        int(TOKEN)
    except ValueError:
        structlog.get_logger().exception("test.failed")
    (event,) = events(stream)
    assert event["level"] == "error"
    assert "ValueError: invalid literal" in event["exception"]
    assert REDACTED in event["exception"]
    assert TOKEN not in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_names_that_are_no_text_can_be_logged(stream: type[io.StringIO]) -> None:
    """Stray bytes of a file name are shown, so that every line is UTF-8."""
    out = stream()
    logs.configure(out)
    structlog.get_logger().info("test.event", name="a\udcffb", **{"k\udcff": 1})
    assert r"\xff" in out.getvalue().encode("utf-8").decode().replace("\\\\", "\\")


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """A full disk, a closed stream and an encoding without umlauts raise nothing."""
    log = structlog.get_logger()
    closed = io.StringIO()
    logs.configure(closed)
    closed.close()
    log.error("test.event")
    logs.configure(Broken())
    log.error("test.event")
    ascii_only = io.TextIOWrapper(io.BytesIO(), "ascii")
    logs.configure(ascii_only)
    log.error("test.event", folder="Müller")
    ascii_only.seek(0)
    assert json.loads(ascii_only.read())["folder"] == "Müller"
    ascii_only.isatty = lambda: True  # type: ignore[method-assign]  # a terminal of old
    logs.configure(ascii_only)
    log.error("test.event", folder="Müller")
    ascii_only.seek(0)
    assert r"M\xfcller" in ascii_only.read()


def test_what_one_turn_logs_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of one turn leave together and in order, also if the turn fails."""
    stream, writes = io.StringIO(), list[str]()
    monkeypatch.setattr(stream, "write", writes.append)
    logs.configure(stream)

    def turn() -> None:
        with logs.together():
            structlog.get_logger().info("first")
            structlog.get_logger().info("second")
            assert not writes
            raise ValueError("a turn that goes wrong")

    with pytest.raises(ValueError, match="goes wrong"):
        turn()
    structlog.get_logger().info("third")
    assert [re.findall("first|second|third", one) for one in writes] == [
        ["first", "second"],
        ["third"],
    ]


def test_what_libraries_warn_of_becomes_an_event() -> None:
    """Warnings of watchdog and urllib3 are events under the library's name; their chat is not."""
    stream = io.StringIO()
    logs.configure(stream, secrets=[TOKEN])
    logs.configure(stream, secrets=[TOKEN])
    for name in ("watchdog.observers", "urllib3.connectionpool"):
        logging.getLogger(name).debug("chat")
        logging.getLogger(name).info("chat")
        logging.getLogger(name).warning("lost %s", TOKEN)
    assert [(event["event"], event["level"]) for event in events(stream)] == [
        ("watchdog.observers", "warning"),
        ("urllib3.connectionpool", "warning"),
    ]
    assert TOKEN not in stream.getvalue()


def test_a_library_that_logs_badly_stops_nothing() -> None:
    """A warning whose arguments do not fit its text is an event with the bare text."""
    stream = io.StringIO()
    logs.configure(stream)
    (ours,) = [each for each in logging.getLogger().handlers if "faxdrop" in type(each).__module__]
    ours.handle(logging.LogRecord("urllib3", 30, "", 0, "bad %d", ("format",), None))
    assert events(stream)[0]["message"] == "bad %d"


class Unspeakable:
    """A value that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError(TOKEN)


def test_a_value_that_cannot_be_shown_stops_nothing() -> None:
    """Values that fail when shown, are endless or are too large are still one event."""
    endless: dict[str, Any] = {}
    endless["again"] = endless
    event = logged(value=Unspeakable(), endless=endless, huge=1 << 100_000, nan=float("nan"))
    assert event["value"] == "<Unspeakable>"
    assert event["nan"] == "nan"
    assert event["huge"] == "<int>"


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(TOKEN),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(TOKEN), inner),
    max_leaves=8,
)


@given(data=st.dictionaries(st.text() | st.sampled_from(["token", TOKEN]), DATA))
def test_no_data_breaks_the_line_or_leaks(data: Mapping[str, Any]) -> None:
    """Any data comes out as JSON without the secret in it."""
    event = dict(data) | {"event": "test.event"}
    line = json.dumps(logs.Redaction([TOKEN])(None, "info", event), allow_nan=False)
    assert TOKEN not in line
