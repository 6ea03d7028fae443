"""What an office drops: letters from a seed, to numbers of every kind."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from faxdrop.simulator import MAGIC
from tests.kit import pdfs
from tests.kit.promises import sha256

# A fax to "stuck" never ends, so a test that waits until all have ended cannot use that number.
ODD_NUMBERS = tuple(one.number for one in MAGIC if one.name not in {"delivered", "stuck"})


@dataclass(frozen=True)
class Letter:
    """One document and where it is dropped."""

    folder: str
    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        """The hash by which tests know it."""
        return sha256(self.content)


def plain_numbers(count: int) -> list[str]:
    """Return numbers at which faxes are delivered, unless the simulator is hostile."""
    numbers = (
        f"{block}{place}{last:02}"
        for block in ("+493023125", "+496990009", "+494066969", "+492214710", "+498999998")
        for place in range(10)
        for last in range(22, 100)
    )
    return list(islice(numbers, count))


def letter(text: str, pages: int = 1) -> bytes:
    """Return a flawless PDF that is unique to its text; cheaper than those of ``pdfs``."""
    kids = " ".join(f"{number + 4} 0 R" for number in range(pages))
    content = f"BT /F1 12 Tf 72 760 Td ({text}) Tj ET".encode()
    page = (
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 3 0 R"
        "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>"
    )
    return pdfs.raw_pdf(
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {pages}/Kids[{kids}]>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        *[page] * pages,
    )


def letters(random: Random, count: int, numbers: int, odd: float = 0.08) -> Iterator[Letter]:
    """Yield letters to so many plain numbers, with some forms and wrecks among them.

    ``odd`` is the share that goes to numbers at which something special happens.
    """
    plain = plain_numbers(numbers)
    for at in range(count):
        kind = random.random()
        text = f"Letter {at} of {random.randrange(10**9)}"
        number = random.choice(ODD_NUMBERS) if kind < odd else random.choice(plain)
        if kind > 0.97:
            content = text.encode()
        elif kind > 0.94:
            content = pdfs.form((pdfs.Field("Name", "text", (100, 700, 300, 720), text),))
        else:
            content = letter(text, random.choice((1, 1, 1, 2, 5)))
        # Few names, so that a name is often taken already.
        yield Letter(number, f"letter {random.randrange(5)}.pdf", content)


def drop(inbox: Path, one: Letter, *, durable: bool = False) -> Path:
    """Put a letter into an inbox as ``cp`` does, and return its path; never overwrite another.

    ``durable``: it survives a power cut from here on.
    """
    folder = inbox / one.folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / one.name
    copies = 1
    while True:
        try:
            file = path.open("xb")
            break
        except FileExistsError:
            copies += 1
            path = folder / f"{copies} {one.name}"
    with file:
        file.write(one.content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    if durable:
        for each in (folder, inbox):
            fd = os.open(each, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
    return path
