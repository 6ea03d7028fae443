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
    """Makes reports in this process."""

    def __init__(self) -> None:
        super().__init__(order.limits())

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Make the report of an order."""
        source = io.BytesIO(os.pread(fd, os.fstat(fd).st_size, 0))
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
