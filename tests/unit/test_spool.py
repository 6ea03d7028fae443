"""The spool: claims, records, filing away under any name, and what a start makes of all that."""

import errno
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from faxdrop import __version__
from faxdrop.fax.job import Faxed, Job, State
from faxdrop.fax.receipt import Receipt, to_bytes
from faxdrop.names.printable import shown, stored
from faxdrop.spool import filing
from faxdrop.spool import jobs as jobs_of_a_root
from faxdrop.spool.disk import Disk, Folder, folders_in, read_own
from faxdrop.spool.jobs import GoneError
from faxdrop.spool.places import SpoolError
from faxdrop.spool.root import Spool
from tests.kit.jobs import FACTS, GOLDEN, NOW, failed, golden_jobs, job, sent
from tests.kit.strange import STRANGE_FILES, descriptors

CONTENT = b"%PDF-1.7 of a kind"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Return a spool that is open."""
    spool = Spool(tmp_path)
    spool.open()
    yield spool
    spool.close()


def drop(spool: Spool, one: Job, content: bytes = CONTENT) -> Path:
    """Put a document where the job says that it comes from."""
    folder = spool.inbox / one.folder if one.folder is not None else spool.inbox
    folder.mkdir(exist_ok=True)
    path = folder / one.name
    path.write_bytes(content)
    return path


def claim(spool: Spool, one: Job, content: bytes = CONTENT) -> Path:
    """Claim a document; return where it is in the spool."""
    path = drop(spool, one, content)
    fd = os.open(path, os.O_RDONLY)
    try:
        spool.jobs.claim(path, fd, one)
    finally:
        os.close(fd)
    return spool.jobs.document(one)


def tree(root: Path) -> dict[str, bytes | None]:
    """Return all that is below a folder, with its content."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None
        for path in root.rglob("*")
    }


# -- claims ----------------------------------------------------------------------------------


def test_a_claim_moves_the_document_beside_its_record(spool: Spool) -> None:
    """After a claim the inbox is empty, and the document is whole in a folder of ours alone."""
    document = claim(spool, job())
    assert document.read_bytes() == CONTENT
    assert not list((spool.inbox / "Labor").iterdir())
    assert stat.S_IMODE(document.parent.stat().st_mode) == 0o700
    assert list(spool.jobs.all()) == [
        job().model_copy(update={"claimed_at": _to_the_millisecond(NOW)})
    ]


def test_the_spool_is_closed_to_others(tmp_path: Path) -> None:
    """Whatever the umask is, nobody else looks into ``.faxdrop``: people share the root."""
    before = os.umask(0)
    try:
        Spool(tmp_path).open()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / ".faxdrop").stat().st_mode) == 0o700


def test_nothing_is_made_where_the_root_was_unmounted(spool: Spool, tmp_path: Path) -> None:
    """A root that is gone between two looks leaves an empty mount point, and it stays empty."""
    one = job(folder=None)
    claim(spool, one)
    root = tmp_path.with_name(f"{tmp_path.name} mounted elsewhere")
    tmp_path.rename(root)
    tmp_path.mkdir()
    steps: tuple[Callable[[], object], ...] = (
        lambda: spool.make_inbox(None),
        lambda: spool.make_inbox("Labor"),
        lambda: spool.filing.file_away(failed(one)),
        lambda: spool.jobs.claim(spool.inbox / "letter.pdf", None, job(number=2)),
        lambda: spool.notes.write_status({}),
    )
    for step in steps:
        with pytest.raises((OSError, GoneError)):
            step()
        assert list(tmp_path.iterdir()) == []
    tmp_path.rmdir()
    root.rename(tmp_path)


@pytest.mark.parametrize("kind", ["a link elsewhere", "a dead link", "a file"])
def test_what_stands_in_a_filing_folders_place_takes_nothing_out_of_the_share(
    spool: Spool, tmp_path: Path, kind: str
) -> None:
    """A link or a file named like a recipient folder in failed/ is passed by, not followed."""
    elsewhere = tmp_path.with_name(f"{tmp_path.name} elsewhere")
    elsewhere.mkdir()
    taken = spool.failed / "Labor"
    match kind:
        case "a link elsewhere":
            taken.symlink_to(elsewhere)
        case "a dead link":
            taken.symlink_to(elsewhere / "nothing")
        case _:
            taken.write_bytes(b"a document that was filed here")
    one = job()
    claim(spool, one)
    assert spool.filing.file_away(failed(one)) == spool.failed / "Labor (2)" / "letter.pdf"
    assert spool.filing.find_filed(failed(one)) == spool.failed / "Labor (2)" / "letter.pdf"
    assert list(elsewhere.iterdir()) == []
    elsewhere.rmdir()


