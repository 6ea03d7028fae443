"""Writes the copy of a document, has it judged, and puts in pictures of pages it would spoil.

pdfium draws what strangers made, and may hang or crash. That must not cost the document its fax:
before each such step, the verdict that holds without it is announced.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from faxdrop.documents.pdf import copying
from faxdrop.documents.pdf.copying import Copy, LossError
from faxdrop.documents.verdict import Announce, Limits, Verdict
from faxdrop.fax.job import Reason

_JUDGING, _DRAWING = 0.5, 0.9  # parts of the time after which no further page is begun


@dataclass
class Target:
    """Where the copy goes, and how much time there is for it."""

    file: BinaryIO
    announce: Announce | None
    used: Callable[[], float]  # the part of the time that is over
    _is_written: bool = False

    def is_late_to(self, part: float) -> Callable[[], bool]:
        """Return a function that says whether a part of the time is over."""
        return lambda: self.used() >= part

    def write(self, data: bytes) -> None:
        """Make the file, empty at first, hold only these bytes."""
        if self._is_written:
            self.file.seek(0)
            self.file.truncate()
        self._is_written = True
        self.file.write(data)
        self.file.flush()

    def tell(self, verdict: Verdict) -> None:
        """Announce the verdict that holds from here on."""
        if self.announce is not None:
            self.announce(verdict)


def written(
    examined: Verdict, original: bytes, copy: Copy, target: Target, limits: Limits, refusal: Reason
) -> Verdict:
    """Write a copy and judge it; if pages lack something, write one with pictures of those pages.

    Returns the verdict on what was written. Raises LossError if a page can be faxed neither way
    (``refusal`` says so if the reader breaks down), and TooLargeError. The file is then empty.
    """
    pages = len(copy.units)
    with _emptied(target):
        target.write(copy.data)
        verdict = _of(examined, copy.data, unjudged=pages)
        target.tell(verdict.model_copy(update={"provisional": True}))
        judgement = copying.judged(original, copy, target.is_late_to(_JUDGING))
        verdict = _of(examined, copy.data, unjudged=judgement.unjudged)
        if not judgement.lost:
            return verdict
        target.tell(
            Verdict(
                sha256=verdict.sha256, bytes=verdict.bytes, whole=True, pages=pages, reason=refusal
            )
        )
        late = target.is_late_to(_DRAWING)
        data = copying.rasterized(original, copy, judgement.lost, limits, late)
        target.write(data)
        return _of(examined, data, unjudged=judgement.unjudged, rasterized=True)


def pictured(examined: Verdict, original: bytes, target: Target, limits: Limits) -> Verdict:
    """Write a copy of pictures only, if there can be no other; raises as ``written`` does."""
    pages = examined.pages
    if pages is None:
        raise LossError
    with _emptied(target):
        data = copying.pictured(original, pages, limits, target.is_late_to(_DRAWING))
        target.write(data)
        return _of(examined, data, rasterized=True)


@contextmanager
def _emptied(target: Target) -> Iterator[None]:
    try:
        yield
    except (LossError, copying.TooLargeError):
        target.write(b"")
        raise


def _of(examined: Verdict, copy: bytes, *, unjudged: int = 0, rasterized: bool = False) -> Verdict:
    """Return the verdict on a document, completed with the facts about its copy."""
    facts = examined.facts
    if rasterized and facts is not None:
        facts = facts.model_copy(update={"changes": (*facts.changes, "rasterized")})
    return examined.model_copy(
        update={
            "facts": facts,
            "copy_sha256": hashlib.sha256(copy).hexdigest(),
            "unjudged": unjudged,
        }
    )
