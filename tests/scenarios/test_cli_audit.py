"""The auditors' commands as a person meets them: what they print, and how they end."""

import csv
import io
import json
import os
import pty
import select
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pypdfium2
import pytest
from click.testing import CliRunner, Result

from faxdrop.cli.main import main
from faxdrop.followers.tables import HEADINGS
from faxdrop.journal.flaws import Flaw
from tests.kit import pdfs
from tests.kit.archive import FAXES, Archive
from tests.kit.processes import FAXDROP
from tests.kit.users import let_in

SENT = FAXES - 3  # every third has failed: the first, the fourth, the seventh
NUMBER = "+492111234567"
HOSTILE = "evil\x1b[31m\u202efdp\udcff.pdf"
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

VERIFIED = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "format": {"const": "faxdrop-verified/1"},
        "at": {"type": "string", "pattern": "Z$"},
        "is_well": {"type": "boolean"},
        **{
            name: {"type": "integer", "minimum": 0}
            for name in ("lines", "documents", "moved", "removed", "unfinished", "stamps")
        },
        "head": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "seq": {"type": "integer"},
                "hash": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            },
            "required": ["seq", "hash"],
        },
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "kind": {"enum": [kind.value for kind in Flaw]},
                    "where": {"type": "string"},
                    "words": {"type": "string"},
                },
                "required": ["kind", "where", "words"],
            },
        },
    },
}
VERIFIED["required"] = list(VERIFIED["properties"])  # type: ignore[call-overload]


def faxdrop(root: Path, command: str, *arguments: str, code: int = 0) -> Result:
    """Run a command on a root without any config; it never ends with a traceback."""
    given = ["--config", "/nowhere/config.toml", command, "--root", str(root), *arguments]
    result = CliRunner().invoke(main, given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


@contextmanager
def as_nobody() -> Iterator[None]:
    """Have the rights of somebody whom nothing here belongs to."""
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def open_to_all(root: Path) -> None:
    """Let everybody in as far as a root, and read all in it, but for what is the spool's."""
    let_in(root)
    for top in ("sent", "failed"):
        for path in (root / top, *(root / top).rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


# -- receipts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], range(FAXES)),
        (["--status", "sent"], [1, 2, 4, 5, 7]),
        (["--status", "failed"], [0, 3, 6]),
        (["--reason", "not_a_pdf"], [0, 3, 6]),
        (["--reason", "outcome_unknown"], []),
        (["--to", "030 / 23125-100"], [1, 2, 4, 5, 7]),
        (["--to", "+492111"], range(FAXES)),
        (["--to", "0211 9"], []),
        (["--since", "2026-03-02"], range(FAXES)),
        (["--since", "02.03.2026", "--until", "02.03.2026"], range(FAXES)),
        (["--until", "01.03.2026"], []),
        (["--since", "2026-03-03"], []),
        (["--until", "2026-03-01"], []),
        (["--since", "2026-03-01", "--until", "2026-03-02", "--status", "failed"], [0, 3, 6]),
    ],
)
def test_receipts_are_filtered(
    archive: Archive, arguments: list[str], numbers: list[int] | range
) -> None:
    """Each filter keeps exactly what it names, on the screen and in JSON."""
    wanted = [f"letter {number}.pdf" for number in numbers]
    text = faxdrop(archive.root, "receipts", *arguments).output
    assert [name for name in (f"letter {n}.pdf" for n in range(FAXES)) if name in text] == wanted
    assert (f"{len(wanted)} in all." if wanted else "No fax matches.") in text
    lines = faxdrop(archive.root, "receipts", "--json", *arguments).output.splitlines()
    assert [json.loads(line)["document"]["name"] for line in lines] == wanted


def test_a_reason_that_there_is_not_is_no_empty_list(archive: Archive) -> None:
    """A mistyped reason is an error that names those there are, and not "no fax matches"."""
    assert (
        "'no_answer' is not one of"
        in faxdrop(archive.root, "receipts", "--reason", "no_answer", code=2).stderr
    )