def _to_the_millisecond(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_a_document_that_is_gone_leaves_nothing_behind(spool: Spool, tmp_path: Path) -> None:
    """A file that somebody took away before the claim is no job, and no folder stays."""
    before = tree(tmp_path)
    with pytest.raises(GoneError):
        spool.jobs.claim(spool.inbox / "Labor" / "letter.pdf", None, job())
    assert tree(tmp_path) == before


def test_a_claim_that_the_disk_refuses_leaves_the_document_where_it_was(tmp_path: Path) -> None:
    """A rename to another mount fails: the document stays in the inbox, and no job is made."""

    class OtherMount(Disk):
        def move(self, source: Path, target: Path, **_within: int | None) -> None:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))

    spool = Spool(tmp_path, OtherMount())
    spool.open()
    path = drop(spool, job())
    with pytest.raises(OSError, match="cross-device"):
        spool.jobs.claim(path, None, job())
    assert path.read_bytes() == CONTENT
    assert not list(spool.jobs.all())
    assert spool.jobs.recover() == ([], [])
    spool.close()


def test_a_share_that_denies_what_it_did_has_claimed_all_the_same(tmp_path: Path) -> None:
    """A rename that took place but reported an error still makes a job."""

    class Denying(Disk):
        def move(self, source: Path, target: Path, **within: int | None) -> None:
            super().move(source, target, **within)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    spool = Spool(tmp_path, Denying())
    spool.open()
    spool.jobs.claim(drop(spool, job()), None, job())
    assert spool.jobs.document(job()).read_bytes() == CONTENT
    assert [one.job_id for one in spool.jobs.all()] == [job().job_id]
    spool.close()


# -- filing away -------------------------------------------------------------------------------


def test_the_document_is_filed_beside_its_receipt(spool: Spool, tmp_path: Path) -> None:
    """At its end a document is in sent/ or failed/ with its receipt, and the spool is empty."""
    claim(spool, job())
    filed = spool.filing.file_away(failed(job()))
    assert filed == tmp_path / "failed" / "Labor" / "letter.pdf"
    assert filed.read_bytes() == CONTENT
    receipt = Receipt.model_validate_json(filed.with_name("letter.pdf.json").read_bytes())
    assert receipt.job_id == job().job_id
    assert not list((tmp_path / ".faxdrop" / "jobs").iterdir())


def test_a_document_without_a_recipient_is_filed_directly(spool: Spool, tmp_path: Path) -> None:
    """A file directly in inbox/ ends directly in failed/."""
    claim(spool, job(folder=None))
    assert spool.filing.file_away(failed(job(folder=None))) == tmp_path / "failed" / "letter.pdf"


@pytest.mark.parametrize("taken", ["document", "receipt", "link", "folder"])
def test_a_taken_name_is_never_overwritten(spool: Spool, tmp_path: Path, taken: str) -> None:
    """Where the name or the receipt's is taken, by whatever, the next free one is used."""
    folder = tmp_path / "sent" / "Labor"
    folder.mkdir()
    makers: dict[str, Callable[[], object]] = {
        "document": lambda: (folder / "letter.pdf").write_bytes(b"another"),
        "receipt": lambda: (folder / "letter.pdf.json").write_bytes(b"another's"),
        "link": lambda: (folder / "letter.pdf").symlink_to("nowhere"),
        "folder": (folder / "letter.pdf").mkdir,
    }
    makers[taken]()
    before = tree(folder)
    for number, name in ((1, "letter (2).pdf"), (2, "letter (3).pdf")):
        claim(spool, job(number=number))
        assert spool.filing.file_away(sent(job(number=number))) == folder / name
    assert before.items() <= tree(folder).items()


@pytest.mark.parametrize(
    ("first", "second", "under"),
    [
        ("letter.pdf", "letter.report.pdf", "letter.report (2).pdf"),
        ("letter.Pdf", "letter.report.pdf", "letter.report (2).pdf"),
        ("letter.Pdf", "letter.pDF", "letter (2).pDF"),
        ("letter", "letter.pdF", "letter (2).pdF"),
    ],
)
def test_the_place_of_a_report_that_is_not_made_yet_is_taken(
    spool: Spool, first: str, second: str, under: str
) -> None:
    """A report comes some time after its document; until then, its name is nobody else's."""
    spool.filing.reported = {State.SENT}
    filed = []
    for number, name in enumerate((first, second)):
        one = job(name, number=number)
        claim(spool, one)
        filed.append(spool.filing.file_away(sent(one)))
    assert [path.name for path in filed if path] == [first, under]


