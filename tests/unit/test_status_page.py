"""STATUS.html: what it shows, to whom it is harmless, and when it is written."""

import base64
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from faxdrop import words
from faxdrop.fax.job import State
from faxdrop.followers.cursor import Cursor
from faxdrop.followers.follower import Turn
from faxdrop.followers.status_page import StatusPage, write_now
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import EndLine, LineDocument, LineRecipient
from faxdrop.spool.disk import Disk
from faxdrop.words import LANGUAGES
from tests.kit.jobs import attempt, in_spool, job_in
from tests.kit.strange import STRANGE_FILES

NOW = datetime.now(UTC)
HOSTILE = {
    "tags": "<script>alert(1)<img src=x onerror=alert(1)>.pdf",
    "attribute": '" onmouseover="alert(1)" x=".pdf',
    "template": "{{ 7 * 7 }}{% raw %}.pdf",
    "entity": "&lt;b&gt;&amp;.pdf",
    "beginning of a style": "<style>--><![CDATA[.pdf",
    "right to left": "invoice\u202efdp.exe\u2066.pdf",
    "control characters": "a\x1b[31m\nb\r\x85.pdf",
    "no UTF-8": os.fsdecode(b"B\xfcrgeramt.pdf"),
    "address": "javascript:alert(1)#?%2e%2e.pdf",
    "long": "W" * 246 + ".pdf",
    "arabic": "رسالة إلى المكتب.pdf",
}


class Office:
    """A root with a journal, as a daemon of its own would tell of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        in_spool(root)
        self.journal = Journal(root / ".faxdrop" / "journal", lambda: NOW)
        self.standing: dict[str, Any] = {"holds": [], "problems": [], "waiting": [], "inbox": 0}
        self.mono = 0.0
        self.page = self.other()

    @property
    def path(self) -> Path:
        """Where the page lies."""
        return self.root / "STATUS.html"

    @property
    def text(self) -> str:
        """The page."""
        return self.path.read_text("utf-8")

    def other(self, *, wanted: bool = True) -> StatusPage:
        """Return the page of another daemon, or of another config."""
        return StatusPage(self.root, wanted=wanted, monotonic=lambda: self.mono)

    def turn(self, at: datetime = NOW) -> float | None:
        """Give the page a turn, an hour after the last."""
        self.mono += 3600.0
        return self.page.turn(self.moment(at))

    def moment(self, at: datetime = NOW) -> Turn:
        """Return how things stand."""
        head = self.journal.settled()
        folder = self.root / ".faxdrop" / "followers"
        cursor = Cursor(
            folder / "status_page.json",
            self.journal.folder,
            Disk(),
            from_start=False,
            say=lambda _: None,
        )
        return Turn(cursor, head, {**self.standing}, at)

    def fail(self, name: str, folder: str = "Amt", message: str = "Busy.", **more: object) -> Path:
        """File a document in failed/."""
        return self._file("failed", name, folder, {"message": message, "advice": "Again.", **more})

    def send(self, name: str, folder: str = "Amt") -> Path:
        """File a document in sent/, and tell the journal."""
        path = self._file("sent", name, folder, None)
        self.journal.append(
            EndLine(
                event="sent",
                job_id="20260302-081500-1f6a02b9",
                document=LineDocument(name=name, sha256=None, bytes=None, pages=None),
                recipient=LineRecipient(folder=folder, number=None),
                faxline=None,
                attempts=(),
                reason=None,
                claimed_at=NOW,
                finished_at=NOW,
                path=str(path.relative_to(self.root)),
                receipt_sha256=None,
            )
        )
        return path

    def _file(self, top: str, name: str, folder: str, reason: object) -> Path:
        path = self.root / top / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%PDF-")
        receipt = {"reason": reason, "finished_at": NOW.isoformat(), "report": "there is one"}
        try:
            path.with_name(f"{name}.json").write_text(json.dumps(receipt))
            path.with_name(name.removesuffix(".pdf") + ".report.pdf").write_bytes(b"%PDF-")
        except OSError:
            assert len(name) > 240
        return path


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Give an office."""
    return Office(tmp_path / "fax")


class Elements(HTMLParser):
    """What a browser makes of a page: its elements, their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(re.sub("<style>.*</style>", "", page, flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note what is read."""
        self.text += data

    @property
    def links(self) -> list[str]:
        """Where the page leads."""
        return [str(attrs["href"]) for tag, attrs in self.found if tag == "a"]


