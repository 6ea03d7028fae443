"""Reads one PDF: can it be faxed, and what must be removed from its copy? Writes that copy.

Reading strangers' PDFs can crash, hang or exhaust memory, however careful the code is. So the
daemon never calls this itself, but asks the ``checker``. Nothing here runs scripts or opens other
files.
"""

import contextlib
import hashlib
import io
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, get_args

import pikepdf
from pikepdf import Pdf

from faxdrop.documents.pdf import copying, forms, preparing, rebuilding, wholeness
from faxdrop.documents.pdf.copying import Copy
from faxdrop.documents.pdf.graph import PageList, page_list
from faxdrop.documents.pdf.placeholder import is_placeholder
from faxdrop.documents.pdf.preparing import Target
from faxdrop.documents.pdf.soundness import Condition, DamageError, Source, inspect
from faxdrop.documents.verdict import DAMAGED_ADVICE, Announce, Limits, Verdict, crashed
from faxdrop.fax.job import Change, Facts, Reason
from faxdrop.fax.reasons import ReasonCode
from faxdrop.words import N_, _, number

__all__ = ["Limits", "Verdict", "examine", "prepare"]

CHANGES: tuple[Change, ...] = get_args(Change)
_CHUNK = 1 << 20
_COMPARING = 0.3  # part of the time after which two readings of a mended PDF are taken for alike
_MEGABYTE = 1_000_000
_PRINT_IT = N_(
    "Open it in the program in which it was filled in, print it to a new PDF and drop that."
)