@pytest.mark.parametrize(
    "name",
    [
        "letter.pdf",
        "no suffix",
        ".pdf",
        "archive.tar.gz.pdf",
        "a b  c.pdf",
        "Größe.pdf",
        "Gro\u0308\u00dfe.pdf",
        "\N{PAGE FACING UP} Brief \N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}.pdf",
        "quo\"te's.pdf",
        "new\nline.pdf",
        "-rf.pdf",
        os.fsdecode(b"latin1 \xe4\xf6\xfc.pdf"),
        "x" * 251 + ".pdf",
        "ü" * 125 + "x.pdf",
        "\N{GRINNING FACE}" * 62 + "xxx.pdf",
        os.fsdecode(b"\xff" * 251 + b".pdf"),
        "x" * 255,
        "x." + "y" * 253,
        "letter.pdf.json",
    ],
    ids=lambda name: shown(name).encode("unicode_escape").decode()[:30],
)
def test_a_document_of_any_name_goes_all_the_way(spool: Spool, name: str) -> None:
    """Whatever a file may be called, and twice: it ends beside its receipt, byte for byte."""
    folder = os.fsdecode(b"Dr. M\xfcller \xf0\x9f\x93\xa0")
    seen = set()
    for number in (1, 2):
        one = job(name, folder, number)
        claim(spool, one)
        [again], corrupt = spool.jobs.recover()
        assert not corrupt
        assert (again.name, again.folder) == (name, folder)
        filed = spool.filing.file_away(sent(again))
        assert filed is not None
        assert filed.read_bytes() == CONTENT
        receipt = Receipt.model_validate_json(filed.with_name(filed.name + ".json").read_bytes())
        assert receipt.document.name == stored(name)
        assert receipt.recipient.folder == stored(folder)
        if number == 1 and len(os.fsencode(name)) <= 250:
            assert filed.name == name
        seen.add(filed)
    assert len(seen) == 2


STRANGE = pytest.mark.parametrize("strange", STRANGE_FILES.values(), ids=STRANGE_FILES)


@STRANGE
def test_nothing_in_a_receipts_place_stops_a_document(
    spool: Spool, strange: Callable[[Path], object]
) -> None:
    """Whatever people put in a receipt's place is passed over: not waited for, not read whole."""
    folder = spool.sent / "Labor"
    folder.mkdir()
    strange(folder / "letter.pdf.json")
    claim(spool, job())
    before = descriptors()
    assert spool.filing.file_away(sent(job())) == folder / "letter (2).pdf"
    assert spool.filing.find_filed(sent(job())) == folder / "letter (2).pdf"
    assert descriptors() == before


class Breaking(Disk):
    """A disk that breaks where a document would be moved to its place."""

    is_well = False

    def move(self, source: Path, target: Path, **within: int | None) -> None:
        """Move a receipt, but no document."""
        if target.parent.name == "Labor" and target.suffix == ".pdf" and not self.is_well:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().move(source, target, **within)


@STRANGE
def test_nothing_that_takes_a_reserved_place_stops_a_document(
    tmp_path: Path, strange: Callable[[Path], object]
) -> None:
    """What takes the place of a receipt, after a crash in the middle of filing, is passed by."""
    spool = Spool(tmp_path, Breaking())
    spool.open()
    claim(spool, job())
    spool.jobs.record(sent(job()))
    with pytest.raises(OSError, match="Input/output"):
        spool.filing.file_away(sent(job()))
    spool.close()
    receipt = spool.sent / "Labor" / "letter.pdf.json"
    receipt.unlink()
    strange(receipt)
    before = descriptors()
    assert Spool(tmp_path).filing.file_away(sent(job())) == spool.sent / "Labor" / "letter (2).pdf"
    assert descriptors() == before


@pytest.mark.parametrize("note", ["kept", "lost", "cut", "wrong"])
def test_a_reserved_place_is_found_again(tmp_path: Path, note: str) -> None:
    """After a crash between receipt and document there is one of each, also without the note."""
    spool = Spool(tmp_path, Breaking())
    spool.open()
    folder = spool.sent / "Labor"
    folder.mkdir()
    for name in ("letter.pdf", "letter (2).pdf"):
        (folder / name).write_bytes(b"another")
    claim(spool, job())
    with pytest.raises(OSError, match="Input/output"):
        spool.filing.file_away(sent(job()))
    spool.close()
    place = spool.jobs.document(job()).with_name("place")
    match note:
        case "lost":
            place.unlink()
        case "cut":
            place.write_bytes(b"")
        case "wrong":
            place.write_bytes(b"letter.pdf")
    assert Spool(tmp_path).filing.file_away(sent(job())) == folder / "letter (3).pdf"
    assert [path.name for path in folder.glob("*.json")] == ["letter (3).pdf.json"]
    assert not list((tmp_path / ".faxdrop" / "jobs").iterdir())


