"""Orders reports from the process that makes them (see ``maker``): the request and its answer."""

import tempfile
from typing import BinaryIO

from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits
from faxdrop.fax.job import Record
from faxdrop.report.content import Content

MAKER = "faxdrop.report.maker"
SECONDS = 7.0  # in which a report is made
_MOST_BYTES = 64 << 20  # of a report: the page, the receipt and what is appended


class UnmadeError(Exception):
    """The report cannot be made from this order."""


class Order(Record):
    """The first line of the request; the bytes whose lengths it gives follow it."""

    content: Content
    name: str  # of the receipt as an attachment
    receipt: int
    document: int  # 0: there is none to draw
    appended: int  # 0: sipgate has no report of its own


def limits() -> Limits:
    """Return what a report may cost."""
    return Limits(_MOST_BYTES, 1, seconds=SECONDS)


def report(
    checker: Checker,
    content: Content,
    receipt: bytes,
    document: BinaryIO | None,
    appended: bytes = b"",
) -> bytes:
    """Return a report as a PDF.

    ``checker`` is one whose reader is MAKER. The picture shows ``document``; None means that there
    is nothing to draw. ``appended`` is sipgate's own report. Raises UnmadeError, and OSError if a
    file fails or no process can be started.
    """
    drawn = b""
    if document is not None:
        document.seek(0)
        drawn = document.read(_MOST_BYTES)
    head = Order(
        content=content,
        name="receipt.json",
        receipt=len(receipt),
        document=len(drawn),
        appended=len(appended),
    )
    with tempfile.TemporaryFile() as order, tempfile.TemporaryFile() as output:
        order.writelines((head.model_dump_json().encode() + b"\n", receipt, drawn, appended))
        order.flush()
        if checker.prepare(order.fileno(), output.fileno()).reason is not None:
            raise UnmadeError
        output.seek(0)
        return output.read()
