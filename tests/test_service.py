"""faxdrop as a service, in a real systemd: installed, started, reloaded, stalled, killed, rebooted.

A Debian machine is booted (`tests.nspawn`), the wheel is installed in it by the README's own
commands, and sipgate's part is played by ``faxdrop simulate``, another service on its loopback.
"""

import base64
import hashlib
import json
import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.nspawn import Machine, debian, missing_tools, until
from tests.wheels import PROJECT, build, download

pytestmark = [
    pytest.mark.long,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a machine needs root"),
    pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}"),
]

# As the README has them. What a person does in an editor there, `Service.configure` does here.
INSTALL = """\
sudo python3 -m venv /opt/faxdrop
sudo /opt/faxdrop/bin/pip install ./faxdrop-*.whl
sudo systemd-sysusers /opt/faxdrop/lib/sysusers.d/faxdrop.conf
sudo systemd-tmpfiles --create /opt/faxdrop/lib/tmpfiles.d/faxdrop.conf
sudo cp --no-clobber /opt/faxdrop/share/faxdrop/config.example.toml /etc/faxdrop/config.toml
sudo install -m 600 /dev/null /etc/faxdrop/token_id
sudo install -m 600 /dev/null /etc/faxdrop/token
"""
CHECK = "sudo CREDENTIALS_DIRECTORY=/etc/faxdrop /opt/faxdrop/bin/faxdrop check"
ENABLE = "sudo systemctl enable --now /opt/faxdrop/lib/systemd/system/faxdrop.service"

PYTHON = "3.11"  # Debian bookworm's
PORT = 8025
TOKEN_ID = "token-FAXSIM"  # noqa: S105 - what the simulator expects
TOKEN = "5f0fa5ed-0000-4000-8000-000000000000"  # noqa: S105 - likewise
UNIT = "faxdrop.service"
SHARE = "/srv/fax"
FIRST = "Dr. Müller"

CONFIG = """\
root = "{root}"

[sipgate]
base_url = "http://127.0.0.1:{port}/v2"
faxline = "f0"

[recipients]
"{first}" = "+493023125030"
{more}

[inbox]
settle = "500ms"
patience = "2s"

[sending]
poll_interval = "200ms"
delays = ["1s", "1s"]
"""

SIMULATOR = f"""\
[Service]
ExecStart=/opt/faxdrop/bin/faxdrop simulate --port {PORT}
DynamicUser=yes
# It says which token it takes; the service must not.
StandardOutput=null
StandardError=null
"""

# Python reads this at its start, if it is told where it lies. The signal then stops the main
# thread, and only that, as an endless loop would.
STALL = """\
import signal, threading
signal.signal(signal.SIGUSR2, lambda *_: threading.Event().wait())
"""


def _pdf(text: str) -> bytes:
    output = BytesIO()
    canvas = Canvas(output)
    canvas.drawString(100, 700, text)
    canvas.save()
    return output.getvalue()