def test_filing_does_not_slow_down_with_what_is_filed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of thousands of documents of one name, few are looked at to find the next name."""
    folder = spool.sent / "Labor"
    folder.mkdir()
    for number in range(1, 3001):
        name = "scan.pdf" if number == 1 else f"scan ({number}).pdf"
        (folder / name).touch()
        (folder / f"{name}.json").touch()
    looks = 0
    kind = Folder.kind

    def counted(place: Folder, name: str) -> int | None:
        nonlocal looks
        looks += 1
        return kind(place, name)

    def unread(*_: object) -> None:
        raise AssertionError("no other's receipt is read")

    monkeypatch.setattr(Folder, "kind", counted)
    monkeypatch.setattr(filing, "read_file", unread)
    monkeypatch.setattr(Folder, "names", unread)
    one = job("scan.pdf")
    claim(spool, one)
    spool.jobs.record(sent(one))
    assert spool.filing.file_away(sent(one)) == folder / "scan (3001).pdf"
    assert looks < 60


def test_names_that_were_taken_away_are_used_again(spool: Spool) -> None:
    """Whatever is missing in a series of names: one that is free is found, and none overwritten."""
    folder = spool.sent / "Labor"
    folder.mkdir()
    for number in (1, 2, 4, 8, 16, 17):
        (folder / ("scan.pdf" if number == 1 else f"scan ({number}).pdf")).touch()
    before = tree(folder)
    for number in range(1, 30):
        one = job("scan.pdf", number=number)
        claim(spool, one)
        assert spool.filing.file_away(sent(one)) is not None
    after = tree(folder)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 2 * 29


class Swapping(Disk):
    """A disk on which somebody puts a link in a folder's place, just before a step there."""

    def __init__(self, folder: Path, elsewhere: Path) -> None:
        self.folder = folder
        self.elsewhere = elsewhere
        self.aside = folder.with_name("aside")

    def move(self, source: Path, target: Path, **within: int | None) -> None:
        """Swap, and move."""
        if target.parent == self.folder and not self.aside.exists():
            self.folder.rename(self.aside)
            self.folder.symlink_to(self.elsewhere)
        super().move(source, target, **within)


@pytest.mark.parametrize("top", ["a recipient folder", "sent"])
def test_filing_does_not_follow_a_link_that_takes_a_folders_place(tmp_path: Path, top: str) -> None:
    """A folder that becomes a link while a document is filed takes nothing out of the share."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    folder = root / "sent" if top == "sent" else root / "sent" / "Labor"
    disk = Swapping(folder, elsewhere)
    spool = Spool(root, disk)
    spool.open()
    one = job(folder=None if top == "sent" else "Labor")
    claim(spool, one)
    spool.filing.file_away(sent(one))
    assert list(elsewhere.iterdir()) == []
    assert sorted(tree(disk.aside)) == ["letter.pdf", "letter.pdf.json"]
    spool.close()


def test_putting_back_does_not_follow_a_link_that_takes_a_folders_place(tmp_path: Path) -> None:
    """An inbox that becomes a link while a document is put back takes nothing out of the share."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    disk = Swapping(root / "inbox" / "Labor", elsewhere)
    spool = Spool(root, disk)
    spool.open()
    claim(spool, job())
    filed = spool.filing.file_away(failed(job()))
    assert filed is not None
    spool.filing.put_back(filed)
    assert list(elsewhere.iterdir()) == []
    assert sorted(tree(disk.aside)) == ["letter.pdf"]
    spool.close()


@pytest.mark.parametrize("place", ["inbox", "sent", "failed", ".faxdrop", ".faxdrop/jobs"])
def test_a_file_in_place_of_a_folder_is_refused(tmp_path: Path, place: str) -> None:
    """Where something else has a folder's name, a start says what to move away."""
    (tmp_path / place).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / place)
    with pytest.raises(SpoolError, match=f"{tmp_path / place} is not a folder: move it away"):
        Spool(tmp_path).open()


