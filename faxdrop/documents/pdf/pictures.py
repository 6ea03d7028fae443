"""Pages as a fax machine prints them: black and white, 204 dots per inch across and 196 down.

Writing and lines are cut at half of their own contrast, so they stay sharp and pale writing does
not vanish. Grey areas (photographs, shading, marker) are dithered.
"""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pikepdf import Array, Dictionary, Name, Object, Pdf, Stream
from PIL import Image, ImageChops, ImageFilter

from faxdrop.documents.pdf.judge import Loss
from faxdrop.documents.pdf.neighbours import darkest, lightest
from faxdrop.documents.pdf.render import Grey, PageBox, Pixels, Resolution, grey

FINE = Resolution(204, 196, 16_000_000)  # an A3 page has half of that; a fax is A4 at most
STANDARD = Resolution(204, 98, 8_000_000)

_STROKE = 7  # pixels: twice that is the widest stroke that is taken for writing, 1.7 mm
_EDGE = 3  # pixels: what is this near to a stroke belongs to its blurred edge
_FAINT = 20  # levels of grey by which the palest writing differs from its paper
_AREA = 12  # pixels: half of the square in which a photograph is told from writing
_GROUND = 24  # pixels: half of the square in which writing is less than its ground
_HALF = 127  # of 255
_PHOTO = 115  # of 255: part of such a square that is neither light nor dark
_STRIP_OFFSETS, _STRIP_BYTE_COUNTS = 273, 279  # tags of TIFF
_STEP = 4  # of so many rows and columns, one is looked at where that will do
_BAND = 256  # rows that are looked at together: much of a page is white, and caches are small
_REACH = 48  # rows around them that have a say: more than all of the above together
_PAPER = 255  # untouched
_BLACK, _WHITE = 32, 243  # grey that is printed as black and as white
_CONTRAST = (np.interp(np.arange(256), (_BLACK, _WHITE), (0, 255))).astype(np.uint8)


Picture = Image.Image
Mask = NDArray[np.bool_]


class Shades(NamedTuple):
    """A drawn page: its ink, and how bright it is."""

    ink: Grey  # coloured ink counts as dark
    tone: Grey  # as the eye sees it


def shades(picture: Picture) -> Shades:
    """Return the shades of a page drawn in colour."""
    return Shades(grey(picture), np.asarray(picture.convert("L")))


def bilevel(page: Shades) -> Picture:
    """Return a page in black and white, as a fax shows it."""
    height = page.ink.shape[0]
    seen = np.full(page.ink.shape, _PAPER, np.uint8)
    for top in range(0, height, _BAND):
        first, last = max(top - _REACH, 0), min(top + _BAND + _REACH, height)
        band = Shades(page.ink[first:last], page.tone[first:last])
        if band.ink.min() < _PAPER:
            seen[top : top + _BAND] = _contrasted(band)[top - first : top - first + _BAND]
    return Image.fromarray(seen).convert("1")  # by error diffusion