@dataclass
class Service:
    """The service on its machine, and what was dropped so far."""

    machine: Machine
    unit: str = UNIT
    config: str = "/etc/faxdrop/config.toml"
    share: str = SHARE
    dropped: dict[str, str] = field(default_factory=dict)  # name -> SHA-256
    _numbers: Iterator[int] = field(default_factory=count)

    def systemctl(self, *arguments: str) -> None:
        """Run a command that must succeed."""
        self.machine.run('systemctl "$@"', *arguments)

    def attempt(self, *arguments: str) -> str:
        """Run a command that must fail; return what it said."""
        done = self.machine.run('systemctl "$@"', *arguments, check=False)
        assert done.returncode != 0
        return done.stderr

    def show(self, name: str) -> str:
        """Return a property of the unit."""
        ask = 'systemctl show --value --property="$1" -- "$2"'
        return self.machine.run(ask, name, self.unit).stdout.strip()

    def configure(self, more: str = "", template: str = CONFIG) -> None:
        """Write the config and the token, as a person does in an editor."""
        text = template.format(root=self.share, port=PORT, first=FIRST, more=more)
        base = self.config.removesuffix("config.toml").replace(".toml", ".")
        self.machine.path(self.config).write_text(text)
        self.machine.path(f"{base}token_id").write_text(f"{TOKEN_ID}\n")
        self.machine.path(f"{base}token").write_text(f"{TOKEN}\n")

    def drop_in(self, text: str) -> None:
        """Change the unit, as `systemctl edit` does; an empty text takes the change back."""
        folder = f"/etc/systemd/system/{self.unit}.d"
        self.machine.run(
            'mkdir -p "$1"; printf %s "$2" > "$1/test.conf"; systemctl daemon-reload', folder, text
        )

    def drop(self, folder: str, number: int = 1, *, pages: str = "") -> list[str]:
        """Drop new documents as a member of the group does, with cp; return their names."""
        names = [f"letter {next(self._numbers)}.pdf" for _ in range(number)]
        for name in names:
            content = _pdf(f"{self.share} {name} {pages}")
            self.machine.path("/home/anna").joinpath(name).write_bytes(content)
            self.dropped[name] = hashlib.sha256(content).hexdigest()
        copy = 'umask 022; mkdir -p "$1"; cd; for name in *.pdf; do cp "$name" "$1"; done'
        self.anna(copy, f"{self.share}/inbox/{folder}")
        self.machine.run("rm /home/anna/*.pdf")
        return names

    def anna(self, command: str, *arguments: str, check: bool = True) -> bool:
        """Run a command as a person who may fax; return whether it worked."""
        as_anna = f'HOME=/home/anna runuser -u anna -- sh -euc {shlex.quote(command)} sh "$@"'
        return self.machine.run(as_anna, *arguments, check=check).returncode == 0

    def files(self, place: str) -> dict[str, Path]:
        """Return the files in inbox, sent or failed, by name."""
        return {
            path.name: path
            for path in self.machine.path(f"{self.share}/{place}").glob("*/*")
            if path.is_file()
        }

    def receipts(self, place: str) -> dict[str, dict[str, Any]]:
        """Return the receipts in sent or failed, by the document's name."""
        return {
            name.removesuffix(".json"): json.loads(path.read_text())
            for name, path in self.files(place).items()
            if name.endswith(".pdf.json")
        }

    def expect_sent(self, names: list[str], seconds: float = 60) -> None:
        """Wait until documents are in sent/ with their receipts."""
        needed = {*names, *(f"{name}.json" for name in names)}
        missing: set[str] = set()

        def arrived() -> bool:
            missing.clear()
            missing.update(needed - self.files("sent").keys())
            return not missing

        try:
            until(arrived, seconds, "documents in sent/")
        except AssertionError as late:
            raise AssertionError(f"{late}: {sorted(missing)}\n{self.journal()[-4000:]}") from late

    def journal(self, *arguments: str) -> str:
        """Return the unit's log."""
        ask = 'journalctl --no-pager --output=cat --unit="$@"'
        return self.machine.run(ask, self.unit, *arguments).stdout

    def simulator(self, path: str, send: object = None) -> Any:
        """Ask the simulator, or tell it something."""
        ask = (
            "import sys, urllib.request as request\n"
            "send = sys.argv[2].encode() if len(sys.argv) > 2 else None\n"
            "print(request.urlopen(request.Request(sys.argv[1], send), timeout=20).read().decode())"
        )
        url = f"http://127.0.0.1:{PORT}/simulator/{path}"
        data = [] if send is None else [json.dumps(send)]
        answer = self.machine.run('python3 -c "$@"', ask, url, *data).stdout
        return json.loads(answer) if answer.strip() else None

    def taken(self) -> list[str]:
        """Return the SHA-256 of each fax that sipgate would have sent, the oldest first."""
        return [fax["sha256"] for fax in self.simulator("taken")]

    def expect_each_taken_once(self) -> None:
        """Every document that was ever dropped was faxed, and none of them twice."""
        expected = sorted(self.dropped.values())
        assert sorted(sha for sha in self.taken() if sha in expected) == expected


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a machine on which faxdrop is installed."""
    folder = tmp_path_factory.mktemp("machine")
    wheel = build(tmp_path_factory.mktemp("dist")).wheel
    shown = {"/wheels/own": wheel.parent, "/wheels/needed": download(wheel, PYTHON)}
    with Machine(debian(), folder, shown) as booted:
        booted.boot()
        # Who is root needs no sudo; and this machine has no network to install from.
        sudo = '#!/bin/sh\\nexec env "$@"\\n'
        booted.run(f"printf '{sudo}' > /usr/bin/sudo; chmod +x /usr/bin/sudo")
        wheels = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": " ".join(shown)}
        booted.run(f"cd /wheels/own\n{INSTALL}", environment=wheels, timeout=300)
        booted.run("useradd --create-home anna; usermod --append --groups faxdrop anna")
        booted.run("useradd --create-home otto")
        booted.path("/etc/systemd/system/simulator.service").write_text(SIMULATOR)
        booted.run("systemctl daemon-reload; systemctl start simulator")
        yield booted


@pytest.fixture(scope="module")
def enabled(machine: Machine) -> Service:
    """Configure, enable and start the service."""
    service = Service(machine)
    service.configure()
    machine.run(ENABLE)
    assert service.show("ActiveState") == "active", service.journal()
    until(lambda: service.simulator(""), 20, "the simulator")
    return service


@pytest.fixture
def service(enabled: Service) -> Iterator[Service]:
    """Give the running service, as installed; afterwards make it so again."""
    enabled.simulator("account", {"pace": 0})
    yield enabled
    enabled.configure()
    enabled.drop_in("")
    enabled.systemctl("reset-failed", enabled.unit)
    enabled.systemctl("restart", enabled.unit)


def test_the_readme_says_the_same() -> None:
    """The commands by which the machine of these tests was installed stand in the README."""
    readme = (PROJECT / "README.md").read_text()
    assert [line for line in (*INSTALL.splitlines(), ENABLE, CHECK) if line not in readme] == []


def test_check_says_that_it_would_fax(service: Service) -> None:
    """The README's `faxdrop check`, as the service's user and with its token, finds all well."""
    said = service.machine.run(CHECK).stdout
    assert "would fax" in said
    assert "would not fax" not in said


def test_started_means_watching(service: Service) -> None:
    """What is dropped right after `systemctl start` is faxed by events, not by a later scan."""
    assert service.show("ActiveState") == "active", service.journal()
    assert service.show("StatusText") != ""
    for _ in range(3):
        service.systemctl("restart", service.unit)
        began = time.monotonic()
        service.expect_sent(service.drop(FIRST), 20)
        assert time.monotonic() - began < 20  # a scan would come after a minute
    service.expect_each_taken_once()


def test_people_of_the_group_work_in_the_share(service: Service) -> None:
    """A person with an ordinary umask makes a folder, faxes, reads the receipt and tidies up."""
    (name,) = service.drop("Praxis Süd +493023125031")
    service.expect_sent([name])
    sent = service.files("sent")[f"{name}.json"]
    inside = f"{service.share}/sent/{sent.parent.name}"
    assert json.loads(sent.read_text())["status"] == "sent"
    assert service.anna('cat "$1" > /dev/null', f"{inside}/{name}.json")
    assert service.anna('rm "$1" "$1.json"', f"{inside}/{name}")
    assert not service.anna('ls "$1"', f"{service.share}/.faxdrop", check=False)
    assert not service.anna('mv "$1" "$1.old"', f"{service.share}/inbox", check=False)
    otto = 'runuser -u otto -- ls "$1"'
    assert service.machine.run(otto, service.share, check=False).returncode != 0


def test_a_bad_document_fails_with_a_receipt(service: Service) -> None:
    """The checkers work within the sandbox: what is no PDF is in failed/ with the reason."""
    service.anna('echo "no PDF" > "$1"', f"{service.share}/inbox/{FIRST}/notes.pdf")
    until(lambda: "notes.pdf" in service.receipts("failed"), 30, "a receipt in failed/")
    assert service.receipts("failed")["notes.pdf"]["reason"]["code"] == "not_a_pdf"


def _at_least(service: Service, number: int) -> bool:
    return len(service.taken()) >= number


def _reload(service: Service) -> None:
    pid = service.show("MainPID")
    service.systemctl("reload", service.unit)
    assert service.show("MainPID") == pid


def _restart(service: Service) -> None:
    service.systemctl("restart", service.unit)


def _stop_and_start(service: Service) -> None:
    began = time.monotonic()
    service.systemctl("stop", service.unit)
    assert time.monotonic() - began < 15
    assert service.show("Result") == "success"
    service.systemctl("start", service.unit)


def _kill(service: Service) -> None:
    before = int(service.show("NRestarts"))
    service.systemctl("kill", "--signal=KILL", service.unit)
    until(lambda: int(service.show("NRestarts")) > before, 30, "a restart by systemd")
    until(lambda: service.show("ActiveState") == "active", 30, "an active service")


@pytest.mark.parametrize(
    "disturb", [_reload, _restart, _stop_and_start, _kill], ids=lambda act: act.__name__[1:]
)
def test_nothing_is_lost_or_doubled(service: Service, disturb: Callable[[Service], None]) -> None:
    """Reloaded, restarted, stopped or killed in mid-flow, each document is faxed exactly once."""
    service.simulator("account", {"pace": 1.0})
    names = []
    before = len(service.taken())
    for number in range(10):
        names += service.drop(f"+49302312504{number}", 4)
    for enough in (before + 5, before + 12, before + 20):
        # Some are with sipgate, some wait in the spool.
        until(partial(_at_least, service, enough), 60, "faxes taken")
        assert names[-1] not in service.files("sent")
        disturb(service)
    service.expect_sent(names)
    service.expect_each_taken_once()
    assert service.files("inbox") == {}


def test_a_stalled_loop_is_restarted(service: Service) -> None:
    """When the loop makes no progress, though threads live on, the watchdog starts it anew."""
    service.machine.run('mkdir -p /run/stall; printf %s "$1" > /run/stall/sitecustomize.py', STALL)
    service.drop_in("[Service]\nEnvironment=PYTHONPATH=/run/stall\nWatchdogSec=6s\nRestartSec=1s\n")
    service.systemctl("restart", service.unit)
    # With nothing to do the loop still reports: it is not restarted for being idle.
    (name,) = service.drop(FIRST)
    service.expect_sent([name])
    assert service.show("NRestarts") == "0"
    service.systemctl("kill", "--kill-whom=main", "--signal=USR2", service.unit)
    names = service.drop(FIRST, 2)
    until(lambda: int(service.show("NRestarts")) > 0, 60, "a restart by the watchdog")
    service.expect_sent(names)
    service.expect_each_taken_once()
    log = service.journal()
    assert "Watchdog timeout" in log
    assert re.search(r"Thread 0x\w+ \(most recent call first\)", log)  # where it stood


def test_a_quiet_service_feeds_the_watchdog(service: Service) -> None:
    """With nothing to do, it is not taken for stalled."""
    service.drop_in("[Service]\nWatchdogSec=4s\nRestartSec=100ms\n")
    service.systemctl("restart", service.unit)
    began = int(service.show("ActiveEnterTimestampMonotonic"))
    last_fed = "WatchdogTimestampMonotonic"  # like the other, in microseconds
    until(
        lambda: int(service.show(last_fed)) > began + 12_000_000,
        60,
        "three times the watchdog's time",
    )
    assert (service.show("NRestarts"), service.show("ActiveState")) == ("0", "active")


def test_a_wrong_config_ends_it_for_good(service: Service) -> None:
    """Status 78, every problem in the journal, and no restart."""
    service.drop_in("[Service]\nRestartSec=100ms\n")
    service.configure(more='Nobody = "12"', template=CONFIG + '\nresend_if_absent = "perhaps"\n')
    assert service.attempt("restart", service.unit) != ""
    assert service.show("ExecMainStatus") == "78"
    assert (service.show("ActiveState"), service.show("SubState")) == ("failed", "failed")
    assert service.show("NRestarts") == "0"
    log = service.journal(f"_PID={service.show('ExecMainPID')}")
    assert "Nobody" in log
    assert "resend_if_absent" in log


def test_a_missing_token_file_ends_it_for_good(service: Service) -> None:
    """What only a person can mend is not tried again for ever."""
    service.drop_in("[Service]\nRestartSec=100ms\n")
    service.machine.run("rm /etc/faxdrop/token")
    service.attempt("restart", service.unit)
    assert (service.show("ActiveState"), service.show("SubState")) == ("failed", "failed")
    service.machine.run("install -m 600 /dev/null /etc/faxdrop/token")


def test_a_reload_takes_the_new_config(service: Service) -> None:
    """A new entry of the address book has its folder, and faxes, without a restart."""
    pid = service.show("MainPID")
    service.configure(more='"Labor Nord" = "+493023125032"')
    service.systemctl("reload", service.unit)
    folder = service.machine.path(f"{service.share}/inbox/Labor Nord")
    until(folder.is_dir, 20, "the new folder")
    service.expect_sent(service.drop("Labor Nord"))
    assert service.show("MainPID") == pid


def test_a_reload_of_a_wrong_config_keeps_the_old_one(service: Service) -> None:
    """The service goes on as before, and the journal says what is wrong."""
    pid = service.show("MainPID")
    service.configure(template=CONFIG + "\nresend_if_abscent = true\n")
    service.systemctl("reload", service.unit)
    until(lambda: "resend_if_abscent" in service.journal(f"_PID={pid}"), 20, "a word in the log")
    service.expect_sent(service.drop(FIRST))
    assert (service.show("MainPID"), service.show("ActiveState")) == (pid, "active")


def _probe(service: Service, drop_in: str = "") -> dict[str, Any]:
    """Run the probe in the service's place; return what it found."""
    machine = service.machine
    machine.run('cp "$(realpath "/etc/systemd/system/$1")" /etc/systemd/system/probe.service', UNIT)
    # Where only the sandbox forbids to write.
    machine.run("mkdir -p -m 1777 /opt/open /var/open /run/open /home/open")
    service.anna('touch "$1"', f"{SHARE}/inbox/.anna")
    text = (PROJECT / "tests/sandbox_probe.py").read_text()
    machine.path("/opt/faxdrop/probe.py").write_text(text)
    Service(machine, unit="probe.service").drop_in(
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\n"
        f"ExecStart=/opt/faxdrop/bin/python -I /opt/faxdrop/probe.py {SHARE}\n"
        f"StandardOutput=truncate:/run/probe.json\nStandardError=journal\n{drop_in}"
    )
    machine.run("systemctl start probe || (journalctl --no-pager --unit=probe; exit 1)")
    machine.run('rm "$1"', f"{SHARE}/inbox/.anna")
    found: dict[str, Any] = json.loads(machine.path("/run/probe.json").read_text())
    return found