def test_it_shows_what_there_is(office: Office) -> None:
    """Trouble, what failed, what is on its way, what waits and what was sent today; with links."""
    in_spool(
        office.root,
        job_in(State.ACCEPTED, name="one.pdf", attempts=(attempt("PENDING", "SENDING"),)),
        job_in(State.QUEUED, name="two.pdf", job_id="20260302-115000-00000002"),
    )
    office.fail("three.pdf")
    office.send("four.pdf")
    since = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    office.standing |= {
        "holds": [
            {"what": "submitting", "words": "No money", "advice": "Top it up.", "since": since}
        ],
        "problems": [{"path": "/srv/fax/inbox/x", "problem": "is closed to us"}],
        "waiting": [{"folder": "Amt", "name": "five.pdf", "words": "still grows"}],
        "inbox": 7,
    }
    office.turn()
    page = Elements(office.text)
    text = " ".join(page.text.split())
    assert "Faxes are held." in text
    assert "No money. Top it up. It is tried again by itself" in text
    assert "/srv/fax/inbox/x is closed to us" in text
    assert "Not sent 1 three.pdf to Amt Busy. Again." in text
    assert "On the way 1 one.pdf to Dr. Müller +493023125030 being sent by sipgate" in text
    assert "Waiting 8 two.pdf to Dr. Müller +493023125030 held, for the reason above" in text
    assert "five.pdf to Amt still grows ... and 6 more." in text
    assert "Sent today 1 four.pdf to Amt" in text
    assert page.links[4:] == [
        "failed/Amt/three.pdf",
        "failed/Amt/three.report.pdf",
        "sent/Amt/four.pdf",
        "sent/Amt/four.report.pdf",
    ]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_name_is_text_and_nothing_else(office: Office, name: str) -> None:
    """Whatever is in a name, the page has the same elements, and its link opens that very file."""
    office.fail("a.pdf")
    office.turn()
    usual = [tag for tag, _ in Elements(office.text).found]
    (office.root / "failed" / "Amt" / "a.pdf").unlink()
    (office.root / "failed" / "Amt" / "a.report.pdf").unlink()
    document = office.fail(name, message=f"{name} is bad.")
    office.turn()
    found = Elements(office.text)
    tags = [tag for tag, _ in found.found]
    assert set(tags) == set(usual)
    assert tags.count("a") in {len([tag for tag in usual if tag == "a"]) - n for n in (0, 1)}
    assert all(char.isprintable() or char == "\n" for char in office.text)
    link = found.links[4]
    assert not re.match("[a-z]+:", link)
    assert Path(os.fsdecode(os.fsencode(office.root) + b"/" + unquote_to_bytes(link))) == document


