"""STATUS.html: what it shows, that it harms nobody, and when it is written."""

import base64
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from faxdrop import words
from faxdrop.fax.job import State
from faxdrop.followers.status_page import write_now
from faxdrop.spool.disk import Disk
from faxdrop.words import LANGUAGES, Language
from tests.kit.jobs import attempt, in_spool, job_in
from tests.kit.share import HOSTILE, NOW, Share
from tests.kit.strange import STRANGE_FILES


@pytest.fixture
def share(tmp_path: Path) -> Share:
    """Give a share."""
    return Share(tmp_path / "fax")


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


def test_it_shows_what_there_is(share: Share) -> None:
    """The page shows trouble, failures, what is on its way, waiting and sent today, with links."""
    in_spool(
        share.root,
        job_in(State.ACCEPTED, name="one.pdf", attempts=(attempt("PENDING", "SENDING"),)),
        job_in(State.QUEUED, name="two.pdf", job_id="20260302-115000-00000002"),
    )
    share.fail("three.pdf")
    share.send("four.pdf")
    share.hold("submitting", "No money")
    share.standing |= {
        "problems": [{"path": "/srv/fax/inbox/x", "problem": "is closed to us"}],
        "waiting": [{"folder": "Amt", "name": "five.pdf", "words": "still grows"}],
        "inbox": 7,
    }
    share.turn()
    page = Elements(share.text)
    text = " ".join(page.text.split())
    assert "Faxes are held." in text
    assert "No money. Top it up. faxdrop tries again by itself" in text
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
def test_a_name_is_text_and_nothing_else(share: Share, name: str) -> None:
    """Whatever is in a name, the page has the same elements, and its link opens that very file."""
    share.fail("a.pdf")
    share.turn()
    usual = [tag for tag, _ in Elements(share.text).found]
    (share.root / "failed" / "Amt" / "a.pdf").unlink()
    (share.root / "failed" / "Amt" / "a.report.pdf").unlink()
    document = share.fail(name, message=f"{name} is bad.")
    share.turn()
    found = Elements(share.text)
    tags = [tag for tag, _ in found.found]
    assert set(tags) == set(usual)
    assert tags.count("a") in {len([tag for tag in usual if tag == "a"]) - n for n in (0, 1)}
    assert all(char.isprintable() or char == "\n" for char in share.text)
    link = found.links[4]
    assert not re.match("[a-z]+:", link)
    assert Path(os.fsdecode(os.fsencode(share.root) + b"/" + unquote_to_bytes(link))) == document


