"""The demo: the real daemon faxes a few documents to the simulator, and one sees what happens.

Only sipgate and the documents, which are made here, are not real. The config that is written for
the demo keeps working with ``faxdrop run --simulate``.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from faxdrop import logs
from faxdrop.config.load import load
from faxdrop.daemon import build as service
from faxdrop.fax.receipt import Receipt
from faxdrop.followers.status_page import PAGE
from faxdrop.setup import specimen
from faxdrop.simulator import Simulator
from faxdrop.spool.places import receipt_of, report_of
from faxdrop.spool.root import Spool
from faxdrop.status.overview import of_job
from faxdrop.words import N_, _, language, listed

CONFIG: Final = """\
# The demo's: everything happens within seconds. See config.example.toml for what else there is.
root = "share"
language = "{language}"

[recipients]
# Of the numbers that are kept free for films; the last digits choose what the simulator does.
"Dr. Müller" = "+49 30 23125 000"
"Finanzamt" = "+49 30 23125 001"    # busy the first time

[inbox]
settle = "500ms"
patience = "5s"

[sending]
delays = ["3s"]
poll_interval = "300ms"
"""

_PACE = 1.8  # seconds that a fax waits at the simulator, and that its sending takes
_STOP_WITHIN = 10.0  # seconds


@dataclass(frozen=True)
class Drop:
    """A document of the demo, and where it is dropped."""

    folder: str
    name: str
    tells: str  # what it shows
    content: bytes = field(repr=False)


_LETTER = specimen.letter(
    ["Sehr geehrte Frau Dr. Müller,", "", "anbei der Befund, wie besprochen.", "", "Grüße"],
    ["Befund", "", "Es ist alles in Ordnung."],
)

DROPS: Final = (
    Drop("Dr. Müller", "letter.pdf", N_("a letter of two pages"), _LETTER),
    Drop(
        "Labor Nord +493023125030",
        "form.pdf",
        N_("a form, which sipgate could not fax as it is"),
        specimen.form(["Anforderung einer Untersuchung"], label="Name", value="Erika Mustermann"),
    ),
    Drop(
        "Finanzamt",
        "tax return.pdf",
        N_("the line is busy at first"),
        specimen.letter(["Steuererklärung"]),
    ),
    Drop("+49 30 23125 005", "invoice.pdf", N_("no fax number"), specimen.letter(["Rechnung"])),
    Drop(
        "Dr. Müller",
        "half a scan.pdf",
        N_("the scanner's cable was pulled"),
        specimen.half(_LETTER),
    ),
)
TOLD_IN_FULL: Final = DROPS[2]
"""The document whose receipt is shown at the end: it has the longest story."""


@dataclass(frozen=True)
class DemoRow:
    """The state of a document at one moment."""

    drop: Drop
    words: str
    filed: Path | None  # in sent/ or failed/; None while it is on its way
    status: str | None  # sent, failed


class Demo:
    """A running demo below a folder; see ``running``."""

    def __init__(self, folder: Path, simulator: Simulator, spool: Spool) -> None:
        self.folder = folder
        self.simulator = simulator
        self.spool = spool

    def drop(self) -> None:
        """Drop all documents, as people do."""
        for one in DROPS:
            path = self.spool.inbox / one.folder / one.name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(one.content)

    def rows(self) -> list[DemoRow]:
        """Return the state of every document now."""
        now = datetime.now(UTC)
        on_their_way = {
            (job.folder, job.name): of_job(job, now, running=True) for job in self.spool.jobs.all()
        }
        return [
            DemoRow(one, on_their_way[one.folder, one.name].words, None, None)
            if (one.folder, one.name) in on_their_way
            else self._filed(one)
            for one in DROPS
        ]

    def receipt(self, drop: Drop) -> Path | None:
        """Return the path of a document's receipt, None if there is none yet."""
        for top in (self.spool.sent, self.spool.failed):
            path = top / drop.folder / receipt_of(drop.name)
            if path.is_file():
                return path
        return None

    @property
    def page(self) -> Path:
        """The status page."""
        return self.spool.root / PAGE

    def report(self, drop: Drop) -> Path | None:
        """Return the path of a document's report, None if there is none."""
        receipt = self.receipt(drop)
        path = receipt.with_name(report_of(drop.name)) if receipt else None
        return path if path is not None and path.is_file() else None

    def page_is_current(self) -> bool:
        """Return whether the status page shows every filed document."""
        try:
            page = self.page.read_text("utf-8")
        except OSError:
            return False
        filed = [row.filed.relative_to(self.spool.root) for row in self.rows() if row.filed]
        return all("/".join(quote(part, safe="") for part in path.parts) in page for path in filed)

    def _filed(self, one: Drop) -> DemoRow:
        path = self.receipt(one)
        filed = path.with_name(one.name) if path else None
        if path is None or filed is None or not filed.exists():
            return DemoRow(one, _("in the inbox"), None, None)
        receipt = Receipt.model_validate_json(path.read_bytes())
        words = _story(receipt)
        return DemoRow(one, words, filed, receipt.status)


def _story(receipt: Receipt) -> str:
    if receipt.reason is not None:
        return _("failed: {message}").format(message=receipt.reason.message)
    changes = receipt.document.changes
    parts = [_("sent")]
    if changes:
        words = [_(each) for each in changes]
        parts.append(_("as a {changes} copy").format(changes=listed(words)))
    tried = len(receipt.attempts)
    if tried > 1:
        ordinal = _(_ORDINALS.get(tried, "")) or f"{tried}."
        parts.append(_("at the {ordinal} attempt").format(ordinal=ordinal))
    return ", ".join(parts)


_ORDINALS = {2: N_("second"), 3: N_("third")}


@contextmanager
def running(folder: Path) -> Iterator[Demo]:
    """Run the daemon below an empty folder, against a simulator; it ends with the context.

    Call it in the main thread. Raises SpoolError and OSError.
    """
    path = folder / "config.toml"
    path.write_text(CONFIG.replace("{language}", language()), "utf-8")
    path.chmod(0o640)
    (folder / "share").mkdir()
    with (folder / "faxdrop.log").open("w", encoding="utf-8") as log:
        logs.configure(log)
        config = load(path, {}, simulate=True)
        with Simulator(pace=_PACE, ledger=service.ledger_of(config)) as simulator:
            config = service.with_simulator(config, simulator)
            with service.daemon_of(config, simulated=True) as daemon:
                daemon.start()
                thread = threading.Thread(target=daemon.run, name="daemon")
                thread.start()
                try:
                    yield Demo(folder, simulator, Spool(config.root))
                finally:
                    daemon.stop()
                    thread.join(_STOP_WITHIN)
