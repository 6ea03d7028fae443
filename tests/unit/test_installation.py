"""``faxdrop init --service`` on a machine that is made up: each step, what it leaves alone, twice.

On real ones it is tried by `test_fresh_machine`. Here the programs of the system are played: they
do to the made-up machine what they would do to a real one, and write down that they were run.
"""

import contextlib
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from faxdrop.cli import init as cli_init
from faxdrop.cli.main import main
from faxdrop.config import place
from faxdrop.config.load import load
from faxdrop.config.simulated import SIMULATED
from faxdrop.setup import init, installation, units
from faxdrop.setup.installation import InstallationError, Machine
from faxdrop.simulator import Simulator

PROJECT = Path(__file__).parents[2]
SHIPPED = {
    "systemd/faxdrop.service": "lib/systemd/system/faxdrop.service",
    "systemd/faxdrop@.service": "lib/systemd/system/faxdrop@.service",
    "systemd/faxdrop.sysusers.conf": "lib/sysusers.d/faxdrop.conf",
    "systemd/faxdrop.tmpfiles.conf": "lib/tmpfiles.d/faxdrop.conf",
}


ACCESS_LIST = struct.pack("<I" + "HHI" * 3, 2, 1, 7, 2**32 - 1, 4, 7, 2**32 - 1, 32, 0, 2**32 - 1)


pytestmark = pytest.mark.usefixtures("reader_runs")


@pytest.fixture(name="simulator", scope="module")
def _simulator() -> Iterator[Simulator]:
    with Simulator() as simulator:
        yield simulator


