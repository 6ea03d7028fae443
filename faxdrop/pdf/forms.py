"""Flattening: what a person sees of form fields and annotations becomes part of the page.

sipgate takes PDFs with form fields and then fails them. The appearances that a PDF brings are used
as they are. Where there are none, or the PDF says they are out of date, they are drawn here: qpdf's
own generator writes one line of ASCII without alignment, and draws no check marks.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pikepdf import Array, Dictionary, Name, Pdf, Stream

from faxdrop.pdf import fields
from faxdrop.pdf.areas import Area, Flattened
from faxdrop.pdf.drawing import Painter
from faxdrop.pdf.fields import Field, name_of, name_text, stream_start
from faxdrop.pdf.lettering import UnwritableError

_MAX_APPEARANCE = 1 << 20  # bytes of an appearance that are searched for text
_HIDDEN, _PRINT, _NO_VIEW = 2, 4, 32  # bits of /F: ISO 32000-1, table 165

_LEFT_ALONE = frozenset({"/Link"})
# Symbols that open something on a screen; on paper they would only cover the page.
_NOT_FOR_PAPER = frozenset(
    {"/Popup", "/Text", "/FileAttachment", "/Sound", "/Movie", "/Screen", "/RichMedia", "/3D"}
)


class UndrawableError(Exception):
    """A filled-in field whose content cannot be made visible; says where and why, for people.

    It does not say what: no content of a document belongs in a log or a receipt.
    """


class FormKind(NamedTuple):
    """What a PDF has of forms and annotations."""

    has_fields: bool  # a form to fill in
    has_drawing: bool  # something to make part of the page
    is_screen_only: bool  # its pages are a placeholder for what only Adobe's programs show


def acroform(pdf: Pdf) -> Dictionary | None:
    """Return the form dictionary, if there is one."""
    form = pdf.Root.get_raw(Name.AcroForm)
    return form if isinstance(form, Dictionary) else None


def kind_of(pdf: Pdf) -> FormKind:
    """Look for form fields and annotations, without changing anything."""
    form = acroform(pdf)
    found = [each for page in pdf.pages for each in annotations(page.obj)]
    widgets = any(_subtype(each) == "/Widget" for each in found)
    seen = {_subtype(each) for each in found if is_seen(each)}
    listed = form is not None and bool(form.get_list(Name.Fields))
    xfa = form is not None and form.get_raw(Name.XFA) is not None
    return FormKind(
        has_fields=widgets or listed or xfa,
        has_drawing=form is not None or widgets or bool(seen - _LEFT_ALONE - _NOT_FOR_PAPER),
        is_screen_only=_is_portfolio(pdf)
        or (xfa and (not widgets or pdf.Root.get_bool(Name.NeedsRendering) is True)),
    )


def _is_portfolio(pdf: Pdf) -> bool:
    collection = pdf.Root.get_raw(Name.Collection)
    return isinstance(collection, Dictionary) and collection.get_raw(Name.View) != Name.H


def annotations(page: Dictionary) -> Iterator[Dictionary]:
    """Yield a page's annotations."""
    listed = page.get_raw(Name.Annots)
    for each in listed if isinstance(listed, Array) else ():
        if isinstance(each, Dictionary):
            yield each


def _subtype(annotation: Dictionary) -> str:
    return name_text(annotation.get_raw(Name.Subtype))


def is_seen(annotation: Dictionary) -> bool:
    """Tell whether a person expects an annotation on paper.

    Strictly, only what carries the print flag is printed; but many programs write fields without
    it, and what was filled in must not be lost.
    """
    flags = annotation.get_int(Name.F, 0)
    if flags & _HIDDEN:
        return False
    if flags & _PRINT:
        return True
    is_field = _subtype(annotation) == "/Widget" and not flags & _NO_VIEW
    return is_field and not Field(annotation).flags & fields.PUSH_BUTTON


