"""The places in the shared folders: reserving one for a document, and finding it again.

A receipt's name, created exclusively, reserves the place of its document beside it. What an earlier
try left before a crash is found again, whatever the step: before a place is reserved under another
name than the document's own, a note of it is in the job's folder. Everything in the shared folders
is done through folders that were opened without following a link (see ``disk``), so nothing is
filed outside the share. If people put something where a receipt would go, the next free name is
used.
"""

import contextlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count, product
from pathlib import Path
from typing import Any

from faxdrop.fax.job import Job
from faxdrop.fax.receipt import Receipt, make_receipt, to_bytes
from faxdrop.names.printable import stored
from faxdrop.spool.disk import Disk, Folder, opened_folder, read_file
from faxdrop.spool.sharing import share
from faxdrop.words import _

RECEIPT_SUFFIX, REPORT_SUFFIX = ".json", ".report.pdf"
REPORT_DRAFT = "report.draft"  # in the spool: the report that is moved to its place next
DRAFT, PLACE = "receipt.json", "place"  # in the job's folder: the receipt, and where it will lie

_PDF = ".pdf"
# A report's name does not tell how its document's name ends: first how names mostly do.
_USUAL = (_PDF, _PDF.upper(), "")
_MIXED = tuple({"." + "".join(each) for each in product("pP", "dD", "fF")} - {*_USUAL})
_LONGEST_SUFFIX = 16  # bytes; what is longer behind a dot is part of the name
LONGEST_RECEIPT = 1 << 20  # bytes; ours are a few thousand
_TRIES = 9  # to enter a folder that somebody removes again and again


class SpoolError(Exception):
    """The spool cannot be used, or a file cannot be put back; the text says why and what to do."""


