"""Notices go out once each, whatever happens to daemons and mail servers."""

import json
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from faxdrop.config.settings import NotifySettings
from faxdrop.followers.notices import Notices
from faxdrop.followers.post import NoticePosting, Post
from faxdrop.spool.disk import Disk
from tests.kit import pdfs
from tests.kit.breaking import Crash, CrashingDisk, Stage, Steps, assert_all_answered, stage
from tests.kit.followers import Letterbox, only
from tests.kit.mail import PASSWORD, MailServer
from tests.kit.world import World

NUMBER, BUSY, STUCK = "+493023125000", "+493023125002", "+493023125004"
ANNA, BERT = "anna@office.example", "bert@office.example"
EVERYTHING = ("failed", "held", "released", "stuck", "sent")
HOUR = 3600.0
NOWHERE = SecretStr("json://127.0.0.1:9/")


@pytest.fixture(name="staged")
def _staged(tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path / "root", attempts=1) as one:
        yield one


def start(
    world: World,
    post: Post | None = None,
    address: SecretStr = NOWHERE,
    disk: Disk | None = None,
    **settings: Any,
) -> None:
    """Start a daemon that tells somebody."""
    wishes = NotifySettings(**settings)
    patience = world.config.inbox.patience
    world.make_followers = lambda _: [
        Notices("office", world.root, wishes, address, patience, post)
    ]
    world.start(disk)
    world.turn()


def break_off(world: World) -> None:
    """End the daemon as a power cut does."""
    world.crash()


def fail(world: World, *names: str, folder: str = NUMBER) -> None:
    """Drop documents that are none: each fails at once."""
    for name in names:
        world.drop(folder, name, f"{name} is no PDF".encode())
    world.until_done()


def mails(server: MailServer) -> list[tuple[str, str, str]]:
    """Return recipient, subject and text of what a server took."""
    read = [(to, message_from_bytes(raw, policy=policy.default)) for to, raw in server.mails]
    return [(to, str(mail["Subject"]), str(mail.get_content())) for to, mail in read]


def cursor(world: World) -> str:
    """Return what is kept of one who is told."""
    return (world.root / ".faxdrop" / "followers" / "notify-office.json").read_text()


def problems(world: World) -> str:
    """Return what status says is not as it should be."""
    world.live(2.0)
    status = json.loads((world.root / ".faxdrop" / "status.json").read_bytes())
    return "\n".join(f"{one['path']} {one['problem']}" for one in status["problems"])


def test_a_failure_is_told_once_also_over_restarts(staged: Stage) -> None:
    """A notice has file, recipient, reason and advice; a new address hears nothing of the past."""
    world, post = staged.world, Letterbox()
    world.make_followers = only()
    world.start()
    fail(world, "old.pdf")
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        break_off(world)
        start(world, post)
        fail(world, name)
        world.live(600)
    assert post.subjects == [f"{name}: {NUMBER}: not sent" for name in ("a.pdf", "b.pdf", "c.pdf")]
    receipt = json.loads((world.root / "failed" / NUMBER / "a.pdf.json").read_bytes())
    body = post.mails[0][1]
    assert receipt["reason"]["message"] in body
    assert receipt["reason"]["advice"] in body


def test_twenty_failures_are_one_mail(staged: Stage) -> None:
    """Failures over some minutes make two mails: one for the first, one for the rest."""
    world, post = staged.world, Letterbox()
    start(world, post)
    fail(world, *(f"{number}.pdf" for number in range(20)))
    world.live(60)
    assert post.subjects == [f"0.pdf: {NUMBER}: not sent (and 19 more)"]
    world.live(600)
    for number in range(20):
        world.drop(NUMBER, f"late{number}.pdf", f"{number} is no PDF".encode())
        world.live(10)
    world.live(600)
    assert len(post.subjects) == 3
    for number in range(20):
        assert sum(f"late{number}.pdf: " in text for _, text in post.mails) == 1


