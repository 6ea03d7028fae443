"""The journal's daily work: taking in what was filed before it, retention, witness.

Faxing needs none of it: each is done when there is time, and again if it failed.
"""

import errno
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import requests
import structlog
from pydantic import ValidationError

from faxdrop.fax.receipt import Receipt
from faxdrop.journal import history, retention, witness
from faxdrop.journal.chain import Journal
from faxdrop.journal.files import read_file, walk
from faxdrop.journal.history import ENDS
from faxdrop.journal.lines import EndLine, Head, ended
from faxdrop.journal.retention import Periods
from faxdrop.journal.witness import WitnessError
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Disk
from faxdrop.spool.places import LONGEST_RECEIPT, RECEIPT_SUFFIX
from faxdrop.words import N_, _, of_system
from faxdrop.workers import Bounded

log = structlog.stdlib.get_logger(__name__)

_TAKEN_IN = "taken-in"  # marks a journal that knows what was filed before it
_FARTHEST = 86400.0  # seconds by which our clock may be ahead of sipgate's
_LONGEST = 60.0  # seconds for a time stamp authority, however slowly it drips
_AT_ONCE = 200  # receipts that are taken in together


def _answer_of(url: str, head: Head) -> bytes:
    with requests.Session() as http:
        return witness.ask(url, head, http)


class UpkeepPlan(NamedTuple):
    """The upkeep that the config asks for."""

    periods: Periods = Periods()
    witness_url: str | None = None


class Upkeep:
    """The upkeep of one root's journal. Not thread-safe."""

    def __init__(
        self,
        root: Path,
        journal: Journal,
        wishes: UpkeepPlan,
        *,
        now: Callable[[], datetime],
        disk: Disk,
    ) -> None:
        self._root = root
        self._journal = journal
        self._wishes = wishes
        self._now = now
        self._disk = disk
        self._bounded = Bounded()
        self.problems: dict[str, str] = {}  # what is not as it should be, and why

    def daily(self, clock_offset: float | None = None) -> None:
        """Take in what is older than the journal, remove what is over, ask the witness.

        ``clock_offset``: by how many seconds sipgate's clock is ahead of ours; None: not known yet.
        """
        self._do(N_("taking in"), self._take_in)
        self._do(N_("retention"), partial(self._retain, clock_offset))
        self._do(N_("witness"), self._ask_witness)

    # -- inside -----------------------------------------------------------------------------

    def _do(self, what: str, step: Callable[[], object]) -> None:
        of = _("The journal's upkeep ({what})").format(what=_(what))
        try:
            step()
        except (OSError, WitnessError) as error:
            why = of_system(error) if isinstance(error, OSError) else str(error)
            words = _("failed and is tried again: {why}").format(why=shown(why))
            if self.problems.get(of) != words:
                log.warning("journal.upkeep_failed", what=what, why=str(error))
            self.problems[of] = words
        else:
            self.problems.pop(of, None)

    def _take_in(self) -> None:
        """Write once the lines of documents that were filed before there was a journal."""
        mark = self._journal.folder / _TAKEN_IN
        if mark.exists():
            return
        self._journal.head()  # makes the folder
        known = {
            str(line.content.get("job_id"))
            for line in history.lines(self._journal.folder)
            if line.content is not None and line.content.get("event") in ENDS
        }
        batch: list[EndLine] = []
        count = 0
        for one in self._filed_before():
            if one.job_id in known:
                continue
            known.add(one.job_id)
            batch.append(one)
            count += 1
            if len(batch) == _AT_ONCE:
                self._journal.append_all(batch)
                batch = []
        self._journal.append_all(batch)
        mark.touch()
        if count:
            log.info("journal.taken_in", receipts=count)

    def _filed_before(self) -> Iterator[EndLine]:
        for top in ("sent", "failed"):
            for folder, names in walk(self._root / top):
                for name in sorted(names):
                    document = folder / name.removesuffix(RECEIPT_SUFFIX)
                    if not name.endswith(RECEIPT_SUFFIX) or document.name not in names:
                        continue
                    data = read_file(folder / name, LONGEST_RECEIPT)
                    if data is None:
                        continue
                    try:
                        receipt = Receipt.model_validate_json(data)
                    except ValidationError:
                        continue
                    path = str(document.relative_to(self._root))
                    yield ended(receipt, data, path, taken_in=True)

    @property
    def needs_clock(self) -> bool:
        """Whether there is something to do once sipgate's clock is known."""
        return self._wishes.periods != Periods()

    def _retain(self, clock_offset: float | None) -> None:
        periods = self._wishes.periods
        if periods == Periods() or clock_offset is None:
            return
        # What is removed is gone. A clock that is years ahead, as after a dead battery, must not
        # decide it alone.
        if clock_offset < -_FARTHEST:
            raise OSError(errno.ETIME, _("this machine's clock is ahead of sipgate's"))
        found = retention.expired(self._root, self._journal.folder, periods, self._now())
        count = 0
        for one in list(found):
            retention.remove(one, self._root, self._journal, self._disk)
            count += 1
        if count:
            log.info("retention.removed", documents=count)

    def _ask_witness(self) -> None:
        if self._wishes.witness_url is None:
            return
        folder = self._journal.folder / "witness"
        head = self._journal.head()
        path = folder / f"{head.seq:06}.tsr"
        if not head.seq or path.exists():
            return
        ask = partial(_answer_of, self._wishes.witness_url, head)
        answer = self._bounded.call(ask, _LONGEST)
        if not folder.is_dir():
            self._disk.make_folder(folder, 0o700)
        temporary = folder / "new.tmp"
        temporary.unlink(missing_ok=True)
        temporary.write_bytes(answer)
        self._disk.replace(temporary, path)
        log.info("journal.witnessed", line=head.seq)
