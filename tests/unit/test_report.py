"""The transmission report: what it says, that it is one page, and that nothing hostile hurts it."""

import hashlib
import io
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pikepdf
import pypdfium2
import pytest
from click.testing import CliRunner, Result

from faxdrop.cli.main import main
from faxdrop.documents.checker import Checker
from faxdrop.fax.job import Attempt, Facts, Faxed, Job, Reason, State, StatusSeen
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.receipt import Receipt, make_receipt, to_bytes
from faxdrop.report import order
from faxdrop.report.content import MOST_ATTEMPTS, compose
from faxdrop.spool.places import nth_name, report_of
from faxdrop.words import Language, use
from tests.kit import pdfs

AT = datetime(2026, 1, 26, 9, 15, tzinfo=UTC)
NUMBER = "+492111234567"
BERLIN = ZoneInfo("Europe/Berlin")
FAILED = Reason(code=ReasonCode.TRANSMISSION_FAILED, message="It failed.", advice="Ask them.")


def attempt(number: int, outcome: str | None, pages: int | None = 2) -> Attempt:
    """Return an attempt that sipgate told the end of."""
    return Attempt(
        number=number,
        number_dialled=NUMBER,
        faxline="f0",
        faxed=Faxed(sha256="cd" * 32, bytes=9, pages=pages),
        submitted_at=AT + timedelta(minutes=number),
        session_id=f"session-{number}",
        outcome=outcome,
        statuses=(StatusSeen(status=outcome or "SENDING", at=AT + timedelta(minutes=number)),),
    )


def receipt(*attempts: Attempt, reason: Reason | None = None, **more: Any) -> Receipt:
    """Return the receipt of a fax; it was sent unless there is a reason."""
    simulated = more.pop("simulated", False)
    facts: dict[str, Any] = {
        "job_id": "20260126-1",
        "state": State.FAILED if reason else State.SENT,
        "name": "letter.pdf",
        "folder": "Dr. Müller",
        "claimed_at": AT,
        "number": NUMBER,
        "faxline": "f0",
        "document": Facts(sha256="ab" * 32, bytes=9, pages=2),
        "attempts": attempts,
        "reason": reason,
        "finished_at": AT + timedelta(hours=1),
    }
    return make_receipt(Job(**{**facts, **more}), simulated=simulated)


@pytest.fixture(scope="module")
def maker() -> Iterator[Checker]:
    """Make reports in a process apart."""
    with Checker(order.limits(), reader=order.MAKER) as checker:
        yield checker


def made(
    maker: Checker, told: Receipt, document: bytes = b"", appended: bytes = b"", **more: Any
) -> bytes:
    """Return a report."""
    words = compose(told, zone=BERLIN, **more)
    source = io.BytesIO(document)
    return order.report(maker, words, to_bytes(told), source, appended)


def text(report: bytes) -> str:
    """Return the words of a report's own page, as a PDF viewer finds them."""
    with pypdfium2.PdfDocument(report) as pdf:
        return " ".join(str(pdf[0].get_textpage().get_text_bounded()).split())


def test_a_fax_that_was_sent(maker: Checker) -> None:
    """The report says what became of the fax, in local time, with the receipt attached."""
    told = receipt(attempt(1, "FAILED"), attempt(2, "SENT"))
    report = made(maker, told, pdfs.good(2), sender="Law Office", book_number=NUMBER)
    words = text(report)
    assert " SENT " in words
    assert "NOT" not in words
    for each in (
        "Law Office",
        "Dr. Müller",
        NUMBER,
        "letter.pdf",
        "session-2",
        "ab" * 32,
        "cd" * 32,
    ):
        assert each in words
    assert "1 2026-01-26 10:16:00 CET +492111234567 failed" in words
    assert "2 2026-01-26 10:17:00 CET +492111234567 sent" in words
    assert words.count("agrees") == 2
    assert words.count("not told by sipgate") == 2  # duration, station id
    assert "SIMULATED" not in words
    with pikepdf.Pdf.open(io.BytesIO(report)) as pdf:
        assert len(pdf.pages) == 1
        assert pdf.attachments["receipt.json"].get_file().read_bytes() == to_bytes(told)
    assert made(maker, told, pdfs.good(2), sender="Law Office", book_number=NUMBER) == report


@pytest.mark.parametrize(
    ("told", "word"),
    [
        (receipt(attempt(1, "FAILED"), reason=FAILED), "NOT SENT"),
        (receipt(attempt(1, "unknown"), reason=FAILED), "NOT CONFIRMED"),
        (receipt(attempt(1, None), reason=FAILED), "NOT CONFIRMED"),
        (receipt(reason=FAILED), "NOT SENT"),
    ],
)
def test_the_large_word(told: Receipt, word: str) -> None:
    """A fax that may have arrived is not called "not sent"."""
    assert compose(told).word == word


@pytest.mark.parametrize("spoken", ["en", "de"])
def test_nothing_usual_is_shortened(spoken: Language, maker: Checker) -> None:
    """The tables' words about a lost answer fit in each language."""
    lost = attempt(1, "unknown", None)
    use(spoken)
    report = made(maker, receipt(lost, reason=FAILED), book_number=NUMBER)
    assert "..." not in text(report)


