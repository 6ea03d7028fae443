"""Placeholder pages for what only Adobe's programs show: dynamic XFA forms, and portfolios.

Every other viewer shows the page itself: a notice that asks people to wait, or to get one of
Adobe's programs. A letter that once was such a form, or that has attachments, is still a letter.
"""

import re

from pikepdf import Array, Dictionary, Name, Pdf

from faxdrop.documents.pdf import second_reader

_MAX_NOTICE = 1500  # characters
_NOTICE = re.compile(
    r"adobe|acrobat|please wait|bitte warten|portfolio|best experience", re.IGNORECASE
)
_MAX_NODES = 100  # of a tree of attachments that are looked at


def is_placeholder(pdf: Pdf, data: bytes) -> bool:
    """Return whether the only page of a PDF is a notice instead of the document.

    ``data`` is the file that ``pdf`` was opened from.
    """
    is_dynamic = _is_dynamic(pdf)
    if not (is_dynamic or _is_portfolio(pdf)) or len(pdf.pages) != 1:
        return False
    words = second_reader.text(data, 0)
    if words is None:
        return True
    # Offices write notices of their own, in any language. Where the form has no field for others,
    # and itself says that it must be drawn anew, its page is one whatever it says.
    says_so = is_dynamic and pdf.Root.get_bool(Name.NeedsRendering, default=False)
    is_notice = (says_so and not _has_widgets(pdf)) or _NOTICE.search(words) is not None
    return len(words) <= _MAX_NOTICE and is_notice


def _is_dynamic(pdf: Pdf) -> bool:
    """Return whether there is a form that a viewer cannot show without XFA."""
    form = pdf.Root.get_raw(Name.AcroForm)
    if not isinstance(form, Dictionary) or form.get_raw(Name.XFA) is None:
        return False
    return pdf.Root.get_bool(Name.NeedsRendering, default=False) or not _has_widgets(pdf)


def _has_widgets(pdf: Pdf) -> bool:
    listed = (page.obj.get_raw(Name.Annots) for page in pdf.pages)
    return any(
        isinstance(each, Dictionary) and each.get_raw(Name.Subtype) == Name.Widget
        for annotations in listed
        if isinstance(annotations, Array)
        for each in annotations
    )


def _is_portfolio(pdf: Pdf) -> bool:
    """Return whether viewers that know portfolios show the attachments instead of the pages."""
    collection = pdf.Root.get_raw(Name.Collection)
    if not isinstance(collection, Dictionary) or collection.get_raw(Name.View) == Name.H:
        return False
    names = pdf.Root.get_raw(Name.Names)
    waiting = [names.get_raw(Name.EmbeddedFiles)] if isinstance(names, Dictionary) else []
    for _ in range(_MAX_NODES):
        node = waiting.pop() if waiting else None
        if not isinstance(node, Dictionary):
            continue
        files, kids = node.get_raw(Name.Names), node.get_raw(Name.Kids)
        if isinstance(files, Array) and any(isinstance(each, Dictionary) for each in files):
            return True
        waiting += list(kids)[:_MAX_NODES] if isinstance(kids, Array) else []
    return False
