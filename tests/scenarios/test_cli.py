"""The commands as a person meets them: what they print, how they end, and what they never do."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result
from dotenv import dotenv_values

from faxdrop import __version__
from faxdrop.cli import jobs
from faxdrop.cli.main import main
from faxdrop.config import place
from faxdrop.config.load import load
from faxdrop.config.simulated import SIMULATED
from faxdrop.fax import receipt
from faxdrop.fax.job import State
from faxdrop.setup import check
from faxdrop.simulator import MAGIC, Simulator
from faxdrop.spool.root import Spool
from faxdrop.status import overview
from tests.kit import pdfs
from tests.kit.jobs import attempt, failed_document, in_spool, job_in
from tests.kit.processes import FAXDROP, PROJECT, Office, Simulated
from tests.kit.users import let_in
from tests.kit.waiting import PATIENCE

COMMANDS = [
    "demo",
    "init",
    "check",
    "preview",
    "run",
    "status",
    "retry",
    "cancel",
    "receipts",
    "verify",
    "evidence",
    "report",
    "simulate",
    "receipt-schema",
]
COLOUR = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture(name="config")
def _config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a config without a token, and hide the environment's secrets."""
    for name in ("TOKEN_ID", "TOKEN", "FAXLINE_ID", "BASE_URL", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "share").mkdir()
    path = tmp_path / "config.toml"
    path.write_text('root = "share"\nsipgate.faxline = "f0"\n')
    path.chmod(0o640)
    return path


def faxdrop(config: Path | None, *arguments: str, code: int = 0, **more: Any) -> Result:
    """Run a command that must end with an exit status, and never with a traceback."""
    given = [] if config is None else ["--config", str(config)]
    result = CliRunner().invoke(main, [*given, *arguments], **more)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return result


# -- help ------------------------------------------------------------------------------------


def test_help_teaches() -> None:
    """The help says what faxdrop does, what its commands are for, and the first steps."""
    text = faxdrop(None, "--help").output
    listed = re.findall(r"^  ([a-z-]+) {2,}\S.*\.?$", text.partition("Commands:")[2], re.MULTILINE)
    assert listed == COMMANDS == main.list_commands(click.Context(main))
    assert "faxdrop demo" in text
    assert "78" in text
    assert "..." not in text.partition("\n")[2], "a sentence is cut off"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """Each command says what it does, and every option of it what it is for."""
    text = faxdrop(None, command, "-h").output
    assert text.startswith(f"Usage: main {command}")
    found = main.get_command(click.Context(main), command)
    assert found is not None
    for parameter in found.params:
        assert not hasattr(parameter, "help") or parameter.help, parameter.name


def test_help_names_only_what_there_is() -> None:
    """Every command that a help text or a message names exists."""
    texts = [faxdrop(None, *command, "--help").output for command in ([], *([c] for c in COMMANDS))]
    texts += [path.read_text("utf-8") for path in (PROJECT / "faxdrop").glob("*.py")]
    named = {
        name
        for text in texts
        for name in re.findall(
            r"(?:`faxdrop (?:--config \S+ )?|systemctl \w+ faxdrop, or faxdrop )"
            r"([a-z][a-z-]+)",
            text,
        )
    }
    assert named
    assert named <= set(COMMANDS)


def test_version() -> None:
    """The version is that of the package."""
    assert faxdrop(None, "--version").output == f"faxdrop, version {__version__}\n"


def test_magic_numbers_are_in_the_help() -> None:
    """The help of simulate has the table of magic numbers, as the simulator keeps it."""
    text = faxdrop(None, "simulate", "--help", terminal_width=200).output
    for magic in MAGIC:
        assert f"{magic.number}  {magic.meaning}" in text


def test_receipt_schema() -> None:
    """The schema of the receipts is printed as JSON."""
    schema = json.loads(faxdrop(None, "receipt-schema").output)
    assert schema == receipt.schema()
    jsonschema.Draft202012Validator.check_schema(schema)