def test_a_hold_is_told_after_a_minute_and_its_end_if_it_was(staged: Stage) -> None:
    """A hold and its end are told once each, over a kill; a short one is not told."""
    world, post = staged.world, Letterbox()
    start(world, post, on=EVERYTHING)
    staged.simulator.trouble = 402
    staged.drop(NUMBER, "letter.pdf", pdfs.good(1))
    world.live(40)
    assert '"held"' in next((world.root / ".faxdrop" / "journal").glob("*.jsonl")).read_text()
    assert post.mails == []
    world.live(120)
    assert post.subjects == ["Faxes are held"]
    break_off(world)
    start(world, post, on=EVERYTHING)
    world.live(1200)
    assert post.subjects == ["Faxes are held"]
    staged.simulator.trouble = None
    world.until_done()
    world.live(60)
    assert post.subjects[1] == "Faxes go out again (and 1 more)"
    assert "letter.pdf: +493023125000: sent" in post.mails[1][1]
    assert len(post.mails) == 2


def test_a_fax_without_an_end_is_told_after_two_hours(staged: Stage) -> None:
    """A stuck fax is told once, with what to do; one that ended by then is not."""
    world, post = staged.world, Letterbox()
    start(world, post)
    staged.drop(STUCK, "stuck.pdf", pdfs.good(1))
    staged.drop(NUMBER, "letter.pdf", pdfs.good(2))
    world.live(1.9 * HOUR)
    assert post.mails == []
    world.live(0.3 * HOUR)
    assert post.subjects == [f"stuck.pdf: {STUCK}: waits"]
    assert "sipgate account" in post.mails[0][1]
    break_off(world)
    start(world, post)
    world.live(5 * HOUR)
    assert len(post.mails) == 1


def test_a_file_that_nothing_takes_is_told(staged: Stage) -> None:
    """A file that is written to all the time is told as stuck in the inbox."""
    world, post = staged.world, Letterbox()
    start(world, post)
    for number in range(120):
        world.drop(NUMBER, "endless.pdf", b"%PDF-1.4 " + b"x" * number)
        world.live(15)
    assert post.subjects == [f"endless.pdf: {NUMBER}: waits"]
    assert "It is in the inbox and was not taken: " in post.mails[0][1]


