"""Reports in the life of an office: beside each document, behind its fax, and never in its way."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faxdrop.cli.main import main
from faxdrop.documents.verdict import Verdict
from faxdrop.followers.hook import Hook
from faxdrop.journal import history
from faxdrop.journal.flaws import Flaw
from faxdrop.journal.retention import Periods, expired, remove
from faxdrop.journal.verify import verify
from faxdrop.report import reports
from faxdrop.spool.disk import Disk
from tests.kit import pdfs
from tests.kit.breaking import Stage, assert_all_answered, stage
from tests.kit.reports import Maker, pages_and_receipt

PLAIN, FAILS = "+493023125100", "+493023125003"


@pytest.fixture(name="staged")
def _staged(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path / "root", reports="all", attempts=1) as staged:
        yield staged


def faxed(staged: Stage, folder: str, name: str, content: bytes, disk: Disk | None = None) -> Path:
    """Have a document faxed; return where it lies then."""
    world = staged.world
    if world.daemon is None:
        world.start(disk)
    staged.drop(folder, name, content)
    world.until_done()
    world.live(10.0)
    return next(one.path for one in [*world.sent, *world.failed] if one.content == content)


def flaws(staged: Stage) -> list[Flaw]:
    """Return what verify finds."""
    root = staged.world.root
    return [each.kind for each in verify(root, root / ".faxdrop" / "journal").findings]


def events(staged: Stage) -> list[str]:
    """Return what the journal tells of, in order."""
    lines = history.lines(staged.world.root / ".faxdrop" / "journal")
    return [str(line.content["event"]) for line in lines if line.content]


def names_beside(path: Path) -> list[str]:
    """Return the names of all that lies in a document's folder."""
    return sorted(each.name for each in path.parent.iterdir())


def test_each_document_has_a_report(staged: Stage) -> None:
    """Report, receipt and document lie beside each other; the receipt in the report is that one."""
    letters = ((PLAIN, pdfs.good(2), 2), (FAILS, pdfs.good(3), 2), (PLAIN, b"no PDF", 1))
    for number, content, pages in letters:
        path = faxed(staged, number, "letter.pdf", content)
        receipt = path.with_name("letter.pdf.json").read_bytes()
        assert json.loads(receipt)["report"] == "letter.report.pdf"
        assert pages_and_receipt(path.with_name("letter.report.pdf")) == (pages, receipt)
    assert events(staged) == ["sent", "reported", "failed", "reported", "failed", "reported"]
    assert flaws(staged) == []
    assert staged.simulator.leaks == []
    assert_all_answered(staged)


def test_the_hook_runs_when_the_report_is_there(staged: Stage, tmp_path: Path) -> None:
    """Also where the hook's turn comes first, it waits until the report is made."""
    world, program, out = staged.world, tmp_path / "hook", tmp_path / "out"
    program.write_text(f'#!/bin/sh\nls "$FAXDROP_REPORT" >>{out} 2>&1\n')
    program.chmod(0o755)
    world.make_followers = lambda config: [
        Hook(world.root, [str(program)], 10.0),
        reports.Reports(config, world.make_sipgate(config), Maker(), world.disk),
    ]
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good())
    assert out.read_text() == f"{path.with_name('letter.report.pdf')}\n"


def test_what_was_altered_meanwhile_has_no_report(staged: Stage) -> None:
    """A report would vouch for a document that was never faxed."""
    world = staged.world
    wanted, world.make_followers = world.make_followers, lambda _: []
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good())
    world.crash()
    path.write_bytes(pdfs.good(2))
    world.make_followers = wanted
    world.start()
    world.live(10.0)
    assert names_beside(path) == ["letter.pdf", "letter.pdf.json"]
    assert flaws(staged)[:1] == [Flaw.DOCUMENT_ALTERED]


def test_verify_finds_a_report_that_was_altered(staged: Stage) -> None:
    """The journal has each report's SHA-256: verify finds an altered or missing one."""
    report = faxed(staged, PLAIN, "letter.pdf", pdfs.good(2)).with_name("letter.report.pdf")
    content = report.read_bytes()
    report.write_bytes(content + b"\n")
    assert flaws(staged) == [Flaw.REPORT_ALTERED]
    report.unlink()
    assert flaws(staged) == [Flaw.REPORT_MISSING]
    report.write_bytes(content)
    assert flaws(staged) == []


