"""Judges a copy: finds what a page of the original shows and its copy does not.

Both are drawn by the same renderer and compared as pictures, so it does not matter how a PDF keeps
a mark, nor why the copy has lost it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from faxdrop.pdf.areas import Area, Flattened
from faxdrop.pdf.neighbours import darkest, lightest
from faxdrop.pdf.render import Grey, Page, Rendered, RenderError, Resolution, grey

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

    def __bool__(self) -> bool:
        return self.ink or self.covered


@dataclass(frozen=True)
class Judgement:
    """What was found: the pages that lack something, and those that could not be compared."""

    lost: dict[int, Loss]
    unjudged: int


def judge(
    original: bytes,
    copy: bytes,
    flattened: Flattened,
    units: Sequence[float],
    is_late: Callable[[], bool],
) -> Judgement:
    """Compare all pages for which there is time.

    ``units`` has the points in a unit of each page (``/UserUnit``).
    """
    lost: dict[int, Loss] = {}
    judged = 0
    aside = (*flattened.on_the_copy, *flattened.left_out)
    try:
        with Rendered(original) as one, Rendered(copy) as other:
            if len(one) == len(other) == len(units):
                for number, unit in enumerate(units):
                    if is_late():
                        break
                    areas = [area for area in aside if area.page == number]
                    with one.page(number) as page, other.page(number) as copied:
                        loss = compared(page, copied, areas, unit)
                    if loss:
                        lost[number] = loss
                    judged += 1
    except (RenderError, MemoryError):
        pass  # this page and the rest are not judged
    return Judgement(lost, len(units) - judged)


def compared(original: Page, copy: Page, areas: Sequence[Area], unit: float = 1.0) -> Loss:
    """Compare one page; what differs on purpose in ``areas`` does not count."""
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
    for area in areas:
        place = original.place(area, *size, _MARGIN)
        below = slice(max(place.top - first, 0), max(place.bottom - first, 0))
        ink[below, place.left : place.right] = covered[below, place.left : place.right] = 0
    return Loss(ink=_is_more_than_a_speck(ink), covered=_is_more_than_a_speck(covered))


def _missing(before: Grey, after: Grey, least: int) -> Grey:
    """Return by how much each pixel is darker than all that is near it in the copy.

    Half of what it is darker than its paper must be gone: between two pixels, a thin line is paler.
    """
    around = darkest(after, _NEAR)
    depth = lightest(before, _PAPER) - before
    missing = np.maximum(around, before) - before
    missing[missing < np.maximum(depth // 2, least)] = 0
    return missing


def _is_more_than_a_speck(missing: Grey) -> bool:
    return float(missing.sum(dtype=np.int64)) / 255 >= _SPECK
