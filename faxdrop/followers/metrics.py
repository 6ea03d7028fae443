"""Figures for Prometheus, as a file for the textfile collector of its node exporter.

Names and units follow Prometheus' conventions; the format is its text exposition 0.0.4. The file is
replaced every minute, by a rename, so its age tells whether faxdrop is alive.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from faxdrop import __version__
from faxdrop.fax.job import FINAL, State
from faxdrop.fax.reasons import ReasonCode
from faxdrop.followers.follower import Follower, FollowerError, Turn
from faxdrop.journal.history import ENDS, reason_of
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Disk
from faxdrop.spool.home import jobs_of
from faxdrop.words import _, of_system

_EVERY: Final = 60.0  # seconds
_SOON: Final = 5.0  # seconds until the loop has said how things stand
_HOLDS: Final = ("submitting", "following", "disk", "intake")


class _Family(NamedTuple):
    name: str
    kind: str
    help: str
    samples: Iterable[tuple[Mapping[str, str], float]]


class Metrics(Follower):
    """Writes the file. It counts from the journal's first line on."""

    name = "metrics"
    gathers = 5.0
    from_start = True

    def __init__(self, root: Path, file: Path, disk: Disk | None = None) -> None:
        self._root = root
        self._file = file
        self._disk = disk or Disk()

    def turn(self, now: Turn) -> float:
        """Count what is new, and write everything."""
        if not now.standing:
            return _SOON
        self._write(now, running=True)
        return _EVERY

    def last(self, now: Turn) -> None:
        """Write that faxdrop no longer runs."""
        if now.standing:
            self._write(now, running=False)

    def _write(self, now: Turn, *, running: bool) -> None:
        counted = _count(now)
        text = "".join(self._lines(_families(now, counted, self._oldest(now.at), running=running)))
        temporary = self._file.with_name(f".{self._file.name}.tmp")  # the collector ignores it
        try:
            temporary.unlink(missing_ok=True)
            fd = self._disk.open_new(temporary)
            try:
                os.fchmod(fd, 0o644)  # another user's program reads it; it holds no secret
                self._disk.write(fd, text.encode())
            finally:
                os.close(fd)
            self._disk.replace(temporary, self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            words = _("{file} could not be written ({why}).")
            why = of_system(error)
            raise FollowerError(words.format(file=self._file, why=why)) from None

    def _lines(self, families: Iterable[_Family]) -> Iterator[str]:
        for family in families:
            yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
            for labels, value in family.samples:
                all_labels = {"root": shown(str(self._root)), **labels}
                written = ",".join(f'{key}="{_escaped(text)}"' for key, text in all_labels.items())
                yield f"{family.name}{{{written}}} {value:.16g}\n"

    def _oldest(self, now: datetime) -> float:
        """Return the age in seconds of the oldest document in the spool; 0: there is none.

        A job's id begins with the second of its claim (UTC).
        """
        try:
            names = os.listdir(jobs_of(self._root))  # noqa: PTH208 - only the names
        except OSError:
            return 0.0
        for name in sorted(names):
            with contextlib.suppress(ValueError):
                claimed_at = datetime.strptime(name[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
                return max(0.0, (now - claimed_at).total_seconds())
        return 0.0


def _count(now: Turn) -> dict[str, Any]:
    """Return the counts up to the journal's end: faxes by outcome, and the last success."""
    state = now.cursor.state
    faxes = dict(state.get("faxes", {}))
    last_success = state.get("last_success", 0.0)
    counted = None
    for line in now.cursor.lines():
        counted = line
        event = line.content.get("event")
        if event in ENDS:
            outcome = event if event == "sent" else str(reason_of(line.content))
            faxes[outcome] = faxes.get(outcome, 0) + 1
        if event == "sent":
            with contextlib.suppress(KeyError, TypeError, ValueError):
                at = datetime.fromisoformat(line.content["finished_at"]).timestamp()
                last_success = max(last_success, at)
    state = {"faxes": faxes, "last_success": last_success}
    if counted is not None:
        now.cursor.done(counted, state)
    return state


def _families(
    now: Turn, counted: Mapping[str, Any], oldest: float, *, running: bool
) -> Iterator[_Family]:
    states = now.standing.get("states", {})
    jobs = {"inbox": now.standing.get("inbox", 0)}
    jobs |= {state.value: states.get(state, 0) for state in State if state not in FINAL}
    held = {hold["what"] for hold in now.standing.get("holds", ())}
    # To Prometheus a series that begins with 1 is no increase, so each begins with 0.
    faxes = {"sent": 0, **dict.fromkeys(map(str, ReasonCode), 0), **counted["faxes"]}
    yield _Family(
        "faxdrop_info", "gauge", "The version that runs.", [({"version": __version__}, 1)]
    )
    yield _Family("faxdrop_up", "gauge", "Whether faxdrop runs.", [({}, running)])
    yield _Family(
        "faxdrop_queue_jobs",
        "gauge",
        "Documents in the inbox and on their way.",
        [({"state": state}, number) for state, number in jobs.items()],
    )
    yield _Family(
        "faxdrop_oldest_document_age_seconds",
        "gauge",
        "How long the oldest document is on its way; 0: there is none.",
        [({}, oldest)],
    )
    yield _Family(
        "faxdrop_held",
        "gauge",
        "Whether something holds all faxes.",
        [({"what": what}, what in held) for what in sorted({*_HOLDS, *held})],
    )
    yield _Family(
        "faxdrop_problems",
        "gauge",
        "Places that faxdrop status names because something is wrong there.",
        [({}, len(now.standing.get("problems", ())))],
    )
    yield _Family(
        "faxdrop_faxes_total",
        "counter",
        "Documents that ended: sent, or the reason why not.",
        [({"outcome": outcome}, number) for outcome, number in sorted(faxes.items())],
    )
    yield _Family(
        "faxdrop_last_success_timestamp_seconds",
        "gauge",
        "When a fax was delivered last; 0: never.",
        [({}, counted["last_success"])],
    )
    yield _Family(
        "faxdrop_journal_lines_total", "counter", "Lines of the journal.", [({}, now.head.seq)]
    )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
