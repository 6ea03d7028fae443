"""What lies in folders, against the journal: receipts, documents and reports."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from faxdrop.fax.job import Job
from faxdrop.fax.receipt import Receipt
from faxdrop.journal import history
from faxdrop.journal.files import is_strange, read_file, sha256_of, walk
from faxdrop.journal.flaws import Discrepancy, Flaw, Verification
from faxdrop.journal.lines import hash_of, path_text
from faxdrop.names.printable import shown
from faxdrop.spool.jobs import RECORD
from faxdrop.spool.places import LONGEST_RECEIPT, PLACE, RECEIPT_SUFFIX, receipt_of, report_in
from faxdrop.words import _

_LONGEST_NOTE = 4096  # bytes


@dataclass
class _Filed:
    """A receipt that was found, and what lies beside it."""

    receipt_path: Path
    data: bytes
    receipt: Receipt
    document: Path
    sha256: str | None  # of the document; None: it is not there


class _Suspect(NamedTuple):
    """A filed document that is not the one that its receipt's line names."""

    filed: _Filed
    wanted: str  # SHA-256 of the one that should be there


class FilesCheck:
    """Checks receipts against the journal, and documents and reports against receipts."""

    def __init__(
        self,
        verified: Verification,
        ends: dict[str, dict[str, Any]],
        root: Path,
        tick: Callable[[], None],
        jobs: Path,
    ) -> None:
        self._verified = verified
        self._ends = ends
        self._filed_before = tuple(ends)  # what is filed from here on may not be seen
        self._root = root
        self._tick = tick
        self._jobs = jobs  # the spool's
        self._unknown: list[tuple[_Filed, bool]] = []  # to the journal; whether it is being filed
        self._seen: set[str] = set()  # job ids of which there is a receipt
        self._by_content = {
            sha256: job_id
            for job_id, content in ends.items()
            if (sha256 := history.sha256_in(content))
        }
        self._by_receipt_path = {
            root / receipt_of(path_text(content["path"])): job_id
            for job_id, content in ends.items()
            if content.get("path") is not None
        }
        self._suspects: list[_Suspect] = []
        self._reports: list[tuple[str, Path, str | None]] = []  # job id, place, its SHA-256

    def look_at(self, places: Sequence[Path]) -> None:
        """Check everything in some folders."""
        for place in places:
            for folder, names in walk(place):
                self._check_folder(folder, names)

    def tell(self, reports: Mapping[str, Any], draft: str | None) -> None:
        """Report what is in none of the folders, and what looked wrong, if it still does.

        ``reports`` are those that the journal knows, ``draft`` the one that is moved to its place
        next.
        """
        for filed, is_being_filed in self._unknown:
            if filed.receipt.job_id in self._ends:
                self._check_receipt(filed)
            elif is_being_filed:
                self._verified.unfinished += 1
            else:
                words = _("is a receipt that the journal does not know: somebody else wrote it.")
                self._find(Flaw.STRANGE_RECEIPT, str(filed.receipt_path), words)
        self._tell_suspects()
        self._tell_reports(reports, draft)
        for job_id in self._filed_before:
            content = self._ends.get(job_id, {})
            if job_id not in self._seen and content.get("path") is not None:
                path = shown(path_text(content["path"]))
                words = _("was filed here and is gone, with its receipt: moved away or deleted.")
                self._find(Flaw.GONE, path, words)

    def _check_folder(self, folder: Path, names: set[str]) -> None:
        answered: set[str] = set()  # names of which something was said
        for name in sorted(names):
            if not name.endswith(RECEIPT_SUFFIX):
                continue
            self._tick()
            document = name.removesuffix(RECEIPT_SUFFIX)
            filed = _filed(folder / name, document)
            spoiled = self._by_receipt_path.get(folder / name)
            if filed is not None:
                self._check_receipt(filed)
                answered |= {name, document}
                if (report := report_in(filed.receipt.model_dump(), document)) is not None:
                    place = folder / report
                    self._reports.append((filed.receipt.job_id, place, sha256_of(place)))
                    answered.add(report)
            elif spoiled is not None:
                self._seen.add(spoiled)
                words = _("is no longer a receipt: somebody wrote something else into it.")
                self._find(Flaw.RECEIPT_ALTERED, str(folder / name), words)
                answered.add(name)
        for name in sorted(names - answered):
            self._tick()
            self._check_stray(folder / name)

    def _check_receipt(self, filed: _Filed) -> None:
        job_id = filed.receipt.job_id
        line = self._ends.get(job_id)
        if line is None:
            self._unknown.append((filed, self._is_being_filed(filed)))
            return
        where = str(filed.receipt_path)
        is_copy = job_id in self._seen
        self._seen.add(job_id)
        if line.get("receipt_sha256") != hash_of(filed.data):
            self._find(Flaw.RECEIPT_ALTERED, where, _("is not the receipt that faxdrop wrote."))
        wanted = history.sha256_in(line)
        if wanted is None and is_strange(filed.document):
            pass  # a link or a pipe was dropped, and refused: there is nothing to compare
        elif filed.sha256 is None:
            words = _("is missing beside its receipt, or cannot be read.")
            self._find(Flaw.DOCUMENT_MISSING, str(filed.document), words)
        elif wanted is not None and filed.sha256 != wanted:
            self._suspects.append(_Suspect(filed, wanted))
        elif not is_copy:
            self._verified.documents += 1
            self._verified.moved += not self._is_in_place(filed, line)

    def _is_being_filed(self, filed: _Filed) -> bool:
        """Return whether the spool has a document's job, which is filed under this name.

        The job stays until the line is written, even if the daemon was killed between the two.
        """
        job_id = filed.receipt.job_id
        if "/" in job_id:
            return False
        note = read_file(self._jobs / job_id / PLACE, _LONGEST_NOTE)
        if note is not None:
            return note == os.fsencode(filed.document.name)
        # Without a note it is filed under its own name.
        record = read_file(self._jobs / job_id / RECORD, LONGEST_RECEIPT)
        try:
            return Job.model_validate_json(record or b"").name == filed.document.name
        except ValidationError:
            return False

    def _is_in_place(self, filed: _Filed, line: dict[str, Any]) -> bool:
        path = line.get("path")
        return path is not None and filed.document == self._root / path_text(path)

    def _check_stray(self, path: Path) -> None:
        """Report a file without a receipt: faxdrop puts nothing else here."""
        sha256 = sha256_of(path)
        job_id = self._by_content.get(sha256 or "")
        if sha256 is None:
            self._find(Flaw.UNREADABLE, str(path), _("cannot be read, so it cannot be checked."))
        elif job_id is not None:
            self._seen.add(job_id)
            words = _("has no receipt beside it; it is the document of job {job_id}.").format(
                job_id=job_id
            )
            self._find(Flaw.RECEIPT_MISSING, str(path), words)
        else:
            words = _("was not filed by faxdrop: somebody else put it here.")
            self._find(Flaw.STRANGE_FILE, str(path), words)

    def _tell_reports(self, reports: Mapping[str, Any], draft: str | None) -> None:
        """Compare what lies in reports' places with what the journal has of them.

        Its line comes before a report does: one that was there is told of by now, if it is ours.
        """
        for job_id, place, found in self._reports:
            if job_id not in self._ends:
                continue
            wanted = reports.get(job_id)
            if found is not None and found != wanted:
                words = _("is not the report that faxdrop made: it was altered or put there.")
                self._find(Flaw.REPORT_ALTERED, str(place), words)
            elif wanted is None and job_id in reports:
                self._verified.unmade += 1
            elif wanted is None or (found is None and wanted == draft):
                self._verified.unfinished += 1
            elif found is None and sha256_of(place) != wanted:
                words = _("is missing beside its document, or cannot be read.")
                self._find(Flaw.REPORT_MISSING, str(place), words)

    def _tell_suspects(self) -> None:
        places = {suspect.filed.sha256: suspect for suspect in self._suspects}
        for suspect in self._suspects:
            other = places.get(suspect.wanted)
            where = str(suspect.filed.document)
            if other is not None:
                name = shown(str(other.filed.document))
                words = _("is not the document that was faxed: that one is {name}.").format(
                    name=name
                )
                self._find(Flaw.DOCUMENTS_EXCHANGED, where, words)
            else:
                words = _("is not the document that was faxed: it was altered.")
                self._find(Flaw.DOCUMENT_ALTERED, where, words)

    def _find(self, kind: Flaw, where: str, words: str) -> None:
        self._verified.findings.append(Discrepancy(kind, shown(where), words))


def _filed(receipt_path: Path, document: str) -> _Filed | None:
    """Return a receipt and its document, None if that file is no receipt."""
    data = read_file(receipt_path, LONGEST_RECEIPT)
    if data is None:
        return None
    try:
        receipt = Receipt.model_validate_json(data)
    except ValidationError:
        return None
    path = receipt_path.with_name(document)
    return _Filed(receipt_path, data, receipt, path, sha256_of(path))