def test_the_sandbox(service: Service) -> None:
    """The service can write nowhere but in its share, and has just the powers that it needs."""
    found = _probe(service)
    allowed = re.compile(rf"({SHARE}|/tmp|/var/tmp)(/.*)?")  # these /tmp and /var/tmp are its own
    assert [path for path in found["writable"] if not allowed.fullmatch(path)] == []
    assert f"{SHARE}/inbox" in found["writable"]
    assert found["capabilities"] == [0, 0, 0, 0]
    assert found["no_new_privileges"] == "1"
    assert found["others"] == []
    assert found["core_limit"] == 0
    assert found["landlock"] in ("done", "ENOSYS", "EOPNOTSUPP")  # the kernel's own answers
    assert found["credentials"] == {"TOKEN": f"{TOKEN}\n", "TOKEN_ID": f"{TOKEN_ID}\n"}
    assert {name: how for name, how in found["must"].items() if how != "done"} == {}
    assert {name: how for name, how in found["must_not"].items() if how == "done"} == {}
    assert found["lease on another's file"] == "EACCES"


def test_the_drop_in_for_leases(service: Service) -> None:
    """With the drop-in that the unit's comment names, leases work on files of other people too."""
    text = service.machine.run('cat "/etc/systemd/system/$1"', UNIT).stdout
    lines = re.search(r"^#  +\[Service\]\n((?:#  +\w+=.*\n)+)", text, re.MULTILINE)
    assert lines
    found = _probe(service, re.sub(r"^#\s+", "", lines[1], flags=re.MULTILINE))
    assert found["lease on another's file"] == "done"
    assert [f"{capabilities:x}" for capabilities in found["capabilities"]] == [f"{1 << 28:x}"] * 4


