"""Draws the page of a transmission report: its content and a picture become a PDF.

Deterministic: the same content gives the same bytes. Values come from others, so each is escaped,
wrapped and cut to its room: the report stays one page whatever the names are.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import reportlab
import reportlab.rl_config
from PIL import Image
from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from faxdrop.names.printable import shown
from faxdrop.report.content import Content, Mark, Row

_WIDTH, _HEIGHT = A4
_LEFT, _RIGHT = 18 * mm, _WIDTH - 18 * mm
_PICTURE = (66 * mm, 93 * mm)  # room for the first page
_GAP = 6 * mm
_INK, _GREY, _RULE = Color(0.1, 0.1, 0.12), Color(0.4, 0.4, 0.44), Color(0.8, 0.8, 0.83)
_COLOURS: Final[dict[Mark, Color]] = {
    "good": Color(0.05, 0.42, 0.22),
    "bad": Color(0.70, 0.10, 0.10),
    "none": _GREY,
}
_PLAIN, _BOLD, _FIXED = "Vera", "VeraBd", "Courier"
_USUAL, _SMALL, _LINE = 8.5, 7.5, 11.0
_ELLIPSIS = "..."
_CELL_LINES = 2  # of one cell of a table

_FONTS = Path(reportlab.__file__).parent / "fonts"
reportlab.rl_config.useA85 = 0  # it would encode everything a second time, which is slow
_LETTERS: Final[dict[str, frozenset[int]]] = {}
for _name in (_PLAIN, _BOLD):
    _font = TTFont(_name, str(_FONTS / f"{_name}.ttf"))
    pdfmetrics.registerFont(_font)
    _LETTERS[_name] = frozenset(_font.face.charToGlyph)


def printable(text: str, font: str = _PLAIN) -> str:
    r"""Return a text in letters that the font has; any other becomes an escape: ``\u05d0``."""
    known = range(0x20, 0x7F) if font == _FIXED else _LETTERS[font]
    return "".join(
        char if ord(char) in known else char.encode("unicode_escape").decode()
        for char in shown(text)
    )


def wrapped(text: str, font: str, size: float, width: float, most: int) -> list[str]:
    """Return a text as at most ``most`` lines; an ellipsis stands for the rest."""
    lines: list[str] = []
    rest = printable(text, font)
    while rest and len(lines) < most:
        fits = _fitting(rest, font, size, width)
        if fits < len(rest) and " " in rest[1 : fits + 1]:
            fits = rest.rindex(" ", 1, fits + 1)
        lines.append(rest[:fits].rstrip())
        rest = rest[fits:].lstrip()
    if rest:
        last = lines[-1]
        room = width - pdfmetrics.stringWidth(_ELLIPSIS, font, size)
        lines[-1] = last[: _fitting(last, font, size, room)].rstrip() + _ELLIPSIS
    return lines or [""]


def _fitting(text: str, font: str, size: float, width: float) -> int:
    """Return how many characters fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if pdfmetrics.stringWidth(text[:middle], font, size) <= width:
            low = middle
        else:
            high = middle - 1
    return low


