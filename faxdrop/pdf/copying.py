"""Makes the copy that is faxed in place of a document that cannot be faxed as it is."""

import io

import pikepdf
from pikepdf import Name, Pdf
from pikepdf.sanitize import Sanitizer

from faxdrop.pdf import forms
from faxdrop.verdict import Limits


class TooLargeError(Exception):
    """The copy has more bytes than can be faxed."""

    def __init__(self, size: int, allowed: int, pages: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size
        self.allowed = allowed
        self.pages = pages


class UntidyError(Exception):
    """The copy is not in order itself."""


def copied(pdf: Pdf, limits: Limits) -> bytes:
    """Return the copy: decrypted, in order, without form, scripts and attachments.

    Raises TooLargeError, UntidyError, and UndrawableError where a field cannot be shown.
    """
    pages = len(pdf.pages)
    forms.flatten(pdf)
    Sanitizer().remove_javascript().remove_attachments().apply(pdf)
    copy = io.BytesIO()
    pdf.save(
        copy,
        encryption=False,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        deterministic_id=True,
        preserve_pdfa=False,
        fix_metadata_version=False,
    )
    data = copy.getvalue()
    if len(data) > limits.max_bytes:
        raise TooLargeError(len(data), limits.max_bytes, pages)
    with pikepdf.open(io.BytesIO(data), inherit_page_attributes=False) as again:
        tidy = not again.is_encrypted and Name.AcroForm not in again.Root
        if not tidy or len(again.pages) != pages or again.get_warnings():
            raise UntidyError
    return data
