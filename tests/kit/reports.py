"""Transmission reports in tests: a maker without a process of its own, and their content."""

import io
import os
from pathlib import Path

import pikepdf

from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Verdict
from faxdrop.report import maker, order
from faxdrop.spool.places import document_reported


class Maker(Checker):
    """Makes reports in this process, without the picture of the first page.

    Drawing that takes half of a report's time, and here they are made by the thousand.
    """

    def __init__(self) -> None:
        super().__init__(order.limits())

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Make the report of an order."""
        head, _, rest = os.pread(fd, os.fstat(fd).st_size, 0).partition(b"\n")
        wanted = order.Order.model_validate_json(head)
        pictured = slice(wanted.receipt, wanted.receipt + wanted.document)
        rest = rest[: pictured.start] + rest[pictured.stop :]
        head = wanted.model_copy(update={"document": 0}).model_dump_json().encode()
        source = io.BytesIO(head + b"\n" + rest)
        target = io.BytesIO()
        verdict = maker.read(source, target, self.limits, lambda _: None)
        os.pwrite(output_fd, target.getvalue(), 0)
        return verdict


def is_report(path: Path) -> bool:
    """Return whether a file is the report that a receipt beside it names."""
    return document_reported(path) is not None


def pages_and_receipt(report: Path) -> tuple[int, bytes]:
    """Return how many pages a report has, and the receipt that is attached to it."""
    with pikepdf.Pdf.open(report) as pdf:
        return len(pdf.pages), pdf.attachments["receipt.json"].get_file().read_bytes()