def draw(content: Content, picture: Image.Image | None) -> bytes:
    """Return the report's page as a PDF."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=True, pageCompression=1, lang=content.language)
    canvas.setTitle(printable(content.title))
    canvas.setAuthor("faxdrop")
    _Page(canvas).draw(content, picture)
    canvas.showPage()
    canvas.save()
    return file.getvalue()


class _Page:
    """The page while it is drawn, from the top down. Lengths are in points."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._y = _HEIGHT - 18 * mm

    def draw(self, content: Content, picture: Image.Image | None) -> None:
        """Draw all of it."""
        self._head(content)
        self._result(content)
        top = self._y
        column = _RIGHT - _PICTURE[0] - _GAP
        for row in content.facts:
            self._row(row, column, 27 * mm)
        low = self._picture(content, picture, top)
        self._y = min(self._y, low) - 3 * mm
        self._attempts(content)
        self._comparisons(content)
        self._section(content.ids_title)
        for row in content.ids:
            self._row(row, _RIGHT, 46 * mm, font=_FIXED)
        self._foot(content)
        if content.simulated:  # last, so that no value can cover it
            self._across(content.simulated)

    def _text(self, x: float, text: str, font: str, size: float, colour: Color = _INK) -> None:
        self._canvas.setFont(font, size)
        self._canvas.setFillColor(colour)
        self._canvas.drawString(x, self._y, printable(text, font))

    def _rule(self, y: float) -> None:
        self._canvas.setStrokeColor(_RULE)
        self._canvas.setLineWidth(0.6)
        self._canvas.line(_LEFT, y, _RIGHT, y)

    def _head(self, content: Content) -> None:
        self._text(_LEFT, content.title, _PLAIN, 11, _GREY)
        self._y -= 15 * mm
        colour = _COLOURS[content.mark]
        self._canvas.setFillColor(colour)
        self._canvas.rect(_LEFT, self._y - 3 * mm, _RIGHT - _LEFT, 15 * mm, stroke=0, fill=1)
        self._text(_LEFT + 5 * mm, content.word, _BOLD, 30, Color(1, 1, 1))
        self._y -= 9 * mm

    def _result(self, content: Content) -> None:
        for at, paragraph in enumerate(content.result):
            font = _BOLD if at == 0 else _PLAIN
            for line in wrapped(paragraph, font, 9, _RIGHT - _LEFT, 4):
                self._text(_LEFT, line, font, 9)
                self._y -= 12
            self._y -= 2
        self._y -= 3 * mm

    def _row(self, row: Row, right: float, label: float, *, font: str = _PLAIN) -> None:
        """Draw a label and its value, which ends before ``right``."""
        self._text(_LEFT, row.label, _PLAIN, _SMALL, _GREY)
        size = _SMALL if font == _FIXED else _USUAL
        for line in wrapped(row.value, font, size, right - _LEFT - label, 3):
            self._text(_LEFT + label, line, font, size)
            self._y -= _LINE
        self._y -= 1.5

    def _section(self, title: str) -> None:
        self._y -= 2 * mm
        self._text(_LEFT, title, _BOLD, _USUAL)
        self._rule(self._y - 3)
        self._y -= 5 * mm

    def _picture(self, content: Content, picture: Image.Image | None, top: float) -> float:
        """Draw the first page on the right; return where the room below it begins."""
        width, height = _PICTURE
        left, y = _RIGHT - width, top + 3 * mm - height
        canvas = self._canvas
        if picture is None:
            canvas.setStrokeColor(_RULE)
            canvas.rect(left, y, width, height, stroke=1, fill=0)
            at, self._y = self._y, y + height / 2
            for line in wrapped(content.no_picture, _PLAIN, _USUAL, width - 8 * mm, 4):
                self._text(left + 4 * mm, line, _PLAIN, _USUAL, _GREY)
                self._y -= _LINE
            self._y = at
        else:
            shrunk = min(width / picture.width, height / picture.height)
            wide, high = picture.width * shrunk, picture.height * shrunk
            left, y = _RIGHT - wide, top + 3 * mm - high
            canvas.drawImage(ImageReader(picture), left, y, wide, high)
            canvas.setStrokeColor(_GREY)
            canvas.setLineWidth(0.5)
            canvas.rect(left, y, wide, high, stroke=1, fill=0)
        at, self._y = self._y, y - 3.5 * mm
        self._text(left, content.picture_title, _PLAIN, 6.5, _GREY)
        low, self._y = self._y, at
        return low

    def _attempts(self, content: Content) -> None:
        if not content.attempts:
            return
        self._section(content.attempts_title)
        columns = (0.0, 10 * mm, 60 * mm, 95 * mm, _RIGHT - _LEFT)
        self._cells(content.attempts_head, columns, _PLAIN, _GREY)
        for attempt in content.attempts:
            self._cells(attempt, columns)
        if content.attempts_more:
            self._text(_LEFT, content.attempts_more, _PLAIN, _SMALL, _GREY)
            self._y -= _LINE

    def _comparisons(self, content: Content) -> None:
        self._section(content.comparisons_title)
        columns = (0.0, 68 * mm, 97 * mm, 126 * mm, _RIGHT - _LEFT)
        self._cells(content.comparisons_head, columns, _PLAIN, _GREY)
        for each in content.comparisons:
            cells = (each.label, each.ours, each.theirs, each.verdict)
            self._cells(cells, columns, _BOLD, _COLOURS[each.mark])

    def _cells(
        self,
        cells: Sequence[str],
        columns: Sequence[float],
        last: str = _PLAIN,
        colour: Color = _INK,
    ) -> None:
        """Draw a row of a table; ``last`` and ``colour`` are of its last cell."""
        plain = colour if last == _PLAIN else _INK
        top = low = self._y
        for at, cell in enumerate(cells):
            is_last = at == len(cells) - 1
            font = last if is_last else _PLAIN
            width = columns[at + 1] - columns[at] - 2 * mm
            self._y = top
            for line in wrapped(cell, font, _SMALL, width, _CELL_LINES):
                self._text(_LEFT + columns[at], line, font, _SMALL, colour if is_last else plain)
                self._y -= _LINE
            low = min(low, self._y)
        self._y = low

    def _foot(self, content: Content) -> None:
        self._y = 27 * mm
        middle = _LEFT + 105 * mm
        for left, right, label in (
            (_LEFT, middle - _GAP, content.checked_by),
            (middle, _RIGHT, content.date),
        ):
            self._canvas.setStrokeColor(_INK)
            self._canvas.setLineWidth(0.6)
            self._canvas.line(left, self._y + 4 * mm, right, self._y + 4 * mm)
            self._text(left, label, _PLAIN, _SMALL, _GREY)
        self._y = 14 * mm
        self._text(_LEFT, content.footer, _PLAIN, 6.5, _GREY)

    def _across(self, word: str) -> None:
        canvas = self._canvas
        canvas.saveState()
        canvas.translate(_WIDTH / 2, _HEIGHT / 2)
        canvas.rotate(52)
        canvas.setFillColor(Color(0.7, 0.1, 0.1, alpha=0.22))
        text = printable(word, _BOLD)
        size = min(90.0, 90.0 * 245 * mm / pdfmetrics.stringWidth(text, _BOLD, 90))
        canvas.setFont(_BOLD, size)
        canvas.drawCentredString(0, -size / 3, text)
        canvas.restoreState()