def test_nothing_from_elsewhere_and_no_script(office: Office) -> None:
    """The page allows itself one style sheet, its own, and nothing else; and it says so first."""
    office.turn()
    page = Elements(office.text)
    policy = next(
        str(attrs["content"])
        for _, attrs in page.found
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search("<style>(.*)</style>", office.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in policy
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in page.found}
    assert "http:" not in office.text
    assert "https:" not in office.text
    assert not any(key.startswith("on") for _, attrs in page.found for key in attrs)


def test_it_is_written_when_something_changed_and_not_in_a_quiet_hour(office: Office) -> None:
    """A turn without a change writes nothing, a document more or less writes it anew."""

    def written() -> object:
        status = office.path.stat()
        return status.st_ino, status.st_mtime_ns

    office.turn()
    first = written()
    for minute in range(60):
        assert office.turn(NOW + timedelta(minutes=minute)) == 60.0
    assert written() == first
    document = office.fail("a.pdf")
    office.turn()
    second = written()
    assert second != first
    document.unlink()
    office.turn()
    assert written() != second
    assert "a.pdf" not in office.text


def test_what_is_on_its_way_is_looked_at_without_news(office: Office) -> None:
    """What sipgate says of a fax is no news to followers, so the page looks for itself."""
    in_spool(office.root, job_in(State.ACCEPTED, attempts=(attempt("PENDING"),)))
    assert office.turn() == 30.0
    assert "with sipgate, not being sent yet" in office.text
    record = next((office.root / ".faxdrop" / "jobs").iterdir()) / "job.json"
    record.write_text(
        job_in(State.ACCEPTED, attempts=(attempt("PENDING", "SENDING"),)).model_dump_json()
    )
    assert office.turn() == 30.0
    assert "being sent by sipgate" in office.text


def _edited(path: Path) -> None:
    path.write_text("<script>alert(1)</script>")


def _replaced(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def _is_fit(name: str) -> bool:
    """Pass over folders, which stay, and the pipe whose writer would write into the new page."""
    return "folder" not in name and "writer" not in name


SPOILT: dict[str, Callable[[Path], object]] = {
    "edited": _edited,
    "deleted": Path.unlink,
    "emptied": lambda path: os.truncate(path, 0),
    "closed to all": lambda path: path.chmod(0),
    **{name: _replaced(make) for name, make in STRANGE_FILES.items() if _is_fit(name)},
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_whatever_is_in_its_place_is_replaced(
    office: Office, spoil: Callable[[Path], object]
) -> None:
    """What people make of the page is gone at the next look; a link leads nobody anywhere."""
    elsewhere = office.root / "elsewhere"
    elsewhere.write_text("somebody's")
    office.turn()
    whole = office.text
    spoil(office.path)
    office.turn()
    assert stat.S_ISREG(office.path.lstat().st_mode)
    assert office.text == whole
    assert elsewhere.read_text() == "somebody's"
    assert office.page.problems == {}


@pytest.mark.parametrize("make", [STRANGE_FILES["folder"], STRANGE_FILES["full folder"]])
def test_a_folder_in_its_place_is_told_and_left(
    office: Office, make: Callable[[Path], object]
) -> None:
    """No folder of anybody is removed: what to do is told, and then the page is back."""
    make(office.path)
    office.turn()
    words = "cannot be written, for a folder has its name: take that away"
    assert office.page.problems == {str(office.path): words}
    office.path.rename(office.root / "aside")
    office.turn()
    assert office.page.problems == {}
    assert "faxdrop is running." in office.text


def test_somebody_who_has_it_open_changes_nothing(office: Office) -> None:
    """Who opened the page reads on what it was, and the next who opens it the new one."""
    office.turn()
    with office.path.open() as reader:
        office.fail("a.pdf")
        office.turn()
        assert "a.pdf" not in reader.read()
    assert "a.pdf" in office.text


def test_a_stop_and_a_kill_are_told(office: Office) -> None:
    """A daemon that stops says so; for one that was killed, `faxdrop status --page` does."""
    office.turn()
    assert "faxdrop is running." in office.text
    office.page.last(office.moment())
    assert "faxdrop is not running: nothing is faxed." in office.text
    office.page = office.other()
    office.turn()
    assert "faxdrop is running." in office.text
    assert write_now(office.root, NOW, wanted=True).problems == {}
    assert "faxdrop is not running: nothing is faxed." in office.text


def test_a_page_that_is_not_wanted_goes(office: Office) -> None:
    """With `status_page = false` nobody reads for years what once was so; a stranger's stays."""
    office.turn()
    office.page = office.other(wanted=False)
    assert office.turn() is None
    assert not office.path.exists()
    office.path.write_text("<p>ours</p>")
    office.turn()
    office.page.last(office.moment())
    assert office.path.read_text() == "<p>ours</p>"


def test_thousands_are_counted_and_some_of_them_shown(office: Office) -> None:
    """The page stays small however much there is, and a long look makes the next one wait."""
    many = 5000
    folder = office.root / "failed" / "Amt"
    folder.mkdir(parents=True)
    receipt = json.dumps({"reason": {"message": "x" * 5000, "advice": ""}})
    for number in range(many):
        (folder / f"{number}.pdf").touch()
        (folder / f"{number}.pdf.json").write_text(receipt)
    office.standing["problems"] = [{"path": f"/{n}", "problem": "is away"} for n in range(many)]
    office.turn()
    text = office.text
    assert "<b>5,000</b>" in text
    assert text.count("<li>") == 50
    assert text.count('class="trouble') == 51
    assert "... and 4,950 more." in text
    assert len(text) < 250_000
    office.fail("another.pdf")
    rest = office.page.turn(office.moment())
    assert rest is not None
    assert 0 < rest < 60
    assert "another.pdf" not in office.text


def test_a_disk_that_refuses_keeps_the_old_page(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the page of before, whole, and is told; then the page is made."""
    office.turn()
    before = office.text
    office.fail("a.pdf")
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(Disk, "write", full)
        office.turn()
    assert office.text == before
    assert list(office.page.problems.values()) == ["cannot be written (No space left on device)"]
    office.turn()
    assert "a.pdf" in office.text


def test_it_belongs_to_the_group_of_its_folder(office: Office) -> None:
    """People of the share's group read the page; nobody but its owner writes into it."""
    os.chown(office.root, -1, 65534)
    office.root.chmod(0o2770)
    office.turn()
    status = office.path.stat()
    assert status.st_gid == 65534
    assert not status.st_mode & 0o022


@pytest.fixture(name="language", params=LANGUAGES)
def _language(request: pytest.FixtureRequest) -> Iterator[str]:
    words.use(request.param)
    yield request.param
    words.use("en")


def test_it_speaks_the_language(office: Office, language: str) -> None:
    """The page is in the language that is set, and says so to the browser."""
    office.fail("a.pdf")
    office.turn()
    assert f'<html lang="{language}">' in office.text
    assert {"en": "Not sent", "de": "Nicht gesendet"}[language] in office.text
    if language == "de":
        assert not re.search(r"\b(the|and|faxes|nothing|sent)\b", Elements(office.text).text)