def test_receipts_as_totals(archive: Archive) -> None:
    """Totals by month, recipient and outcome; JSON says the same."""
    text = faxdrop(archive.root, "receipts", "--summary").output
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert f"2026-03 {SENT} {FAXES - SENT} {SENT * 2}" in rows
    assert f"{NUMBER} {SENT} {FAXES - SENT} {SENT * 2}" in rows
    assert f"it is not a PDF 0 {FAXES - SENT} 0" in rows
    totals = json.loads(faxdrop(archive.root, "receipts", "--summary", "--json").output)
    assert totals["outcome"].keys() == {"sent", "not_a_pdf"}
    assert totals["outcome"]["sent"] == {"sent": SENT, "failed": 0, "pages": SENT * 2}


def test_receipts_as_a_table(archive: Archive) -> None:
    """A CSV file that spreadsheets open, with a row for each document; not with --json."""
    archive.file(HOSTILE, "=cmd|' /C calc'!A0")
    text = faxdrop(archive.root, "receipts", "--csv").stdout_bytes.decode("utf-8-sig")
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert tuple(found[0]) == HEADINGS
    assert len(found) == FAXES + 1
    assert found[-1]["Recipient"].startswith("'=cmd|")
    assert found[-1]["Document"] == r"evil\x1b[31m\u202efdp\xff.pdf"
    result = faxdrop(archive.root, "receipts", "--csv", "--json", code=2)
    assert "--csv cannot be combined" in result.stderr


def test_a_table_in_german_is_one_that_a_german_spreadsheet_opens(archive: Archive) -> None:
    """Its decimal sign is the comma, so semicolons stand between the cells; the codes stay."""
    (archive.root.parent / "c.toml").write_text(
        f'root = "{archive.root}"\nlanguage = "de"\n[sipgate]\nfaxline = "f0"\n'
    )
    given = ["--config", str(archive.root.parent / "c.toml"), "receipts"]
    made = CliRunner().invoke(main, [*given, "--csv"]).stdout_bytes.decode("utf-8-sig")
    found = list(csv.DictReader(io.StringIO(made, newline=""), delimiter=";"))
    assert {row["Grund"] for row in found} == {"not_a_pdf", ""}
    assert "fehlgeschlagen: keine PDF-Datei" in CliRunner().invoke(main, given).output


def test_receipts_say_in_words_why_a_document_was_not_sent(archive: Archive) -> None:
    """A person reads a sentence, a program the code."""
    assert "failed: it is not a PDF" in faxdrop(archive.root, "receipts").output
    assert "not_a_pdf" not in faxdrop(archive.root, "receipts").output
    assert '"not_a_pdf"' in faxdrop(archive.root, "receipts", "--json").output


@pytest.mark.parametrize("option", [[], ["--json"], ["--csv"], ["--summary"]])
def test_hostile_names_are_escaped(archive: Archive, option: list[str]) -> None:
    """Whatever a document or its folder is called: nothing of it steers a terminal."""
    archive.file(HOSTILE, "Praxis\x1b]0;x\x07")
    text = faxdrop(archive.root, "receipts", *option).output
    assert all(char.isprintable() or char in "\r\n\ufeff" for char in text)
    assert "evil" in text or option == ["--summary"]


@AS_ROOT
def test_who_may_not_read_the_journal_sees_the_receipts(archive: Archive) -> None:
    """A member of the group, who may not read the journal, gets the same from the receipts."""
    open_to_all(archive.root)
    (archive.root / ".faxdrop").chmod(0o700)
    with as_nobody():
        text = faxdrop(archive.root, "receipts").output
        lines = faxdrop(archive.root, "receipts", "--json").output.splitlines()
        refused = faxdrop(archive.root, "verify", code=1).stderr
    assert f"{FAXES} in all." in text
    assert {json.loads(line)["document"]["name"] for line in lines} == {
        f"letter {number}.pdf" for number in range(FAXES)
    }
    assert "Permission denied" in refused


def test_without_a_journal_the_receipts_are_read(archive: Archive) -> None:
    """A copy of sent/ and failed/ alone is enough."""
    shutil.rmtree(archive.root / ".faxdrop")
    assert f"{FAXES} in all." in faxdrop(archive.root, "receipts").output


@pytest.mark.parametrize("command", ["receipts", "verify", "evidence"])
def test_a_newer_journal_is_said_to_be_one(archive: Archive, command: str) -> None:
    """A journal of a later faxdrop is an error in words; nothing is guessed."""
    archive.lines(lambda all_: [line.replace(b"journal/1", b"journal/9") for line in all_])
    more = ["20261030-080000-00000001"] if command == "evidence" else []
    result = faxdrop(archive.root, command, *more, code=1)
    assert "faxdrop-journal/9" in result.stderr


