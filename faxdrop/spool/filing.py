"""Filing: moves a finished document to sent/ or failed/ beside its receipt, and back to the inbox.

``places`` finds the place. Each step can be repeated, and each rename is followed by an fsync of
its folder before the job's own folder is removed.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from faxdrop.fax.job import Job, State
from faxdrop.fax.receipt import Receipt, make_receipt, to_bytes
from faxdrop.spool.disk import Disk, Folder, may_exist, read_file
from faxdrop.spool.home import home_of
from faxdrop.spool.jobs import Jobs
from faxdrop.spool.marks import Marks
from faxdrop.spool.places import Places, read_receipt, read_receipt_bytes

_SENT, _FAILED = "sent", "failed"
_LONGEST_FAXED = 32 << 20  # bytes: more than sipgate takes


class FiledDocument(NamedTuple):
    """A filed document: what the journal records before the job is forgotten."""

    receipt: Receipt
    content: bytes  # of the receipt, as it lies there
    path: str | None  # of the document, below the root; None: somebody has taken it away
    again: bool  # an earlier try may have told it already


Note = Callable[[FiledDocument], None]
"""Is told of a document that is filed. Where it raises OSError, the document is filed again."""


class Filing:
    """Moves finished documents out of the spool of one root, and back to its inbox."""

    def __init__(self, root: Path, jobs: Jobs, marks: Marks, disk: Disk, note: Note | None) -> None:
        self._root = root
        self._jobs = jobs
        self._marks = marks
        self._disk = disk
        self._note = note
        self._places = Places(root, home_of(root), disk)
        self.is_simulated = False  # what the receipts say of the faxes
        self.reported: Collection[State] = ()  # in which states a receipt names a report

    def file_away(self, job: Job) -> Path | None:
        """Move a finished document to sent/ or failed/ beside its receipt; return its new path.

        The receipt comes first: its name reserves the place. A taken name becomes
        ``letter (2).pdf``. What an earlier try left is found and continued. Returns None if that
        try had moved the document and somebody has taken it away since.
        """
        folder = self._jobs.folder(job)
        is_new = self._jobs.begin_filing(job)
        top = _SENT if job.state is State.SENT else _FAILED
        with self._places.place(top, job.folder) as place:
            if not may_exist(self._jobs.document(job)):
                name = self._places.find(job, place)
                self._tell(self._filed(job, place, name, again=True))
                self._jobs.remove(folder)
                return place.path / name if name is not None else None
            name = None if is_new else self._places.reserved(job, folder, place)
            receipt: Receipt | None = None
            self._marks.own(job)
            self._marks.remember(job)
            while True:
                if name is None:
                    name, receipt = self._places.reserve(
                        job,
                        folder,
                        place,
                        simulated=self.is_simulated,
                        reported=job.state in self.reported,
                    )
                filed = place.path / name
                try:
                    self._disk.move(self._jobs.document(job), filed, into=place.fd)
                    break
                except FileExistsError:  # a stranger's file took the name that was reserved
                    self._places.release(name, place)
                    name = None
            self._disk.sync_folder(place.path, within=place.fd)
            self._tell(self._filed(job, place, name, again=not is_new, receipt=receipt))
        self._jobs.remove(folder)
        return filed

    def _filed(
        self,
        job: Job,
        place: Folder,
        name: str | None,
        *,
        again: bool,
        receipt: Receipt | None = None,
    ) -> FiledDocument:
        """Return what is told; ``receipt`` is the one that was just written, if it was."""
        content = None
        if receipt is None:
            receipt = make_receipt(job, simulated=self.is_simulated)
            content = read_receipt_bytes(place, name) if name is not None else None
        path = None if name is None else str((place.path / name).relative_to(self._root))
        return FiledDocument(receipt, content or to_bytes(receipt), path, again)

    def _tell(self, filed: FiledDocument) -> None:
        if self._note is not None:
            self._note(filed)

    def put_back(self, filed: Path) -> Path:
        """Move a PDF from failed/ back to the inbox it came from; return its path there.

        Raises SpoolError if it is no PDF in failed/, or its name is taken in the inbox.
        """
        return self._places.put_back(*self._places.way_back(filed))

    def receipt_in_failed(self, filed: Path) -> dict[str, Any]:
        """Return the receipt of a PDF in failed/, {} if none can be read.

        Raises SpoolError if it is no PDF in failed/, and OSError.
        """
        folder, name = self._places.way_back(filed)
        with self._places.filed_in(folder) as place:
            return read_receipt(place, name)

    def want_again(self, filed: Path) -> None:
        """Note that a PDF in failed/ is to be faxed even if it repeats an earlier one.

        Raises SpoolError if it is no PDF in failed/, and OSError.
        """
        folder, name = self._places.way_back(filed)
        with self._places.filed_in(folder) as place:
            content = read_file(place, name, _LONGEST_FAXED)
        if content is not None:  # what is longer is never faxed
            self._marks.want_again(hashlib.sha256(content).hexdigest())

    def find_filed(self, job: Job) -> Path | None:
        """Return where a job's document is filed, None if it is not, or was taken away."""
        for top in (_FAILED, _SENT):  # the more there are to look through, the later
            with (
                contextlib.suppress(FileNotFoundError),
                self._places.place(top, job.folder, make=False) as place,
            ):
                name = self._places.find(job, place)
                if name is not None and place.kind(name) is not None:
                    return place.path / name
        return None
