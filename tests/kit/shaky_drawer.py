"""Draws the pages of a preview with a pdfium that crashes on every document."""

from faxdrop.documents.pdf import facsimile
from faxdrop.documents.reader import run
from tests.kit.shaky_reader import crash

if __name__ == "__main__":
    vars(facsimile)["Rendered"] = crash
    run(facsimile.read)