class Places:
    """The places in the shared folders below one root."""

    def __init__(self, root: Path, home: Path, disk: Disk) -> None:
        self._root = root
        self._home = home  # the spool's own folder
        self._disk = disk

    @contextmanager
    def top(self, name: str) -> Iterator[Folder]:
        """Open inbox/, sent/ or failed/, and make it if it is missing. Raises OSError.

        This fails if our own folder is gone: if the root is unmounted at this moment, nothing is
        made on its empty mount point.
        """
        with contextlib.ExitStack() as stack:
            try:
                home = stack.enter_context(opened_folder(self._home))
                root = stack.enter_context(opened_folder(home.path / "..", home))
            except PermissionError:  # it is there, and closed to the people who share the folders
                root = stack.enter_context(opened_folder(self._root))
            inside = root._replace(path=self._root)
            yield stack.enter_context(self._entered(self._root / name, inside, shared=True))

    @contextmanager
    def place(self, top: str, name: str | None, *, make: bool = True) -> Iterator[Folder]:
        """Open the folder in sent/ or failed/ for a recipient folder's documents.

        If a file or a link has that name, the documents go to ``name (2)``: they are filed, and
        stay inside the share. Raises OSError; FileNotFoundError if there is no folder and none is
        to be made.
        """
        with self.top(top) as above:
            if name is None:
                yield above
                return
            longest = _longest_name(above)
            for number in count(1):
                tail = f" ({number})" if number > 1 else ""
                path = above.path / (cut(name, longest - len(tail)) + tail)
                if above.kind(path.name) in (None, stat.S_IFDIR):
                    with contextlib.ExitStack() as stack:
                        try:
                            entering = (
                                self._entered(path, above) if make else opened_folder(path, above)
                            )
                            folder = stack.enter_context(entering)
                        except NotADirectoryError:  # since it was looked at
                            continue
                        yield folder
                        return

    @contextmanager
    def _entered(self, path: Path, above: Folder, *, shared: bool = False) -> Iterator[Folder]:
        """Open a folder, and make it if it is missing; a link is not followed."""
        with contextlib.ExitStack() as stack:
            for tries in count(1):
                try:
                    folder = stack.enter_context(opened_folder(path, above))
                    break
                except FileNotFoundError:
                    if tries == _TRIES:
                        raise
                with contextlib.suppress(FileExistsError):  # somebody was faster
                    # It needs no fsync: a file moved into it is followed by one of the new folder.
                    self._disk.make_folder(path, within=above.fd)
                    if shared:
                        share(path)
            yield folder

    # -- places -----------------------------------------------------------------------------

    def reserve(
        self, job: Job, own: Path, place: Folder, *, simulated: bool, reported: bool = False
    ) -> tuple[str, Receipt]:
        """Put a job's receipt under the first free name; return the name that it reserves.

        ``own`` is the job's folder. ``reported``: the receipt names a report, which is made later.
        """
        draft = own / DRAFT
        receipt: Receipt | None = None
        while True:
            name = _free_name(job.name, place)
            report = stored(report_of(name)) if reported else None
            if receipt is None or receipt.report != report:
                receipt = make_receipt(job, simulated=simulated, report=report)
                self._disk.write_anew(draft, to_bytes(receipt))
            # After a crash the note is there if the receipt is. A note alone proves nothing: it
            # counts only if the receipt is found.
            if name != job.name:
                self._disk.write_anew(own / PLACE, os.fsencode(name), durable=False)
            with contextlib.suppress(FileExistsError):  # somebody was faster
                self._disk.move(draft, place.path / receipt_of(name), into=place.fd)
                return name, receipt

    def reserved(self, job: Job, own: Path, place: Folder) -> str | None:
        """Return the name that a receipt of this job has reserved, None if there is none."""
        if os.path.lexists(own / DRAFT):
            return None
        try:
            name = os.fsdecode((own / PLACE).read_bytes())
        except FileNotFoundError:
            name = job.name
        if name and "/" not in name and job_id_in(read_receipt(place, name)) == job.job_id:
            return name
        # The note cannot be read, or was never written. A receipt without a document may still be
        # ours, if the disk kept it but not the note.
        there = set(place.names())
        for _number, found in _numbered(job.name, place, there):
            if found not in there and job_id_in(read_receipt(place, found)) == job.job_id:
                return found
        return None

    def find(self, job: Job, place: Folder) -> str | None:
        """Return the name under which a job is filed, None if it is not.

        The latest receipts are looked at first.
        """
        found = sorted(_numbered(job.name, place, set(place.names())), reverse=True)
        for _number, name in found:
            if job_id_in(read_receipt(place, name)) == job.job_id:
                return name
        return None

    def release(self, name: str, place: Folder) -> None:
        """Remove the receipt that reserved a name."""
        self._disk.remove(place.path / receipt_of(name), within=place.fd)

    # -- and back ----------------------------------------------------------------------------

    def way_back(self, filed: Path) -> tuple[str | None, str]:
        """Return the recipient folder and the name of a PDF in failed/.

        Raises SpoolError if it is not there, or is no ordinary file.
        """
        failed = self._root / "failed"
        try:
            # The folder of the name itself, not of what a link of that name points to.
            within = (filed.parent.resolve() / filed.name).relative_to(failed.resolve())
        except (ValueError, RuntimeError):
            raise SpoolError(
                _(
                    "{file} is not in {folder}. To fax it, put a copy of it into its recipient's "
                    "folder in the inbox."
                ).format(file=filed, folder=failed)
            ) from None
        folder, name = within.parts[:-1], within.name
        if filed.is_symlink():
            raise SpoolError(
                _(
                    "{file} is a symbolic link, and faxdrop faxes none: put the document itself "
                    "into the inbox."
                ).format(file=filed)
            )
        if not filed.is_file():
            raise SpoolError(
                _("{file} does not exist, or is not an ordinary file.").format(file=filed)
            )
        if len(folder) > 1:
            raise SpoolError(
                _(
                    "{file} is deeper than a recipient folder of {folder}: put it into the inbox "
                    "by hand."
                ).format(file=filed, folder=failed)
            )
        return (folder[0] if folder else None), name

    @contextmanager
    def filed_in(self, folder: str | None) -> Iterator[Folder]:
        """Open failed/, or a recipient folder in it."""
        with self.top("failed") as top:
            if folder is None:
                yield top
            else:
                with opened_folder(top.path / folder, top) as inner:
                    yield inner

    def put_back(self, folder: str | None, name: str) -> Path:
        """Move a PDF from failed/ back to the inbox it came from; return its path there.

        Raises SpoolError if that is not possible, and OSError.
        """
        with (
            self.filed_in(folder) as source,
            self.top("inbox") as inbox,
            self._way_in(folder, inbox) as target,
        ):
            if source.kind(name) != stat.S_IFREG:
                raise SpoolError(
                    _("{file} is no longer an ordinary file.").format(file=source.path / name)
                )
            try:
                self._disk.move(
                    source.path / name, target.path / name, within=source.fd, into=target.fd
                )
            except FileExistsError:
                raise SpoolError(
                    _(
                        "{file} exists already. Wait until it is faxed, or rename one of the two."
                    ).format(file=target.path / name)
                ) from None
            self._disk.sync_folder(target.path, within=target.fd)
            self._disk.sync_folder(source.path, within=source.fd)
            receipt = read_receipt(source, name)
            if job_id_in(receipt) is not None:
                # In this order: who makes the report looks for the receipt when it is done.
                self.release(name, source)
                report = report_in(receipt, name)
                if report is not None and source.kind(report) == stat.S_IFREG:
                    self._disk.remove(source.path / report, within=source.fd)
            return target.path / name

    @contextmanager
    def _way_in(self, folder: str | None, inbox: Folder) -> Iterator[Folder]:
        if folder is None:
            yield inbox
            return
        path = inbox.path / folder
        with contextlib.ExitStack() as stack:
            try:
                entered = stack.enter_context(self._entered(path, inbox))
            except NotADirectoryError:
                raise SpoolError(
                    _("{path} is not a folder: move it away, and try again.").format(path=path)
                ) from None
            yield entered


# -- receipts --------------------------------------------------------------------------------


def receipt_of(name: str) -> str:
    """Return the name of the receipt beside a document."""
    return name + RECEIPT_SUFFIX


def receipt_path(document: Path) -> Path:
    """Return where a document's receipt lies."""
    return document.with_name(receipt_of(document.name))