@pytest.mark.parametrize("top", ["inbox", "sent", "failed"])
def test_a_link_in_place_of_a_shared_folder_is_refused(tmp_path: Path, top: str) -> None:
    """Where one of the three folders is a link, a start says so; and filing does not follow it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / top).symlink_to(elsewhere)
    with pytest.raises(SpoolError, match=f"{top} is a symbolic link"):
        Spool(tmp_path).open()
    (tmp_path / top).unlink()
    spool = Spool(tmp_path)
    spool.open()
    claim(spool, job())
    (tmp_path / top).rename(tmp_path / "aside")
    (tmp_path / top).symlink_to(elsewhere)
    if top != "inbox":
        with pytest.raises(NotADirectoryError):
            spool.filing.file_away(sent(job()) if top == "sent" else failed(job()))
    assert list(elsewhere.iterdir()) == []
    spool.close()


@pytest.mark.parametrize("crash", [False, True], ids=["at once", "after a crash"])
def test_a_strangers_file_on_the_reserved_name_is_left_alone(
    tmp_path: Path, *, crash: bool
) -> None:
    """A file that takes the place between receipt and document stays, and ours goes elsewhere."""

    class Stranger(Disk):
        def move(self, source: Path, target: Path, **within: int | None) -> None:
            if target == tmp_path / "sent" / "Labor" / "letter.pdf":
                target.write_bytes(b"a stranger's")
                if crash:
                    raise KeyboardInterrupt
            super().move(source, target, **within)

    spool = Spool(tmp_path, Stranger())
    spool.open()
    claim(spool, job())
    if crash:
        with pytest.raises(KeyboardInterrupt):
            spool.filing.file_away(sent(job()))
        spool.close()
        spool = Spool(tmp_path)
    assert spool.filing.file_away(sent(job())) == tmp_path / "sent" / "Labor" / "letter (2).pdf"
    assert (tmp_path / "sent" / "Labor" / "letter.pdf").read_bytes() == b"a stranger's"
    assert not (tmp_path / "sent" / "Labor" / "letter.pdf.json").exists()


def test_sent_and_failed_are_made_again(spool: Spool) -> None:
    """Somebody deleted sent/: it is made again, and the document gets its place."""
    spool.sent.rmdir()
    claim(spool, job())
    filed = spool.filing.file_away(sent(job()))
    assert filed is not None
    assert filed.exists()


def test_a_filed_document_that_somebody_took_is_not_looked_for(spool: Spool) -> None:
    """The document was moved before a crash and taken away since: the job ends all the same."""
    claim(spool, job()).unlink()
    assert spool.filing.file_away(sent(job())) is None
    assert not list(spool.jobs.all())


# -- the start ---------------------------------------------------------------------------------


def _broken(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def broken(record: bytes) -> bytes:
        content = json.loads(record)
        change(content)
        return json.dumps(content).encode()

    return broken


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda record: record[: len(record) // 2],
        lambda _: b"\0" * 4096,
        lambda _: b"[" * 100_000,
        lambda _: b"[]",
        lambda _: b"null",
        _broken(lambda record: record.pop("name")),
        _broken(lambda record: record.update(state="nowhere")),
        _broken(lambda record: record.update(state="accepted")),
        _broken(lambda record: record.update(state="submitting", attempts=[])),
        _broken(lambda record: record.update(state="failed")),
        _broken(lambda record: record.update(state="sent")),
        _broken(lambda record: record.update(job_id="20260302-080000-ffffffff")),
        _broken(lambda record: record.update(job_id="../../../etc")),
        _broken(lambda record: record.update(claimed_at="2026-03-02T08:00:00")),
        _broken(lambda record: record.update(more="than we know")),
        _broken(lambda record: record.update(format="somebody-elses/1")),
        _broken(lambda record: record.update(document={"sha256": "", "bytes": 1, "pages": 1})),
    ],
)
def test_a_record_that_cannot_be_ours_is_kept_for_a_person(
    spool: Spool, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """A spoiled record goes to corrupt/ with its document, unchanged, and stops no other job."""
    record = claim(spool, job()).with_name("job.json")
    spoiled = spoil(record.read_bytes())
    record.write_bytes(spoiled)
    claim(spool, job("other.pdf", number=2))
    jobs, [aside] = spool.jobs.recover()
    assert [one.name for one in jobs] == ["other.pdf"]
    assert aside == tmp_path / ".faxdrop" / "corrupt" / job().job_id
    assert (aside / "job.json").read_bytes() == spoiled
    assert (aside / "document.pdf").read_bytes() == CONTENT
    assert len(spool.jobs.corrupt()) == 1
    assert spool.jobs.recover() == (jobs, [])
    claim(spool, job()).with_name("job.json").unlink()
    _, [second] = spool.jobs.recover()
    assert second.name == f"{job().job_id} (2)", "nothing in corrupt/ is overwritten"


@pytest.mark.parametrize("code", [errno.EIO, errno.EUCLEAN, errno.EISDIR])
def test_a_record_on_a_bad_block_stops_no_other_job(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A record that the disk cannot read is set aside; the daemon starts with all others."""
    claim(spool, job())
    claim(spool, job("other.pdf", number=2))

    def broken(path: Path) -> bytes:
        if job().job_id in str(path):
            raise OSError(code, os.strerror(code), str(path))
        return read_own(path)

    monkeypatch.setattr(jobs_of_a_root, "read_own", broken)
    jobs, corrupt = spool.jobs.recover()
    assert [one.name for one in jobs] == ["other.pdf"]
    assert len(corrupt) == 1