class MadeUp:
    """A machine below a folder: a venv, and programs of the system that do their work there."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.etc = base / "etc" / "faxdrop"
        self.units = base / "etc" / "systemd" / "system"
        self.root = base / "srv" / "fax"
        self.link = base / "usr" / "local" / "bin" / "faxdrop"
        self.prefix = base / "opt" / "faxdrop"
        self.ran: list[str] = []
        self.has_user = False
        self.enabled: set[str] = set()
        self.active: set[str] = set()
        for source, target in SHIPPED.items():
            (self.prefix / target).parent.mkdir(parents=True, exist_ok=True)
            (self.prefix / target).write_text((PROJECT / source).read_text())
        (self.prefix / "bin").mkdir()
        (self.prefix / "bin" / "faxdrop").touch(0o755)
        self.machine = Machine(self.prefix, self.run)

    def run(self, command: list[str], text: str) -> None:
        """Do what the program would."""
        self.ran.append(" ".join(command))
        match command:
            case ["systemd-sysusers", _]:
                self.has_user = True
            case ["systemd-tmpfiles", "--create", "-"]:
                self._make(text)
            case ["systemctl", "link", unit]:
                self.units.mkdir(parents=True, exist_ok=True)
                (self.units / Path(unit).name).symlink_to(unit)
            case ["systemctl", "is-enabled" | "is-active" as question, _, unit]:
                if unit not in (self.enabled if question == "is-enabled" else self.active):
                    raise InstallationError(question)
            case ["systemctl", "enable", unit]:
                self.enabled.add(unit)
            case ["systemctl", "start" | "restart", unit]:
                self.active.add(unit)
            case _:
                assert command == ["systemctl", "daemon-reload"]

    def _make(self, text: str) -> None:
        for line in text.splitlines():
            kind, path, rest = line.split('"')
            if kind == "d ":
                Path(path).mkdir(parents=True, exist_ok=True)
                Path(path).chmod(int(rest.split()[0], 8))
            else:
                with contextlib.suppress(OSError):  # a file system without access lists
                    os.setxattr(path, "system.posix_acl_default", ACCESS_LIST)

    def init(self, *arguments: str, code: int = 0, instance: str = "", text: str = "") -> Result:
        """Run ``faxdrop init --service``."""
        which = (
            ["--instance", instance] if instance else ["--config", str(self.etc / "config.toml")]
        )
        result = CliRunner().invoke(main, [*which, "init", "--service", *arguments], input=text)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert result.exit_code == code, result.output
        return result

    def tree(self) -> dict[str, tuple[int, bytes | None]]:
        """Return the mode and the content of everything."""
        return {
            str(path): (
                stat.S_IMODE(path.lstat().st_mode),
                path.read_bytes() if path.is_file() else None,
            )
            for path in self.base.rglob("*")
        }


@pytest.fixture(name="made_up")
def _made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulator: Simulator) -> MadeUp:
    """Make a machine up, and have ``init`` believe that it is on it, and root."""
    for name in ("CREDENTIALS_DIRECTORY", "FAXDROP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**SIMULATED, "BASE_URL": simulator.base_url, "FAXLINE_ID": "f0"}.items():
        monkeypatch.setenv(name, value)
    made_up = MadeUp(tmp_path)

    def number(_name: str) -> int | None:
        return os.geteuid() if made_up.has_user else None

    monkeypatch.setattr(place, "ETC", made_up.etc)
    monkeypatch.setattr(place, "DEFAULT_PATH", made_up.etc / "config.toml")
    monkeypatch.setattr(place, "SERVICE_ROOT", made_up.root)
    monkeypatch.setattr(place, "UNITS", made_up.units)
    monkeypatch.setattr(place, "_UNIT_FOLDERS", (str(made_up.units),))
    monkeypatch.setattr(installation, "LINK", made_up.link)
    monkeypatch.setattr(installation, "uid_of", number)
    monkeypatch.setattr(installation, "gid_of", number)
    monkeypatch.setattr(installation, "hidden", lambda _prefix: "")
    monkeypatch.setattr(installation, "has_systemd", lambda: True)
    monkeypatch.setattr(units, "PROGRAM", made_up.machine.program)
    monkeypatch.setattr(units, "no_place", lambda _root: "")
    monkeypatch.setattr(units, "ask", lambda _config: None)
    monkeypatch.setattr(cli_init, "Machine", lambda: made_up.machine)
    return made_up


SAID = ("--recipient", "Amt", "--number", "+493023125030")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs a service")


@needs_root
def test_everything_is_made(made_up: MadeUp) -> None:
    """One command makes user, folders, command, unit, config and token, checks, and starts."""
    said = made_up.init(*SAID, "--root", str(made_up.root)).output
    assert made_up.has_user
    assert made_up.link.resolve() == made_up.machine.program
    assert (made_up.units / "faxdrop.service").resolve().is_relative_to(made_up.prefix)
    assert (made_up.enabled, made_up.active) == ({"faxdrop"}, {"faxdrop"})
    assert not (made_up.units / "faxdrop.service.d").exists()
    config = made_up.etc / "config.toml"
    assert load(config, {}).secrets.token.get_secret_value() == SIMULATED["TOKEN"]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made_up.etc.iterdir()}
    assert modes == {"config.toml": 0o640, "token": 0o600, "token_id": 0o600}
    assert "sudo faxdrop check && sudo systemctl reload faxdrop" in config.read_text()
    for line in ("done    the user and the group faxdrop", "systemctl enable --now faxdrop"):
        assert line in said
    assert "This machine would fax" in said
    assert SIMULATED["TOKEN"] not in said


@needs_root
def test_a_dry_run(made_up: MadeUp) -> None:
    """A dry run shows which files and commands there would be, and changes nothing."""
    before = made_up.tree()
    said = made_up.init("--dry-run", "--root", "/data/fax").output
    assert made_up.tree() == before
    assert {line for line in made_up.ran if "is-" not in line} == set()
    for part in (
        "would   the user and the group faxdrop",
        f"ln -s {made_up.machine.program} {made_up.link}",
        "ReadWritePaths=/data/fax",
        f"would   {made_up.etc}/token",
        "would   faxdrop runs, and starts at boot",
    ):
        assert part in said
    made_up.init(*SAID, "--root", str(made_up.root))
    assert "would" not in made_up.init("--dry-run").output


@needs_root
def test_twice(made_up: MadeUp) -> None:
    """A second run asks nothing, changes nothing, and restarts nothing."""
    made_up.init(*SAID, "--root", str(made_up.root))
    before = made_up.tree()
    made_up.ran.clear()
    said = made_up.init().output
    assert made_up.tree() == before
    assert {line.split()[1] for line in made_up.ran} == {"is-enabled", "is-active"}
    assert "done" not in said
    assert "there   the user and the group faxdrop" in said


@needs_root
@pytest.mark.parametrize(
    "lost", ["etc/faxdrop/token", "srv/fax/inbox", "usr/local/bin/faxdrop", "active", "unit"]
)
def test_what_is_missing_is_mended(made_up: MadeUp, lost: str) -> None:
    """Whatever disappeared is created again, and nothing else is touched."""
    made_up.init(*SAID, "--root", str(made_up.root))
    before = made_up.tree()
    if lost == "active":
        made_up.active.clear()
    elif lost == "unit":  # as after the end of an older installation
        link = made_up.units / "faxdrop.service"
        link.unlink()
        link.symlink_to(made_up.base / "gone")
    else:
        path = made_up.base / lost
        path.rmdir() if path.is_dir() else path.unlink()
    said = made_up.init().output
    assert made_up.tree() == before
    assert made_up.active == {"faxdrop"}
    assert said.count("done    ") + said.count("made    ") == 1


@needs_root
def test_a_config_that_was_written_by_hand(made_up: MadeUp) -> None:
    """A config that only root may read, as after umask 077, is opened to the service."""
    made_up.init(*SAID, "--root", str(made_up.root))
    config = made_up.etc / "config.toml"
    text = config.read_text()
    os.chown(config, -1, 4242)
    config.chmod(0o600)
    said = made_up.init().output
    assert f"done    the service may read {config}" in said
    assert (config.stat().st_gid, stat.S_IMODE(config.stat().st_mode)) == (0, 0o640)
    assert config.read_text() == text


@needs_root
def test_half_a_token(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the half that is missing or empty is asked for; the other one stays."""
    made_up.init(*SAID, "--root", str(made_up.root))
    (made_up.etc / "token").write_text("")
    monkeypatch.delenv("TOKEN")
    monkeypatch.setenv("TOKEN_ID", "token-OTHER")
    made_up.init(text=f"{SIMULATED['TOKEN']}\n")
    assert (made_up.etc / "token").read_text().strip() == SIMULATED["TOKEN"]
    assert (made_up.etc / "token_id").read_text().strip() == SIMULATED["TOKEN_ID"]


