"""The README's pictures, of the real thing: ``python -m tests.pictures [folder]`` takes them.

It runs the demo, with some more letters, and shows in Chromium what an office sees meanwhile; the
report is drawn by pdfium. Where no folder is named, they go to ``.github/``.
"""

import io
import sys
import tempfile
from pathlib import Path

import pypdfium2
from click.testing import CliRunner
from PIL import Image

from faxdrop.cli import demo
from faxdrop.cli.main import main as command
from faxdrop.setup import specimen
from tests.kit.browser import Browser
from tests.kit.waiting import until

FOLDER = Path(__file__).parents[1] / ".github"
WINDOW = {"width": 960, "height": 600, "deviceScaleFactor": 1.5, "mobile": False}
DOTS = 110 / 72  # of the report, a point
COLOURS = 64  # what a page of few colours needs

MORE = (
    ("Labor Nord +493023125004", "referral 4711.pdf"),  # stays on its way
    ("Labor Nord +493023125004", "referral 4712.pdf"),  # waits for it
)


def take(folder: Path, target: Path) -> None:
    """Run the demo below a folder, and put the pictures into another."""
    with demo.running(folder) as shows:
        shows.drop()
        for to, name in MORE:
            path = shows.spool.inbox / to / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(specimen.letter([name]))
        until(lambda: all(row.filed for row in shows.rows()), 60.0)
        until(lambda: shows.page_is_current() and "Waiting <span>1<" in _text(shows.page), 60.0)
        with Browser() as browser:
            browser.open(shows.page, WINDOW)
            _keep(Image.open(io.BytesIO(browser.picture())), target / "status-page.png")
        document = next(row.filed for row in shows.rows() if row.drop == demo.TOLD_IN_FULL)
        _keep(_report(folder, document), target / "report.png")


def _text(page: Path) -> str:
    return page.read_text("utf-8")


def _report(folder: Path, document: Path | None) -> Image.Image:
    """Return the first page of the report of a document."""
    target = folder / "report.pdf"
    words = ["--config", str(folder / "config.toml"), "report", "--out", str(target), str(document)]
    done = CliRunner().invoke(command, words)
    if done.exit_code:
        sys.exit(done.output)
    with pypdfium2.PdfDocument(target) as pdf:
        picture: Image.Image = pdf[0].render(scale=DOTS).to_pil()
        return picture


def _keep(picture: Image.Image, target: Path) -> None:
    small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(target, optimize=True)


def main() -> None:
    """Take the pictures."""
    target = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="faxdrop-") as folder:
        take(Path(folder), target)


if __name__ == "__main__":
    main()