def _contrasted(page: Shades) -> Grey:
    """Return a page with its writing in black and white, and everything else in grey."""
    ink = page.ink
    low, high = darkest(ink, _AREA), lightest(ink, _AREA)
    # Writing covers less than its ground: the space between white letters is no dark stroke.
    is_on_light = _share(ink - low >= (high - low) // 2, _GROUND) > _HALF
    is_writing = ~_is_photo(ink, low, high)
    dark, blur = _strokes(ink, is_writing & is_on_light)
    tone = _CONTRAST[page.tone]
    tone[blur] = _PAPER
    tone[dark] = 0
    is_on_dark = is_writing & ~is_on_light
    if is_on_dark.any():
        light, _ = _strokes(255 - ink, is_on_dark)
        tone[light] = _PAPER
    return tone


def _strokes(ink: Grey, where: Mask) -> tuple[Mask, Mask]:
    """Find what is darker than its surroundings and no wider than a stroke of writing.

    The second result is what is beside it: the blur of its edge, or a ground that would make it
    ragged.
    """
    depth = darkest(lightest(ink, _STROKE), _STROKE) - ink
    # The corners and the rim of something wide are no strokes.
    body = darkest(np.where(depth < _FAINT // 4, ink, np.uint8(255)), _STROKE)
    half = lightest(depth, _EDGE) // 2
    stroke = where & (depth >= np.maximum(half, _FAINT))
    stroke &= np.maximum(body, ink) - np.minimum(body, ink) >= _FAINT // 2
    beside = lightest(stroke.view(np.uint8), _EDGE).view(np.bool_)
    return stroke, where & beside & (depth < half)


def _is_photo(ink: Grey, low: Grey, high: Grey) -> Mask:
    """Find where most pixels are neither as dark nor as light as the extremes around them."""
    quarter = (high - low) // 4
    between = (ink - low > quarter) & (high - ink > quarter) & (quarter > _FAINT // 4)
    return _share(between, _AREA) > _PHOTO


def _share(mask: Mask, radius: int) -> Grey:
    """Return how much of the square around each pixel is set; 255 is all."""
    height, width = mask.shape
    some = Image.fromarray(mask[::_STEP, ::_STEP].view(np.uint8) * np.uint8(255))
    share = np.asarray(some.filter(ImageFilter.BoxBlur(radius / _STEP)))
    return share.repeat(_STEP, axis=0)[:height].repeat(_STEP, axis=1)[:, :width]


def group4(picture: Picture) -> bytes:
    """Return a bilevel picture in CCITT group 4, which PDF and TIFF share."""
    file = io.BytesIO()
    # Pillow writes black for white; and in one strip, since each begins anew.
    ImageChops.invert(picture).save(
        file, "TIFF", compression="group4", strip_size=picture.width * picture.height
    )
    with Image.open(file) as tiff:
        tags = tiff.tag_v2  # type: ignore[attr-defined] # Pillow's stubs know images, not TIFFs
        (start,), (length,) = tags[_STRIP_OFFSETS], tags[_STRIP_BYTE_COUNTS]
    return file.getvalue()[start : start + length]


def united(original: Picture, copy: Picture, loss: Loss, boxes: list[Pixels]) -> Picture:
    """Return the picture of a page: what the original shows, and what only the copy shows.

    In ``boxes`` only the copy counts: what it shows there replaces something else.
    """
    # Where the copy hides something, it adds nothing elsewhere.
    both = original.copy() if loss.covered else ImageChops.darker(original, copy)
    for box in boxes:
        both.paste(copy.crop(box), box)
    return both


def show_instead(pdf: Pdf, page: Dictionary, picture: Picture, box: PageBox, rotation: int) -> None:
    """Make a page consist of a picture of itself: of the part that is shown, as it is shown.

    Size, rotation and unit of the page stay what they are.
    """
    image = Stream(
        pdf,
        group4(picture),
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=picture.width,
        Height=picture.height,
        BitsPerComponent=1,
        ColorSpace=Name.DeviceGray,
        Filter=Name.CCITTFaxDecode,
        DecodeParms=Dictionary(K=-1, Columns=picture.width, Rows=picture.height),
    )
    for key in set(page.keys()) - {"/Type", "/Parent", "/UserUnit"}:
        del page[key]
    page.Type = Name.Page
    page.MediaBox = page.CropBox = Array([Object.parse(_number(side)) for side in box])
    page.Rotate = rotation
    page.Resources = Dictionary(XObject=Dictionary(Page=image))
    page.Contents = Stream(pdf, _placed(box, rotation) + b" cm /Page Do")


def _placed(box: PageBox, rotation: int) -> bytes:
    """Return the matrix that lays a picture onto a page that is turned to be shown."""
    width, height = box.right - box.left, box.top - box.bottom
    matrix: tuple[float, ...]
    match rotation % 360:
        case 90:
            matrix = (0, height, -width, 0, box.right, box.bottom)
        case 180:
            matrix = (-width, 0, 0, -height, box.right, box.top)
        case 270:
            matrix = (0, -height, width, 0, box.left, box.top)
        case _:
            matrix = (width, 0, 0, height, box.left, box.bottom)
    return b" ".join(_number(each) for each in matrix)


def _number(value: float) -> bytes:
    return f"{value:.4f}".rstrip("0").rstrip(".").encode()
