"""``faxdrop check`` finds out whether this machine would fax now, by trying."""

import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pytest
from rich.console import Console

from faxdrop import __version__
from faxdrop.cli import screens
from faxdrop.config import place
from faxdrop.config.problems import ConfigError, Problem
from faxdrop.config.settings import Config
from faxdrop.daemon.build import make_sipgate
from faxdrop.documents import sandbox
from faxdrop.documents.checker import CheckerError
from faxdrop.documents.verdict import Verdict
from faxdrop.fax.job import Reason
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.recipient import AddressEntry
from faxdrop.inbox import mounts
from faxdrop.setup import check, check_account, check_unit, units
from faxdrop.setup.check import CheckReport
from faxdrop.setup.findings import Finding, Level
from faxdrop.simulator import Simulator
from faxdrop.sipgate import Sipgate
from faxdrop.spool.disk import Disk
from faxdrop.spool.root import Spool
from faxdrop.words import short_moment
from tests.kit.users import let_in
from tests.kit.world import config_of

pytestmark = pytest.mark.usefixtures("reader_runs")


@pytest.fixture(name="simulator", scope="module")
def _simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(name="config")
def _config(tmp_path: Path, simulator: Simulator) -> Iterator[Config]:
    account = simulator.account
    before = (account.balance, account.admin)
    yield config_of(tmp_path, simulator.base_url)
    simulator.trouble = None
    account.balance, account.admin = before
    for line in account.faxlines:
        line.can_send = True


def made(config: Config) -> Spool:
    """Return the spool of a config, as a daemon leaves it."""
    spool = Spool(config.root)
    spool.open()
    spool.close()
    return spool


def report(config: Config, spool: Spool | None = None) -> CheckReport:
    """Check everything."""
    findings = list(check.folders(config, spool or Spool(config.root)))
    with make_sipgate(config) as sipgate:
        findings += check_account.account(config, sipgate)
    return check.report_of(config, findings, user="somebody")


def finding(of: CheckReport, topic: str, level: Level) -> Finding:
    """Return the one finding of a topic, which must have that level."""
    (found,) = (one for one in of.findings if one.topic == topic)
    assert found.level is level, found
    return found


def screen(of: CheckReport) -> str:
    """Return the screen as plain text."""
    file = StringIO()
    Console(file=file, width=300, highlight=False, markup=False).print(screens.check(of))
    return file.getvalue()


def test_everything_is_right(config: Config) -> None:
    """Where everything is right, each topic says so, and the machine would fax."""
    config = config.model_copy(update={"recipients": {"Amt": AddressEntry(number="+493023125030")}})
    made(config)
    seen = report(config)
    levels = {one.topic: one.level for one in seen.findings}
    assert levels == dict.fromkeys(levels, Level.OK) | {"daemon": Level.NOTE}
    assert set(levels) == {
        "config",
        "folders",
        "events",
        "daemon",
        "documents",
        "recipients",
        "sipgate",
        "faxline",
        "balance",
    }
    assert seen.would_fax
    text = screen(seen)
    assert "This machine would fax, as somebody, through sipgate." in text
    assert "Amt: +493023125030" in text
    assert "18.64 EUR" in text
    assert "f0 (Simulated fax) exists and may send." in text


def test_nothing_stays_behind(config: Config) -> None:
    """A check leaves no file, and the inbox passes its file over."""
    made(config)
    (config.root / "inbox" / "Amt").mkdir()
    before = sorted(config.root.rglob("*"))
    report(config)
    assert sorted(config.root.rglob("*")) == before


def test_before_the_first_start(config: Config) -> None:
    """Folders that the daemon creates at its start are not reported as missing."""
    assert report(config).would_fax


def test_json_has_a_stable_shape(config: Config) -> None:
    """The JSON follows its schema."""
    data = report(config).model_dump(mode="json")
    jsonschema.validate(data, check.schema())
    assert data["format"] == "faxdrop-check/1"
    assert list(data) == ["format", "would_fax", "simulated", "root", "user", "findings"]
    assert {tuple(one) for one in data["findings"]} == {("topic", "level", "words", "advice")}