def test_a_document_that_is_called_like_a_report(staged: Stage) -> None:
    """A document may be called letter.report.pdf: it has its own, and letter.pdf another."""
    report = faxed(staged, FAILS, "letter.report.pdf", pdfs.good(1))
    letter = faxed(staged, FAILS, "letter.pdf", pdfs.good(2))
    assert (report.name, letter.name) == ("letter.report.pdf", "letter (2).pdf")
    assert names_beside(report) == [
        "letter (2).pdf",
        "letter (2).pdf.json",
        "letter (2).report.pdf",
        "letter.report.pdf",
        "letter.report.pdf.json",
        "letter.report.report.pdf",
    ]
    assert flaws(staged) == []


@pytest.mark.parametrize("names", [("letter.pdf", "letter.PDF"), ("letter", "letter.pdf")])
def test_two_documents_never_want_the_same_report(staged: Stage, names: tuple[str, str]) -> None:
    """Names that differ in their endings alone lead to reports that differ."""
    places = [faxed(staged, FAILS, name, pdfs.good(at + 1)) for at, name in enumerate(names)]
    assert places[1].stem == "letter (2)"
    assert sum(name.endswith(".report.pdf") for name in names_beside(places[0])) == 2
    assert flaws(staged) == []


@pytest.mark.parametrize("name", ["ä" * 125 + "x.pdf", "x" * 251 + ".pdf", "🖷" * 62 + ".PDF"])
def test_the_longest_names(staged: Stage, name: str) -> None:
    """A name of 255 bytes is cut so that receipt and report fit, also with a number behind it."""
    for pages in (1, 2):
        path = faxed(staged, PLAIN, name, pdfs.good(pages))
    assert len(names_beside(path)) == 6
    assert flaws(staged) == []


def test_strange_names_are_printed_as_they_are_safe(staged: Stage) -> None:
    """A name that would turn the text around, or steer a terminal, makes a report as any other."""
    path = faxed(staged, PLAIN, "\u202efdp.\x1b[31m\u0645\U0001f4e0.pdf", pdfs.good(1))
    assert len(names_beside(path)) == 3
    assert flaws(staged) == []


def test_a_name_that_is_no_text(staged: Stage, tmp_path: Path) -> None:
    """A name with stray bytes is filed with its report as any other, and can be faxed again."""
    path = faxed(staged, FAILS, os.fsdecode(b"letter \xff\xfe.pdf"), pdfs.good(1))
    assert names_beside(path) == sorted(
        path.with_name(path.stem + end).name for end in (".pdf", ".pdf.json", ".report.pdf")
    )
    assert json.loads(Path(f"{path}.json").read_bytes())["report"] == "letter \\xff\\xfe.report.pdf"
    assert flaws(staged) == []
    staged.world.crash()
    command(staged, tmp_path, "retry", *map(str, path.parent.iterdir()))
    assert names_beside(path) == []


# -- people who do things meanwhile ------------------------------------------------------------


def command(staged: Stage, tmp_path: Path, *arguments: str) -> Result:
    """Run faxdrop on the root."""
    config = tmp_path / "faxdrop.toml"
    config.write_text(f'root = "{staged.world.root}"\n[sipgate]\nfaxline = "f0"\n')
    return CliRunner().invoke(main, ["--config", str(config), *arguments])


def test_retry_knows_reports(staged: Stage, tmp_path: Path) -> None:
    """`retry failed/*/*.pdf` puts each document back once, and leaves no report behind."""
    path = faxed(staged, FAILS, "letter.pdf", pdfs.good(2))
    faxed(staged, FAILS, "letter.report.pdf", pdfs.good(3))
    staged.world.crash()
    result = command(staged, tmp_path, "retry", *map(str, sorted(path.parent.glob("*.pdf"))))
    assert result.exit_code == 0, result.output
    assert result.output.count("Back in the inbox") == 2
    assert list(path.parent.iterdir()) == []
    assert len(staged.world.in_inbox()) == 2
    assert flaws(staged) == []