def test_what_differs_and_what_is_not_told() -> None:
    """Pages and numbers are compared; what sipgate does not tell is shown as not told."""
    pages, number = compose(receipt(attempt(1, "SENT", 3)), book_number="+4930123456").comparisons
    assert (pages.ours, pages.theirs, pages.verdict) == ("2", "3", "differs")
    assert (number.ours, number.theirs, number.verdict) == ("+4930123456", NUMBER, "differs")
    pages, number = compose(receipt(attempt(1, "SENT", None))).comparisons
    assert (pages.verdict, number.verdict) == ("not told by sipgate", "agrees")


def test_sipgate_is_not_said_to_withhold_what_it_never_got() -> None:
    """Where nothing was submitted, there is no duration that sipgate could tell."""
    facts = {row.label: row.value for row in compose(receipt(reason=FAILED)).facts}
    assert facts["Duration"] == facts["Station id"] == "-"


@pytest.mark.parametrize("name", ["\u202e\u05d0\U0001f600\x1b[31m" * 18, "x" * 251 + ".pdf"])
def test_hostile_names(maker: Checker, name: str) -> None:
    """Whatever its names are, and however many attempts: one page, and nothing steers a viewer."""
    attempts = [attempt(number, "FAILED") for number in range(1, 21)]
    told = receipt(*attempts, reason=FAILED, name=name, folder=name, simulated=True)
    report = made(maker, told, sender=name)
    with pikepdf.Pdf.open(io.BytesIO(report)) as pdf:
        assert len(pdf.pages) == 1
    words = text(report)
    assert words.isprintable()
    assert "SIMULATED" in words
    assert "The first page cannot be drawn." in words
    assert f"{20 - MOST_ATTEMPTS} more attempts" in words


@pytest.mark.parametrize("document", [b"no PDF", pdfs.good(1)[:200]])
def test_a_page_that_cannot_be_drawn(maker: Checker, document: bytes) -> None:
    """If the first page cannot be drawn, the report says so in the picture's place."""
    assert "The first page cannot be drawn." in text(made(maker, receipt(reason=FAILED), document))


def test_sipgates_own_report(maker: Checker) -> None:
    """The report of sipgate comes after ours; one that is not a PDF is left out."""
    told = receipt(attempt(1, "SENT"))
    for appended, pages in ((pdfs.good(2), 3), (b"<html>", 1), (b"", 1)):
        with pikepdf.Pdf.open(io.BytesIO(made(maker, told, b"", appended))) as pdf:
            assert len(pdf.pages) == pages


def filed(folder: Path, name: str = "letter.pdf") -> Path:
    """Put a document and its receipt into a folder."""
    document = folder / name
    document.write_bytes(pdfs.good(2))
    facts = Facts(sha256=hashlib.sha256(pdfs.good(2)).hexdigest(), bytes=len(pdfs.good(2)), pages=2)
    told = receipt(attempt(1, "SENT"), document=facts)
    (folder / f"{name}.json").write_bytes(to_bytes(told))
    return document


def run(*arguments: str | Path, code: int = 0) -> Result:
    """Run the command without a config."""
    result = CliRunner().invoke(main, ["--config", "none.toml", "report", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`faxdrop report` puts a report here, not among what was filed, and overwrites nothing."""
    (tmp_path / "here").mkdir()
    (tmp_path / "sent").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    document = filed(tmp_path / "sent")
    before = {path: path.read_bytes() for path in (tmp_path / "sent").iterdir()}
    assert run(document).output == "The report is in letter.report.pdf\n"
    made = Path("letter.report.pdf").read_bytes()
    assert "SENT" in text(made)
    assert "exists already" in run(f"{document}.json", code=1).output
    run(document, "--out", tmp_path / "other.pdf")
    assert (tmp_path / "other.pdf").read_bytes() == made
    assert {path: path.read_bytes() for path in (tmp_path / "sent").iterdir()} == before


def test_the_command_on_other_files(tmp_path: Path) -> None:
    """There is no report without a receipt, or on a document that is not the receipt's."""
    document = filed(tmp_path)
    document.write_bytes(pdfs.good(3))
    assert "it was altered" in run(document, code=1).output
    (tmp_path / "letter.pdf.json").unlink()
    assert "no receipt" in run(document, code=1).output
    assert list(tmp_path.iterdir()) == [document]


def test_names_of_reports() -> None:
    """A report's name is its document's, of which the place leaves room for it."""
    assert report_of("letter (2).pdf") == "letter (2).report.pdf"
    assert len(report_of(nth_name("x" * 251 + ".pdf", 12))) <= 255
    assert report_of("letter.tif") == "letter.tif.report.pdf"


def test_where_no_priority_can_be_set() -> None:
    """The service's filter of system calls forbids setpriority(2): reports are made still."""
    probe = (
        "import errno, os, runpy\n"
        "def refused(_): raise PermissionError(errno.EPERM, 'Operation not permitted')\n"
        "os.nice = refused\n"
        "from faxdrop.documents import reader\n"
        "reader.run = lambda _: print('runs')\n"
        "runpy.run_module('faxdrop.report.maker', run_name='__main__')\n"
    )
    told = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True)
    assert told.stdout == b"runs\n"