class _RejectedError(Exception):
    """The document cannot be faxed as it stands."""

    def __init__(
        self,
        code: ReasonCode,
        message: str,
        advice: str,
        *,
        whole: bool = True,
        pages: int | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = Reason.said(code, message, advice)
        self.whole = whole
        self.pages = pages


def _damaged(message: str, *, whole: bool = False) -> _RejectedError:
    return _RejectedError(ReasonCode.DAMAGED_PDF, message, _(DAMAGED_ADVICE), whole=whole)


@dataclass(frozen=True)
class _Loaded:
    """A document in memory, or, where it is too large for that, what is known of it."""

    sha256: str
    size: int  # bytes
    data: bytes | None
    end: wholeness.End | None

    @property
    def ends_as_usual(self) -> bool:
        """Whether its end is there; if not, or if it is an odd one, more may follow."""
        return self.end is not None and self.end.usual


def examine(file: BinaryIO, limits: Limits, announce: Announce | None = None) -> Verdict:
    """Read a PDF and say whether it can be faxed.

    ``announce`` is called with a verdict that has SHA-256 and size once these are known, before
    anything is parsed.
    Raises OSError if the file cannot be read. Moves the file's position.
    """
    return _judge(_load(file, limits, announce), limits, None)


def prepare(
    file: BinaryIO, output: BinaryIO, limits: Limits, announce: Announce | None = None
) -> Verdict:
    """Read a PDF as ``examine`` does and write the copy that is faxed, if it needs one.

    Nothing is written if ``facts.changes`` is empty, or if there is a ``reason``: it may turn out
    only now that a form cannot be drawn. Raises OSError if reading or writing fails.
    """
    started = time.monotonic()
    loaded = _load(file, limits, announce)

    def used() -> float:
        return (time.monotonic() - started) / limits.seconds

    return _judge(loaded, limits, Target(output, announce, used))


def _load(file: BinaryIO, limits: Limits, announce: Announce | None) -> _Loaded:
    deadline = time.monotonic() + limits.seconds / 2
    file.seek(0)
    data = file.read(limits.max_bytes + 1)
    digest = hashlib.sha256(data)
    sha256, size = digest.hexdigest(), len(data)
    kept: bytes | None = data
    tail = data[-2 * _CHUNK :]
    if size > limits.max_bytes:
        kept = None
        while time.monotonic() < deadline and (piece := file.read(_CHUNK)):
            digest.update(piece)
            size += len(piece)
            tail = tail[-_CHUNK:] + piece
        sha256 = digest.hexdigest()
        end = file.seek(0, io.SEEK_END)
        if end > size:
            file.seek(max(0, end - _CHUNK))
            sha256, size, tail = "", end, file.read(_CHUNK)
    if announce is not None:
        announce(crashed(sha256, size))
    return _Loaded(sha256, size, kept, wholeness.end_of(tail if kept is None else kept))


def _judge(loaded: _Loaded, limits: Limits, target: Target | None) -> Verdict:
    try:
        return _verdict(loaded, limits, target)
    except _RejectedError as rejected:
        return Verdict(
            sha256=loaded.sha256,
            bytes=loaded.size,
            whole=rejected.whole and loaded.ends_as_usual,
            pages=rejected.pages,
            reason=rejected.reason,
        )


def _verdict(loaded: _Loaded, limits: Limits, target: Target | None) -> Verdict:
    data, end = _promising(loaded, limits)
    copy: Copy | None = None
    core = wholeness.trimmed(data, end)
    deadline = time.monotonic() + limits.seconds * _COMPARING

    def is_late() -> bool:
        return time.monotonic() > deadline

    with _opened(core) as (pdf, readable):
        pages = _pages(pdf, limits)
        condition, shown = inspect(pdf, Source(core, readable), pages, is_late)
        is_wrapped = data is not loaded.data or wholeness.is_wrapped(data)
        untidy = condition is Condition.MENDED or is_wrapped
        kind = _suitable(pdf, core, limits)
        needed = {
            "decrypted": pdf.is_encrypted,
            "flattened": kind.has_drawing,
            "repaired": untidy,
            "rasterized": False,
        }
        facts = Facts(
            sha256=loaded.sha256,
            bytes=loaded.size,
            pages=len(pdf.pages),
            changes=tuple(change for change in CHANGES if needed[change]),
        )
        if target is not None and facts.changes:
            with contextlib.suppress(copying.UntidyError):
                copy = copying.copied(pdf, limits)
    verdict = Verdict(
        sha256=loaded.sha256,
        bytes=loaded.size,
        whole=loaded.ends_as_usual,
        clean=condition is Condition.PERFECT and not untidy,
        pages=facts.pages,
        facts=facts,
    )
    if target is None or not facts.changes:
        return verdict
    return _prepared(verdict, shown, copy, target, limits)


def _prepared(
    examined: Verdict, data: bytes, copy: Copy | None, target: Target, limits: Limits
) -> Verdict:
    """Write the copy, or pictures of all pages if there can be no copy."""
    lossy = _RejectedError(
        ReasonCode.REJECTED,
        _(
            "A page of the PDF shows something that would be missing from the fax, and the page "
            "cannot be faxed as a picture."
        ),
        _(_PRINT_IT),
        pages=examined.pages,
    )
    try:
        if copy is None:
            return preparing.pictured(examined, data, target, limits)
        return preparing.written(examined, data, copy, target, limits, lossy.reason)
    except copying.TooLargeError as error:
        raise _too_large(error) from None
    except copying.LossError:
        if copy is None:
            raise _damaged(_("The PDF cannot be repaired."), whole=True) from None
        raise lossy from None


def _promising(loaded: _Loaded, limits: Limits) -> tuple[bytes, wholeness.End]:
    """Return a file that looks like a whole PDF and is small enough to be faxed, and its end."""
    data = loaded.data
    if data is None:
        raise _RejectedError(
            ReasonCode.TOO_LARGE,
            _("The file has {size} MB; at most {most} MB can be faxed.").format(
                size=_megabytes(loaded.size), most=_megabytes(limits.max_bytes)
            ),
            _("Make it smaller, for instance by scanning in black and white, or split it."),
        )
    if not data:
        raise _not_a_pdf(_("The file is empty."), _("Save or scan the document again."))
    headed = wholeness.headed(data)
    if headed is None:
        if not data.strip(b"\0"):
            raise _not_a_pdf(_("The file contains nothing but zeros."))
        raise _not_a_pdf(_("The file is not a PDF."))
    if loaded.end is None:
        raise _damaged(_("The PDF is not complete: its end is missing."))
    return headed, loaded.end


def _megabytes(size: int) -> str:
    return number(size / _MEGABYTE, digits=1)


def _not_a_pdf(message: str, advice: str = "") -> _RejectedError:
    advice = advice or _("Only PDFs can be faxed: print it to a PDF.")
    return _RejectedError(ReasonCode.NOT_A_PDF, message, advice, whole=False)


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[Pdf, bytes]]:
    """Open a PDF, and turn any error of reading it into a rejection."""
    try:
        pdf, readable = rebuilding.read(data)
        with pdf:
            yield pdf, readable
    except _RejectedError:
        raise
    except pikepdf.PasswordError:
        raise _encrypted(_("The PDF can only be opened with a password.")) from None
    except MemoryError:
        raise _damaged(_("Reading the PDF takes more memory than faxdrop allows.")) from None
    except DamageError as error:
        raise _damaged(str(error), whole=error.whole) from None
    except copying.TooLargeError as error:
        raise _too_large(error) from None
    except forms.UndrawableError as error:
        raise _RejectedError(ReasonCode.REJECTED, str(error), _(_PRINT_IT)) from None
    except Exception as error:  # noqa: BLE001 - a hostile PDF can make the reader raise anything
        if isinstance(error, pikepdf.PdfError) and re.search("encrypt|crypt filter", str(error)):
            raise _encrypted(_("The PDF is encrypted in a way that faxdrop cannot undo.")) from None
        raise _damaged(
            _("The PDF is damaged: parts of it are missing or cannot be read.")
        ) from None