def test_evidence_holds_the_report(staged: Stage, tmp_path: Path) -> None:
    """The report is in the ZIP file, with its line; one that was altered is left out."""
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good(2))
    staged.world.crash()
    told = []
    for _ in range(2):
        out = tmp_path / "evidence.zip"
        result = command(staged, tmp_path, "evidence", str(path), "--out", str(out))
        assert result.exit_code == 0, result.output
        told.append(b"fax/letter.report.pdf" in out.read_bytes())
        out.unlink()
        path.with_name("letter.report.pdf").write_bytes(b"altered")
    assert told == [True, False]


def test_retention_removes_the_report_too(staged: Stage) -> None:
    """What was kept long enough goes as a whole; where the report was altered, nothing goes."""
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good(2))
    other = faxed(staged, PLAIN, "other.pdf", pdfs.good(3))
    other.with_name("other.report.pdf").write_bytes(b"altered")
    root, journal = staged.world.root, staged.world.journal
    staged.time.pass_by(100.0)
    for one in list(expired(root, journal.folder, Periods(sent=1.0), staged.time.wall)):
        remove(one, root, journal, Disk())
    assert names_beside(path) == ["other.pdf", "other.pdf.json", "other.report.pdf"]
    assert flaws(staged) == [Flaw.REPORT_ALTERED]


class Watched(Maker):
    """Lets something happen while a report is made."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self.meanwhile = meanwhile

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Make it, and more."""
        self.meanwhile()
        return super().prepare(fd, output_fd)


def meanwhile(staged: Stage, happens: Callable[[], object]) -> None:
    """Let something happen while each report is made."""
    world = staged.world
    world.make_followers = lambda config: [
        reports.Reports(config, world.make_sipgate(config), Watched(happens), world.disk)
    ]


def test_a_person_takes_the_document_away_meanwhile(staged: Stage) -> None:
    """A report of a document that is gone by then is not left alone in the folder."""
    folder = staged.world.root / "failed" / FAILS

    def take_away() -> None:
        for path in list(folder.iterdir()):
            path.unlink()

    meanwhile(staged, take_away)
    staged.world.start()
    staged.drop(FAILS, "letter.pdf", pdfs.good(1))
    staged.world.until_done()
    staged.world.live(10.0)
    assert events(staged) == ["failed", "reported"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_stranger_in_the_reports_place(staged: Stage, kind: str) -> None:
    """What somebody put there meanwhile is left alone, verify tells of it, and life goes on."""
    place = staged.world.root / "sent" / PLAIN / "letter.report.pdf"

    def put() -> None:
        if place.name in names_beside(place):
            return
        match kind:
            case "file":
                place.write_bytes(b"mine")
            case "folder":
                place.mkdir()
            case _:
                place.symlink_to("/etc/passwd")

    meanwhile(staged, put)
    staged.world.start()
    for name in ("letter.pdf", "next.pdf"):
        staged.drop(PLAIN, name, pdfs.good(len(name)))
    staged.world.until(lambda: events(staged).count("reported") == 2)
    assert place.is_symlink() or place.is_dir() or place.read_bytes() == b"mine"
    assert place.with_name("next.report.pdf").is_file()
    assert len(flaws(staged)) == 1


# -- trouble ------------------------------------------------------------------------------------


class NoRoomForReports(Disk):
    """A disk that is full in the middle of a report, for a while."""

    def __init__(self, times: int) -> None:
        self.times = times

    def write(self, fd: int, data: bytes) -> None:
        """Write half of a report."""
        if data.startswith(b"%PDF-") and self.times:
            self.times -= 1
            super().write(fd, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)


def test_a_full_disk_delays_the_report_alone(staged: Stage) -> None:
    """Documents are filed; their reports come when there is room, and half a one is never seen."""
    world = staged.world
    world.start(NoRoomForReports(3))
    staged.drop(PLAIN, "letter.pdf", pdfs.good(2))
    world.until_done()
    [one] = world.sent
    assert names_beside(one.path) == ["letter.pdf", "letter.pdf.json"]
    assert not (world.root / ".faxdrop" / "report.draft").exists()
    assert flaws(staged) == []
    world.live(2.0)
    assert "No space left" in json.dumps(world.spool.notes.read_status() if world.spool else {})
    world.live(3600.0)
    assert pages_and_receipt(one.path.with_name("letter.report.pdf"))[0] == 2
    assert flaws(staged) == []


class Broken(Maker):
    """Fails at every document with a picture, as one that crashes the renderer does."""

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Fail where there is something to draw."""
        head = json.loads(Path(f"/proc/self/fd/{fd}").read_bytes().split(b"\n")[0])
        if head["document"]:
            return Verdict(sha256="", bytes=0, reason=pdfs_reason())
        return super().prepare(fd, output_fd)


def pdfs_reason() -> object:
    """Return why."""
    from faxdrop.documents.verdict import crashed  # noqa: PLC0415

    return crashed("", 0).reason


def test_a_page_that_cannot_be_drawn(staged: Stage) -> None:
    """If drawing crashes, the report is made without the picture and without sipgate's own."""
    world = staged.world
    world.make_followers = lambda config: [
        reports.Reports(config, world.make_sipgate(config), Broken(), world.disk)
    ]
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good(2))
    assert pages_and_receipt(path.with_name("letter.report.pdf"))[0] == 1


