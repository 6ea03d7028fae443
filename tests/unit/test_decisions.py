"""Which notices the journal makes, for whom and when: a pure function, driven through its days."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faxdrop.followers.decisions import (
    MOST,
    Now,
    Standing,
    Stuck,
    Wishes,
    beginning,
    decide,
    due,
    first_wanted,
    taken,
)
from faxdrop.followers.wording import LineData
from faxdrop.journal.lines import Head

NOON = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)  # in Berlin
EVERYTHING = Wishes(on=frozenset({"failed", "held", "released", "stuck", "sent"}))


@pytest.fixture(name="berlin", autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Office:
    """A journal in memory, its clock, and one who is told: ``mails`` are subject and text."""

    def __init__(self, wishes: Wishes = EVERYTHING, at: datetime = NOON) -> None:
        self.wishes = wishes
        self.at = at
        self.lines: list[dict[str, Any]] = []
        self.standing = beginning(Head())
        self.holding: frozenset[str] | None = None
        self.stuck: tuple[Stuck, ...] = ()
        self.mails: list[tuple[str, str]] = []

    def write(self, event: str, **content: Any) -> None:
        """Write a line."""
        at = self.at.isoformat().replace("+00:00", "Z")
        self.lines.append({"seq": len(self.lines) + 1, "at": at, "event": event, **content})

    def end(self, event: str = "failed", name: str = "a.pdf", to: str | None = "Anna") -> None:
        """Write the line of a document."""
        reason = "transmission_failed" if event == "failed" else None
        recipient = {"folder": to, "number": "+492111234567"}
        self.write(event, document={"name": name}, recipient=recipient, reason=reason)

    def decide(self) -> None:
        """Decide once, from what a restart would find on disk."""
        standing = Standing.model_validate_json(self.standing.model_dump_json())
        head = Head(seq=len(self.lines), hash="ab" * 32)
        now = Now(self.at, head, self.holding, self.stuck)
        lines = self.lines[first_wanted(standing) :]
        self.standing = decide(standing, self.wishes, lines, now, why)

    def look(self, seconds: float = 0.0) -> list[str]:
        """Let time pass; send all that is due, and return its subjects."""
        self.at += timedelta(seconds=seconds)
        before = len(self.mails)
        while True:
            self.decide()
            if self.standing.notice is None:
                return [subject for subject, _ in self.mails[before:]]
            self.mails.append((self.standing.notice.subject, self.standing.notice.body))
            self.standing = taken(self.standing, (), done=True)


def why(line: LineData) -> tuple[str, str] | None:
    """Read the receipt of every document but one."""
    gone = line["document"]["name"] == "gone.pdf"
    return None if gone else ("The line was busy.", "Check the number.")


def test_a_failed_fax_is_told_by_name_recipient_and_end() -> None:
    """The subject can be understood alone; the text says what happened and what to do."""
    office = Office()
    office.end(name="letter.pdf", to="Dr. Müller")
    assert office.look() == []
    assert office.look(30) == ["letter.pdf: Dr. Müller: not sent"]
    ((_, body),) = office.mails
    assert body.splitlines()[1:] == ["The line was busy.", "Check the number."]
    assert office.look(3600) == []


def test_a_document_whose_receipt_is_gone_is_told_all_the_same() -> None:
    """Without its receipt, a failure is told with the journal's reason and where to read on."""
    office = Office()
    office.end(name="gone.pdf")
    office.look(30)
    assert "The recipient could not be reached." in office.mails[0][1]
    assert "faxdrop receipts" in office.mails[0][1]


def test_a_burst_is_one_notice() -> None:
    """Twenty failures within half a minute are one notice that names them all, in order."""
    office = Office()
    for number in range(20):
        office.end(name=f"{number}.pdf")
        assert office.look(1) == []
    assert office.look(10) == ["0.pdf: Anna: not sent (and 19 more)"]
    body = office.mails[0][1]
    places = [body.index(f"\n{number}.pdf: ") for number in range(1, 20)]
    assert places == sorted(places)


def test_more_than_a_notice_holds_goes_into_the_next() -> None:
    """After a long outage every document is named, in notices of a bounded size."""
    office = Office()
    for number in range(2 * MOST + 1):
        office.end(name=f"<{number}>.pdf")
    assert len(office.look(30)) == 3
    text = "".join(body for _, body in office.mails)
    assert all(text.count(f"<{number}>.pdf") == 1 for number in range(2 * MOST + 1))