def flatten(pdf: Pdf) -> Flattened:
    """Make all that is to be seen part of the pages, and remove the form.

    Returns where looks were drawn here. Raises UndrawableError where something was filled in that
    cannot be shown.
    """
    form = acroform(pdf)
    painter = Painter(pdf)
    areas: list[tuple[Area, bool]] = []
    pages = []
    for at, page in enumerate(page.obj for page in pdf.pages):
        if Name.Annots in page:
            pages.append(page)
            page[Name.Annots] = Array(_prepared(page, form, painter, at, areas))
    if form is not None:
        # Otherwise qpdf leaves the fields alone: their appearances are right from here on.
        form[Name.NeedAppearances] = False
    pdf.acroform.invalidate_cache()
    pdf.flatten_annotations("all")
    for page in pages:
        left = [each for each in annotations(page) if _subtype(each) != "/Widget"]
        page[Name.Annots] = Array(left)
    if Name.AcroForm in pdf.Root:
        del pdf.Root[Name.AcroForm]
    pdf.acroform.invalidate_cache()
    return Flattened(
        replaced=tuple(area for area, had_look in areas if had_look),
        drawn=tuple(area for area, had_look in areas if not had_look),
    )


def _prepared(
    page: Dictionary,
    form: Dictionary | None,
    painter: Painter,
    at: int,
    areas: list[tuple[Area, bool]],
) -> Iterator[Dictionary]:
    for annotation in annotations(page):
        kind = _subtype(annotation)
        if kind in _LEFT_ALONE:
            yield annotation
            continue
        if kind in _NOT_FOR_PAPER or not is_seen(annotation):
            continue
        field = Field(annotation, form)
        before = appearance(annotation)
        try:
            if kind == "/Widget":
                _show_field(field, painter)
            elif kind == "/FreeText" and appearance(annotation) is None:
                painter.free_text(field)
        except UnwritableError as error:
            raise UndrawableError(
                "A form field holds characters other than Latin letters and common signs, which "
                "the program that filled it in left to others to draw."
            ) from error
        annotation[Name.F] = _PRINT
        shown = appearance(annotation)
        if shown is not None and (before is None or not before.is_same_object_as(shown)):
            left, bottom, right, top = (side.as_float(0.0) for side in annotation[Name.Rect])
            corners = (min(left, right), min(bottom, top), max(left, right), max(bottom, top))
            areas.append((Area(at, *corners), before is not None))
        if shown is not None:
            _complete(shown, annotation, form)
        yield annotation


def _complete(shown: Stream, annotation: Dictionary, form: Dictionary | None) -> None:
    """Carry over what an appearance takes from its surroundings."""
    if not isinstance(shown.get_raw(Name.Resources), Dictionary):
        common = form.get_raw(Name.DR) if form is not None else None
        shown[Name.Resources] = common if isinstance(common, Dictionary) else Dictionary()
    layer = annotation.get_raw(Name.OC)
    if layer is not None and Name.OC not in shown:
        shown[Name.OC] = layer


def appearance(annotation: Dictionary) -> Stream | None:
    """Return the appearance that is shown now, if there is one."""
    looks = annotation.get_raw(Name.AP)
    normal = looks.get_raw(Name.N) if isinstance(looks, Dictionary) else None
    if isinstance(normal, Dictionary) and not isinstance(normal, Stream):
        state = annotation.get_raw(Name.AS)
        normal = normal.get_raw(state) if isinstance(state, Name) else None
    return normal if isinstance(normal, Stream) else None


def _show_field(field: Field, painter: Painter) -> None:
    stale = field.form is not None and field.form.get_bool(Name.NeedAppearances) is True
    if field.kind in ("/Tx", "/Ch"):
        filled = field.value if field.kind == "/Tx" else "".join(field.values)
        if stale or not _shows(appearance(field.widget), filled):
            painter.text_field(field)
    elif field.kind == "/Btn" and not field.flags & fields.PUSH_BUTTON:
        _show_button(field, painter, stale=stale)


def _shows(shown: Stream | None, filled: str) -> bool:
    """Tell whether an appearance shows anything, where something is to be shown."""
    if shown is None:
        return False
    return not filled.strip() or bool(
        re.search(rb"(?:T[jJ]|['\"]|\bDo|\bEI)(?=[\s\[(<]|$)", stream_start(shown, _MAX_APPEARANCE))
    )


def _show_button(field: Field, painter: Painter, *, stale: bool) -> None:
    current = field.shown_state
    if current and field.states and not stale:
        state: str | None = current
    else:
        state = field.state()
        if state is None and current:
            state = current
    if state is None:
        raise UndrawableError("The form does not say which of its radio buttons is the chosen one.")
    field.widget[Name.AS] = name_of(state)
    if appearance(field.widget) is None:
        painter.button(field, on=state != "Off")
