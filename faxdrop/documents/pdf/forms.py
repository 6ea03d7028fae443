"""Flattening: what a person sees of form fields and annotations becomes part of the page.

sipgate takes PDFs with form fields and then fails them. A look that the PDF brings is used as it
is. If there is none, or if it certainly does not show the value, one is drawn here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream

from faxdrop.documents.pdf import appearances, fields, placing
from faxdrop.documents.pdf.annotations import sketch_of
from faxdrop.documents.pdf.areas import Area, Flattened
from faxdrop.documents.pdf.drawing import Painter, text_on
from faxdrop.documents.pdf.fields import Field, name_text
from faxdrop.documents.pdf.lettering import UnwritableError
from faxdrop.documents.pdf.placing import Piece, Rect, corners_of
from faxdrop.words import _

# Bits of /F: ISO 32000-1, table 165.
_INVISIBLE, _HIDDEN, _PRINT, _NO_ROTATE, _NO_VIEW = 1, 2, 4, 16, 32

_LEFT_ALONE = frozenset({"/Link"})
# Symbols that open something on a screen; on paper they would only cover the page.
_NOT_FOR_PAPER = frozenset(
    {"/Popup", "/Text", "/FileAttachment", "/Sound", "/Movie", "/Screen", "/RichMedia", "/3D"}
)
_TEXT_MARKS = frozenset({"/FreeText", "/Stamp"})
_MAX_ASKED = 2000  # looks of one document that are read; the others are right
_KNOWN = frozenset(
    {"/Widget", "/Ink", "/Line", "/PolyLine", "/Polygon", "/Square", "/Circle", "/Highlight"}
    | {"/Underline", "/StrikeOut", "/Squiggly", "/Redact", "/Caret", "/Watermark"}
    | {"/PrinterMark", "/TrapNet", "/Projection"}
    | _TEXT_MARKS
)


class UndrawableError(Exception):
    """A filled-in field whose content cannot be made visible; says where and why, for people.

    It does not repeat the content: no content of a document belongs in a log or a receipt.
    """


class FormKind(NamedTuple):
    """What a PDF has of forms and annotations."""

    has_fields: bool  # a form to fill in
    has_drawing: bool  # something to make part of the page


def acroform(pdf: Pdf) -> Dictionary | None:
    """Return the form dictionary, if there is one."""
    form = pdf.Root.get_raw(Name.AcroForm)
    return form if isinstance(form, Dictionary) else None


def kind_of(pdf: Pdf) -> FormKind:
    """Look for form fields and annotations, without changing anything."""
    form = acroform(pdf)
    found = [each for page in pdf.pages for each in annotations(page.obj)]
    widgets = any(_subtype(each) == "/Widget" for each in found)
    listed = form is not None and bool(form.get_list(Name.Fields))
    xfa = form is not None and form.get_raw(Name.XFA) is not None
    return FormKind(
        has_fields=widgets or listed or xfa,
        has_drawing=form is not None or widgets or any(map(_is_drawn, found)),
    )


def annotations(page: Dictionary) -> Iterator[Dictionary]:
    """Yield a page's annotations."""
    listed = page.get_raw(Name.Annots)
    for each in listed if isinstance(listed, Array) else ():
        if isinstance(each, Dictionary):
            yield each


def _subtype(annotation: Dictionary) -> str:
    return name_text(annotation.get_raw(Name.Subtype))


def _is_drawn(mark: Dictionary) -> bool:
    """Return whether an annotation that is no field becomes part of the page."""
    kind = _subtype(mark)
    if kind in _LEFT_ALONE or kind in _NOT_FOR_PAPER or not is_seen(mark):
        return False
    if appearance(mark) is not None or sketch_of(mark) is not None:
        return True
    return kind in _TEXT_MARKS and bool(text_on(mark).strip())


def is_seen(annotation: Dictionary) -> bool:
    """Return whether a person sees an annotation, on the screen or on paper.

    The print flag alone decides nothing: many programs forget it, and what was filled in or drawn
    must not be lost. Only buttons to press are for the screen where they lack it, but not Adobe's
    image fields, which are buttons that take in a picture.
    """
    flags = annotation.get_int(Name.F, 0)
    if flags & _HIDDEN:
        return False
    if flags & _PRINT:
        return True
    kind = _subtype(annotation)
    if flags & _NO_VIEW or (flags & _INVISIBLE and kind not in _KNOWN):
        return False
    return kind != "/Widget" or not Field(annotation).is_for_pressing


def appearance(annotation: Dictionary) -> Stream | None:
    """Return the look that is shown now, if there is one."""
    normal = _normal(annotation)
    if isinstance(normal, Dictionary) and not isinstance(normal, Stream):
        state = annotation.get_raw(Name.AS)
        normal = normal.get_raw(state) if isinstance(state, Name) else None
    return normal if isinstance(normal, Stream) else None


def _normal(annotation: Dictionary) -> Object | None:
    of_all = annotation.get_raw(Name.AP)
    return of_all.get_raw(Name.N) if isinstance(of_all, Dictionary) else None


def flatten(pdf: Pdf) -> Flattened:
    """Make everything that people see part of the pages, and remove the form.

    Returns where looks were drawn here. Raises UndrawableError if something was filled in that
    cannot be shown.
    """
    form = acroform(pdf)
    flattening = _Flattening(pdf, form, Painter(pdf))
    for at, page in enumerate(pdf.pages):
        if Name.Annots in page.obj:
            flattening.page(at, page.obj)
    if Name.AcroForm in pdf.Root:
        del pdf.Root[Name.AcroForm]
    pdf.acroform.invalidate_cache()
    return Flattened(
        replaced=tuple(flattening.replaced),
        drawn=tuple(flattening.drawn),
        left_out=tuple(flattening.left_out),
    )


