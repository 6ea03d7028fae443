"""The figures for Prometheus, and the heartbeat."""

import json
import os
import re
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from faxdrop.fax.reasons import ReasonCode
from faxdrop.followers.cursor import Cursor
from faxdrop.followers.follower import FollowerError, Turn
from faxdrop.followers.heartbeat import Heartbeat
from faxdrop.followers.metrics import Metrics
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import EndLine, LineDocument, LineRecipient
from faxdrop.spool.disk import Disk
from tests.kit.rawserver import Call, RawServer

NOW = datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
RULES = Path(__file__).parents[2] / "faxdrop" / "followers" / "faxdrop.rules.yml"


class Office:
    """A journal, and how things stand."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.spool = root / ".faxdrop"
        self.spool.mkdir(parents=True)
        self.journal = Journal(self.spool / "journal", lambda: NOW)
        self.at = NOW
        self.standing: dict[str, Any] = {"holds": [], "problems": [], "states": {}, "inbox": 0}

    def file(self, reason: str | None, at: datetime = NOW) -> None:
        """Write the line of a document that ended."""
        self.journal.append(
            EndLine(
                event="failed" if reason else "sent",
                job_id="20260302-081500-1f6a02b9",
                document=LineDocument(name="a.pdf", sha256=None, bytes=None, pages=None),
                recipient=LineRecipient(folder="Dr.", number=None),
                faxline=None,
                attempts=(),
                reason=reason,
                claimed_at=at,
                finished_at=at,
                path=None,
                receipt_sha256=None,
            )
        )

    def hold(self, what: str, since: datetime) -> None:
        """Have something hold."""
        self.standing["holds"].append({"what": what, "since": f"{since:%Y-%m-%dT%H:%M:%SZ}"})

    def turn(self) -> Turn:
        """Return a turn as a new daemon gives it."""
        head = self.journal.settled()
        cursor = Cursor(
            self.spool / "followers" / "metrics.json",
            self.journal.folder,
            Disk(),
            from_start=True,
            say=lambda _: None,
        )
        cursor.open(head, head)
        return Turn(cursor, head, self.standing, self.at, self.journal.append)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """Give an office."""
    return Office(tmp_path / 'fax "1"')


def read(text: str) -> dict[str, dict[str, float]]:
    """Return the samples of each metric by their labels, as Prometheus' own client reads them."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [f"{key}={value}" for key, value in sample.labels.items() if key != "root"]
            found.setdefault(sample.name, {})[",".join(labels)] = sample.value
    return found


def test_the_figures_are_those_of_journal_and_standing(office: Office, tmp_path: Path) -> None:
    """Each figure, counted on from where the last turn stood, also after a restart."""
    file = tmp_path / "faxdrop.prom"
    metrics = Metrics(office.root, file)
    for reason in (None, "transmission_failed", None):
        office.file(reason)
    office.standing |= {"states": {"queued": 3, "accepted": 1}, "inbox": 7, "problems": [{}]}
    office.hold("submitting", NOW)
    for job in ("20260302-081000-aaaaaaaa", "20260302-081400-bbbbbbbb"):
        (office.spool / "jobs" / job).mkdir(parents=True)
    assert metrics.turn(office.turn()) == 60.0
    found = read(file.read_text())
    assert found["faxdrop_up"] == {"": 1}
    assert found["faxdrop_queue_jobs"] == {
        "state=inbox": 7,
        "state=queued": 3,
        "state=submitting": 0,
        "state=accepted": 1,
        "state=unknown": 0,
    }
    assert found["faxdrop_oldest_document_age_seconds"] == {"": 300}
    assert found["faxdrop_held"] == {
        "what=disk": 0,
        "what=following": 0,
        "what=intake": 0,
        "what=submitting": 1,
    }
    assert found["faxdrop_problems"] == {"": 1}
    faxes = found["faxdrop_faxes_total"]
    assert faxes.keys() == {"outcome=sent", *(f"outcome={code}" for code in ReasonCode)}
    assert {key: value for key, value in faxes.items() if value} == {
        "outcome=sent": 2,
        "outcome=transmission_failed": 1,
    }
    assert found["faxdrop_last_success_timestamp_seconds"] == {"": NOW.timestamp()}
    assert found["faxdrop_journal_lines_total"] == {"": 3}
    office.file(None, NOW + timedelta(hours=1))
    Metrics(office.root, file).last(office.turn())
    found = read(file.read_text())
    assert found["faxdrop_up"] == {"": 0}
    assert found["faxdrop_faxes_total"]["outcome=sent"] == 3
    assert found["faxdrop_last_success_timestamp_seconds"] == {"": NOW.timestamp() + 3600}