def _too_large(error: copying.TooLargeError) -> _RejectedError:
    return _RejectedError(
        ReasonCode.TOO_LARGE,
        _("The copy prepared for faxing has {size} MB; at most {most} MB can be faxed.").format(
            size=_megabytes(error.size), most=_megabytes(error.allowed)
        ),
        _("Make it smaller, or split it."),
        pages=error.pages,
    )


def _encrypted(message: str) -> _RejectedError:
    return _RejectedError(
        ReasonCode.ENCRYPTED_PDF, message, _("Save it without a password and drop that.")
    )


def _pages(pdf: Pdf, limits: Limits) -> PageList:
    found = page_list(pdf, limits.max_pages)
    if found.total > limits.max_pages:
        words = _("The PDF has {total} pages; at most {most} can be faxed.")
        if found.more:
            words = _("The PDF has more than {total} pages; at most {most} can be faxed.")
        raise _RejectedError(
            ReasonCode.TOO_MANY_PAGES,
            words.format(total=found.total, most=limits.max_pages),
            _("Split it into several PDFs."),
            pages=None if found.more else found.total,
        )
    if not found.pages:
        raise _damaged(_("The PDF has no pages."), whole=not pdf.get_warnings())
    return found


def _suitable(pdf: Pdf, data: bytes, limits: Limits) -> forms.FormKind:
    kind = forms.kind_of(pdf)
    if is_placeholder(pdf, data):
        raise _RejectedError(
            ReasonCode.NOT_A_PDF,
            _(
                "The PDF is a form or a portfolio that only Adobe's programs show; its pages "
                "contain nothing but a note about that."
            ),
            _(_PRINT_IT),
            pages=len(pdf.pages),
        )
    if kind.has_fields and limits.forms == "reject":
        raise _RejectedError(
            ReasonCode.REJECTED,
            _("The PDF is a form, and forms are not accepted here."),
            _("Print it to a new PDF and drop that."),
            pages=len(pdf.pages),
        )
    return kind