def test_only_what_is_wanted_is_told() -> None:
    """Events and patterns of recipients (in any case) choose what is told; the past is not."""
    office = Office(Wishes(recipients=("dr. *",)))
    office.end(to="Dr. Müller")
    office.end(to="Labor Nord")
    office.end(to=None)
    office.end("sent", to="Dr. Müller")
    office.write("retried", path="failed/Dr. Müller/a.pdf")
    office.write("failed", recipient={"folder": "Dr. Y"}, taken_in=True)
    assert office.look(30) == ["a.pdf: Dr. Müller: not sent"]
    assert office.standing.seq == 6


@pytest.mark.parametrize(("seconds", "told"), [(59, 0), (61, 2)])
def test_a_hold_is_told_after_a_minute(seconds: int, told: int) -> None:
    """A hold of less than a minute makes no notice, neither of its start nor of its end."""
    office = Office()
    office.write("held", what="account", words="no money")
    office.look()
    office.look(seconds)
    office.write("released", what="account", words="no money")
    office.look(3600)
    assert len(office.mails) == told
    if told:
        assert office.mails[0][0] == "Faxes are held"
        assert "no money" in office.mails[0][1]
        assert office.mails[1][0] == "Faxes go out again"


def test_a_hold_that_a_killed_daemon_left() -> None:
    """A hold is told once over restarts, and its end also if no line says so."""
    office = Office()
    office.write("held", what="account", words="no money")
    assert office.look(61) == ["Faxes are held"]
    office.write("held", what="account", words="no money")
    office.holding = frozenset({"account"})
    assert office.look(61) == []
    office.holding = frozenset()
    assert office.look(1) == ["Faxes go out again"]


def test_one_outage_is_one_entry_though_it_holds_twice() -> None:
    """Submitting and following stop seconds apart and start again apart: one mail each way."""
    office = Office()
    office.write("held", what="following", words="no answer")
    office.at += timedelta(seconds=20)
    office.write("held", what="submitting", words="no answer")
    assert office.look(41) == ["Faxes are held"]
    assert office.mails[0][1].count("no answer") == 1
    assert office.look(60) == []
    office.write("released", what="following", words="no answer")
    assert office.look(60) == []
    office.write("released", what="submitting", words="no answer")
    assert office.look() == ["Faxes go out again"]
    assert (
        "This had held the faxes since 2026-03-02 12:00, and is over: no answer."
        in office.mails[1][1]
    )


def test_an_outage_that_holds_again_before_all_of_it_is_over_is_not_told_anew() -> None:
    """What was told of one hold counts for the other, also if the first one ends before."""
    office = Office()
    office.write("held", what="following", words="no answer")
    assert office.look(61) == ["Faxes are held"]
    office.write("held", what="submitting", words="no answer")
    office.write("released", what="following", words="no answer")
    assert office.look(3600) == []
    office.write("released", what="submitting", words="no answer")
    assert office.look() == ["Faxes go out again"]


def test_two_causes_are_one_entry_with_both() -> None:
    """One notice names everything that holds, under one subject."""
    office = Office()
    office.write("held", what="submitting", words="no money")
    office.write("held", what="disk", words="no room")
    assert office.look(61) == ["Faxes are held"]
    assert "no money" in office.mails[0][1]
    assert "no room" in office.mails[0][1]
    office.write("released", what="submitting", words="no money")
    assert office.look() == ["Faxes are still held"]
    assert "is over: no money." in office.mails[1][1]
    assert "Since 2026-03-02 12:00: no room." in office.mails[1][1]
    office.write("released", what="disk", words="no room")
    assert office.look() == ["Faxes go out again"]


def test_what_is_stuck_is_told_once() -> None:
    """A stuck document is told once, and again if it gets stuck again."""
    office = Office()
    waits = Stuck("1", "a.pdf", "Anna", NOON, "Look into the sipgate account.")
    office.stuck = (waits,)
    assert office.look() == ["a.pdf: Anna: waits"]
    assert office.look(7200) == []
    office.stuck = ()
    assert office.look(60) == []
    office.stuck = (waits,)
    assert office.look(60) == ["a.pdf: Anna: waits"]


def test_what_is_under_way_is_not_changed_and_nothing_overtakes_it() -> None:
    """While a mail server is away, the first notice stays as it is; all later ones are one."""
    office = Office()
    office.end(name="first.pdf")
    office.at += timedelta(seconds=30)
    office.decide()
    first = office.standing.notice
    office.standing = taken(office.standing, ("half",), done=False)
    for hour in range(12):
        office.end(name=f"{hour}.pdf")
        office.at += timedelta(hours=1)
        office.decide()
    assert first is not None
    assert office.standing.notice == first.model_copy(update={"taken": ("half",)})
    assert office.look() == ["first.pdf: Anna: not sent", "0.pdf: Anna: not sent (and 11 more)"]


HOSTILE = st.text(max_size=300) | st.sampled_from(
    ["a\r\nBcc: x@y.example", "\u202efdp.a", "\x1b[2J"]
)