def report_of(name: str) -> str:
    """Return the name of the report beside a document: ``letter.report.pdf``."""
    is_pdf = name[-len(_PDF) :].lower() == _PDF and len(name) > len(_PDF)
    return (name[: -len(_PDF)] if is_pdf else name) + REPORT_SUFFIX


def report_in(receipt: Mapping[str, Any], name: str) -> str | None:
    """Return the name of the report that a receipt names beside a document, None if none.

    What a receipt says is not trusted: it is the name that the report has, or none.
    """
    return report_of(name) if receipt.get("report") == stored(report_of(name)) else None


def read_receipt(folder: Folder, name: str) -> dict[str, Any]:
    """Return the receipt beside a document, {} if there is none that can be read."""
    try:
        content = read_receipt_bytes(folder, name)
        receipt = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return {}
    return receipt if isinstance(receipt, dict) else {}


def read_receipt_bytes(folder: Folder, name: str) -> bytes | None:
    """Return the bytes in a receipt's place, None if that is no file or too long for a receipt."""
    return read_file(folder, receipt_of(name), LONGEST_RECEIPT)


def job_id_in(receipt: dict[str, Any]) -> str | None:
    """Return the id of the job whose receipt it is, None if it is none of ours."""
    found = receipt.get("job_id")
    return found if isinstance(found, str) else None


def document_reported(file: Path) -> Path | None:
    """Return the document beside a file that is its report, None if it is none.

    The receipts say so: a document that was dropped under such a name has one of its own.
    """
    stem = file.name.removesuffix(REPORT_SUFFIX)
    if stem == file.name or os.path.lexists(file.with_name(receipt_of(file.name))):
        return None
    with contextlib.suppress(OSError), opened_folder(file.parent.resolve()) as folder:
        for end in (*_USUAL, *_MIXED):
            if report_in(read_receipt(folder, stem + end), stem + end) == file.name:
                return file.with_name(stem + end)
    return None


# -- names -----------------------------------------------------------------------------------


def _free_name(name: str, place: Folder) -> str:
    """Return a name that is free, as are those beside it: ``letter.pdf``, ``letter (2).pdf``.

    It is the first free one, unless somebody took away a file in between. With twenty thousand
    names taken, some thirty are looked at: growing steps to a free one, then a search back.
    """
    longest = _longest_name(place)

    def is_taken(number: int) -> bool:
        one = nth_name(name, number, longest)
        return any(place.kind(each) is not None for each in _beside(one))

    taken, free = 0, 1
    while is_taken(free):
        taken, free = free, free * 2
    while free - taken > 1:
        middle = (taken + free) // 2
        taken, free = (middle, free) if is_taken(middle) else (taken, middle)
    while any(place.kind(each) is not None for each in _rivals(nth_name(name, free, longest))):
        free += 1
        while is_taken(free):
            free += 1
    return nth_name(name, free, longest)


def _beside(name: str) -> Iterator[str]:
    """Yield all names that must be free for a document to be filed under one."""
    yield from (name, receipt_of(name), report_of(name))
    # Another document whose report would have the same name, made already or not.
    stem = report_of(name).removesuffix(REPORT_SUFFIX)
    yield from (receipt_of(stem + end) for end in _USUAL if stem + end != name)


def _rivals(name: str) -> Iterator[str]:
    """Yield the receipts of documents whose report could be in the way, as rarely happens."""
    stem = report_of(name).removesuffix(REPORT_SUFFIX)
    yield from (receipt_of(stem + end) for end in _MIXED if stem + end != name)
    # Another document's report will have this very name.
    if (stem := name.removesuffix(REPORT_SUFFIX)) != name:
        yield from (receipt_of(stem + end) for end in (*_USUAL, *_MIXED))


def _numbered(name: str, place: Folder, there: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the numbered names of this document that receipts in a folder have taken."""
    longest = _longest_name(place)
    _, end = _split(name)
    ending = re.compile(r" \((\d{1,9})\)" + re.escape(end) + r"\Z")
    for receipt in there:
        if not receipt.endswith(end + RECEIPT_SUFFIX):
            continue
        one = receipt.removesuffix(RECEIPT_SUFFIX)
        match = ending.search(one)
        for number in {1, int(match[1]) if match else 1}:
            if nth_name(name, number, longest) == one:
                yield number, one


def nth_name(name: str, number: int, longest: int = 255) -> str:
    """Return ``letter.pdf`` or ``letter (2).pdf``; cut so that receipt and report fit, too."""
    stem, end = _split(name)
    tail = (f" ({number})" if number > 1 else "") + end
    return cut(stem, longest - len(os.fsencode(tail)) - len(REPORT_SUFFIX)) + tail


def _split(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        return name, ""
    return stem, dot + suffix


def cut(text: str, room: int) -> str:
    """Return as many whole characters of a name as fit into so many bytes."""
    while len(os.fsencode(text)) > room:
        text = text[:-1]
    return text


def _longest_name(folder: Folder) -> int:
    """Return how many bytes a file name may have in a folder (pathconf(3))."""
    try:
        return os.fpathconf(folder.fd, "PC_NAME_MAX")
    except OSError:
        return 255  # NAME_MAX of every common file system