def test_a_reader_who_has_seen_enough_is_no_error() -> None:
    """A pipe that is closed early (head, less) ends a command without an error."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*FAXDROP, "receipt-schema"], stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_report_that_cannot_be_made_is_told_in_the_language_set(config: Path) -> None:
    """The config is read before anything can be wrong with the file."""
    config.write_text('language = "de"\n' + config.read_text("utf-8"), "utf-8")
    assert "Beleg" in faxdrop(config, "report", str(config), code=1).stderr


def test_only_the_commands_print() -> None:
    """No module but those of the commands prints anything."""
    printing = re.compile(r"\b(?:print|echo|console\.out)\(|sys\.stdout|import click")
    found = {
        str(path.relative_to(PROJECT / "faxdrop"))
        for path in (PROJECT / "faxdrop").rglob("*.py")
        if printing.search(path.read_text("utf-8"))
    }
    assert found
    assert [path for path in found if not path.startswith("cli/")] == []


# -- what is wrong is said in words ----------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check", "status", "retry x", "cancel x"])
def test_a_config_that_is_wrong(config: Path, command: str) -> None:
    """Every problem of the config is listed at once, and the exit status is 78."""
    config.write_text('root = 3\nsipgate.faxline = "f0"\n[inbox]\nsettle = "soon"\nstettle = 1\n')
    result = faxdrop(config, *command.split(), code=78)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == "faxdrop: the settings are wrong:"
    for key in ("root = 3", 'inbox.settle = "soon"', "inbox.stettle"):
        assert any(line.startswith(f"  {key}") for line in lines), result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('root = "share"\n[inbox]\nsettle = "soon"\n', 'inbox.settle = "soon"'),
        ('root = "share"\n[recipients]\nDr. Müller = "1"\n', "need quotes"),
    ],
)
def test_a_config_that_is_wrong_hides_no_fax(config: Path, text: str, words: str) -> None:
    """Commands that need only the root work although other settings are wrong, and say so."""
    config.write_text(text)
    path = failed_document(config.parent / "share")
    in_spool(config.parent / "share", job_in(State.QUEUED, job_id="j1"))
    results = [
        faxdrop(config, "status", "--json"),
        faxdrop(config, "cancel", "j1"),
        faxdrop(config, "retry", str(path)),
    ]
    assert json.loads(results[0].stdout)["documents"]
    assert "Cancelled" in results[1].stdout
    assert "Back in the inbox" in results[2].stdout
    for result in results:
        assert result.stderr.startswith("faxdrop: the config has problems (")
        assert words in result.stderr


def test_a_link_is_not_retried(config: Path) -> None:
    """A symbolic link in failed/ is refused as what it is, wherever it points."""
    path = failed_document(config.parent / "share")
    for name, target in (("a.pdf", path), ("b.pdf", config), ("c.pdf", config.parent / "gone")):
        link = path.with_name(name)
        link.symlink_to(target)
        result = faxdrop(config, "retry", str(link), code=1)
        assert f"{link} is a symbolic link" in result.stderr
        assert link.is_symlink()
    assert path.is_file()


def test_no_config(tmp_path: Path) -> None:
    """Without a config, the error names its path and how to name another one."""
    result = faxdrop(tmp_path / "gone.toml", "status", code=78)
    assert f"{tmp_path}/gone.toml" in result.stderr
    assert "--config" in result.stderr


def test_config_from_the_environment(config: Path) -> None:
    """FAXDROP_CONFIG names the config as --config does."""
    result = faxdrop(None, "status", env={"FAXDROP_CONFIG": str(config)})
    assert str(config.parent / "share") in result.output


@pytest.mark.parametrize("command", ["run --simulate", "status", "retry x", "cancel x"])
def test_a_root_that_is_gone(config: Path, command: str) -> None:
    """A missing root is one line that says what to do."""
    (config.parent / "share").rmdir()
    result = faxdrop(config, *command.split(), code=1)
    assert f"There is no folder {config.parent}/share." in result.stderr
    assert result.stderr.count("\n") <= 2


def test_a_file_in_the_way(config: Path) -> None:
    """A file in a folder's place is one line with its name and what to do, without a traceback."""
    (config.parent / "share" / ".faxdrop").touch()
    result = faxdrop(config, "cancel", "x", code=1)
    assert re.fullmatch(r"faxdrop: \S+/share/\.faxdrop is not a folder: .+\n", result.stderr)


def test_a_second_daemon_is_refused(config: Path) -> None:
    """A root that another daemon uses is refused, with what to do."""
    spool = in_spool(config.parent / "share")
    spool.open()
    try:
        result = faxdrop(config, "run", "--simulate", code=1)
    finally:
        spool.close()
    assert "Another faxdrop is running" in result.stderr


# -- status ----------------------------------------------------------------------------------