@given(name=HOSTILE, folder=HOSTILE)
def test_names_are_hostile(name: str, folder: str) -> None:
    """No name makes a second header, turns a line around or fills a screen."""
    office = Office()
    office.end(name=name, to=folder)
    (subject,) = office.look(30)
    ((_, body),) = office.mails
    assert subject.isprintable()
    assert len(subject) <= 180
    assert subject.endswith("not sent")
    assert all(line.isprintable() for line in body.split("\n"))
    assert len(body.splitlines()) == 3


def test_a_digest_counts_what_ended_and_names_what_was_not_sent() -> None:
    """Once a day at its time: also when the daemon was down then, and on a day without faxes."""
    office = Office(Wishes(on=frozenset(), digest=time_of_day(18)))
    assert office.look() == []
    office.end("sent")
    office.end("sent")
    office.end(name="b.pdf")
    assert office.look(5 * 3600) == []  # 17:00
    assert office.look(7 * 3600) == ["Faxes until 2026-03-02: 2 sent, 1 not sent"]  # midnight
    body = office.mails[0][1]
    assert "b.pdf: Anna: not sent\nThe line was busy.\nCheck the number." in body
    assert f"line 3, whose SHA-256 is\n{'ab' * 32}" in body
    assert office.look(17 * 3600) == []
    assert office.look(2 * 3600) == ["Faxes until 2026-03-03: 0 sent, 0 not sent"]
    assert office.look(72 * 3600) == ["Faxes until 2026-03-06: 0 sent, 0 not sent"]


@pytest.mark.parametrize("digest", [time_of_day(2, 30), time_of_day(18)])
@pytest.mark.parametrize("month", [3, 10])
def test_a_day_has_one_digest_when_clocks_change(month: int, digest: time_of_day) -> None:
    """An hour that is missing or comes twice takes or adds no digest."""
    last_sunday = {3: 29, 10: 25}[month]
    office = Office(Wishes(digest=digest), datetime(2026, month, last_sunday - 2, 11, tzinfo=UTC))
    office.look()
    for _ in range(4 * 24 * 4):
        office.look(15 * 60)
    days = [subject[13:23] for subject, _ in office.mails]
    assert days == sorted(set(days))
    assert len(days) == 4


def test_a_clock_that_was_far_ahead_stops_nothing() -> None:
    """A clock that is set back by years silences neither the digest nor the failures."""
    office = Office(Wishes(digest=time_of_day(18)), NOON + timedelta(days=3650))
    office.look()
    office.end()
    office.at = NOON
    assert office.look() == ["a.pdf: Anna: not sent"]
    assert office.look(86400) == ["Faxes until 2026-03-02: 0 sent, 1 not sent"]


def test_a_digest_that_is_switched_on_begins_then() -> None:
    """A new digest counts from its set-up on, and does not come at once."""
    office = Office(Wishes())
    office.end("sent")
    office.look(30)
    office.wishes = Wishes(digest=time_of_day(18))
    assert office.look(60) == []
    assert office.look(8 * 3600) == ["Faxes until 2026-03-02: 0 sent, 0 not sent"]


def test_it_is_known_when_to_look_again() -> None:
    """Decisions look at no line before its time, and wait for nothing that nobody wants."""
    office = Office(Wishes(on=frozenset({"failed"})))
    assert due(office.standing, office.wishes, office.lines, office.at) is None
    office.write("held", what="x", words="y")
    office.look()
    assert due(office.standing, office.wishes, office.lines, office.at) is None
    office.end()
    later = office.at + timedelta(seconds=30)
    assert due(office.standing, office.wishes, office.lines, office.at) == later
    office.at -= timedelta(days=1)
    assert due(office.standing, office.wishes, office.lines, office.at) == office.at


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["failed", "sent", "held", "released", "crash", "wait", "look"]),
            st.integers(-100, 200),
        ),
        max_size=40,
    )
)
def test_nothing_is_lost_and_nothing_told_twice(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in which order, each document is in one notice, if each is sent once."""
    office = Office(EVERYTHING)
    for number, (step, seconds) in enumerate(steps):
        if step in ("failed", "sent"):
            office.end(step, name=f"<{number}>")
        elif step in ("held", "released"):
            office.write(step, what="x", words="y")
        elif step == "crash":  # between deciding and sending
            office.decide()
        elif step == "look":
            office.look()
        office.at += timedelta(seconds=seconds)
    office.look(3600)
    office.look(3600)
    text = "".join(body for _, body in office.mails)
    for number, (step, _) in enumerate(steps):
        assert text.count(f"<{number}>") == (step in ("failed", "sent"))
    assert office.standing.seq == len(office.lines)
