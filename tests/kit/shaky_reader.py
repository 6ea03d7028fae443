"""The real reader of PDFs, with a part that fails in the way that each document names."""

import os
import signal
from typing import BinaryIO, NoReturn

from pikepdf import Name, Pdf

from faxdrop.documents.pdf import copying, document, forms, judge
from faxdrop.documents.pdf.areas import Flattened
from faxdrop.documents.reader import run
from faxdrop.documents.verdict import Announce, Limits, Verdict

CRASH, HANG, LOSE = b"%pdfium crashes", b"%pdfium hangs", b"%flattening loses all"


def crash(*_: object) -> NoReturn:
    """Die as from a fault in native code."""
    os.kill(os.getpid(), signal.SIGSEGV)
    os._exit(1)


def _hang() -> NoReturn:
    while True:
        signal.pause()


def read(file: BinaryIO, output: BinaryIO | None, limits: Limits, announce: Announce) -> Verdict:
    """Do what the real reader does, until pdfium opens something."""

    def opened(data: bytes) -> NoReturn:
        if HANG in data:
            _hang()
        crash()

    def flatten(pdf: Pdf) -> Flattened:
        for page in pdf.pages:
            if Name.Annots in page.obj:
                del page.obj.Annots
        return Flattened()

    file.seek(0)
    start = file.read()
    if LOSE in start:
        vars(forms)["flatten"] = flatten
    else:
        vars(judge)["Rendered"] = vars(copying)["Rendered"] = opened
    if output is None:
        return document.examine(file, limits, announce)
    return document.prepare(file, output, limits, announce)


if __name__ == "__main__":
    run(read)