@needs_root
def test_an_instance_elsewhere(made_up: MadeUp) -> None:
    """An instance with its root elsewhere has a drop-in, which a changed root makes anew."""
    other = made_up.base / "our fax"
    made_up.init(*SAID, "--root", str(other), instance="berlin")
    assert (made_up.enabled, made_up.active) == ({"faxdrop@berlin"}, {"faxdrop@berlin"})
    names = {path.name for path in made_up.etc.iterdir()}
    assert names == {"berlin.toml", "berlin.token", "berlin.token_id"}
    drop_in = made_up.units / "faxdrop@berlin.service.d" / "place.conf"
    assert f'ReadWritePaths=\nReadWritePaths="{other}"\n' in drop_in.read_text()
    config = made_up.etc / "berlin.toml"
    config.write_text(config.read_text().replace("our fax", "their fax"))
    made_up.ran.clear()
    made_up.init(instance="berlin")
    assert f'ReadWritePaths="{made_up.base}/their fax"\n' in drop_in.read_text()
    assert "systemctl restart faxdrop@berlin" in made_up.ran
    assert "sets the root to" in made_up.init("--root", "/x", instance="berlin", code=1).stderr
    theirs = made_up.base / "theirs"
    theirs.mkdir()
    os.chown(theirs, 65534, 65534)
    refused = made_up.init("--root", str(theirs), instance="bonn", code=1).stderr
    assert "belongs to nobody" in refused