def test_records_of_another_user_are_not_touched(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one may not be read, none is taken for corrupt; the error says what to do."""
    for number in (1, 2):
        claim(spool, job(f"{number}.pdf", number=number)).with_name("job.json").write_bytes(b"")
    theirs = list(folders_in(spool.jobs.folders[0]))[-1] / "job.json"  # the last that is read
    before = tree(tmp_path)

    def forbidden(path: Path) -> bytes:
        if path == theirs:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read_own(path)

    with monkeypatch.context() as patch:
        patch.setattr(jobs_of_a_root, "read_own", forbidden)
        with pytest.raises(SpoolError, match="chown"):
            spool.jobs.recover()
    assert tree(tmp_path) == before


def test_a_start_reads_each_record_once(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a month away there are many, and the disk may be slow."""
    records = [claim(spool, job(f"{number}.pdf", number=number)) for number in (1, 2, 3)]
    records = [path.with_name("job.json") for path in records]
    records[2].write_bytes(b"")
    read: list[Path] = []

    def noted(path: Path) -> bytes:
        read.append(path)
        return read_own(path)

    monkeypatch.setattr(jobs_of_a_root, "read_own", noted)
    jobs, corrupt = spool.jobs.recover()
    assert (len(jobs), len(corrupt)) == (2, 1)
    assert sorted(read) == sorted(records)


@pytest.mark.parametrize("version", ["faxdrop-job/3", "faxdrop-job/1.1", "faxdrop-job/"])
def test_a_foreign_record_is_refused_and_nothing_changed(
    spool: Spool, tmp_path: Path, version: str
) -> None:
    """A record of another version stops the start with a clear word, before anything is touched."""
    record = claim(spool, job()).with_name("job.json")
    claim(spool, job("torn.pdf", number=2)).with_name("job.json").write_bytes(b"")
    content = json.loads(record.read_bytes())
    record.write_text(json.dumps({**content, "format": version, "colour": "yes"}))
    before = tree(tmp_path)
    with pytest.raises(SpoolError, match="another version of faxdrop"):
        spool.jobs.recover()
    assert tree(tmp_path) == before


def test_a_state_of_another_version_behind_ours_is_refused(spool: Spool) -> None:
    """What a newer version wrote behind our state counts: the fax may be on its way by now."""
    record = claim(spool, job()).with_name("job.json")
    content = record.read_bytes()
    state = content.rstrip()
    newer = state[1:].replace(b"faxdrop-job/2", b"faxdrop-job/3")
    record.write_bytes((state[:-1] + b",\n" + newer).ljust(len(content), b"\n"))
    with pytest.raises(SpoolError, match="another version of faxdrop"):
        spool.jobs.recover()


def test_a_claim_that_was_interrupted_is_undone(spool: Spool, tmp_path: Path) -> None:
    """A claim before its rename leaves the document in the inbox; its folder is removed."""
    path = drop(spool, job())
    folder = tmp_path / ".faxdrop" / "jobs" / job().job_id
    for content in (None, b"", to_bytes(job())[:40], to_bytes(job())):
        folder.mkdir()
        if content is not None:
            (folder / "job.json").write_bytes(content)
        assert list(spool.jobs.all()) == []
        assert spool.jobs.recover() == ([], [])
        assert not folder.exists()
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("record", [b"{}", b"[]", b'{"state": "sent"}'])
def test_a_record_that_was_not_cut_is_kept_without_its_document(
    spool: Spool, tmp_path: Path, record: bytes
) -> None:
    """What no interrupted claim leaves is for a person to look at, document or not."""
    folder = tmp_path / ".faxdrop" / "jobs" / job().job_id
    folder.mkdir()
    (folder / "job.json").write_bytes(record)
    _, [aside] = spool.jobs.recover()
    assert (aside / "job.json").read_bytes() == record


def test_jobs_come_back_in_the_order_of_their_claims(spool: Spool) -> None:
    """After a start the letters go on in the order in which they were dropped."""
    for number in (3, 1, 2):
        one = job(f"{number}.pdf", number=9 - number)
        claim(spool, one.model_copy(update={"claimed_at": NOW + timedelta(seconds=number)}))
    jobs, _ = spool.jobs.recover()
    assert [one.name for one in jobs] == ["1.pdf", "2.pdf", "3.pdf"]


class Noted(Disk):
    """A disk that notes in which order the durable steps come."""

    def __init__(self, steps: list[str]) -> None:
        self.steps = steps

    def move(self, source: Path, target: Path, **folders: int | None) -> None:
        """Note a move by what it moves."""
        super().move(source, target, **folders)
        self.steps.append(f"move {source.name}")

    def sync_folder(self, path: Path, **within: int | None) -> None:
        """Note the fsync of a folder."""
        super().sync_folder(path, **within)
        self.steps.append(f"sync {path.name}")

    def write_over(self, path: Path, data: bytes, offset: int) -> None:
        """Note that something is written over."""
        super().write_over(path, data, offset)
        self.steps.append(f"write {path.name}")

    def remove_folder(self, path: Path) -> None:
        """Note that a job is forgotten."""
        super().remove_folder(path)
        self.steps.append("forget")


def test_a_document_is_in_the_spool_before_its_record_says_more(tmp_path: Path) -> None:
    """After a power cut no record tells of attempts whose document is back in the inbox."""
    steps: list[str] = []
    spool = Spool(tmp_path, Noted(steps))
    spool.open()
    claim(spool, job())
    steps.clear()
    spool.jobs.record(job())
    spool.jobs.record(sent(job()))
    spool.close()
    assert steps == [f"sync {job().job_id}", "write job.json", "write job.json"]


def test_a_job_is_forgotten_only_when_its_document_and_its_line_are_durable(
    tmp_path: Path,
) -> None:
    """The move is on the disk before the journal tells it, and that before the job goes."""
    steps: list[str] = []
    spool = Spool(tmp_path, Noted(steps), note=lambda _: steps.append("journal"))
    spool.open()
    claim(spool, job())
    steps.clear()
    spool.filing.file_away(sent(job()))
    spool.close()
    assert steps[steps.index("move document.pdf") :] == [
        "move document.pdf",
        "sync Labor",
        "journal",
        "forget",
    ]


# -- the formats -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", golden_jobs())
def test_records_are_written_and_read_as_ever(name: str) -> None:
    """A record has the bytes that it always had, and what was written once is read for ever."""
    written = (GOLDEN / f"job-2-{name}.json").read_bytes()
    one = golden_jobs()[name]
    assert to_bytes(one) == written
    again = Job.model_validate_json(written)
    assert to_bytes(again) == written
    assert (again.name, again.folder) == (one.name, one.folder)


@pytest.mark.parametrize("name", golden_jobs())
def test_records_of_version_1_are_read(name: str) -> None:
    """What version 1 wrote is read, with all that it knew: the one number and line that it had."""
    written = json.loads((GOLDEN / f"job-1-{name}.json").read_bytes())
    dialled = {"number_dialled": written["number"], "faxline": written["faxline"], "faxed": None}
    expected = {
        **written,
        "format": "faxdrop-job/2",
        "attempts": [{**each, **dialled, "suspected": False} for each in written["attempts"]],
        "even_if_sent": False,
    }
    assert json.loads(to_bytes(Job.model_validate(written))) == expected


def test_what_version_1_faxed_unchanged_is_known() -> None:
    """Where no copy was made, what was faxed is the document."""
    record = json.loads((GOLDEN / "job-1-sent.json").read_bytes())
    record["document"]["changes"] = []
    read = Job.model_validate(record)
    faxed = Faxed(sha256=FACTS.sha256, bytes=FACTS.bytes)
    assert [attempt.faxed for attempt in read.attempts] == [faxed, faxed]


@pytest.mark.parametrize("version", [1, 2])
def test_a_spool_of_an_older_format_goes_on(spool: Spool, version: int) -> None:
    """A spool with the records of an older version is taken over as it is."""
    for name, one in golden_jobs().items():
        folder = spool.jobs.document(one.model_copy(update={"job_id": f"golden-{name}"})).parent
        folder.mkdir()
        record = (
            (GOLDEN / f"job-{version}-{name}.json").read_text().replace(one.job_id, folder.name)
        )
        (folder / "job.json").write_text(record)
        (folder / "document.pdf").write_bytes(CONTENT)
    jobs, corrupt = spool.jobs.recover()
    assert len(jobs) == len(golden_jobs())
    assert not corrupt


@pytest.mark.parametrize(
    ("code", "is_forgiven"), [(errno.EINVAL, True), (errno.EBADF, True), (errno.EIO, False)]
)
def test_what_a_share_says_to_the_fsync_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, is_forgiven: bool
) -> None:
    """Shares have no fsync of folders, and that is no error; a broken disk is."""

    def refused(_fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refused)
    with nullcontext() if is_forgiven else pytest.raises(OSError, match=str(tmp_path)):
        Disk().sync_folder(tmp_path)