def test_nothing_from_elsewhere_and_no_script(share: Share) -> None:
    """The page allows itself one style sheet, its own, and nothing else; and it says so first."""
    share.turn()
    page = Elements(share.text)
    policy = next(
        str(attrs["content"])
        for _, attrs in page.found
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    style = re.search("<style>(.*)</style>", share.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in policy
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in page.found}
    assert "http:" not in share.text
    assert "https:" not in share.text
    assert not any(key.startswith("on") for _, attrs in page.found for key in attrs)


def test_it_is_written_when_something_changed_and_not_in_a_quiet_hour(share: Share) -> None:
    """A turn without a change writes nothing, a document more or less writes it anew."""

    def written() -> object:
        status = share.path.stat()
        return status.st_ino, status.st_mtime_ns

    share.turn()
    first = written()
    for _ in range(60):
        assert share.turn() == 60.0
    assert written() == first
    document = share.fail("a.pdf")
    share.turn()
    second = written()
    assert second != first
    document.unlink()
    share.turn()
    assert written() != second
    assert "a.pdf" not in share.text


def test_what_is_on_its_way_is_looked_at_without_news(share: Share) -> None:
    """A change at sipgate is no event for followers, so the page looks for itself."""
    in_spool(share.root, job_in(State.ACCEPTED, attempts=(attempt("PENDING"),)))
    assert share.turn() == 30.0
    assert "at sipgate, not being sent yet" in share.text
    record = next((share.root / ".faxdrop" / "jobs").iterdir()) / "job.json"
    record.write_text(
        job_in(State.ACCEPTED, attempts=(attempt("PENDING", "SENDING"),)).model_dump_json()
    )
    assert share.turn() == 30.0
    assert "being sent by sipgate" in share.text


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


def _without_instant(page: str) -> str:
    return re.sub(r"as of [^<]*", "", page)


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_whatever_is_in_its_place_is_replaced(
    share: Share, spoil: Callable[[Path], object]
) -> None:
    """Whatever people put in the page's place is replaced at the next look; no link is followed."""
    elsewhere = share.root / "elsewhere"
    elsewhere.write_text("somebody's")
    share.turn()
    whole = share.text
    spoil(share.path)
    share.turn()
    assert stat.S_ISREG(share.path.lstat().st_mode)
    assert _without_instant(share.text) == _without_instant(whole)
    assert elsewhere.read_text() == "somebody's"
    assert share.page.problems == {}


@pytest.mark.parametrize("make", [STRANGE_FILES["folder"], STRANGE_FILES["full folder"]])
def test_a_folder_in_its_place_is_told_and_left(
    share: Share, make: Callable[[Path], object]
) -> None:
    """A folder in the page's place stays: status says what to do, then the page is back."""
    make(share.path)
    share.turn()
    words = "cannot be written because a folder has its name: remove that folder"
    assert share.page.problems == {str(share.path): words}
    share.path.rename(share.root / "aside")
    share.turn()
    assert share.page.problems == {}
    assert "faxdrop is running." in share.text


def test_somebody_who_has_it_open_changes_nothing(share: Share) -> None:
    """Who has the page open keeps the old one, locked or not; the next one gets the new."""
    share.turn()
    with share.path.open("r+") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        fcntl.lockf(reader, fcntl.LOCK_EX)
        share.fail("a.pdf")
        share.turn()
        assert "a.pdf" not in reader.read()
    assert "a.pdf" in share.text


def test_a_stop_and_a_kill_are_told(share: Share) -> None:
    """A daemon that stops says so; for one that was killed, `faxdrop status --page` does."""
    share.turn()
    assert "faxdrop is running." in share.text
    share.page.last(share.moment())
    assert "faxdrop is not running: nothing is faxed." in share.text
    share.page = share.other()
    share.turn()
    assert "faxdrop is running." in share.text
    assert write_now(share.root, NOW, wanted=True).problems == {}
    assert "faxdrop is not running: nothing is faxed." in share.text


def test_a_page_that_is_not_wanted_goes(share: Share) -> None:
    """`status_page = false` removes the page; a file that is not faxdrop's stays."""
    share.turn()
    share.page = share.other(wanted=False)
    assert share.turn() is None
    assert not share.path.exists()
    share.path.write_text("<p>ours</p>")
    share.turn()
    share.page.last(share.moment())
    assert share.path.read_text() == "<p>ours</p>"


@pytest.mark.parametrize("many", [200, pytest.param(5000, marks=pytest.mark.long)])
def test_all_are_counted_and_some_of_them_shown(share: Share, many: int) -> None:
    """The page stays small however much there is, and a long look makes the next one wait."""
    folder = share.root / "failed" / "Amt"
    folder.mkdir(parents=True)
    receipt = json.dumps({"reason": {"message": "x" * 5000, "advice": ""}})
    for number in range(many):
        (folder / f"{number}.pdf").touch()
        (folder / f"{number}.pdf.json").write_text(receipt)
    share.standing["problems"] = [{"path": f"/{n}", "problem": "is away"} for n in range(many)]
    share.turn()
    text = share.text
    assert f"<b>{many:,}</b>" in text
    assert text.count("<li>") == 50
    assert text.count('class="trouble') == 51
    assert f"... and {many - 50:,} more." in text
    assert len(text) < 250_000
    share.fail("another.pdf")
    rest = share.page.turn(share.moment())
    assert rest is not None
    assert 0 < rest < 60
    assert "another.pdf" not in share.text


def test_a_disk_that_refuses_keeps_the_old_page(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the old page stays whole; the new one is written when there is room."""
    share.turn()
    before = share.text
    share.fail("a.pdf")
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(Disk, "write", full)
        share.turn()
    assert share.text == before
    assert list(share.page.problems.values()) == ["cannot be written (No space left on device)"]
    share.turn()
    assert "a.pdf" in share.text


def test_it_belongs_to_the_group_of_its_folder(share: Share) -> None:
    """People of the share's group read the page; nobody but its owner writes into it."""
    os.chown(share.root, -1, 65534)
    share.root.chmod(0o2770)
    share.turn()
    status = share.path.stat()
    assert status.st_gid == 65534
    assert not status.st_mode & 0o022


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_speaks_the_language(share: Share, language: Language) -> None:
    """The page is in the language that is set, and says so to the browser."""
    words.use(language)
    share.fail("a.pdf")
    share.turn()
    assert f'<html lang="{language}">' in share.text
    assert {"en": "Not sent", "de": "Nicht gesendet"}[language] in share.text
    if language == "de":
        assert not re.search(r"\b(the|and|faxes|nothing|sent)\b", Elements(share.text).text)
