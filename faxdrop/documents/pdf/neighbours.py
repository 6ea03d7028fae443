"""The darkest and the lightest of the pixels around each pixel of a picture."""

import numpy as np

from faxdrop.documents.pdf.render import Grey


def darkest(picture: Grey, radius: int) -> Grey:
    """Return for each pixel the darkest one in the square around it."""
    return _spread(_spread(picture, radius, 0, np.minimum, 255), radius, 1, np.minimum, 255)


def lightest(picture: Grey, radius: int) -> Grey:
    """Return for each pixel the lightest one in the square around it."""
    return _spread(_spread(picture, radius, 0, np.maximum, 0), radius, 1, np.maximum, 0)


def _spread(picture: Grey, radius: int, axis: int, better: np.ufunc, worst: int) -> Grey:
    """Return the best of each pixel and its neighbours along an axis."""
    height, width = picture.shape
    down, across = (radius, 0) if axis == 0 else (0, radius)
    wide = np.full((height + 2 * down, width + 2 * across), worst, np.uint8)
    wide[down : down + height, across : across + width] = picture
    window, done = 2 * radius + 1, 1
    while done < window:  # the best of 1, 2, 4 ... pixels, each made of two of the one before
        step = min(done, window - done)
        if axis == 0:
            wide = better(wide[:-step], wide[step:])
        else:
            wide = better(wide[:, :-step], wide[:, step:])
        done += step
    return wide
