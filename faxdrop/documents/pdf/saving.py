"""How a PDF is saved: not encrypted, and its streams as they are."""

import io

import pikepdf
from pikepdf import Pdf


def saved(pdf: Pdf, *, to_fax: bool = False) -> bytes:
    """Return a PDF as bytes; with ``to_fax`` they are the same each time."""
    file = io.BytesIO()
    pdf.save(
        file,
        encryption=False,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        fix_metadata_version=False,
        deterministic_id=to_fax,
        preserve_pdfa=not to_fax,
    )
    return file.getvalue()
