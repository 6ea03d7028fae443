"""Judges a copy: finds what a page of the original shows and its copy does not.

The same renderer draws both, and the pictures are compared. So it does not matter how a PDF stores
a mark, or why the copy has lost it.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from faxdrop.documents.pdf.areas import Area, Flattened
from faxdrop.documents.pdf.neighbours import darkest, lightest
from faxdrop.documents.pdf.render import Grey, Page, Rendered, RenderError, Resolution, grey

RESOLUTION = Resolution(100, 100, 4_000_000)  # about 4 pixels a millimetre
_NEAR = 2  # pixels: marks may be drawn this much elsewhere
_PAPER = 4  # pixels: so near to a stroke of writing there is paper
_PALE = 20  # levels of grey that make ink: a pale yellow marker on paper has more
_BRIGHT = 64  # levels that make white writing on something dark
_SPECK = 0.5  # lost ink, in pixels of black: a dot of half a point across has so much
_MARGIN = 2  # pixels around an area: lines are drawn with half of their width outside


@dataclass(frozen=True)
class Loss:
    """What a page of a copy lacks."""

    ink: bool = False  # something dark is not there
    covered: bool = False  # something light is not there: it lies beneath something dark
    undrawn: tuple[Area, ...] = ()  # where it should show something, and shows nothing at all

    def __bool__(self) -> bool:
        return self.ink or self.covered


@dataclass(frozen=True)
class Judgement:
    """The result: the pages that lack something, and those that could not be compared."""

    lost: dict[int, Loss]
    unjudged: int


def judge(
    original: bytes,
    copy: bytes,
    flattened: Flattened,
    units: Sequence[float],
    is_late: Callable[[], bool],
) -> Judgement:
    """Compare as many pages as there is time for.

    ``units`` has, for each page, the points in one unit (``/UserUnit``).
    """
    lost: dict[int, Loss] = {}
    judged = 0
    try:
        with Rendered(original) as one, Rendered(copy) as other:
            if len(one) != len(other) or len(one) != len(units):
                return Judgement({}, len(units))
            for number, unit in enumerate(units):
                if is_late():
                    break
                with (
                    contextlib.suppress(RenderError, MemoryError),
                    one.page(number) as page,
                    other.page(number) as copied,
                ):
                    loss = compared(page, copied, flattened.of_page(number), unit)
                    judged += 1
                    if loss:
                        lost[number] = loss
    except (RenderError, MemoryError):
        return Judgement({}, len(units))
    return Judgement(lost, len(units) - judged)


def compared(original: Page, copy: Page, flattened: Flattened, unit: float = 1.0) -> Loss:
    """Compare one page; differences in the areas of ``flattened``, made on purpose, don't count."""
    size = original.pixels(RESOLUTION, unit)
    before, after = grey(original.drawn(*size)), grey(copy.drawn(*size))
    rows = np.flatnonzero((before != after).any(axis=1))
    if not rows.size:
        return Loss()
    # What is around the rows that differ has a say, too.
    first, last = max(int(rows[0]) - _PAPER, 0), int(rows[-1]) + _PAPER + 1
    before, after = before[first:last], after[first:last]
    ink = _missing(before, after, _PALE)
    covered = _missing(255 - before, 255 - after, _BRIGHT)
    covered[before - darkest(before, _PAPER) < _BRIGHT] = 0  # paper is no writing in white
    undrawn = []
    for area in (*flattened.replaced, *flattened.drawn, *flattened.left_out):
        place = original.place(area, *size, _MARGIN)
        down = slice(max(place.top - first, 0), max(place.bottom - first, 0))
        across = slice(place.left, place.right)
        if area in flattened.drawn and _is_bare(after[down, across]) and ink[down, across].any():
            undrawn.append(area)
        else:
            ink[down, across] = covered[down, across] = 0
    return Loss(_is_more_than_a_speck(ink), _is_more_than_a_speck(covered), tuple(undrawn))


def _is_bare(part: Grey) -> bool:
    return bool(part.size) and int(part.max()) - int(part.min()) < _PALE


def _missing(before: Grey, after: Grey, least: int) -> Grey:
    """Return by how much each pixel is darker than all that is near it in the copy.

    At least half of a pixel's contrast to its paper must be lost: a thin line between two pixels is
    paler.
    """
    around = darkest(after, _NEAR)
    depth = lightest(before, _PAPER) - before
    missing = np.maximum(around, before) - before
    missing[missing < np.maximum(depth // 2, least)] = 0
    return missing


def _is_more_than_a_speck(missing: Grey) -> bool:
    return float(missing.sum(dtype=np.int64)) / 255 >= _SPECK
