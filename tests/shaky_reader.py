"""The real reader of PDFs, with a pdfium that breaks down in the way that each document names."""

import os
import signal
from typing import BinaryIO, NoReturn

from faxdrop.checker import run
from faxdrop.pdf import copying, document, judge
from faxdrop.verdict import Announce, Limits, Verdict

CRASH, HANG = b"%pdfium crashes", b"%pdfium hangs"


def crash(*_: object) -> NoReturn:
    """Die as of a fault in native code."""
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(1)


def _hang() -> NoReturn:
    while True:
        signal.pause()


def read(file: BinaryIO, output: BinaryIO | None, limits: Limits, announce: Announce) -> Verdict:
    """Do what the true reader does, up to where pdfium opens something."""

    def opened(data: bytes) -> NoReturn:
        if HANG in data:
            _hang()
        crash()

    vars(judge)["Rendered"] = vars(copying)["Rendered"] = opened
    if output is None:
        return document.examine(file, limits, announce)
    return document.prepare(file, output, limits, announce)


if __name__ == "__main__":
    run(read)
