"""The log: events with dotted names and data, for people on a terminal, as JSON lines elsewhere.

systemd's journal stamps its lines; elsewhere a line has its own time, on a terminal in local time.
No secret leaves here, whoever logged it: not under a telling key, not as a known value, and not in
the address of a report. A log that cannot be written stops nothing.
"""

import contextlib
import logging
import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache, partial
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from faxdrop.names.printable import shown
from faxdrop.names.redaction import IN_EVENTS, REDACTED, redacted, spellings

_SECRET_KEY = re.compile(
    "token|secret|passw|authorization|cookie|credential|base64|(report|document|preview)_?url",
    re.IGNORECASE,
)
_SUSPECT = re.compile(r"basic|bearer|https?://", re.IGNORECASE)  # IN_EVENTS begins with these
_LARGEST = 2**63  # numbers beyond it, and NaN, go as text: no reader of JSON need know them
_WIDEST = 16  # characters of an event's name on a terminal
_COLOURS = {"warning": 33, "error": 31, "critical": 31}  # ECMA-48
_DEEPEST = 6  # levels of data; what lies deeper is cut


def configure(
    stream: TextIO, *, secrets: Collection[str] = (), environ: Mapping[str, str] = os.environ
) -> None:
    """Send all events to ``stream``, and the warnings of the libraries with them.

    ``secrets`` are values that must never appear. May be called again, after a reload.
    """
    lines = _Lines(stream)
    _written.by(lines)
    terminal = stream.isatty()
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(
        ensure_ascii=(getattr(stream, "encoding", None) or "utf-8").lower() != "utf-8"
    )
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if terminal:
        renderer = partial(_for_people, {} if environ.get("NO_COLOR") else _COLOURS)
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *(() if _is_journal(stream, environ) else (stamp,)),
            structlog.processors.format_exc_info,
            Redaction(secrets),
            _leading,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,  # a reload brings new secrets
    )
    root = logging.getLogger()
    for ours in [each for each in root.handlers if isinstance(each, _ToEvents)]:
        root.removeHandler(ours)
    root.addHandler(_ToEvents(logging.WARNING))
    for chatty in ("watchdog", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _for_people(
    colours: Mapping[str, int], _logger: WrappedLogger, _name: str, event: EventDict
) -> str:
    """Return an event as a line: when, what, a sentence where there is one, and the data."""
    level, exception = event.pop("level", "info"), event.pop("exception", None)
    when, what = event.pop("timestamp", ""), event.pop("event", "")
    name = f"{what:<{_WIDEST}}"
    if colour := colours.get(level):
        name = f"\x1b[{colour}m{name}\x1b[0m"
    sentences = [str(event.pop(key)) for key in ("words", "advice") if event.get(key)]
    data = [f"{key}={_quoted(value)}" for key, value in event.items() if value is not None]
    line = " ".join([when, name, *(f"{each.rstrip('.')}." for each in sentences), *data])
    return line.rstrip() if exception is None else f"{line.rstrip()}\n{exception}"


def _quoted(value: Any) -> str:
    text = str(value)
    return repr(text) if not text or " " in text else text


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream goes to systemd's journal (systemd.exec(5), JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Redaction:
    """A structlog processor that removes secrets and whatever could control a terminal."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._known = spellings(secrets)
        self._key = lru_cache(maxsize=1024)(self._text)  # keys are few, and come again

    def __call__(self, _logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
        """Return the event as it may leave."""
        return {
            self._key(str(key)): self._value(str(key), value, 0) for key, value in event.items()
        }

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if _is_telling(key):
            return REDACTED
        if value is None or (
            isinstance(value, bool | int | float) and abs(value) < _LARGEST  # and no NaN
        ):
            return value
        if depth < _DEEPEST:
            if isinstance(value, Mapping):
                return {
                    self._text(str(name)): self._value(str(name), inner, depth + 1)
                    for name, inner in value.items()
                }
            if isinstance(value, list | tuple | set | frozenset):
                return [self._value("", inner, depth + 1) for inner in value]
        return self._text(_described(value), lines=key == "exception")

    def _text(self, text: str, *, lines: bool = False) -> str:
        telltales = IN_EVENTS if _SUSPECT.search(text) else ()
        return shown(redacted(text, self._known, telltales), lines=lines)


@lru_cache(maxsize=1024)
def _is_telling(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def _leading(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Put the keys first that people look for first."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return {**first, **event}


def _described(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - an event about trouble must not make more of it
        return f"<{type(value).__name__}>"


class _Lines:
    """Writes lines and never fails: a full disk or a closed pipe costs only the line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._one_at_a_time = threading.Lock()
        self._gathered: list[str] | None = None  # what is written later; None: all is at once

    def msg(self, line: str) -> None:
        """Write a line, whatever its level."""
        with self._one_at_a_time:
            if self._gathered is None:
                self._write([line])
            else:
                self._gathered.append(line)

    def gather(self) -> None:
        """Keep the lines that come."""
        with self._one_at_a_time:
            self._gathered = self._gathered or []

    def write_gathered(self) -> None:
        """Write the lines that were kept, and keep none any more."""
        with self._one_at_a_time:
            gathered, self._gathered = self._gathered, None
            if gathered:
                self._write(gathered)

    def _write(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                self._stream.write(text.encode("ascii", "backslashreplace").decode())
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = exception = fatal = msg


class _Written:
    """Where the lines go now."""

    def __init__(self) -> None:
        self._lines: _Lines | None = None

    def by(self, lines: _Lines) -> None:
        """Have the lines go there from now on."""
        if self._lines is not None:
            self._lines.write_gathered()
        self._lines = lines

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Write all that is logged meanwhile at its end, by one write.

        A thread that writes lets the others go first, and the loop has more to do than they.
        """
        lines = self._lines
        if lines is None:
            yield
            return
        lines.gather()
        try:
            yield
        finally:
            lines.write_gathered()


_written = _Written()
together = _written.together


class _ToEvents(logging.Handler):
    """Makes events of what libraries log: named after the logger, the text as ``message``."""

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on, whatever is wrong with its text."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the library's mistake must not become ours
            message = _described(record.msg)
        structlog.get_logger().log(
            record.levelno, record.name, message=message, exc_info=record.exc_info or None
        )