@pytest.mark.long
def test_a_digest_says_each_day_what_was_not_sent(staged: Stage) -> None:
    """Counts, everything not sent, and the journal's head; what was put in again is no failure."""
    world, post = staged.world, Letterbox()
    start(world, post, on=(), digest="18:00")
    staged.drop(NUMBER, "good.pdf", pdfs.good(1))
    fail(world, "bad.pdf")
    staged.drop(STUCK, "stuck.pdf", pdfs.good(2))
    world.live(24 * HOUR)
    assert len(post.mails) == 1
    subject, body = post.mails[0]
    assert subject == "Faxes until 2026-03-02: 1 sent, 1 not sent"
    assert f"bad.pdf: {NUMBER}: not sent\n" in body
    assert "On their way: 1. In the inbox: 0." in body
    assert "good.pdf" not in body
    lines = next((world.root / ".faxdrop" / "journal").glob("*.jsonl")).read_bytes().splitlines()
    assert f"line {len(lines)}," in body or f"line {len(lines) - 1}," in body


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
@pytest.mark.long
def test_a_mail_server_that_is_away_for_hours_loses_nothing(
    staged: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an outage the first notice comes first, then all others in one mail."""
    world = staged.world
    server = MailServer(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    address = server.address(ANNA, BERT)
    start(world, None, address)
    fail(world, "first.pdf")
    world.live(HOUR)
    words = "The follower notify-office: It fails and is tried again: the server cannot be reached."
    assert problems(world) == words
    for number in range(12):
        fail(world, f"{number}.pdf")
        world.live(HOUR / 4)
    break_off(world)
    start(world, None, address)
    world.live(HOUR)
    with server:
        server.later = {BERT}  # greylisted, too
        world.live(2 * HOUR)
    told = [(to, subject) for to, subject, _ in mails(server)]
    first, rest = (
        f"first.pdf: {NUMBER}: not sent",
        f"0.pdf: {NUMBER}: not sent (and 11 more)",
    )
    assert told == [(ANNA, first), (BERT, first), (ANNA, rest), (BERT, rest)]
    assert problems(world) == ""
    assert PASSWORD not in cursor(world)
    assert "office.example" not in cursor(world)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
def test_a_recipient_whom_the_server_refuses_keeps_nothing_from_the_others(
    staged: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recipient whom the server refuses costs the others nothing, and status names him."""
    world = staged.world
    with MailServer(tmp_path) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        server.refused = {"gone@office.example"}
        start(world, None, server.address(ANNA, "gone@office.example"))
        for name in ("a.pdf", "b.pdf"):
            fail(world, name)
            world.live(600)
    assert [(to, subject.partition(":")[0]) for to, subject, _ in mails(server)] == [
        (ANNA, "a.pdf"),
        (ANNA, "b.pdf"),
    ]
    assert "did not reach everybody: the server refuses a recipient" in problems(world)


def test_one_who_is_always_put_off_misses_a_notice_after_an_hour(staged: Stage) -> None:
    """One recipient has it, the other never gets it: the next notice waits an hour, no longer."""
    world = staged.world
    first = f"a.pdf: {NUMBER}: not sent"

    class Halfway(Letterbox):
        def send(self, *notice: Any, **more: Any) -> NoticePosting:
            posting = super().send(*notice, **more)
            if notice[1] != first:
                return posting
            return NoticePosting(posting.taken, "come again", is_final=False)

    post = Halfway()
    start(world, post)
    fail(world, "a.pdf")
    world.live(60.0)
    fail(world, "b.pdf")
    world.live(HOUR - 600.0)
    assert set(post.subjects) == {first}
    world.live(HOUR + 1200.0)  # the last pause before may be an hour
    assert post.subjects[-1] == f"b.pdf: {NUMBER}: not sent"
    assert "did not reach everybody" not in problems(world)


@pytest.mark.long
def test_what_nobody_takes_is_passed_over_after_a_day(staged: Stage) -> None:
    """A notice that fails for a day is passed over; status names it, and the next one follows."""
    world = staged.world
    refuse = [True]

    class Refusing(Letterbox):
        def send(self, *notice: Any, **more: Any) -> NoticePosting:
            if refuse[0]:
                return NoticePosting((), "the server did not accept it", is_final=False)
            return super().send(*notice, **more)

    post = Refusing()
    start(world, post)
    fail(world, "a.pdf")
    world.live(HOUR)
    fail(world, "b.pdf")
    world.live(22 * HOUR)
    assert "tried again: the server did not accept it" in problems(world)
    world.live(1.5 * HOUR)
    refuse[0] = False
    world.live(2 * HOUR)
    assert post.subjects == [f"b.pdf: {NUMBER}: not sent"]
    assert f"gave up on line 1 (a.pdf: {NUMBER}: not sent)" in problems(world)


@pytest.mark.long
def test_a_crash_at_any_step_loses_no_notice(tmp_path: Path) -> None:
    """Each step of a failed fax and of its notice is crashed at, until a run passes untouched."""
    crashed = True
    runs = twice = 0
    while crashed:
        runs += 1
        with stage(tmp_path / f"{runs}") as staged:
            crashed = False
            world, steps = staged.world, Steps(runs)
            post = Letterbox(steps)
            staged.drop(NUMBER, "letter.pdf", b"no PDF")
            while True:
                try:
                    start(world, post, disk=CrashingDisk(steps), digest="18:00")
                    world.until_done()
                    world.live(120)
                    break
                except Crash:
                    crashed = True
                    steps.crash_at = None
                    world.crash()
            assert_all_answered(staged)
            assert set(post.subjects) == {f"letter.pdf: {NUMBER}: not sent"}
            assert len(post.subjects) <= 1 + crashed
            twice += len(post.subjects) - 1
    assert runs > 40
    assert 0 < twice < 10  # only from the sending to the note of it, which is some steps