@needs_root
def test_what_runs_with_an_older_token(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that runs with another token than the one that lies there is restarted."""
    made_up.init(*SAID, "--root", str(made_up.root))
    shown = f"LoadState=loaded\nReadWritePaths={made_up.root}\nUnitFileState=enabled\n"
    known = units.read("faxdrop", shown)
    monkeypatch.setattr(units, "ask", lambda _config: known)
    monkeypatch.setattr(units, "running_secrets", lambda _unit: {"TOKEN": "old"})
    made_up.ran.clear()
    said = made_up.init(code=1).output  # the made-up service has not heard of it
    assert "still uses an older token" in said
    assert "systemctl restart faxdrop" in made_up.ran


@needs_root
def test_what_others_made_stays(made_up: MadeUp) -> None:
    """A program, a unit and a drop-in that somebody else made stay as they are."""
    made_up.link.parent.mkdir(parents=True)
    made_up.link.write_text("#!/bin/sh\n")
    made_up.units.mkdir(parents=True)
    (made_up.units / "faxdrop.service").write_text("[Unit]\n")
    said = made_up.init(*SAID, "--root", str(made_up.root)).output
    assert "another program has that name, and stays" in said
    assert made_up.link.read_text() == "#!/bin/sh\n"
    assert (made_up.units / "faxdrop.service").read_text() == "[Unit]\n"
    own = made_up.units / "faxdrop@bonn.service.d" / "place.conf"
    own.parent.mkdir()
    own.write_text("[Service]\nReadWritePaths=/mine\n")
    made_up.init(*SAID, "--root", str(made_up.base / "bonn"), instance="bonn", code=1)
    assert own.read_text() == "[Service]\nReadWritePaths=/mine\n"


@needs_root
def test_folders_of_others_stay(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is missing, or root's, is made: a disk that was just mounted is root's."""
    theirs, disk = made_up.base / "theirs", made_up.base / "disk"
    for folder in (theirs, disk):
        folder.mkdir(0o755)
    os.chown(theirs, 65534, 65534)
    monkeypatch.setattr(installation, "uid_of", lambda _name: 1)
    made: list[str] = []
    machine = Machine(made_up.prefix, lambda _command, text: made.append(text))
    for root in (theirs, disk):
        for step in installation.steps(made_up.etc / "x.toml", root, machine):
            if step.how.startswith("systemd-tmpfiles"):
                step.do()
    assert f'd "{theirs}"' not in made[0]
    assert f'd "{theirs}/inbox"' in made[0]
    assert f'd "{disk}"' in made[1]


@needs_root
@pytest.mark.parametrize("umask", [0o027, 0o077])
def test_the_service_can_read_its_program(made_up: MadeUp, umask: int) -> None:
    """What was installed with a narrow umask is opened to the service's user: to read, no more."""
    for path in (made_up.prefix, *made_up.prefix.rglob("*")):
        path.chmod(path.stat().st_mode & ~umask)
    made_up.init(*SAID, "--root", str(made_up.root))
    modes = {
        stat.S_IMODE(path.stat().st_mode) & 0o777
        for path in (made_up.prefix, *made_up.prefix.rglob("*"))
    }
    assert all(mode & 0o044 == 0o044 and not mode & 0o022 & umask for mode in modes), modes
    assert stat.S_IMODE(made_up.machine.program.stat().st_mode) & 0o111 == 0o111


@needs_root
def test_a_check_that_fails_starts_nothing(made_up: MadeUp, simulator: Simulator) -> None:
    """Folders that cannot be used keep it from starting; a sipgate that is down does not."""
    simulator.trouble = 500
    try:
        made_up.init(*SAID, "--root", str(made_up.root), code=1)
    finally:
        simulator.trouble = None
    assert made_up.active == {"faxdrop"}
    made_up.active.clear()
    (made_up.root / "sent").rmdir()
    (made_up.root / "sent").write_text("in the way")
    made_up.init(code=1)
    assert made_up.active == set()


def test_who_cannot_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without root, without systemd, or with a config elsewhere, init says what to do."""

    def said(*arguments: str, config: str = "/etc/faxdrop/config.toml") -> str:
        result = CliRunner().invoke(main, ["--config", config, "init", "--service", *arguments])
        assert result.exit_code in (1, 2)
        return result.stderr

    assert "leave out --config" in said(config="/x.toml")
    assert "--owner does not work with" in said("--owner", "x")
    monkeypatch.setattr(cli_init, "Machine", lambda: Machine(tmp_path))
    assert "contains no systemd units" in said()
    shipped = tmp_path / "lib/systemd/system"
    shipped.mkdir(parents=True)
    (shipped / "faxdrop.service").touch()
    monkeypatch.setattr(installation, "hidden", lambda _prefix: "It is hidden.")
    assert "It is hidden. Install faxdrop into /opt/faxdrop." in said()
    monkeypatch.setattr(installation, "hidden", lambda _prefix: "")
    monkeypatch.setattr(installation, "has_systemd", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "does not run systemd" in said()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "put sudo before the command" in said()


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("/home/anna/venv", "cannot see what is in /home"),
        ("/root/faxdrop", "cannot see"),
        ("/opt/faxdrop", ""),
    ],
)
def test_where_a_service_can_be(prefix: str, words: str) -> None:
    """The service sees neither homes nor temporary folders."""
    assert words in installation.hidden(Path(prefix))
    assert bool(words) == bool(installation.hidden(Path(prefix)))


@pytest.mark.parametrize("root", ["/tmp/fax", "/run/fax", '/data/"fax"', "/data/a\\b", "/etc/fax"])  # noqa: S108
def test_roots_that_no_service_can_have(root: str) -> None:
    """A root that systemd hides from a service, or cannot be told of, is refused with why."""
    assert "another folder" in init.root_fault(Path(root), service=True)
    assert "another folder" not in init.root_fault(Path(root), service=False)


@needs_root
def test_a_root_of_somebody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that belongs to another user, or that is a file, is refused."""
    monkeypatch.setattr(units, "no_place", lambda _root: "")
    os.chown(tmp_path, 65534, 65534)
    assert "belongs to nobody" in init.root_fault(tmp_path, service=True)
    assert init.root_fault(tmp_path / "new", service=True) == ""
    (tmp_path / "file").touch()
    assert "is not a folder" in init.root_fault(tmp_path / "file" / "x", service=False)


def test_the_drop_in_of_another_program() -> None:
    """An installation elsewhere, and a root with a percent sign, are told as systemd reads them."""
    program = Path("/usr/local/fd/bin/faxdrop")
    text = units.drop_in(place.DEFAULT_PATH, Path("/data/100%"), program)
    assert "ReadWritePaths=\nReadWritePaths=/data/100%%\n" in text
    assert f"ExecStart=\nExecStart={program} --config {place.DEFAULT_PATH} run\n" in text
    assert f"ExecStopPost=-{program} --config {place.DEFAULT_PATH} status --page\n" in text
    assert units.drop_in(place.DEFAULT_PATH, place.SERVICE_ROOT, units.PROGRAM) == ""
    assert units.drop_in(place.config_of("berlin"), Path("/srv/fax/berlin"), units.PROGRAM) == ""


@pytest.mark.parametrize("name", ["", "config", "a/b", "../x", "a b", "-x", "a.b", "ä"])
def test_names_that_no_instance_can_have(name: str) -> None:
    """A name that would lead elsewhere, or to the plain service's config, is refused."""
    with pytest.raises(ValueError, match="letters"):
        place.config_of(name)


def test_which_unit_a_config_is_for() -> None:
    """The plain config is faxdrop's, others beside it are instances', and the rest nobody's."""
    units_of = {
        "/etc/faxdrop/config.toml": "faxdrop",
        "/etc/faxdrop/berlin.toml": "faxdrop@berlin",
        "/etc/faxdrop/berlin": None,
        "/etc/faxdrop/a/b.toml": None,
        "/home/anna/config.toml": None,
    }
    assert {config: place.unit_of(Path(config)) for config in units_of} == units_of
    assert (
        place.command("check", Path("/etc/faxdrop/berlin.toml"))
        == "faxdrop --instance berlin check"
    )