class Useless(Maker):
    """Makes none at all."""

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Fail."""
        del fd, output_fd
        return Verdict(sha256="", bytes=0, reason=pdfs_reason())


def test_a_report_that_can_never_be_made_is_noted(staged: Stage) -> None:
    """The journal, verify and status say so; nothing waits for it, and retention takes the rest."""
    world = staged.world
    world.make_followers = lambda config: [
        reports.Reports(config, world.make_sipgate(config), Useless(), world.disk)
    ]
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good(2))
    assert names_beside(path) == ["letter.pdf", "letter.pdf.json"]
    assert events(staged) == ["sent", "reported"]
    verified = verify(world.root, world.root / ".faxdrop" / "journal")
    assert (verified.findings, verified.unmade, verified.unfinished) == ([], 1, 0)
    assert world.daemon is not None
    [[where, words]] = world.daemon._followers.problems.items()  # noqa: SLF001 - as status says it
    assert where == str(path)
    assert "has no transmission report" in words
    world.live(90_000.0)
    faxed(staged, PLAIN, "next.pdf", pdfs.good(1))
    [where] = world.daemon._followers.problems  # noqa: SLF001
    assert where.endswith("next.pdf")
    world.crash()
    world.start()
    world.live(30.0)
    assert events(staged) == ["sent", "reported"] * 2
    month = world.root / ".faxdrop" / "journal"
    over = expired(world.root, month, Periods(sent=1.0), world.time.wall)
    assert [one.document.name for one in over] == ["letter.pdf", "next.pdf"]


@pytest.mark.parametrize("how", ["html", "410", "huge", "redirect", "lose-after"])
def test_sipgates_report_is_not_to_be_had(staged: Stage, how: str) -> None:
    """If sipgate's report cannot be fetched, ours is made all the same."""
    staged.simulator.script([how], kind="GET /download")
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good(2))
    assert pages_and_receipt(path.with_name("letter.report.pdf"))[0] == 1
    assert staged.simulator.leaks == []


@pytest.mark.parametrize("wanted", ["failed", "none"])
def test_only_those_that_are_wanted(tmp_path: Path, wanted: str) -> None:
    """`pdf = "failed"` is for what failed, "none" for nobody: the receipt names none then."""
    with stage(tmp_path / "root", reports=wanted, attempts=1) as staged:  # type: ignore[arg-type]
        sent = faxed(staged, PLAIN, "letter.pdf", pdfs.good(1))
        failed = faxed(staged, FAILS, "letter.pdf", pdfs.good(2))
        assert json.loads(sent.with_name("letter.pdf.json").read_bytes())["report"] is None
        assert len(names_beside(sent)) == 2
        assert len(names_beside(failed)) == (3 if wanted == "failed" else 2)


def test_a_lost_cursor_makes_no_report_twice(staged: Stage) -> None:
    """A report that a person removed stays removed, whatever becomes of the cursor."""
    path = faxed(staged, PLAIN, "letter.pdf", pdfs.good(2))
    path.with_name("letter.report.pdf").unlink()
    staged.world.crash()
    (staged.world.root / ".faxdrop" / "followers" / "reports.json").unlink()
    other = faxed(staged, PLAIN, "other.pdf", pdfs.good(3))
    assert names_beside(other) == [
        "letter.pdf",
        "letter.pdf.json",
        "other.pdf",
        "other.pdf.json",
        "other.report.pdf",
    ]