def test_status(config: Path) -> None:
    """The status needs no token; where there is no terminal, it is plain text."""
    in_spool(config.parent / "share", job_in(State.ACCEPTED, attempts=(attempt("SENDING"),)))
    text = faxdrop(config, "status").output
    assert "1 document: 1 at sipgate" in text
    assert "being sent by sipgate" in text
    assert not COLOUR.search(text)
    assert all(line == line.rstrip() for line in text.splitlines())


def test_status_json(config: Path) -> None:
    """The JSON of the status is complete, however many documents there are."""
    folder = in_spool(config.parent / "share").inbox / "Amt"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.pdf").touch()
    data = json.loads(faxdrop(config, "status", "--json").stdout)
    jsonschema.validate(data, overview.schema())
    assert len(data["documents"]) == data["counts"]["inbox"] == 100
    assert "99.pdf" in faxdrop(config, "status", "--all").output
    assert "... and 80 documents more" in faxdrop(config, "status").output


# -- check -----------------------------------------------------------------------------------


def test_check_simulated(config: Path) -> None:
    """A rehearsal of the check needs no token and says that it is one."""
    text = faxdrop(config, "check", "--simulate").output
    assert text.splitlines()[-1].endswith("through the simulator.")
    data = json.loads(faxdrop(config, "check", "--simulate", "--json").stdout)
    jsonschema.validate(data, check.schema())
    assert data["would_fax"]
    assert data["simulated"]


def test_check_says_no(config: Path) -> None:
    """If this machine would not fax, text and JSON show the reason, and the exit status is 1."""
    with Simulator() as simulator:
        simulator.trouble = 401
        env = {"BASE_URL": simulator.base_url, **SIMULATED}
        text = faxdrop(config, "check", code=1, env=env).output
        data = json.loads(faxdrop(config, "check", "--json", code=1, env=env).stdout)
    assert "This machine would not fax: 1 thing is wrong." in text
    assert SIMULATED["TOKEN"] not in text, "the token is shown"
    assert not data["would_fax"]


def test_check_without_a_token(config: Path) -> None:
    """A missing token is a config that is wrong; the JSON says so too."""
    result = faxdrop(config, "check", "--json", code=78)
    data = json.loads(result.stdout)
    jsonschema.validate(data, check.schema())
    assert [one["words"] for one in data["findings"]] == [
        "TOKEN_ID = (missing)",
        "TOKEN = (missing)",
    ]
    assert "TOKEN = (missing)" in result.stderr


# -- retry and cancel ------------------------------------------------------------------------


def test_retry(config: Path) -> None:
    """Documents and their receipts may be named together; the answer tells each one's result."""
    path = failed_document(config.parent / "share")
    receipt_path = path.with_name(f"{path.name}.json")
    result = faxdrop(config, "retry", str(path), str(receipt_path))
    back = config.parent / "share" / "inbox" / "Amt" / "letter.pdf"
    assert result.stdout.splitlines() == [
        f"Back in the inbox: {back}",
        f"faxdrop is not running: start it to fax this (faxdrop --config {config} run).",
    ]
    assert back.is_file()


def test_retry_some(config: Path) -> None:
    """Documents that cannot be put back are named, the others are put back; exit status 1."""
    path = failed_document(config.parent / "share")
    perhaps = failed_document(config.parent / "share", "outcome_unknown", "perhaps.pdf")
    result = faxdrop(config, "retry", "gone.pdf", str(perhaps), str(path), code=1)
    assert "gone.pdf is not in" in result.stderr
    assert "To fax it again all the same: --even-if-sent" in result.stderr
    assert not path.exists()
    assert perhaps.exists()
    faxdrop(config, "retry", "--even-if-sent", str(perhaps))
    assert not perhaps.exists()


def test_cancel(config: Path) -> None:
    """The answer says in plain words what a cancellation can do and what it cannot."""
    root = config.parent / "share"
    in_spool(
        root,
        job_in(State.QUEUED, job_id="j1", name="a.pdf"),
        job_in(State.ACCEPTED, job_id="j2", name="b.pdf", attempts=(attempt(),)),
        job_in(State.QUEUED, job_id="j3", name="c.pdf", attempts=(attempt("FAILED"),)),
    )
    result = faxdrop(config, "cancel", "j1", "j2", "j3", "j4", code=1)
    first, second, third = result.stdout.splitlines()
    place = f"{root}/failed/Dr. Müller"
    assert first == f"Cancelled: a.pdf to Dr. Müller is not faxed. It is in {place}/a.pdf."
    assert second == (
        "sipgate has b.pdf to Dr. Müller already, and it cannot be taken back: this attempt goes "
        "on, and the fax may arrive. There will be no further attempt."
    )
    assert third == f"Cancelled: c.pdf to Dr. Müller is not faxed again. It is in {place}/c.pdf."
    assert result.stderr == (
        "faxdrop: No document with the job id 'j4' is on its way. "
        f"To see the ids: faxdrop --config {config} status\n"
    )