def test_instances_run_side_by_side(service: Service) -> None:
    """faxdrop@berlin and faxdrop@bonn have each a root, a config and a token of their own."""
    machine = service.machine
    service.systemctl("stop", service.unit)
    machine.run("systemctl link /opt/faxdrop/lib/systemd/system/faxdrop@.service")
    sites = [
        Service(
            machine,
            unit=f"faxdrop@{site}.service",
            config=f"/etc/faxdrop/{site}.toml",
            share=f"{SHARE}/{site}",
        )
        for site in ("berlin", "bonn")
    ]
    for site in sites:
        machine.run(
            'sed "s,/srv/fax,$1," /opt/faxdrop/lib/tmpfiles.d/faxdrop.conf'
            " | systemd-tmpfiles --create -",
            site.share,
        )
        site.configure()
        site.systemctl("start", site.unit)
    for site in sites:
        site.expect_sent(site.drop(FIRST, 2))
        site.expect_each_taken_once()
    assert [len(site.receipts("sent")) for site in sites] == [2, 2]
    for site in sites:
        site.systemctl("stop", site.unit)


def test_the_journal_is_structured_and_silent_about_secrets(service: Service) -> None:
    """Each line that the service wrote is an event in JSON; the token is nowhere."""
    pid = service.show("MainPID")
    service.expect_sent(service.drop(FIRST))
    lines = service.journal(f"_PID={pid}", "_TRANSPORT=stdout").splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert len(events) > 2
    assert [event for event in events if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", event)] == []
    everything = service.machine.run("journalctl --no-pager --all --output=export").stdout
    basic = base64.b64encode(f"{TOKEN_ID}:{TOKEN}".encode()).decode()
    secrets = (TOKEN, TOKEN_ID, basic)
    assert [secret for secret in secrets if secret in everything] == []


def test_it_is_there_after_a_reboot(service: Service) -> None:
    """Enabled means: after the machine's next boot it faxes what was left."""
    service.simulator("account", {"pace": 0})
    service.systemctl("stop", service.unit)
    names = service.drop(FIRST, 3)
    service.machine.shut_down()
    service.machine.boot()
    service.systemctl("start", "simulator")
    service.expect_sent(names)
