"""The simulated account: its fax lines, its balance, and the history of its faxes.

Owns the state behind the simulator's answers and knows nothing of HTTP. Time is passed in; the
status of a fax, and whether the history shows it yet, is computed when somebody looks. One lock
guards everything, so any thread may call. Of a document only SHA-256 and page count are kept.
"""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from faxdrop.simulator.behaviour import Fate

_FAXLINE = re.compile(r"f(0|[1-9][0-9]*)")
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_CITIES = ("30", "40", "69", "89", "221")  # area codes for numbers as people write them


@dataclass(frozen=True, slots=True)
class TakenFax:
    """A fax that was really taken: what sipgate would send and charge."""

    session_id: str
    number: str  # E.164
    faxline: str
    filename: str
    sha256: str  # of the document, hexadecimal; empty where it was no base64
    pages: int  # 0 where the document cannot be read
    at: float  # seconds since 1970
    arrived: float  # when the headers of its request had arrived
    by_hand: bool = False  # on sipgate's web page, not over the API


@dataclass(slots=True)
class SimulatedFaxline:
    """One fax line of the account."""

    id: str
    alias: str = "Simulated fax"
    can_send: bool = True


@dataclass(slots=True)
class Fax:
    """One entry of the history."""

    taken: TakenFax
    fate: Fate
    visible_at: float  # the history shows it from then on
    fresh: int = 0  # GET /history/{id} answers this status up to `fresh_until`
    fresh_until: float = 0.0
    looks: int = 0
    archived: bool = False
    starred: bool = False
    read: bool = True
    note: str = ""

    def status(self, now: float, pace: float) -> str:
        """Return the faxStatusType at a time, each phase taking ``pace`` seconds."""
        phase = 2 if pace <= 0 else min(2, int((now - self.taken.at) // pace))
        if self.fate in (Fate.ODD, Fate.SCHEDULED) and self.looks <= 1:
            phase = min(phase, 1)  # somebody must get to see it
        if self.fate is Fate.SCHEDULED and phase < 2:  # noqa: PLR2004 - phase 2 is final
            return "SCHEDULED"
        if phase < 1:
            return "PENDING"
        if self.fate is Fate.UNREADABLE:
            return "FAILED"
        if phase < 2 or self.fate is Fate.STUCK:  # noqa: PLR2004 - phase 2 is final
            return "TRANSMITTING" if self.fate is Fate.ODD else "SENDING"
        return "FAILED" if self.fate in (Fate.BUSY, Fate.FAILED) else "SENT"


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What GET /history is asked for; an empty tuple or None asks for all."""

    types: Sequence[str] = ()
    directions: Sequence[str] = ()
    connection_ids: Sequence[str] = ()
    number: str | None = None
    since: float | None = None
    until: float | None = None
    archived: bool = False
    starred: bool | None = None

    def admits(self, fax: Fax) -> bool:
        """Whether the fax is asked for. Times are compared as shown, in whole seconds."""
        created = int(fax.taken.at)
        return (
            fax.archived == self.archived
            and (not self.types or "FAX" in self.types)
            and (not self.directions or "OUTGOING" in self.directions)
            and (not self.connection_ids or fax.taken.faxline in self.connection_ids)
            and (self.number is None or fax.taken.number == self.number)
            and (self.since is None or created >= self.since)
            and (self.until is None or created <= self.until)
            and (self.starred is None or fax.starred == self.starred)
        )


class Account:
    """The state. All methods may be called from any thread."""

    def __init__(self, faxlines: Sequence[str], *, pace: float, ledger: Path | None = None) -> None:
        self.faxlines = [SimulatedFaxline(faxline) for faxline in faxlines]
        self.balance = 186378  # in 1/10000 EUR; nothing is taken where it is not above 0
        self.admin = True  # False: the balance is not shown
        self.pace = pace
        self.show_number: Callable[[str], str] = lambda number: number  # how the history has it
        self.show_pages: Callable[[int], int] = lambda pages: pages  # how sipgate counts them
        self.show_report: Callable[[str], str] = lambda url: url  # where reports lie, so it says
        self.downloads = ""  # the address that reports are fetched below
        self._lock = threading.RLock()
        self._faxes: dict[str, Fax] = {}
        self._seen: set[tuple[str, str]] = set()
        self._next_id = 0
        self._ledger = ledger
        if ledger is not None:
            self._read(ledger)

    @property
    def taken(self) -> list[TakenFax]:
        """Every fax that was taken, the oldest first."""
        with self._lock:
            return [fax.taken for fax in self._faxes.values()]

    def first_time(self, number: str, sha256: str) -> bool:
        """Whether this document comes to this number for the first time."""
        key = (number, sha256)
        with self._lock:
            if key in self._seen:
                return False
            self._seen.add(key)
            return True

    def faxline(self, faxline: str) -> SimulatedFaxline | None:
        """Return a fax line, or None where there is none."""
        return next((line for line in self.faxlines if line.id == faxline), None)

    def take(self, fax: Fax) -> None:
        """Take a fax: from now on it is sent, whatever becomes of the answer."""
        with self._lock:
            self._faxes[fax.taken.session_id] = fax
            if self._ledger:
                line = {
                    "taken": asdict(fax.taken),
                    "fate": fax.fate,
                    "visible_at": fax.visible_at,
                }
                with self._ledger.open("a", encoding="utf-8") as ledger:
                    # The line before may have been torn by a crash.
                    ledger.write("\n" + json.dumps(line))

    def new_id(self, now: float) -> str:
        """Return a session id that no earlier run has given away either."""
        with self._lock:
            self._next_id = max(self._next_id + 1, int(now * 1000))
            return str(self._next_id)

    def find(self, session_id: str, now: float) -> Fax | None:
        """Return a fax that the history shows by now."""
        with self._lock:
            fax = self._faxes.get(session_id)
            return fax if fax and fax.visible_at <= now else None

    def archive(self, session_id: str) -> None:
        """Archive an entry. Raises KeyError."""
        with self._lock:
            self._faxes[session_id].archived = True

    def delete(self, session_ids: Sequence[str] | None) -> None:
        """Delete entries; None deletes the whole history, as sipgate does."""
        with self._lock:
            for fax in self._faxes.values():
                if session_ids is None or fax.taken.session_id in session_ids:
                    fax.visible_at = float("inf")

    def change(self, fax: Fax, wish: Mapping[str, object]) -> None:
        """Change what a client may change of an entry; values of a wrong type are left alone."""
        with self._lock:
            if isinstance(note := wish.get("note"), str):
                fax.note = note
            for name in ("archived", "starred", "read"):
                if isinstance(value := wish.get(name), bool):
                    setattr(fax, name, value)

    def history(self, wanted: HistoryFilter, now: float) -> list[Fax]:
        """Return all faxes that the filter admits and the history shows, the newest first."""
        with self._lock:
            found = [
                fax
                for fax in reversed(self._faxes.values())
                if fax.visible_at <= now and wanted.admits(fax)
            ]
        found.sort(key=lambda fax: fax.taken.at, reverse=True)
        return found

    def entry(self, fax: Fax, now: float, *, localise: bool = False) -> dict[str, object]:
        """Return an entry of the history as sipgate shows it."""
        fax.looks += 1
        status = fax.status(now, self.pace)
        taken = fax.taken
        secret = hashlib.sha256(taken.session_id.encode()).hexdigest()[:32]
        folder = f"{self.downloads}/{secret}"
        final = status in ("SENT", "FAILED")
        call = "PICKUP" if status == "SENT" else "BUSY" if fax.fate is Fate.BUSY else "NOPICKUP"
        created = _shown(taken.at)
        entry: dict[str, object] = {
            "id": taken.session_id,
            "source": "+493023125999",
            "target": self.show_number(_at_home(taken.number) if localise else taken.number),
            "sourceAlias": "Simulated fax",
            "targetAlias": "",
            "type": "FAX",
            "created": created,
            "lastModified": created,
            "direction": "OUTGOING",
            "incoming": False,
            "status": call,
            "connectionIds": [taken.faxline],
            "read": fax.read,
            "archived": fax.archived,
            "note": fax.note,
            "endpoints": [
                {"type": "ROUTED", "endpoint": {"extension": taken.faxline, "type": "FAX"}}
            ],
            "starred": fax.starred,
            "labels": [],
            "faxStatusType": status,
            "documentUrl": f"{folder}/fax.pdf",
            "reportUrl": self.show_report(f"{folder}/report.pdf") if final else "",
            "previewUrl": f"{folder}/preview_small_1.jpg",
        }
        if status != "PENDING":
            entry["pageCount"] = self.show_pages(taken.pages)
        return entry

    def has_report(self, secret: str) -> bool:
        """Whether a download address belongs to one of the faxes."""
        return any(
            hashlib.sha256(session_id.encode()).hexdigest()[:32] == secret
            for session_id in list(self._faxes)
        )

    def _read(self, ledger: Path) -> None:
        for fax in _read_ledger(ledger):
            self._faxes[fax.taken.session_id] = fax
            self._next_id = max(self._next_id, int(fax.taken.session_id))
            if fax.fate is Fate.BUSY:
                self._seen.add((fax.taken.number, fax.taken.sha256))


def _read_ledger(ledger: Path) -> Iterator[Fax]:
    """Read what earlier runs took; a line that was torn by a crash is passed over."""
    try:
        lines = ledger.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            record = json.loads(line)
            yield Fax(TakenFax(**record["taken"]), Fate(record["fate"]), record["visible_at"])
        except (ValueError, TypeError, KeyError):
            continue


def is_faxline(value: str) -> bool:
    """Whether it could be the id of a fax line."""
    return _FAXLINE.fullmatch(value) is not None


def read_number(text: str) -> str | None:
    """Read a recipient as sipgate does, E.164 or as dialled in Germany; None where it is none."""
    number = re.sub(r"[ ()/.-]", "", text)
    if number.startswith("00"):
        number = "+" + number[2:]
    elif number.startswith("0"):
        number = "+49" + number[1:]
    return number if _E164.fullmatch(number) else None


def _at_home(number: str) -> str:
    if not number.startswith("+49"):
        return number
    national = number[3:]
    city = next((code for code in _CITIES if national.startswith(code)), national[:4])
    return f"0{city}-{national[len(city) :]}"


def _shown(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