def test_prometheus_finds_nothing_to_say_of_file_and_rules(office: Office, tmp_path: Path) -> None:
    """The format and the names keep to its conventions, and the alert rules are some."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here")
    file = tmp_path / "faxdrop.prom"
    Metrics(office.root, file).turn(office.turn())
    with file.open("rb") as text:
        subprocess.run([promtool, "check", "metrics"], stdin=text, check=True)
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True)


def test_the_alert_rules_speak_of_figures_that_there_are(office: Office, tmp_path: Path) -> None:
    """The alert rules name only figures that exist."""
    file = tmp_path / "faxdrop.prom"
    Metrics(office.root, file).turn(office.turn())
    named = set(re.findall(r"\bfaxdrop_[a-z_]+", RULES.read_text()))
    assert named <= read(file.read_text()).keys()
    assert len(named) == 5


def test_the_file_is_replaced_whole_and_readable_for_others(office: Office, tmp_path: Path) -> None:
    """The file is replaced, never rewritten, and readable whatever the umask is."""
    folder = tmp_path / "collector"
    folder.mkdir()
    file = folder / "faxdrop.prom"
    (folder / ".faxdrop.prom.tmp").write_text("left by a crash")
    before = os.umask(0o077)
    try:
        Metrics(office.root, file).turn(office.turn())
        with file.open() as old:
            office.file(None)
            Metrics(office.root, file).turn(office.turn())
            assert read(old.read())["faxdrop_journal_lines_total"] == {"": 0}
    finally:
        os.umask(before)
    assert [path.name for path in folder.iterdir()] == ["faxdrop.prom"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_file_that_cannot_be_written_is_trouble_of_its_own(
    office: Office, tmp_path: Path
) -> None:
    """A write that failed is tried again, and nothing counted meanwhile is lost."""
    office.file(None)
    metrics = Metrics(office.root, tmp_path / "none" / "faxdrop.prom")
    with pytest.raises(FollowerError, match="could not be written"):
        metrics.turn(office.turn())
    (tmp_path / "none").mkdir()
    metrics.turn(office.turn())
    found = read((tmp_path / "none" / "faxdrop.prom").read_text())
    assert found["faxdrop_faxes_total"]["outcome=sent"] == 1


# -- heartbeat ------------------------------------------------------------------------------------


class Monitor(ThreadingHTTPServer):
    """What a heartbeat asks."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Answers)

    @property
    def url(self) -> str:
        """Its address, which is a secret."""
        return f"http://127.0.0.1:{self.server_address[1]}/ping/5ecret?x=1"


class _Answers(BaseHTTPRequestHandler):
    server: Monitor

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    """Give a monitor."""
    with Monitor() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Beats:
    """A heartbeat on a clock that is turned."""

    def __init__(self, office: Office, url: str) -> None:
        self.office = office
        self.mono = 0.0
        self.heartbeat = Heartbeat(SecretStr(url), lambda: self.mono)

    def live(self, seconds: float) -> None:
        """Let time pass, with a turn whenever one is wanted."""
        end = self.mono + seconds
        while self.mono < end:
            pause = min(self.heartbeat.turn(self.office.turn()), end - self.mono)
            self.mono += pause
            self.office.at += timedelta(seconds=pause)


def test_it_beats_every_three_minutes_and_news_make_it_no_faster(
    office: Office, monitor: Monitor
) -> None:
    """The heartbeat is asked about twenty times an hour."""
    beats = Beats(office, monitor.url)
    beats.live(3600.0)
    for _ in range(5):
        beats.heartbeat.turn(office.turn())
    assert set(monitor.asked) == {"/ping/5ecret?x=1"}
    assert 20 <= len(monitor.asked) <= 21


def test_what_holds_for_a_minute_is_a_failure_until_it_is_over(
    office: Office, monitor: Monitor
) -> None:
    """A short hold is not reported; a failure and its end are reported at once."""
    beats = Beats(office, monitor.url)
    beats.live(10.0)
    office.hold("submitting", office.at)
    beats.live(50.0)
    office.standing["holds"].clear()
    beats.live(10.0)
    assert monitor.asked == ["/ping/5ecret?x=1"]
    office.hold("submitting", office.at)
    beats.live(65.0)
    assert monitor.asked[1:] == ["/ping/5ecret/fail?x=1"]
    beats.live(400.0)
    assert monitor.asked[1:] == ["/ping/5ecret/fail?x=1"] * 3
    office.standing["holds"].clear()
    beats.live(1.0)
    assert monitor.asked[4:] == ["/ping/5ecret?x=1"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(302, "redirects to another address"), (404, "answers 404"), (500, "answers 500")],
)
def test_an_answer_that_is_none_is_said_without_the_address(
    office: Office, monitor: Monitor, status: int, words: str
) -> None:
    """A bad answer or a redirect is shown in status until the heartbeat works again."""
    monitor.status = status
    beats = Beats(office, monitor.url)
    with structlog.testing.capture_logs() as logs:
        beats.live(400.0)
    assert len(monitor.asked) == 3
    assert words in beats.heartbeat.problems["The heartbeat:"]
    assert len(logs) == 1
    assert "5ecret" not in json.dumps([*logs, beats.heartbeat.problems])
    monitor.status = 200
    beats.live(200.0)
    assert beats.heartbeat.problems == {}


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/5ecret", "https://[::1/5ecret", "http://no.such.host.invalid/5ecret"],
)
def test_a_server_that_cannot_be_reached_is_said_without_the_address(
    office: Office, url: str
) -> None:
    """The address is in no log and no error, although the libraries' texts repeat it."""
    beats = Beats(office, url)
    with structlog.testing.capture_logs() as logs:
        beats.heartbeat.turn(office.turn())
    assert "cannot be reached" in beats.heartbeat.problems["The heartbeat:"]
    assert "5ecret" not in json.dumps([*logs, beats.heartbeat.problems])
    assert "5ecret" not in repr(vars(beats.heartbeat))


def test_a_monitor_that_drips_is_waited_for_no_longer_than_others(office: Office) -> None:
    """A server that sends a byte now and then would be waited for for ever, each time anew."""
    over = threading.Event()

    def drip(call: Call) -> None:
        call.read_head()
        while not over.wait(0.01):
            call.send(b"x")

    with RawServer(drip) as server:
        clock = iter((0.0, 0.0, 400.0, 400.0))
        heartbeat = Heartbeat(SecretStr(server.url), lambda: next(clock), longest=0.1)
        for _ in range(2):
            heartbeat.turn(office.turn())
            assert "does not answer in time" in heartbeat.problems["The heartbeat:"]
        assert len(server.calls) == 1  # it is not asked again while it still answers
        over.set()