def test_cancel_too_late(config: Path) -> None:
    """A fax that has ended is not cancelled, and the exit status is 1."""
    job = job_in(State.SENT, attempts=(attempt("SENT"),), finished_at=attempt().submitted_at)
    in_spool(config.parent / "share", job)
    text = faxdrop(config, "cancel", job.job_id, code=1).output
    assert text == "Too late: letter.pdf to Dr. Müller has ended already.\n"


def test_cancel_while_the_daemon_is_busy(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the daemon is busy, it cancels later, and the command says where to look."""
    monkeypatch.setattr(jobs, "_CANCEL_WITHIN", 0.1)
    job = job_in(State.SUBMITTING, attempts=(attempt(),))
    daemon = in_spool(config.parent / "share", job)
    daemon.open()
    try:
        text = faxdrop(config, "cancel", job.job_id).output
    finally:
        daemon.close()
    assert text == (
        "faxdrop is working on letter.pdf to Dr. Müller at this moment and cancels it right after. "
        f"To see what became of it: faxdrop --config {config} status\n"
    )
    assert daemon.notes.cancellations() == [job.job_id]


# -- as root, for the owner ------------------------------------------------------------------

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


@AS_ROOT
def test_root_leaves_everything_to_the_owner(config: Path) -> None:
    """What root does is done with the rights of the folders' owner, and belongs to them."""
    root = config.parent / "share"
    path = failed_document(root)
    in_spool(
        root,
        job_in(State.QUEUED, job_id="j1"),
        job_in(State.ACCEPTED, job_id="j2", attempts=(attempt(),)),
    )
    let_in(config.parent)
    for each in (root, *root.rglob("*")):
        os.chown(each, NOBODY, NOBODY)
    os.chown(config, 0, NOBODY)
    before = os.umask(0o077)
    try:
        faxdrop(config, "retry", str(path))
        faxdrop(config, "cancel", "j1", "j2")
        arguments = ["--config", str(config), "check", "--simulate", "--json"]
        seen = json.loads(CliRunner().invoke(main, arguments).stdout)  # nobody may lack Python
        assert seen["user"] == "nobody"
        assert {"topic": "folders", "level": "ok"}.items() <= seen["findings"][1].items()
        faxdrop(config, "status")
    finally:
        os.umask(before)
    assert os.geteuid() == 0
    assert {each.stat().st_uid for each in root.rglob("*")} == {NOBODY}


@AS_ROOT
def test_root_checks_whether_the_owner_can_read_the_config(config: Path) -> None:
    """A config that only root can read is wrong, and the advised command opens it to the daemon."""
    root = config.parent / "share"
    dotenv = config.with_name(".env")
    dotenv.touch(0o600)
    let_in(config.parent)
    os.chown(root, NOBODY, NOBODY)

    def wrong() -> list[tuple[str, str]]:
        arguments = ["--config", str(config), "check", "--simulate", "--json"]
        seen = json.loads(CliRunner().invoke(main, arguments).stdout)
        found = [one for one in seen["findings"] if one["topic"] == "config"]
        return [(one["words"], one["advice"]) for one in found if one["level"] == "wrong"]

    closed = wrong()
    assert [words for words, _ in closed] == [
        f"nobody cannot read {config}: Permission denied.",
        f"nobody cannot read {dotenv}: Permission denied.",
    ]
    for _, advice in closed:
        subprocess.run(["sh", "-c", advice], check=True)
    assert wrong() == []
    inner = config.parent / "etc"
    inner.mkdir(0o700)
    config = config.rename(inner / config.name)
    config.write_text(config.read_text().replace('"share"', f'"{root}"'))
    ((words, _),) = wrong()
    assert words == f"nobody cannot read {config}: it may not enter {inner}."


@AS_ROOT
def test_a_member_of_the_group(config: Path) -> None:
    """Whoever shares the folders sees and retries what lies in them, and cancels with sudo only."""
    root = config.parent / "share"
    in_spool(root, job_in(State.QUEUED, job_id="j1"))
    kept = failed_document(root, "transmission_failed", "old.pdf")
    for number in range(12):
        failed_document(root, "outcome_unknown", f"{number}.pdf")
    (root / "inbox" / "Amt").mkdir(exist_ok=True)
    (root / "inbox" / "Amt" / "new.pdf").touch()
    (root / "sent" / "new.pdf.json").write_text("{}")  # whose document was taken away
    let_in(config.parent)
    config.chmod(0o644)
    for folder in (root / "inbox", root / "failed"):
        for each in (folder, *folder.rglob("*")):
            each.chmod(0o777)
    faxdrop(config, "status")  # Python reads of itself what nobody may not
    os.seteuid(NOBODY)
    try:
        text = faxdrop(config, "status").output
        data = json.loads(faxdrop(config, "status", "--json").stdout)
        again = faxdrop(config, "retry", str(kept)).stdout
        refused = faxdrop(config, "cancel", "j1", code=1).stderr
    finally:
        os.seteuid(0)
    assert text.splitlines()[0] == (f"In {root}: 1 document in inbox/, 0 in sent/, 13 in failed/.")
    assert "  new.pdf  to Amt" in text
    assert "... and 3 more" in text
    assert (
        f"What is on its way, and whether faxdrop is running: sudo faxdrop --config {config}"
        in text
    )
    assert "j1" not in text
    assert data["format"] == "faxdrop-shared/1"
    assert len(data["latest_failed"]) == 10
    assert again == f"Back in the inbox: {root}/inbox/Amt/old.pdf\n"
    assert "and you are nobody. Put sudo before the command." in refused


@AS_ROOT
@pytest.mark.parametrize("command", [["run"], ["run", "--simulate"]])
def test_root_does_not_run_what_is_anothers(config: Path, command: list[str]) -> None:
    """Root may not run the daemon: the folders' owner could not read what it writes."""
    os.chown(config.parent / "share", NOBODY, NOBODY)
    said = faxdrop(config, *command, code=1, env=dict(SIMULATED)).stderr
    assert "share belongs to nobody, who could not read what root writes there" in said
    assert f"sudo -u nobody faxdrop --config {config} run" in said


# -- which config ----------------------------------------------------------------------------


def test_the_config_may_be_named_behind_the_command(config: Path) -> None:
    """--config counts before the command and behind it, before the environment, and only once."""
    in_spool(config.parent / "share")
    behind = faxdrop(None, "status", "--config", str(config), env={"FAXDROP_CONFIG": "/x.toml"})
    assert behind.output == faxdrop(config, "status").output
    twice = faxdrop(config, "status", "--config", "/y.toml", code=2)
    assert "The command names two configs" in twice.stderr
    faxdrop(config, "status", "--config", str(config))


def test_an_instance_is_named(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--instance NAME means the config of that name beside the service's."""
    in_spool(config.parent / "share")
    monkeypatch.setattr(place, "ETC", config.parent)
    config.rename(config.with_name("berlin.toml"))
    before = faxdrop(None, "--instance", "berlin", "status").output
    assert before == faxdrop(None, "status", "--instance", "berlin").output
    assert str(config.parent / "share") in before
    assert "start it: faxdrop --instance berlin run" in before.lower()
    for name in ("../berlin", "config", ""):
        assert (
            "is not the name of an instance"
            in faxdrop(None, "--instance", name, "status", code=2).stderr
        )
    both = faxdrop(config, "status", "--instance", "berlin", code=2)
    assert "The command names two configs" in both.stderr


# -- real processes --------------------------------------------------------------------------


@contextlib.contextmanager
def started(*arguments: str, **more: Any) -> Iterator["subprocess.Popen[str]"]:
    """Start a command of faxdrop's; it is killed at the end if it is still there."""
    program = subprocess.Popen(
        [*FAXDROP, *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )
    try:
        yield program
    finally:
        program.kill()
        program.communicate()


def ended(program: "subprocess.Popen[str]", how: signal.Signals) -> tuple[str, str]:
    """End a program; return the rest of what it said."""
    program.send_signal(how)
    said = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, said
    return said


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_simulate(tmp_path: Path, how: signal.Signals) -> None:
    """The simulator prints a .env that a config can use, and ends quietly when it is told to."""
    with started("simulate", "--port", "0", "--hostile", "--pace", "0") as program:
        assert program.stdout is not None
        lines = [program.stdout.readline() for _ in range(6)]
        (tmp_path / ".env").write_text("".join(lines))
        values = dotenv_values(tmp_path / ".env")
        assert set(values) == {"TOKEN_ID", "TOKEN", "BASE_URL", "FAXLINE_ID"}
        seed = re.fullmatch(r"# Hostile; to repeat it: --seed (\d+)\n", lines[5])
        assert seed
        config = tmp_path / "config.toml"
        config.write_text(f'root = "{tmp_path}"\n')
        assert load(config, {}).sipgate.base_url == values["BASE_URL"]
        assert ended(program, how) == ("", "")


def test_simulate_json() -> None:
    """In JSON, everything is on one line, with the seed of a hostile run."""
    with started("simulate", "--port", "0", "--seed", "7", "--json") as program:
        assert program.stdout is not None
        where = json.loads(program.stdout.readline())
        ended(program, signal.SIGTERM)
    assert set(where) == {"base_url", "control_url", "token_id", "token", "faxline", "seed"}
    assert where["seed"] == 7


def test_simulate_on_a_port_that_is_taken() -> None:
    """A port that is in use is an error of one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = faxdrop(None, "simulate", "--port", port, code=1)
    assert result.stderr == f"Error: port {port}: Address already in use\n"


def test_run_simulated(config: Path) -> None:
    """A rehearsal needs no token, says where its simulator is, and goes on after a restart."""
    share = config.parent / "share"
    config.write_text(
        f'root = "{share}"\n[recipients]\n"Amt" = "+493023125004"\n'
        '[inbox]\nsettle = "200ms"\n[sending]\npoll_interval = "200ms"\n'
    )
    letter = share / "inbox" / "Amt" / "letter.pdf"
    for life in range(2):
        with started("--config", str(config), "run", "--simulate") as program:
            assert program.stderr is not None
            ready, said = json.loads(program.stderr.readline()), ""
            assert ready["event"] == "simulator.ready"
            while "daemon.ready" not in said:
                said = program.stderr.readline()
            if life == 0:
                letter.write_bytes(pdfs.good())
                while "SENDING" not in said:
                    said = program.stderr.readline()
            else:
                assert json.loads(said)["jobs"] == 1
                host, port = re.fullmatch(
                    r"http://([\d.]+):(\d+)/simulator", ready["control_url"]
                ).groups()  # type: ignore[union-attr]
                with socket.create_connection((host, int(port)), PATIENCE) as control:
                    control.sendall(b"GET /simulator/taken HTTP/1.0\r\n\r\n")
                    answer = b"".join(iter(lambda: control.recv(65536), b""))
                assert b"+493023125004" in answer
            ended(program, signal.SIGTERM)
    (job,) = Spool(share).jobs.all()
    assert job.state is State.ACCEPTED, "the second simulator knows the faxes of the first"


def test_cancel_reaches_the_daemon(tmp_path: Path) -> None:
    """A daemon that has nothing to do for an hour takes note of a cancellation."""
    with Simulated("--pace", "0") as simulated:
        office = Office(
            tmp_path,
            simulated.base_url,
            recipients={"Amt": "+493023125002"},
            inbox_settings={"rescan": "1h"},
            sending_settings={"delays": ["1h"]},
        )
        with office:
            office.start()
            office.drop("Amt", "letter.pdf", pdfs.good())
            office.until(
                lambda: any(
                    one["next_attempt_at"]
                    for one in json.loads(office.asked("status", "--json").stdout)["documents"]
                ),
                "waiting for the next attempt",
            )
            (one,) = json.loads(office.asked("status", "--json").stdout)["documents"]
            assert one["words"] == "attempt 1 failed, waiting for the next"
            done = office.command("cancel", one["job"])
            assert done.stdout.startswith("Cancelled: letter.pdf to Amt is not faxed again.")
            office.await_filed(1)
            (filed,) = office.filed("failed")
            assert filed.receipt["reason"]["code"] == "cancelled"
            said = office.asked("retry", str(filed.path)).stdout
            assert said == f"Back in the inbox: {office.inbox}/Amt/letter.pdf\n"
            office.until(lambda: len(simulated.taken) == 2, "the second fax")


def test_what_is_for_the_group_is_readable_for_it_whatever_the_umask(tmp_path: Path) -> None:
    """A daemon that somebody starts under umask 077 makes receipts that the group can read."""
    with Simulated("--pace", "0") as simulated, Office(tmp_path, simulated.base_url) as office:
        office.start(umask=0o077)
        office.drop("Amt", "letter.pdf", pdfs.good())
        office.await_filed(1)
        made = [office.root / "sent" / "Amt" / "letter.pdf.json", office.root / "STATUS.html"]
        office.until(made[1].exists, "the page")
        assert [path.stat().st_mode & 0o047 for path in made] == [0o040, 0o040]


@pytest.mark.usefixtures("reader_runs")
def test_status_tells_what_holds(tmp_path: Path) -> None:
    """While the account is in trouble, status and check say what holds, and since when."""
    with Simulated("--pace", "0") as simulated, Office(tmp_path, simulated.base_url) as office:
        office.start()
        simulated.tell("trouble", trouble=402)
        office.drop("Amt", "letter.pdf", pdfs.good())
        office.await_event("queue.held")
        office.until(lambda: office.status()["holds"], "a status with the hold")
        said = office.asked("status").stdout
        assert "HELD" in said
        assert "402" in said
        # While it is tried again, it is not held.
        held = "held, for the reason above"
        office.until(lambda: held in office.asked("status").stdout, held)
        assert not list((office.root / "failed").rglob("*.pdf"))
        done = office.asked("check")
        assert done.exit_code == 1
        assert "All faxes have been held since" in done.stdout
        simulated.tell("trouble", trouble=None)
        office.await_filed(1)
        office.until(lambda: not office.status()["holds"], "a status without a hold")
        assert office.asked("check").exit_code == 0


# -- a terminal ------------------------------------------------------------------------------


def on_a_terminal(*arguments: str, until: str | None = None, columns: int = 80) -> str:
    """Run a command on a terminal; return all that it shows there, until a text or its end."""
    primary, secondary = pty.openpty()
    program = subprocess.Popen(
        [*FAXDROP, *arguments],
        cwd=PROJECT,
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns)},
    )
    os.close(secondary)
    shown = b""
    try:
        while until is None or until.encode() not in shown:
            assert select.select([primary], [], [], PATIENCE)[0], shown
            try:
                piece = os.read(primary, 65536)
            except OSError:  # EIO: the other side is closed
                break
            shown += piece
        program.terminate()
        program.wait(PATIENCE)
    finally:
        program.kill()
        program.wait()
        os.close(primary)
    return shown.decode()


def test_colours_on_a_terminal(config: Path) -> None:
    """On a terminal there are colours, and nothing is wider than it is but an address."""
    root = config.parent / "share"
    name = "a rather long name of a document that somebody has scanned.pdf"
    in_spool(root, job_in(State.ACCEPTED, name=name, attempts=(attempt("SENDING"),)))
    for command in (["status"], ["check", "--simulate"]):
        text = on_a_terminal("--config", str(config), *command)
        assert COLOUR.search(text), text
        lines = [COLOUR.sub("", line).rstrip() for line in text.splitlines()]
        folder = str(config.parent)
        assert [line for line in lines if len(line) > 80 and folder not in line] == []
        assert any(str(root) in line for line in lines), "the address is cut"
        assert ("20260302-115000-00000001" in text) == (command == ["status"])


def test_no_colour(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR there are no colours on a terminal."""
    monkeypatch.setenv("NO_COLOR", "1")
    text = on_a_terminal("--config", str(config), "status")
    assert not re.search("\x1b\\[[0-9;]*3[0-9]m", text)


def test_the_log_on_a_terminal(config: Path) -> None:
    """On a terminal, the log of run is lines for people, with the warnings about the config."""
    config.write_text(config.read_text() + "documents.max_pages = 50\n")
    text = on_a_terminal("--config", str(config), "run", "--simulate", until="watching")
    plain = COLOUR.sub("", text)
    time = r"^\d\d:\d\d:\d\d "
    assert re.search(time + r"simulator\.ready .*control_url=http://127", plain, re.MULTILINE)
    assert re.search(time + r"daemon\.ready ", plain, re.MULTILINE)
    assert re.search(time + r"config\.unwise +documents: .*30 pages", plain, re.MULTILINE)
