"""What follows from the journal: tables, evidence, retention and a witness."""

import csv
import io
import itertools
import json
import re
import subprocess
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from faxdrop import words
from faxdrop.cli.main import main
from faxdrop.followers import tables
from faxdrop.journal import evidence, retention, witness
from faxdrop.journal.chain import Journal
from faxdrop.journal.history import Filter, ends, ends_of_receipts
from faxdrop.journal.lines import Head, hash_of
from faxdrop.journal.retention import Periods
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Disk
from tests.kit.archive import FAXES, Archive
from tests.kit.breaking import Crash, CrashingDisk, Steps

YEARS = 10 * 365 * 86400.0


# -- tables ----------------------------------------------------------------------------------


def rows(path: Path) -> list[list[str]]:
    """Return the cells of a table."""
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))


def tables_of(archive: Archive) -> tables.Tables:
    """Return the tables of an archive."""
    return tables.Tables(archive.root, archive.journal, ";")


def test_a_month_is_a_table(archive: Archive) -> None:
    """Each document that ended in a month is a row, and its number is text."""
    made = tables_of(archive)
    assert made.refresh()
    found = rows(archive.root / "journal" / "2026-10.csv")
    found += rows(archive.root / "journal" / "2026-11.csv")[1:]
    assert len(found) == FAXES + 1
    assert tuple(found[0]) == tables.HEADINGS
    numbers = {row[tables.HEADINGS.index("Number")] for row in found[1:]}
    assert any(number.startswith("'+49") for number in numbers)
    assert not made.refresh(), "nothing has changed"


@pytest.mark.parametrize("spoil", ["edit", "remove", "link", "folder"])
def test_a_table_is_remade_when_it_is_not_what_it_should_be(
    archive: Archive, tmp_path: Path, spoil: str
) -> None:
    """A table that somebody edits, removes or replaces is written again."""
    made = tables_of(archive)
    made.refresh()
    path = archive.root / "journal" / "2026-11.csv"
    right = path.read_bytes()
    if spoil == "edit":
        path.write_bytes(right + b"more\r\n")
    else:
        path.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    if spoil == "link":
        path.symlink_to(elsewhere)
    elif spoil == "folder":
        path.mkdir()
        assert not made.refresh()
        assert str(path) in made.problem
        path.rmdir()
    assert made.refresh()
    assert path.read_bytes() == right
    assert elsewhere.read_text() == "untouched"
    assert made.problem == ""


