"""The journal against itself: whether each line follows the one before it."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from faxdrop.journal import history
from faxdrop.journal.files import read_file
from faxdrop.journal.flaws import Discrepancy, Flaw, Verification
from faxdrop.journal.lines import NOTHING_BEFORE, hash_of
from faxdrop.names.printable import shown
from faxdrop.words import _

_LONGEST_KEPT = 1 << 30


class ChainCheck:
    """Checks the journal against itself. Owns what its lines say of documents and reports."""

    def __init__(self, verified: Verification, head: str | None, tick: Callable[[], None]) -> None:
        self._verified = verified
        self._head = head.lower() if head else None
        self._tick = tick
        self._ends: dict[str, dict[str, Any]] = {}
        self._month = ""  # of the last line
        self.reports: dict[str, Any] = {}  # job id -> SHA-256 of the report; None: there is none
        self.hashes: dict[int, str] = {}  # of the lines that were asked for

    def check(self, folder: Path, wanted: Collection[int]) -> dict[str, dict[str, Any]]:
        """Read all lines; return the ends that documents should still show, by job id.

        ``wanted`` are the numbers of the lines whose hashes are kept.
        """
        is_head_seen = self._head is None
        previous, seq = NOTHING_BEFORE, 0
        for line in history.lines(folder):
            self._tick()
            self._verified.lines += 1
            self._month = Path(line.file).stem
            where = _("{file}, line {number}").format(file=line.file, number=line.number)
            if line.content is None:
                words = _("is not a line of a journal: it was altered or torn.")
                self._find(Flaw.LINE_UNREADABLE, where, words)
                previous, seq = hash_of(line.raw), seq + 1
                continue
            found = line.content["seq"]
            self._follows(where, seq, found, is_chained=line.content["previous"] == previous)
            previous, seq = hash_of(line.raw), found
            if seq in wanted:
                self.hashes[seq] = previous
            is_head_seen |= self._head is not None and previous.startswith(self._head)
            self._keep(folder, where, line.content)
        self._verified.head_seq, self._verified.head_hash = seq, previous
        if not is_head_seen:
            words = _("has no line with the hash {hash}: its end was cut off or altered.").format(
                hash=self._head
            )
            self._find(Flaw.HEAD_MISSING, str(folder), words)
        return self._ends

    def catch_up(self, folder: Path) -> None:
        """Take in lines that were written meanwhile: a daemon may be at work."""
        for line in history.lines(folder, self._month):
            if line.content is not None and line.content["seq"] > self._verified.head_seq:
                self._keep(
                    folder,
                    _("{file}, line {number}").format(file=line.file, number=line.number),
                    line.content,
                )

    def _follows(self, where: str, before: int, seq: int, *, is_chained: bool) -> None:
        if seq == before + 1:
            if not is_chained:
                words = _("does not continue line {before}: one of the two was altered.").format(
                    before=before
                )
                self._find(Flaw.LINE_ALTERED, where, words)
        elif seq > before + 1:
            words = _("comes after line {before}: {count} between them are missing.").format(
                before=before, count=seq - before - 1
            )
            self._find(Flaw.LINES_MISSING, where, words)
        else:
            words = _(
                "has the number {seq} but comes after {before}: lines were reordered."
            ).format(seq=seq, before=before)
            self._find(Flaw.LINES_REORDERED, where, words)

    def _keep(self, folder: Path, where: str, content: dict[str, Any]) -> None:
        job_id = content.get("job_id")
        match content.get("event"):
            case "sent" | "failed" if isinstance(job_id, str):
                self._ends[job_id] = content
            case "reported":
                self.reports[str(job_id)] = content.get("sha256")
            case "retried":
                self._ends.pop(str(job_id), None)
            case "removed":
                self._verified.removed += self._ends.pop(str(job_id), None) is not None
            case "mended":
                self._check_kept(folder, where, content.get("kept"))

    def _check_kept(self, folder: Path, where: str, kept: Any) -> None:
        for each in kept if isinstance(kept, list) else ():
            name = str(each.get("file")) if isinstance(each, dict) else ""
            read = read_file(folder / Path(name).name, _LONGEST_KEPT) if name else None
            if read is None or hash_of(read) != each.get("sha256"):
                words = _("says that {name} was kept, but that is missing or altered.").format(
                    name=shown(name)
                )
                self._find(Flaw.LINES_MISSING, where, words)

    def _find(self, kind: Flaw, where: str, words: str) -> None:
        self._verified.findings.append(Discrepancy(kind, where, words))