# -- the lock ----------------------------------------------------------------------------------


def test_a_second_daemon_is_refused(spool: Spool, tmp_path: Path) -> None:
    """A second daemon on a root is refused until the first one has ended."""
    second = Spool(tmp_path)
    assert second.is_locked()
    with pytest.raises(SpoolError, match="is running on"):
        second.open()
    spool.close()
    assert not second.is_locked()
    second.open()
    second.close()


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A missing root is an error that says what to do, and nothing is created in its place."""
    with pytest.raises(SpoolError, match="mount it"):
        Spool(tmp_path / "missing").open()
    assert not list(tmp_path.iterdir())


def test_a_root_that_goes_and_comes_is_the_same_one(spool: Spool, tmp_path: Path) -> None:
    """A root that is away may come back; another folder in its place is not used."""
    root, elsewhere = tmp_path, tmp_path.with_name("elsewhere")
    assert spool.is_present()
    root.rename(elsewhere)
    assert not spool.is_present()
    assert not spool.reopen()
    root.mkdir()
    assert not spool.is_present()
    assert not spool.reopen(), "an empty folder where nothing is mounted"
    spool_of_another = Spool(root)
    spool_of_another.open()
    spool_of_another.close()
    assert not spool.reopen(), "another root, that lay beneath the mount"
    shutil.rmtree(root)
    elsewhere.rename(root)
    assert spool.reopen()
    assert spool.is_present()


def test_a_lock_that_somebody_removed_is_taken_anew(spool: Spool) -> None:
    """A root is known by its id: without its lock it is away only until it is looked for."""
    (spool.home / "lock").unlink()
    assert not spool.is_present()
    assert spool.reopen()
    assert spool.is_present()


# -- session ids -------------------------------------------------------------------------------


def test_whose_faxes_are_whose_outlives_the_jobs(spool: Spool) -> None:
    """The session ids of filed jobs are known until thousands of others have come."""
    claim(spool, job())
    spool.filing.file_away(sent(job()))
    assert spool.marks.owned() == {"1772438401", "1772438402"}
    spool.marks.forget_owned(2)
    assert len(spool.marks.owned()) == 2
    [early, late] = sorted((spool.home / "owned").iterdir())
    os.utime(early, (946684800, 946684800))  # a share whose clock says 2000: only the order counts
    os.utime(late, (946684801, 946684801))
    spool.marks.forget_owned(1)
    assert spool.marks.owned() == {late.name}


@pytest.mark.parametrize("session_id", ["a/b", "%2e", "x" * 100, "!~;:", "1"])
def test_any_session_id_can_be_marked(spool: Spool, session_id: str) -> None:
    """An id is data, whatever it looks like: no path, and none too long."""
    claim(spool, job())
    one = sent(job())
    attempt = one.attempts[0].model_copy(update={"session_id": session_id})
    spool.filing.file_away(one.model_copy(update={"attempts": (attempt,)}))
    assert spool.marks.owned() == {session_id}


# -- put back ----------------------------------------------------------------------------------


def test_put_back_is_the_way_back(spool: Spool) -> None:
    """A document from failed/ is back in its inbox, without a receipt, and can fail again."""
    claim(spool, job())
    filed = spool.filing.file_away(failed(job()))
    assert filed is not None
    back = spool.filing.put_back(filed)
    assert back == spool.inbox / "Labor" / "letter.pdf"
    assert back.read_bytes() == CONTENT
    assert not list(filed.parent.iterdir())


def test_put_back_never_overwrites(spool: Spool) -> None:
    """If the inbox has a document of that name, both stay where they are."""
    claim(spool, job())
    filed = spool.filing.file_away(failed(job()))
    assert filed is not None
    drop(spool, job(), b"another")
    with pytest.raises(SpoolError, match="exists already"):
        spool.filing.put_back(filed)
    assert filed.read_bytes() == CONTENT
    assert filed.with_name("letter.pdf.json").exists()


# -- rehearsals --------------------------------------------------------------------------------


def test_a_rehearsal_says_so_in_its_receipts(tmp_path: Path) -> None:
    """A receipt of a rehearsal says that it was simulated."""
    spool = Spool(tmp_path)
    spool.open(simulated=True)
    claim(spool, job())
    filed = spool.filing.file_away(sent(job()))
    spool.close()
    assert filed is not None
    assert _version_in(filed) == f"{__version__} (simulated)"
    spool.open(simulated=False)
    claim(spool, job())
    filed = spool.filing.file_away(sent(job()))
    spool.close()
    assert filed is not None
    assert _version_in(filed) == __version__


def _version_in(filed: Path) -> str:
    receipt = json.loads(filed.with_name(f"{filed.name}.json").read_bytes())
    return str(receipt["faxdrop"])


@pytest.mark.parametrize("simulated", [True, False])
def test_what_waits_is_sent_as_it_was_meant(tmp_path: Path, *, simulated: bool) -> None:
    """A rehearsal never takes documents that should really be faxed, nor the other way round."""
    spool = Spool(tmp_path)
    spool.open(simulated=simulated)
    claim(spool, job())
    spool.close()
    with pytest.raises(SpoolError, match="really be"):
        spool.open(simulated=not simulated)
    assert not spool.is_locked()
    spool.open(simulated=simulated)
    spool.filing.file_away(sent(job()))
    spool.close()
    spool.open(simulated=not simulated)
    spool.close()


# -- a full file system ----------------------------------------------------------------------


@pytest.fixture(name="small")
def _small(tmp_path: Path) -> Iterator[Path]:
    """Return a file system with few inodes and little room."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    options = "nr_inodes=64,size=256k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def _filled(root: Path, what: str, left: int) -> list[Path]:
    """Use up all inodes, or all room, but some; return what does so."""
    used = []
    try:
        for number in count():
            path = root / f"filler {number}"
            path.touch() if what == "inodes" else path.write_bytes(bytes(4096))
            used.append(path)
    except OSError:
        path.unlink(missing_ok=True)
    for _ in range(left):
        used.pop().unlink()
    return used