def test_a_config_that_is_wrong() -> None:
    """A config that cannot be used is a report too, with each problem as a finding."""
    error = ConfigError((Problem("TOKEN", "(missing)", "set it"),))
    seen = check.report_of_config(error)
    jsonschema.validate(seen.model_dump(mode="json"), check.schema())
    assert finding(seen, "config", Level.WRONG).advice == "set it"
    assert not seen.would_fax


def test_config_warnings(config: Config) -> None:
    """What is unwise in the config is a note, and does not stop faxing."""
    seen = report(config.model_copy(update={"warnings": ("Unwise.",)}))
    assert finding(seen, "config", Level.NOTE).words == "Unwise."
    assert seen.would_fax


# -- folders ---------------------------------------------------------------------------------


def test_the_root_is_not_there(config: Config) -> None:
    """A missing root is reported, and the account is checked all the same."""
    seen = report(config.model_copy(update={"root": config.root / "gone"}))
    assert "There is no folder" in finding(seen, "root", Level.WRONG).words
    finding(seen, "sipgate", Level.OK)
    assert not seen.would_fax


def test_nothing_is_mounted(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point where nothing is mounted is not accepted as the root."""
    monkeypatch.setattr(mounts, "missing_mount", lambda _root: Path("/srv/nas"))
    wrong = finding(report(config), "root", Level.WRONG)
    assert "Nothing is mounted on /srv/nas" in wrong.words
    assert wrong.advice == "Mount it: mount /srv/nas"


class Refusing(Disk):
    """A disk that refuses to move anything to some folders."""

    def __init__(self, code: int, *names: str) -> None:
        self.code = code
        self.names = names

    def move(self, source: Path, target: Path, **within: int | None) -> None:
        """Refuse, or move."""
        if target.parent.name in self.names:
            raise OSError(self.code, os.strerror(self.code), str(source), None, str(target))
        super().move(source, target, **within)


def test_two_mounts(config: Config) -> None:
    """A folder that refuses renames is named with the reason, and the others are still tried."""
    made(config)
    seen = report(config, Spool(config.root, Refusing(errno.EXDEV, "sent")))
    wrong = finding(seen, "folders", Level.WRONG)
    assert f"{config.root}/sent" in wrong.words
    assert "one mount" in wrong.advice
    assert list(config.root.rglob(".faxdrop-check*")) == []


def test_many_folders_refuse(config: Config) -> None:
    """If a thousand folders refuse, a few are named and the rest are counted."""
    made(config)
    names = [f"{number:03}" for number in range(1000)]
    for name in names:
        (config.root / "inbox" / name).mkdir()
    seen = report(config, Spool(config.root, Refusing(errno.EACCES, *names)))
    wrong = [one for one in seen.findings if one.topic == "folders"]
    assert len(wrong) == 4
    assert "must be allowed" in wrong[0].advice
    assert "997 more" in wrong[-1].words
    assert len(screen(seen).splitlines()) < 25


def test_nothing_can_be_written(config: Config) -> None:
    """If not even a file can be created, the finding names the folder."""

    class Full(Disk):
        def open_new(self, path: Path, mode: int = 0o666) -> int:  # noqa: ARG002
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    made(config)
    wrong = finding(report(config, Spool(config.root, Full())), "folders", Level.WRONG)
    assert "Read-only file system" in wrong.words


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_two_real_mounts_of_one_file_system(config: Config) -> None:
    """A bind mount of the same file system is detected, although its device number is the same."""
    made(config)
    sent = config.root / "sent"
    subprocess.run(["mount", "--bind", sent, sent], check=True)
    try:
        seen = report(config)
    finally:
        subprocess.run(["umount", sent], check=True)
    assert str(sent) in finding(seen, "folders", Level.WRONG).words


@pytest.fixture(name="as_nobody")
def _as_nobody(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Let a test give up root's rights; it gets them back at its end."""
    if os.geteuid() != 0:
        pytest.skip("to be somebody else needs root")
    let_in(tmp_path)

    yield lambda: os.seteuid(65534)
    os.seteuid(0)


def test_a_missing_inbox(config: Config) -> None:
    """An inbox that disappeared after the first start is wrong, whether a daemon runs or not."""
    spool = made(config)
    spool.inbox.rmdir()
    wrong = finding(report(config), "folders", Level.WRONG)
    assert wrong.words.startswith(f"Missing: {spool.inbox}.")
    assert "when it starts: faxdrop run" in wrong.advice


def test_records_that_cannot_be_read(config: Config) -> None:
    """Damaged records are a fault that a person must correct; other faxes go out."""
    spool = made(config)
    for name in ("jobs", "corrupt"):
        folder = spool.home / name / f"20260302-{name}"
        folder.mkdir()
        (folder / "document.pdf").touch()
        (folder / "job.json").write_text("{")
    seen = report(config)
    fault = finding(seen, "records", Level.FAULT)
    assert f"{spool.home}/jobs/20260302-jobs" in fault.words
    assert f"{spool.home}/corrupt/20260302-corrupt" in fault.words
    assert seen.would_fax
    assert "would fax, as somebody, through sipgate; but 1 fault needs to be corrected." in screen(
        seen
    )


def test_a_token_that_others_can_read(config: Config) -> None:
    """A token file that others can read is a fault, and the screen's last line says so."""
    seen = report(config.model_copy(update={"faults": ("token is open: chmod 600 token",)}))
    assert finding(seen, "config", Level.FAULT).words == "token is open: chmod 600 token"
    assert screen(seen).splitlines()[-1].endswith("1 fault needs to be corrected.")


def test_advice_names_no_unit_that_is_not_there(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where systemd knows no unit of the config, the advice is to run faxdrop; else to start it."""
    made(config)

    def advice(path: Path) -> str:
        findings = check.folders(config, Spool(config.root), path)
        return next(one.advice for one in findings if one.topic == "daemon")

    monkeypatch.setattr(place, "_UNIT_FOLDERS", (str(tmp_path),))
    assert advice(place.DEFAULT_PATH) == "Start it: faxdrop run"
    assert advice(Path("/x.toml")) == "Start it: faxdrop --config /x.toml run"
    (tmp_path / "faxdrop.service").touch()
    assert advice(place.DEFAULT_PATH) == "Start it: systemctl start faxdrop"
    assert advice(place.ETC / "bonn.toml") == "Start it: faxdrop --instance bonn run"
    (tmp_path / "faxdrop@.service").touch()
    assert advice(place.ETC / "bonn.toml") == "Start it: systemctl start faxdrop@bonn"


# -- the unit --------------------------------------------------------------------------------

SHOWN = (
    "LoadState=loaded\nReadWritePaths={}\nProtectHome={}\nUser={}\nNeedDaemonReload={}\n"
    "UnitFileState={}\n"
)


def unit(
    root: Path, *, home: str = "yes", user: str = "", stale: str = "no", state: str = "enabled"
) -> units.Unit:
    """Return a unit as systemd shows it."""
    read = units.read("faxdrop", SHOWN.format(root, home, user, stale, state))
    assert read is not None
    return read


def of_unit(config: Config, known: units.Unit) -> Finding:
    """Return the one finding about a unit."""
    (found,) = check_unit.of_unit(known, config, place.DEFAULT_PATH)
    return found


def test_a_root_that_the_unit_may_not_write_to(config: Config) -> None:
    """A unit that may not write to the root is wrong; the advice is `init --service`'s drop-in."""
    assert of_unit(config, unit(config.root.parent)).level is Level.OK
    other = config.model_copy(update={"root": Path("/data/our fax")})
    wrong = of_unit(other, unit(place.SERVICE_ROOT))
    assert wrong.level is Level.WRONG
    assert wrong.words == "The unit faxdrop may not write to /data/our fax."
    assert "sudo faxdrop init --service corrects that" in wrong.advice
    assert 'ReadWritePaths=\nReadWritePaths="/data/our fax"\n' in wrong.advice
    home = config.model_copy(update={"root": Path("/home/fax")})
    assert "ProtectHome=no" in of_unit(home, unit(Path("/home/fax"))).advice
    assert of_unit(home, unit(Path("/home/fax"), home="no")).level is Level.OK
    nowhere = config.model_copy(update={"root": Path("/tmp/fax")})  # noqa: S108
    assert of_unit(nowhere, unit(place.SERVICE_ROOT)).advice.startswith("Use another folder")


def test_a_unit_with_another_user(config: Config) -> None:
    """Folders that belong to somebody else than the unit's user are wrong."""
    wrong = of_unit(config, unit(config.root, user="nosuchuser"))
    assert wrong.level is Level.WRONG
    assert wrong.advice.endswith(f"chown -R nosuchuser: {config.root}")


def test_a_unit_that_has_changed(config: Config) -> None:
    """After an upgrade, a unit that systemd has not read again is a note."""
    note = of_unit(config, unit(config.root, stale="yes"))
    assert note.level is Level.NOTE
    assert note.advice == "systemctl daemon-reload && systemctl restart faxdrop"


def test_a_unit_that_is_not_started_at_boot(config: Config) -> None:
    """A unit that is linked but not enabled is a note: it would not start at boot."""
    note = of_unit(config, unit(config.root, state="linked"))
    assert note.level is Level.NOTE
    assert note.advice.startswith("systemctl enable faxdrop")


def test_no_unit() -> None:
    """There is no finding for a unit that systemd does not know, nor without systemd."""
    assert units.read("faxdrop", "LoadState=not-found\n") is None
    assert units.read("faxdrop", "") is None
    assert units.ask(Path("/x.toml")) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may compare them")
def test_an_older_token_that_runs() -> None:
    """A service that runs with another token than the one in the files is wrong."""
    stored = {"TOKEN_ID": "token-A", "TOKEN": "new"}
    assert list(check_unit.of_token("faxdrop", stored, stored)) == []
    assert list(check_unit.of_token("faxdrop", {}, stored)) == []
    (wrong,) = check_unit.of_token("faxdrop", {**stored, "TOKEN": "old"}, stored)
    assert (wrong.level, wrong.advice) == (Level.WRONG, "systemctl restart faxdrop")


def test_an_older_version_that_runs(config: Config) -> None:
    """After an upgrade without a restart, the version that still runs is named."""
    spool = made(config)
    spool.open()
    spool.notes.write_status({"pid": 42, "faxdrop": "0.0.9"})
    try:
        *_, note = (one for one in report(config).findings if one.topic == "daemon")
    finally:
        spool.close()
    assert note.words == f"Version 0.0.9 is still running; this is {__version__}."


def test_no_rights(config: Config, as_nobody: Callable[[], None]) -> None:
    """A spool of another user is reported, with the user whose rights are needed."""
    made(config)
    as_nobody()
    wrong = finding(report(config), "root", Level.WRONG)
    assert wrong.words == f"Only root may read {config.root}/.faxdrop, and you are nobody."
    assert wrong.advice == "Put sudo before the command."


def test_sticky_folders(config: Config, as_nobody: Callable[[], None]) -> None:
    """A folder with the sticky bit is found before it keeps a fax back."""
    spool = made(config)
    folder = spool.inbox / "Amt"
    folder.mkdir()
    for path in (config.root, *config.root.rglob("*")):
        if path != folder:
            os.chown(path, 65534, 65534)
    folder.chmod(0o1777)
    as_nobody()
    wrong = finding(report(config), "folders", Level.WRONG)
    assert "sticky" in wrong.words
    assert wrong.advice == f"chmod -t {folder}"


@pytest.mark.parametrize(
    ("free", "level"), [(0, Level.WRONG), (50_000_000, Level.NOTE), (10**12, None)]
)
def test_space(
    config: Config, monkeypatch: pytest.MonkeyPatch, free: int, level: Level | None
) -> None:
    """A disk that is nearly full is a note, a full one is wrong, and any other is not mentioned."""

    class Answer(NamedTuple):
        f_bavail: int = free
        f_frsize: int = 1

    monkeypatch.setattr(os, "statvfs", lambda _path: Answer())
    levels = [one.level for one in report(config).findings if one.topic == "space"]
    assert levels == ([] if level is None else [level])


def test_a_share_without_events(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without all events, the check says that the inbox is read often."""
    monkeypatch.setattr(mounts, "kind_of", lambda _folder: "nfs4")
    note = finding(report(config), "events", Level.NOTE)
    assert note.words.startswith("nfs4: ")
    assert "every 3 s" in note.words


def test_a_daemon_that_holds(config: Config) -> None:
    """The check works while the daemon runs; if the daemon holds, this machine would not fax."""
    spool = made(config)
    spool.open()
    spool.notes.write_status({"pid": 42})
    try:
        seen = report(config)
        assert finding(seen, "daemon", Level.OK).words == "faxdrop is running (pid 42)."
        assert seen.would_fax
        hold = {"words": "no money", "advice": "", "since": "2026-03-02T11:00:00Z"}
        spool.notes.write_status({"pid": 42, "holds": [{"what": w, **hold} for w in ("a", "b")]})
        seen = report(config)
    finally:
        spool.close()
    _, wrong = (one for one in seen.findings if one.topic == "daemon")
    held_since = short_moment(datetime(2026, 3, 2, 11, tzinfo=UTC))
    assert wrong.words == f"All faxes have been held since {held_since}: no money."
    assert not seen.would_fax


# -- documents and recipients ----------------------------------------------------------------


def test_no_reader(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PDF reader that cannot be started means no fax."""

    def fail(_checker: object, _fd: int) -> Verdict:
        raise CheckerError("the PDF reader does not answer")

    monkeypatch.setattr("faxdrop.documents.checker.Checker.check", fail)
    assert "does not answer" in finding(report(config), "documents", Level.WRONG).words


def test_a_reader_that_refuses(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PDF reader that refuses a good PDF means no fax."""
    reason = Reason(
        code=ReasonCode.DAMAGED_PDF, message="The PDF crashed the program that reads it.", advice=""
    )
    verdict = Verdict(sha256="", bytes=1, reason=reason)
    monkeypatch.setattr("faxdrop.documents.checker.Checker.check", lambda _checker, _fd: verdict)
    assert "crashed the program" in finding(report(config), "documents", Level.WRONG).words


def test_a_kernel_that_cannot_confine_readers(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If readers cannot be confined, the check says what would help, and faxes go out."""
    lacks = ["open files that faxdrop may read (no Landlock in this kernel)"]
    monkeypatch.setattr(sandbox, "missing", lambda: lacks)
    seen = report(config)
    note = finding(seen, "sandbox", Level.NOTE)
    assert "no Landlock in this kernel" in note.words
    assert "Use a kernel with Landlock" in note.advice
    monkeypatch.setattr(sandbox, "missing", list)
    assert "sandbox" not in {one.topic for one in report(config).findings}


def test_folders_that_name_nobody(config: Config) -> None:
    """A folder that names no recipient is a note, before somebody drops a fax there."""
    spool = made(config)
    for name in ("Amt", "+49 211 1234567", ".hidden"):
        (spool.inbox / name).mkdir()
    *_, note = (one for one in report(config).findings if one.topic == "recipients")
    assert note.level is Level.NOTE
    assert f"fails: {spool.inbox / 'Amt'}." in note.words


def test_a_long_address_book(config: Config) -> None:
    """With a thousand recipients, a few are shown and the rest are counted."""
    book = {f"Amt {number}": AddressEntry(number="+493023125030") for number in range(1000)}
    ok = finding(report(config.model_copy(update={"recipients": book})), "recipients", Level.OK)
    assert "and 997 more" in ok.words


# -- sipgate ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "words"), [(401, "401"), (500, "500"), ("429", "429"), ("down", "onnection")]
)
def test_trouble(config: Config, simulator: Simulator, trouble: int | str, words: str) -> None:
    """Whatever is wrong with sipgate or the token is reported, with what to do."""
    simulator.trouble = trouble
    wrong = finding(report(config), "sipgate", Level.WRONG)
    assert words in wrong.words
    assert simulator.base_url in wrong.words
    assert wrong.advice


def test_a_token_that_may_not_see_the_account(config: Config, simulator: Simulator) -> None:
    """A token with the least rights is enough to fax, and so for the check."""
    simulator.trouble = {"GET /authorization/userinfo": 403}
    seen = report(config)
    assert "the first fax will show" in finding(seen, "faxline", Level.NOTE).words
    assert seen.would_fax


@pytest.mark.parametrize(
    "path", ["GET /authorization/userinfo", "GET /{userId}/faxlines", "GET /balance"]
)
def test_an_account_that_does_not_answer(config: Config, simulator: Simulator, path: str) -> None:
    """If sipgate fails to answer one question, neither token nor faxing is called wrong."""
    simulator.trouble = {path: 500}
    seen = report(config)
    note = finding(seen, "faxline", Level.NOTE)
    assert note.words.startswith("sipgate did not show the account (sipgate has a fault of its own")
    assert "token" not in note.words + note.advice
    assert seen.would_fax


def test_fax_lines_that_are_not_shown(config: Config, simulator: Simulator) -> None:
    """A token that may not list the fax lines is a note."""
    simulator.trouble = {"GET /{userId}/faxlines": 403, "GET /groupfaxlines": 403}
    assert finding(report(config), "faxline", Level.NOTE)


def test_a_fax_line_that_is_not_there(config: Config) -> None:
    """A fax line that does not exist is wrong, and the existing ones are listed."""
    sipgate = config.sipgate.model_copy(update={"faxline": "f7"})
    wrong = finding(report(config.model_copy(update={"sipgate": sipgate})), "faxline", Level.WRONG)
    assert wrong.words == "There is no fax line f7."
    assert wrong.advice == "Set sipgate.faxline to one of these: f0 (Simulated fax)"


def test_a_fax_line_of_the_address_book(config: Config) -> None:
    """The fax lines that the address book names are checked, too."""
    book = {"Dr. X": AddressEntry(number="+493023125030", faxline="f8")}
    *_, wrong = report(config.model_copy(update={"recipients": book})).findings[:-1]
    assert wrong.words == "There is no fax line f8."
    assert wrong.advice.startswith('Set recipients."Dr. X".faxline to')


def test_a_fax_line_that_may_not_send(config: Config, simulator: Simulator) -> None:
    """A fax line that may not send is wrong."""
    simulator.account.faxlines[0].can_send = False
    assert "may not send" in finding(report(config), "faxline", Level.WRONG).words


def test_no_money(config: Config, simulator: Simulator) -> None:
    """An empty balance is a note, because not every account is prepaid."""
    simulator.account.balance = 0
    seen = report(config)
    assert finding(seen, "balance", Level.NOTE).words == "0.00 EUR: sipgate may refuse faxes."
    assert seen.would_fax


def test_a_balance_that_is_not_shown(config: Config, simulator: Simulator) -> None:
    """Only administrators may see the balance; a token that may not is fine."""
    simulator.account.admin = False
    assert "faxing does not need that" in finding(report(config), "balance", Level.OK).words


@pytest.mark.parametrize(("offset", "words"), [(3600.5, "s behind"), (-90.5, "s ahead of")])
def test_a_clock_that_is_off(config: Config, offset: float, words: str) -> None:
    """A clock that is far from sipgate's is a note."""
    secrets = config.secrets
    with Sipgate(
        config.sipgate.base_url,
        secrets.token_id,
        secrets.token,
        5.0,
        clock=lambda: time.time() - offset,
    ) as sipgate:
        seen = check.report_of(config, check_account.account(config, sipgate), user="somebody")
    assert words in finding(seen, "clock", Level.NOTE).words
    assert seen.would_fax


def test_names_steer_nothing(config: Config) -> None:
    """A folder's name with control characters does not reach the terminal."""
    spool = made(config)
    (spool.inbox / "\x1b[31mred").mkdir()
    assert "\x1b" not in screen(report(config))