def test_a_link_in_the_folders_place_leads_nowhere(archive: Archive, tmp_path: Path) -> None:
    """Nothing is written outside of the root."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (archive.root / "journal").symlink_to(elsewhere)
    made = tables_of(archive)
    assert not made.refresh()
    assert made.problem
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["=cmd|' /C calc'!A0", "\uff1d1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "0049211", "1" * 20],
)
def test_cells_do_nothing(text: str) -> None:
    """Cells that a spreadsheet would compute or round are text."""
    content = {
        "event": "sent",
        "document": {"name": text},
        "recipient": {"folder": f'"{text};\n'},
    }
    made = tables.table([content], ";").decode("utf-8-sig")
    [_, row] = csv.reader(io.StringIO(made, newline=""), delimiter=";")
    assert row[tables.HEADINGS.index("Document")] == "'" + shown(text)
    assert row[tables.HEADINGS.index("Recipient")] == shown(f'"{text};\n')


@pytest.mark.parametrize(("region", "separator"), [("DE", ";"), ("AT", ";"), ("US", ",")])
def test_a_table_is_one_that_spreadsheets_of_the_region_open(region: str, separator: str) -> None:
    """Where the comma is in numbers, it cannot stand between the cells."""
    made = tables.table([], tables.separator_of(region)).decode("utf-8")
    assert made.split(separator)[:2] == ["\ufeffFinished", "Result"]  # the mark tells of UTF-8


def test_names_in_a_table_are_fit_to_be_shown() -> None:
    """A name neither steers the terminal that a table is printed on, nor turns a cell around."""
    content = {"event": "sent", "document": {"name": "\x1b[31m\u202efdp.exe"}}
    made = tables.table([content], ";").decode("utf-8-sig")
    assert made.replace("\r\n", "").isprintable()
    assert r"\x1b[31m\u202efdp.exe" in made


def test_receipts_tell_what_the_journal_tells(archive: Archive) -> None:
    """Without a readable journal, the receipts give the same list."""
    from_journal = {one["job_id"] for one in ends(archive.journal, Filter(status="sent"))}
    places = (archive.root / "sent", archive.root / "failed")
    from_receipts = {one["job_id"] for one in ends_of_receipts(places, Filter(status="sent"))}
    assert from_receipts == from_journal != set()


# -- evidence --------------------------------------------------------------------------------


def test_evidence_is_checked_by_hand(archive: Archive, tmp_path: Path) -> None:
    """What the READ-ME says is true, and ``sha256sum`` alone finds it so."""
    number = 3
    document, receipt = archive.documents[number], archive.receipt(number)
    found = evidence.extract(archive.journal, evidence.job_of(receipt.read_bytes()))
    made = evidence.bundle(document.read_bytes(), document.name, receipt.read_bytes(), found)
    assert made == evidence.bundle(
        document.read_bytes(), document.name, receipt.read_bytes(), found
    )
    with zipfile.ZipFile(io.BytesIO(made)) as packed:
        packed.extractall(tmp_path / "out")
    told = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"],
        cwd=tmp_path / "out",
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.count(": OK") == 2 + 2 * evidence.AROUND + 1
    lines = sorted((tmp_path / "out" / "journal").iterdir())
    for line, behind in itertools.pairwise(lines):
        assert json.loads(behind.read_bytes())["previous"] == hash_of(line.read_bytes())
    own = json.loads((tmp_path / "out" / "journal" / f"line-{number + 1:06}.json").read_bytes())
    assert own["document"]["sha256"] == hash_of(document.read_bytes())
    assert own["receipt_sha256"] == hash_of(receipt.read_bytes())
    assert archive.head.hash in (tmp_path / "out" / "READ-ME.txt").read_text()


@pytest.mark.parametrize(
    ("number", "told"), [(0, "Beendet: fehlgeschlagen um"), (1, "Beendet: gesendet um")]
)
def test_the_read_me_of_evidence_is_in_the_language_set(
    archive: Archive, number: int, told: str
) -> None:
    """How the fax ended is said in the words of the sentence around it."""
    document, receipt = archive.documents[number], archive.receipt(number).read_bytes()
    found = evidence.extract(archive.journal, evidence.job_of(receipt))
    words.use("de")
    made = evidence.bundle(document.read_bytes(), document.name, receipt, found)
    with zipfile.ZipFile(io.BytesIO(made)) as packed:
        assert told in packed.read("READ-ME.txt").decode()


@pytest.mark.parametrize("command", ["verify", "receipts"])
def test_a_journal_of_a_newer_faxdrop_is_said_in_words(archive: Archive, command: str) -> None:
    """A journal of another version is an error that names the needed version, not a traceback."""
    config = archive.root.parent / "config.toml"
    config.write_text(f'root = "{archive.root}"\n')
    newer = (archive.journal / "2026-11.jsonl").read_bytes().replace(b"journal/1", b"journal/2")
    (archive.journal / "2026-12.jsonl").write_bytes(newer)
    result = CliRunner().invoke(main, ["--config", str(config), command])
    assert result.exit_code == 1
    assert result.stderr.startswith("faxdrop: The journal was written by another version")
    assert isinstance(result.exception, SystemExit)


def test_there_is_no_evidence_of_what_never_was(archive: Archive) -> None:
    """A job that the journal does not know is reported as that."""
    with pytest.raises(evidence.NoEvidenceError, match="The journal has no job"):
        evidence.extract(archive.journal, "20000101-000000-00000000")
    with pytest.raises(evidence.NoEvidenceError, match="not written by faxdrop"):
        evidence.job_of(b"{}")


# -- retention -------------------------------------------------------------------------------


def expired(archive: Archive, periods: Periods) -> list[Path]:
    """Return what is to be removed ten years later."""
    later = archive.at + timedelta(seconds=YEARS)
    found = retention.expired(archive.root, archive.journal, periods, later)
    return [one.document for one in found]


def remove_all(archive: Archive, periods: Periods, disk: Disk | None = None) -> None:
    """Remove what is to be removed ten years later."""
    later = archive.at + timedelta(seconds=YEARS)
    chain = Journal(archive.journal, lambda: later, disk)
    found = retention.expired(archive.root, archive.journal, periods, later)
    for one in list(found):
        retention.remove(one, archive.root, chain, disk or Disk())


def test_what_is_over_is_removed_with_a_line(archive: Archive) -> None:
    """Documents go with their receipts; the journal keeps both lines, and all is well."""
    remove_all(archive, Periods(sent=86400.0, failed=86400.0))
    assert not [path for path in archive.root.rglob("*.pdf*") if path.is_file()]
    verified = archive.verify()
    assert verified.is_well, verified.findings
    assert verified.removed == FAXES
    assert len(list(ends(archive.journal, Filter()))) == FAXES


def test_nothing_is_removed_unless_it_is_wanted(archive: Archive) -> None:
    """Retention is off by default, and keeps what has time left."""
    assert expired(archive, Periods()) == []
    assert expired(archive, Periods(sent=2 * YEARS)) == []
    only_sent = expired(archive, Periods(sent=86400.0))
    assert only_sent
    assert all("sent" in path.parts for path in only_sent)


def test_only_what_is_as_faxdrop_left_it_is_removed(archive: Archive) -> None:
    """An altered document, an altered receipt and a strange file stay."""
    altered, other = archive.documents[1], archive.documents[2]
    altered.write_bytes(b"%PDF altered")
    archive.receipt(2).write_text("{}")
    stranger = altered.with_name("stranger.pdf")
    stranger.write_bytes(b"%PDF")
    remove_all(archive, Periods(sent=86400.0, failed=86400.0))
    left = {path for path in archive.root.rglob("*.pdf") if path.is_file()}
    assert left == {altered, other, stranger}


def test_what_may_never_have_arrived_stays(archive: Archive) -> None:
    """A document whose outcome is unknown waits for a person, however long."""

    def undecided(lines: list[bytes]) -> list[bytes]:
        return [re.sub(rb'"reason":"\w+"', b'"reason":"outcome_unknown"', line) for line in lines]

    archive.lines(undecided, "2026-10")
    archive.lines(undecided)
    assert expired(archive, Periods(failed=86400.0)) == []


def test_a_crash_in_a_removal_leaves_nothing_unexplained(tmp_path: Path) -> None:
    """Whatever step a crash hits, the next removal ends with all being well."""
    for crash_at in range(1, 80):
        archive = Archive(tmp_path / str(crash_at))
        periods = Periods(sent=86400.0, failed=86400.0)
        crashed = False
        try:
            remove_all(archive, periods, CrashingDisk(Steps(crash_at)))
        except Crash:
            crashed = True
        remove_all(archive, periods)
        verified = archive.verify()
        assert verified.is_well, verified.findings
        assert verified.removed == FAXES
        if not crashed:
            return
    pytest.fail("never passed untouched")


# -- a witness -------------------------------------------------------------------------------


def test_an_authority_signs_the_end_of_the_journal(
    archive: Archive, authority: tuple[str, Path]
) -> None:
    """Its time stamp holds for that line, and for no other."""
    url, certificate = authority
    with requests.Session() as http:
        answer = witness.ask(url, archive.head, http)
    roots = witness.roots_in(certificate)
    assert witness.check(answer, archive.head.hash, roots)
    assert witness.check(answer, archive.head.hash, [])
    for trusted in (roots, []):
        with pytest.raises(witness.WitnessError):
            witness.check(answer, "f" * 64, trusted)
    with pytest.raises(witness.WitnessError, match="a time stamp"):
        witness.check(b"nothing", archive.head.hash, roots)


def test_an_authority_that_is_away_or_lies_is_said_to_be() -> None:
    """An authority that cannot be reached, or sends no time stamp, is an error that says so."""
    with requests.Session() as http, pytest.raises(witness.WitnessError, match="cannot be reached"):
        witness.ask("http://127.0.0.1:9/", Head(), http)