@dataclass
class _Flattening:
    """The flattening of one document, with the places where looks were drawn."""

    pdf: Pdf
    form: Dictionary | None
    painter: Painter
    replaced: list[Area] = field(default_factory=list)
    drawn: list[Area] = field(default_factory=list)
    left_out: list[Area] = field(default_factory=list)
    asked: int = 0  # looks that were asked what they show

    @property
    def needed(self) -> bool:
        """Whether the PDF asks viewers to draw their own looks (NeedAppearances)."""
        return self.form is not None and self.form.get_bool(Name.NeedAppearances) is True

    def page(self, at: int, page: Dictionary) -> None:
        """Draw a page's annotations on it, and keep only links."""
        turn = placing.turn_of(page)
        pieces = []
        links = []
        for annotation in annotations(page):
            if _subtype(annotation) in _LEFT_ALONE:
                links.append(annotation)
                continue
            rect = corners_of(annotation.get_raw(Name.Rect))
            if rect is None:
                continue
            stays = annotation.get_int(Name.F, 0) & _NO_ROTATE
            pivot = (rect[0], rect[3]) if stays else None
            if _subtype(annotation) in _NOT_FOR_PAPER or not is_seen(annotation):
                self.left_out.append(Area(at, *placing.area_of(rect, turn, pivot)))
                continue
            piece, told = self._piece(annotation, rect)
            if piece is None:
                continue
            pieces.append(piece._replace(pivot=pivot, layer=annotation.get_raw(Name.OC)))
            if told is not None:
                told.append(Area(at, *placing.area_of(piece.rect, turn, pivot)))
        if links:
            page[Name.Annots] = Array(links)
        else:
            del page[Name.Annots]
        common = self.form.get_raw(Name.DR) if self.form is not None else None
        placing.place(self.pdf, page, pieces, common if isinstance(common, Dictionary) else None)

    def _piece(self, annotation: Dictionary, rect: Rect) -> tuple[Piece | None, list[Area] | None]:
        """Return what is drawn for an annotation, and the list for its place."""
        kind = _subtype(annotation)
        before: Stream | None
        try:
            if kind == "/Widget":
                before, look = self._field(Field(annotation, self.form), rect)
            else:
                before = look = appearance(annotation)
                if before is None:
                    return self._mark(annotation, rect), self.drawn
        except UnwritableError as error:
            raise UndrawableError(
                _(
                    "A form field or a note contains characters other than Latin letters and "
                    "common signs, and the PDF does not say how to draw them."
                )
            ) from error
        if look is None:
            return None, None
        piece = Piece(look, rect, multiplied=kind == "/Highlight")
        if before is None:
            return piece, self.drawn
        if look is before:
            return piece, None
        # If the PDF does not ask for new looks, its own one is the ground for what it lacks.
        return piece._replace(ground=None if self.needed else before), self.replaced

    def _mark(self, mark: Dictionary, rect: Rect) -> Piece | None:
        """Draw what a person put on the page if no look shows it."""
        sketch = sketch_of(mark)
        if sketch is not None:
            return Piece(self.painter.sketch(sketch), sketch.box, multiplied=sketch.multiplied)
        if _subtype(mark) not in _TEXT_MARKS or not text_on(mark).strip():
            return None
        look = self.painter.text_mark(Field(mark, self.form))
        return Piece(look, rect) if look is not None else None

    def _field(self, shown: Field, rect: Rect) -> tuple[Stream | None, Stream | None]:
        """Return the look that a field brings, and the one to draw."""
        if shown.kind == "/Btn" and not shown.flags & fields.PUSH_BUTTON:
            return self._button(shown)
        brought = appearance(shown.widget)
        if shown.kind not in ("/Tx", "/Ch"):
            return brought, brought
        if brought is not None and not self._is_outdated(shown, brought, rect):
            return brought, brought
        try:
            plain = brought is not None and not self.needed
            return brought, self.painter.text_field(shown, plain=plain)
        except UnwritableError:
            if brought is None or not _is_list(shown):
                raise
            return brought, brought

    def _is_outdated(self, shown: Field, look: Stream, rect: Rect) -> bool:
        """Return whether a look certainly does not show what is in the field."""
        texts = shown.texts
        filled = any(text.strip() for text in texts)
        self.asked += 1
        if self.asked > _MAX_ASKED:
            return False
        if filled and appearances.is_blank(look, rect):
            return True
        if not self.needed:
            return False
        if _is_list(shown):  # all its choices are shown; which are marked cannot be read
            return filled or (bool(shown.options) and appearances.is_blank(look, rect))
        if not texts or (shown.kind == "/Tx" and shown.flags & fields.PASSWORD):
            return False
        formatted = shown.has_format
        return all(appearances.is_stale(look, rect, text, formatted=formatted) for text in texts)

    def _button(self, button: Field) -> tuple[Stream | None, Stream | None]:
        """Return the look of a check box or a radio button: /AS says its state, if it names one."""
        state = button.shown_state or button.state()
        if state is None:
            raise UndrawableError(
                _("The form does not say which of its radio buttons is selected.")
            )
        look = button.look_of(state)
        if look is not None:
            return look, look
        on = state != "Off"
        if on and button.is_state_of_another(state):
            return None, None
        if not on and button.states and not self.needed:
            return None, None  # it says that it shows nothing then
        return None, self.painter.button(button, on=on)


def _is_list(shown: Field) -> bool:
    return shown.kind == "/Ch" and not shown.flags & fields.COMBO
