"""faxdrop preview: what the recipient will see, as pictures, without a config or a daemon."""

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pikepdf import Array, Pdf
from PIL import Image, ImageChops

from faxdrop.cli.main import main
from faxdrop.documents import preview
from faxdrop.documents.checker import Checker
from faxdrop.documents.preview import Sheet, paper, remarks
from faxdrop.documents.verdict import Limits
from tests.kit import pdfs, renderers

A4 = (1687, 2292)  # pixels: reportlab and we round A4 up


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, without a config."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def run(*arguments: str | Path, code: int = 0, config: str | Path = "none.toml") -> Result:
    """Run the command."""
    result = CliRunner().invoke(main, ["--config", str(config), "preview", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


def dropped(tmp_path: Path, data: bytes, name: str = "letter.pdf") -> Path:
    """Return a file with this content, which lies elsewhere."""
    file = tmp_path / name
    file.write_bytes(data)
    return file


def changed(change: Any, pages: int = 1) -> bytes:
    """Return a letter after a change to its pages."""
    return pdfs.changed(pdfs.good(pages), change)


def opened(path: Path) -> Image.Image:
    """Return a picture."""
    with Image.open(path) as image:
        image.load()
        return image


def test_preview(tmp_path: Path) -> None:
    """Each page becomes two pictures; a plain letter is shown as faxed as it is."""
    file = dropped(tmp_path, pdfs.good(2))
    said = run(file).stdout
    assert said == f"{file}: 2 pages, faxed as it is\nThe pictures are in letter.preview/\n"
    names = {path.name for path in Path("letter.preview").iterdir()}
    assert names == {f"page-{at}-{how}.png" for at in (1, 2) for how in ("fine", "standard")}
    drawn = renderers.pdfium(pdfs.good(2), dpi=204).resize(A4)
    for name in ("page-1-fine.png", "page-1-standard.png"):
        seen = opened(Path("letter.preview") / name)
        assert (seen.size, seen.mode) == (A4, "1")
        assert renderers.lost(drawn, seen.convert("L"), reach=3) == 0
        assert renderers.lost(seen.convert("L"), drawn, reach=3) == 0
    standard = opened(Path("letter.preview/page-1-standard.png")).convert("L")
    nearest = Image.Resampling.NEAREST
    halves = standard.resize((A4[0], A4[1] // 2), nearest).resize(A4, nearest)
    assert ImageChops.difference(standard, halves).getbbox() is None


def test_a_form(tmp_path: Path) -> None:
    """The preview of a form shows what was filled in, and says that a copy is faxed."""
    file = dropped(tmp_path, pdfs.form())
    assert "1 page, faxed as a copy: flattened\n" in run(file, "--out", "new/folder").stdout
    seen = opened(Path("new/folder/page-1-fine.png")).convert("L")
    place = (100 * 204 // 72, (842 - 720) * 196 // 72, 300 * 204 // 72, (842 - 700) * 196 // 72)
    assert renderers.ink(seen.crop(place)) > 500


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A second preview goes beside the first one, and never into a folder that has something."""
    file = dropped(tmp_path, pdfs.good())
    run(file)
    before = Path("letter.preview/page-1-fine.png").stat()
    assert "letter.preview (2)/" in run(file).stdout
    assert Path("letter.preview/page-1-fine.png").stat() == before
    assert "not empty" in run(file, "--out", "letter.preview", code=2).stderr
    Path("empty").mkdir()
    run(file, "--out", "empty")
    assert len(list(Path("empty").iterdir())) == 2


def test_refused(tmp_path: Path) -> None:
    """For a document that would not be faxed, the reason is told and no folder is made."""
    file = dropped(tmp_path, pdfs.encrypted())
    assert "password" in run(file, code=1).stderr
    assert list(Path().iterdir()) == []
    assert "does not exist" in run(tmp_path / "none.pdf", code=2).stderr


def test_limits_of_the_config(tmp_path: Path) -> None:
    """If there is a config, its limits apply."""
    config = tmp_path / "config.toml"
    config.write_text('root = "share"\nsipgate.faxline = "f0"\ndocuments.max_pages = 1\n')
    config.chmod(0o640)
    file = dropped(tmp_path, pdfs.good(2))
    assert "2 pages" in run(file, code=1, config=config).stderr
    config.write_text("nonsense")
    run(file, config=config)


def test_what_is_said_of_pages(tmp_path: Path) -> None:
    """Blank and black pages are named, and those whose size a fax machine does not have."""

    def change(pdf: Pdf) -> None:
        for page, content in zip(pdf.pages, (b"", b"0 g 0 0 595 800 re f"), strict=False):
            page.obj.Contents = pdf.make_stream(content)
        pdf.pages[2].obj.MediaBox = Array([0, 0, 842, 1191])
        pdf.pages[3].obj.Rotate = 90

    said = run(dropped(tmp_path, changed(change, 5))).stdout.splitlines()
    assert said[1:-1] == [
        "  page 1: blank",
        "  page 2: mostly black",
        "  page 3: larger than A4 (297 x 420 mm): shrunk to 71 %",
        "  page 4: landscape (297 x 210 mm): shrunk to 71 %, or turned",
    ]
    sizes = [opened(Path(f"letter.preview/page-{at}-fine.png")).size for at in (1, 3, 4)]
    assert sizes == [A4, (1686, 2292), (1687, 1146)]


@pytest.mark.parametrize(
    ("width", "height", "words"),
    [
        (210, 297, ""),
        (215.9, 279.4, ""),
        (148, 210, ""),
        (210, 148, ""),
        (215.9, 355.6, "longer than A4 (216 x 356 mm): shrunk to 84 %, or cut in two"),
        (297, 210, "landscape (297 x 210 mm): shrunk to 71 %, or turned"),
        (841, 1189, "larger than A4 (841 x 1189 mm): shrunk to 25 %"),
    ],
)
def test_paper(width: float, height: float, words: str) -> None:
    """A4, US Letter and what is smaller come out as they are."""
    assert paper(width, height).words == words
    assert (paper(width, height).scale == 1) == (not words)


def test_two_remarks() -> None:
    """One page may have two remarks."""
    sheet = Sheet(width=297, height=420, black=0, fine=1, standard=1)
    assert remarks(sheet) == "larger than A4 (297 x 420 mm): shrunk to 71 %; blank"


def test_a_page_that_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the program that draws breaks down, the command says so."""
    monkeypatch.setattr(preview, "READER", "tests.kit.shaky_drawer")
    file = dropped(tmp_path, pdfs.good())
    assert "cannot be drawn" in run(file, code=1).stderr
    assert list(Path().iterdir()) == []


def test_names_that_steer_terminals(tmp_path: Path) -> None:
    """A name with control characters is shown, not obeyed."""
    file = dropped(tmp_path, pdfs.good(), "\x1b[31mletter.pdf")
    assert "\x1b" not in run(file).stdout


def test_unjudged_copies_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a copy could not be compared with its original, the preview asks a person to look."""

    def shaky(limits: Limits, reader: str = "tests.kit.shaky_reader") -> Checker:
        return Checker(limits, reader=reader)

    monkeypatch.setattr("faxdrop.documents.preview.Checker", shaky)
    data = pdfs.form().replace(b"%%EOF", b"%pdfium crashes\n%%EOF")
    assert "look at it closely" in run(dropped(tmp_path, data)).stdout


def test_what_is_no_ordinary_file_is_not_waited_for() -> None:
    """A device or a pipe is refused at once, whatever would come out of it."""
    result = CliRunner().invoke(main, ["preview", os.devnull])
    assert result.exit_code == 1
    assert "Something else is where a file should be" in result.stderr
