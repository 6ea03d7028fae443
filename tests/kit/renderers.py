"""Drawing PDFs with independent renderers, and comparing the ink of what they draw.

pdfium, poppler and MuPDF share nothing but the standard, so what all of them show is really there.
"""

import functools
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import cast

import pypdfium2
import pytest
from PIL import Image, ImageChops, ImageFilter

DARK = 150  # of 255: darker pixels are ink


def pdfium(data: bytes, page: int = 0, dpi: int = 72) -> Image.Image:
    """Draw a page in grey with pdfium, forms and annotations included."""
    with pypdfium2.PdfDocument(data) as pdf:
        pdf.init_forms()
        bitmap = pdf[page].render(scale=dpi / 72, grayscale=True)
        return cast("Image.Image", bitmap.to_pil().convert("L"))


def poppler(data: bytes, page: int = 0, dpi: int = 72, *, mode: str = "") -> Image.Image:
    """Draw a page with poppler, in colour or in the ``mode`` -gray or -mono."""
    select = ("-f", str(page + 1), "-l", str(page + 1), "-cropbox")
    modes = (mode,) if mode else ()
    return _drawn(data, ("pdftoppm", "-q", "-r", str(dpi), *select, *modes))


def poppler_grey(data: bytes, page: int = 0, dpi: int = 72) -> Image.Image:
    """Draw a page with poppler in grey, which blends differently from colour."""
    return poppler(data, page, dpi, mode="-gray")


def poppler_mono(data: bytes, page: int = 0, dpi: int = 72) -> Image.Image:
    """Draw a page with poppler in black and white, as faxes are."""
    return poppler(data, page, dpi, mode="-mono")


def mupdf(data: bytes, page: int = 0, dpi: int = 72) -> Image.Image:
    """Draw a page with MuPDF."""
    return _drawn(data, ("mutool", "draw", "-q", "-r", str(dpi), "-F", "ppm", "-o", "-"), page + 1)


Renderer = Callable[[bytes], Image.Image]
ALL: Sequence[Renderer] = (pdfium, poppler, poppler_grey, poppler_mono, mupdf)
TWO: Sequence[Renderer] = (pdfium, poppler)


def needs(command: str) -> None:
    """Skip the test on a machine without a command; on CI the command must be there."""
    if shutil.which(command) is None:
        assert "CI" not in os.environ, f"{command} is not installed"
        pytest.skip(f"needs {command}")


@functools.lru_cache(maxsize=16)
def _drawn(data: bytes, command: tuple[str, ...], *behind: int) -> Image.Image:
    needs(command[0])
    with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
        file.write(data)
        file.flush()
        arguments = [*command, file.name, *map(str, behind)]
        drawn = subprocess.run(arguments, check=True, capture_output=True).stdout
    return Image.open(io.BytesIO(drawn)).convert("L")


def inked(picture: Image.Image, dark: int = DARK) -> Image.Image:
    """Return a picture that is white (255) where there is ink, and black elsewhere."""
    return picture.point(lambda grey: 255 if grey < dark else 0)


def ink(picture: Image.Image, dark: int = DARK) -> int:
    """Return how many pixels are ink."""
    return inked(picture, dark).histogram()[255]


def lost(before: Image.Image, after: Image.Image, reach: int = 2, dark: int = DARK) -> int:
    """Return how many pixels of ink have none within ``reach`` pixels in the other picture.

    In the other picture ink may be a little paler: renderers smooth mixed colours differently.
    """
    assert before.size == after.size
    near = inked(after, dark + 50).filter(ImageFilter.MaxFilter(2 * reach + 1))
    return ImageChops.subtract(inked(before, dark), near).histogram()[255]


def part(picture: Image.Image, rect: tuple[float, float, float, float]) -> Image.Image:
    """Return the part of a page drawn at 72 dpi that a rectangle (in points) encloses."""
    left, bottom, right, top = rect
    high = picture.height
    return picture.crop((round(left), round(high - top), round(right), round(high - bottom)))
