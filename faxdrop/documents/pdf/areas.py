"""Where a copy shows something other than its original: plain data for the comparison."""

from dataclasses import dataclass
from typing import NamedTuple


class Area(NamedTuple):
    """A rectangle on a page, in points of the page's own coordinates (default user space)."""

    page: int  # counted from 0
    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True)
class Flattened:
    """What flattening drew itself, besides the looks that the PDF brings."""

    replaced: tuple[Area, ...] = ()  # a look was there and is no longer: its ink is not lost
    drawn: tuple[Area, ...] = ()  # no look was there: viewers may show nothing
    left_out: tuple[Area, ...] = ()  # symbols of notes and the like, which are not for paper

    def of_page(self, number: int) -> "Flattened":
        """Return what was drawn on one page."""
        return Flattened(
            *(
                tuple(area for area in areas if area.page == number)
                for areas in (self.replaced, self.drawn, self.left_out)
            )
        )