# -- verify ----------------------------------------------------------------------------------


def test_all_is_well(archive: Archive) -> None:
    """If all is well, verify shows figures, the journal's end and one sentence."""
    assert faxdrop(archive.root, "verify").output.splitlines() == [
        f"Lines of the journal: {FAXES}. Unaltered documents: {FAXES}.",
        f"The journal ends with line {FAXES}: {archive.head.hash}",
        "Everything is as faxdrop left it.",
    ]


def _swap(archive: Archive) -> Path:
    one, other = archive.documents[1], archive.documents[2]
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    return one


def _strange(archive: Archive) -> Path:
    receipt = archive.receipt(1).with_name("forged.pdf.json")
    text = archive.receipt(1).read_text().replace("00000001", "ffffffff")
    receipt.write_text(text)
    receipt.with_name("forged.pdf").write_bytes(b"%PDF")
    return receipt


def _wrote(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _gone(path: Path) -> Path:
    path.unlink()
    return path


def _lines(archive: Archive, change: Callable[[list[bytes]], list[bytes]]) -> str:
    archive.lines(change)
    return "2026-11.jsonl, line"


TAMPERING: dict[str, Callable[[Archive], object]] = {
    "document_altered": lambda one: _wrote(one.documents[1], b"%PDF other"),
    "document_missing": lambda one: _gone(one.documents[1]),
    "documents_exchanged": _swap,
    "receipt_altered": lambda one: _wrote(one.receipt(1), one.receipt(1).read_bytes() + b" "),
    "receipt_missing": lambda one: (_gone(one.receipt(1)), one.documents[1])[1],
    "strange_receipt": _strange,
    "strange_file": lambda one: _wrote(one.documents[1].with_name("note.txt"), b"mine"),
    "lines_missing": lambda one: _lines(one, lambda all_: all_[:1] + all_[2:]),
    "lines_reordered": lambda one: _lines(one, lambda all_: [all_[1], all_[0], *all_[2:]]),
    "line_altered": lambda one: _lines(
        one, lambda all_: [all_[0].replace(b"f0", b"f9"), *all_[1:]]
    ),
    "line_unreadable": lambda one: _lines(one, lambda all_: [b"nothing\n", *all_[1:]]),
    "gone": lambda one: (_gone(one.documents[1]), _gone(one.receipt(1)), one.documents[1].name)[2],
}


@pytest.mark.parametrize("kind", TAMPERING)
def test_tampering_is_named(archive: Archive, kind: str) -> None:
    """The screen and the JSON say what was done, and to which file or line."""
    where = str(TAMPERING[kind](archive))
    lines = faxdrop(archive.root, "verify", code=1).stdout.splitlines()
    assert any(line.startswith(f"{kind} ") and where in line for line in lines), lines
    assert lines[-1].endswith(
        ("thing is not as faxdrop left it.", "things are not as faxdrop left them.")
    )
    found = json.loads(faxdrop(archive.root, "verify", "--json", code=1).stdout)
    jsonschema.validate(found, VERIFIED)
    assert not found["is_well"]
    assert any(one["kind"] == kind and where in one["where"] for one in found["findings"])


def test_all_is_well_in_json(archive: Archive) -> None:
    """The JSON of a root to which nobody did anything."""
    found = json.loads(faxdrop(archive.root, "verify", "--json").stdout)
    jsonschema.validate(found, VERIFIED)
    assert found["is_well"]
    assert found["head"] == {"seq": FAXES, "hash": archive.head.hash}


def test_the_end_is_printed_and_looked_for(archive: Archive) -> None:
    """``--head`` prints the hash to note; with a noted hash, it looks for that."""
    text = faxdrop(archive.root, "verify", "--head").output
    assert text == f"{FAXES} {archive.head.hash}\n"
    faxdrop(archive.root, "verify", "--head", archive.head.hash[:16])
    archive.lines(lambda all_: all_[:-1])
    result = faxdrop(archive.root, "verify", "--head", archive.head.hash, code=1)
    assert "head_missing" in result.stdout
    assert "its end was cut off" in " ".join(result.stdout.split())
    result = faxdrop(archive.root, "verify", "--head", code=1)
    assert result.stdout.startswith(f"{FAXES - 1} ")
    assert "not everything is as faxdrop left it" in result.stderr
    for wrong in ("xyz", "1234567", "0" * 65):
        result = faxdrop(archive.root, "verify", "--head", wrong, code=2)
        assert "A hash is 8 to 64" in result.stderr


def test_archives_are_looked_into(archive: Archive, tmp_path: Path) -> None:
    """Documents in an archive are found if it is named, and missing otherwise."""
    elsewhere = tmp_path / "archive" / "2026"
    elsewhere.mkdir(parents=True)
    for path in (archive.documents[1], archive.receipt(1)):
        path.rename(elsewhere / path.name)
    assert "gone " in faxdrop(archive.root, "verify", code=1).stdout
    text = faxdrop(archive.root, "verify", str(tmp_path / "archive")).output
    assert f"Unaltered documents: {FAXES} (1 elsewhere than filed)." in text
    result = faxdrop(archive.root, "verify", str(tmp_path / "misspelt"), code=2)
    assert "does not exist" in result.stderr


@AS_ROOT
def test_a_copy_is_verified_by_another_user(archive: Archive) -> None:
    """A copy can be verified without a config, a daemon or the right to write."""
    open_to_all(archive.root)
    for path in (archive.root / ".faxdrop", *(archive.root / ".faxdrop").rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    before = sorted(archive.root.rglob("*"))
    with as_nobody():
        text = faxdrop(archive.root, "verify").output
    assert "Everything is as faxdrop left it." in text
    assert sorted(archive.root.rglob("*")) == before


def test_no_journal_is_said_to_be_none(tmp_path: Path) -> None:
    """A root without a journal is not called well."""
    result = faxdrop(tmp_path, "verify", code=1)
    assert "There is no readable journal in" in result.stderr


def test_authorities_that_are_none(archive: Archive, tmp_path: Path) -> None:
    """A file without certificates is named."""
    path = _wrote(tmp_path / "authority.pem", b"nothing")
    result = faxdrop(archive.root, "verify", "--authority", str(path), code=1)
    assert "authority.pem contains no certificates" in result.stderr


def test_a_bar_on_a_terminal_only(archive: Archive) -> None:
    """Long work shows how it goes where somebody looks, within 80 columns; nowhere else."""
    command = [*FAXDROP, "verify", "--root", str(archive.root)]
    primary, secondary = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(command, stdout=secondary, stderr=secondary, env=environ)
    os.close(secondary)
    text = b""
    try:
        while select.select([primary], [], [], 60)[0]:
            try:
                text += os.read(primary, 65536)
            except OSError:  # EIO: the other side was closed
                break
    finally:
        process.wait(60)
        os.close(primary)
    assert process.returncode == 0
    assert b"Verifying" in text
    assert b"Everything is as faxdrop left it." in text
    assert "Verifying" not in faxdrop(archive.root, "verify").output


# -- evidence --------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["document", "receipt", "job"])
def test_evidence_is_made(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """By the document, its receipt or its job's id: one ZIP file that ``sha256sum`` checks."""
    monkeypatch.chdir(tmp_path)
    fax = {
        "document": str(archive.documents[1]),
        "receipt": str(archive.receipt(1)),
        "job": "20261030-080000-00000001",
    }[by]
    text = faxdrop(archive.root, "evidence", fax).output
    assert text == "Written: letter 1.evidence.zip\n"
    _check(tmp_path / "letter 1.evidence.zip", tmp_path / "out")
    again = faxdrop(archive.root, "evidence", fax, code=1)
    assert again.stderr == "faxdrop: letter 1.evidence.zip: File exists\n"


def _check(path: Path, out: Path) -> None:
    with zipfile.ZipFile(path) as packed:
        packed.extractall(out)
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    subprocess.run(command, cwd=out, check=True, capture_output=True)


@pytest.mark.parametrize("name", [HOSTILE, 'a\nb\\"c$(x).pdf', "SHA256SUMS", "-rf.pdf", "a.json"])
def test_evidence_of_any_name(archive: Archive, tmp_path: Path, name: str) -> None:
    """Names that are not UTF-8, or hostile, give evidence that can be unpacked and checked."""
    document = archive.file(name)
    faxdrop(archive.root, "evidence", str(document), "--out", str(tmp_path / "e.zip"))
    _check(tmp_path / "e.zip", tmp_path / "out")
    assert "Everything is as faxdrop left it." in faxdrop(archive.root, "verify").output
    found = [path.read_bytes() for path in (tmp_path / "out" / "fax").iterdir()]
    assert document.read_bytes() in found
    receipt = document.with_name(f"{name}.json").read_bytes()
    assert receipt in found


def test_no_evidence_of_what_was_altered(archive: Archive, tmp_path: Path) -> None:
    """A document or a receipt that is not the journal's proves nothing: no file is made."""
    out = tmp_path / "e.zip"
    _wrote(archive.documents[1], b"%PDF other")
    result = faxdrop(archive.root, "evidence", str(archive.documents[1]), "--out", str(out), code=1)
    assert "not the one that was faxed" in result.stderr
    _wrote(archive.receipt(2), archive.receipt(2).read_bytes() + b" ")
    result = faxdrop(archive.root, "evidence", str(archive.documents[2]), "--out", str(out), code=1)
    assert "not the one that faxdrop wrote" in result.stderr
    assert not out.exists()


def test_evidence_of_what_is_not_there(archive: Archive, tmp_path: Path) -> None:
    """An unknown fax is an error; for one that was moved, the error asks for its new place."""
    result = faxdrop(archive.root, "evidence", "20200101-000000-00000000", code=1)
    assert "has no job 20200101-000000-00000000" in result.stderr
    for path in (archive.documents[1], archive.receipt(1)):
        path.rename(tmp_path / path.name)
    result = faxdrop(archive.root, "evidence", "20261030-080000-00000001", code=1)
    assert "name the document where it is now" in result.stderr
    out = str(tmp_path / "e.zip")
    faxdrop(archive.root, "evidence", str(tmp_path / "letter 1.pdf"), "--out", out)
    _check(tmp_path / "e.zip", tmp_path / "out")


@pytest.mark.parametrize("by", ["document", "job"])
def test_evidence_of_a_refused_link(archive: Archive, by: str) -> None:
    """What was never read proves nothing; the error says that it is there, and why it does not."""
    document = archive.file("link.pdf", refused=True)
    fax = str(document) if by == "document" else f"20261030-080000-{FAXES:08x}"
    result = faxdrop(archive.root, "evidence", fax, code=1)
    assert f"{document} cannot be read, so it proves nothing: it is a link" in result.stderr


def test_a_report_on_a_refused_link_shows_nothing_of_where_it_leads(
    archive: Archive, tmp_path: Path
) -> None:
    """Who makes the report, perhaps root, may read more than whoever put the link there."""
    link = archive.file("link.pdf", refused=True)
    link.unlink()
    (tmp_path / "secret.pdf").write_bytes(pdfs.good())
    link.symlink_to(tmp_path / "secret.pdf")
    given = ["--config", "/nowhere", "report", str(link), "--out", str(tmp_path / "report.pdf")]
    assert CliRunner().invoke(main, given).exit_code == 0
    with pypdfium2.PdfDocument(tmp_path / "report.pdf") as report:
        page = report[0].get_textpage().get_text_bounded()
    assert "The first page cannot be drawn." in page
    sent = archive.documents[1]
    sent.rename(tmp_path / "moved.pdf")
    sent.symlink_to(tmp_path / "moved.pdf")  # a link in the place of a document is none
    given = ["--config", "/nowhere", "report", str(sent), "--out", str(tmp_path / "other.pdf")]
    assert "it was altered" in CliRunner().invoke(main, given).stderr


def test_screens_fit_a_terminal(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is within 80 columns where a terminal has no more."""
    monkeypatch.setattr("faxdrop.cli.terminal._WIDE", 80)
    archive.file("a rather long name of a letter to somebody " * 4 + ".pdf", "Dr. Müller " * 9)
    _wrote(archive.documents[1], b"%PDF other")
    screens: list[tuple[str, list[str], int]] = [
        ("receipts", [], 0),
        ("receipts", ["--summary"], 0),
        ("verify", [], 1),
    ]
    for command, more, code in screens:
        text = faxdrop(archive.root, command, *more, code=code).output
        assert max(len(line) for line in text.splitlines()) <= 80, text


def test_a_long_list_says_the_same_without_folds(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is too long to be folded has the same words in the same columns."""
    short = faxdrop(archive.root, "receipts").output
    monkeypatch.setattr("faxdrop.cli.receipts._FOLDED", 0)
    assert faxdrop(archive.root, "receipts").output == short