@pytest.mark.root
@pytest.mark.parametrize("what", ["inodes", "room"])
def test_a_full_file_system_loses_and_doubles_nothing(small: Path, what: str) -> None:
    """Wherever inodes or room run out, each step can be repeated, and ends with one of each.

    Once a document is claimed, what is recorded of it needs neither.
    """
    refused = set()
    for left in range(10):
        spool = Spool(small)
        spool.open()
        one = job(number=left)
        path = drop(spool, one)
        used = _filled(small, what, left)
        done = 0
        for step in range(2 * 4):
            try:
                if done < 1:
                    spool.jobs.claim(path, None, one)
                elif done < 2:
                    spool.jobs.record(sent(one))
                elif done < 3:
                    assert spool.filing.file_away(sent(one)) is not None
                done += 1
            except OSError as error:
                refused.add((done, error.errno))
                assert path.exists() != os.path.lexists(spool.jobs.document(one)), "in one place"
                if step % 2:  # tried twice: now there is room
                    for filler in used:
                        filler.unlink(missing_ok=True)
        assert done > 2
        for filler in used:
            filler.unlink(missing_ok=True)
        spool.close()
        filed = tree(small / "sent" / "Labor")
        assert sorted(filed) == ["letter.pdf", "letter.pdf.json"]
        assert filed["letter.pdf"] == CONTENT
        assert not list((small / ".faxdrop" / "jobs").iterdir())
        shutil.rmtree(small / "sent" / "Labor")
    assert {step for step, _ in refused} == {0, 2}
    assert {code for _, code in refused} == {errno.ENOSPC}
