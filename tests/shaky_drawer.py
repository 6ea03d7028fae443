"""What draws the pages of a preview, with a pdfium that crashes over every document."""

from faxdrop.checker import run
from faxdrop.pdf import facsimile
from tests.shaky_reader import crash

if __name__ == "__main__":
    vars(facsimile)["Rendered"] = crash
    run(facsimile.read)
