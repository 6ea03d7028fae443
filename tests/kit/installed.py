"""faxdrop, installed as in the README, on a Debian machine of a test's own (`tests.kit.nspawn`).

The machine has no network: pip installs from folders with wheels, and ``faxdrop simulate``, another
service on its loopback, plays sipgate.
"""

import hashlib
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.kit.letters import letter
from tests.kit.nspawn import PYTHONS, Machine
from tests.kit.waiting import PATIENCE, until
from tests.kit.wheels import PROJECT, download

README = (PROJECT / "README.md").read_text()
SOURCE = "/root/faxdrop"  # "the folder of this README"
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
# It says which token it takes; the service must not.
StandardOutput=null
StandardError=null
"""


def commands(heading: str) -> list[list[str]]:
    """Return the commands of each shell block below a heading of the README."""
    section = README.split(f"\n{heading}\n", 1)[1]
    depth = len(heading.split(maxsplit=1)[0])
    section = re.split(rf"\n#{{2,{depth}}} ", section, maxsplit=1)[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [block.splitlines() for block in blocks]


(INSTALL, (JOIN, CHECK, STATUS)) = commands("## From zero to the first real fax")[:2]
(UPGRADE, RENEW) = commands("### Upgrade")
(UNINSTALL,) = commands("### Uninstall")

ANSWERS = (  # the usual ones, with the simulator's token
    ("Token id", TOKEN_ID),
    ("Token: ", TOKEN),
    ("Folder", ""),
    ("Name of the first recipient", FIRST),
    ("Country", ""),
    ("Fax number", "+493023125030"),
    ("Fax line", ""),
)


def shown(suite: str) -> dict[str, Path]:
    """Return the folders of this machine that the test's machine has to see."""
    return {"/wheels": download(PYTHONS[suite])}


def prepare(machine: Machine) -> None:
    """Make a booted machine what an administrator finds: with the source, sudo and people."""
    # A stand-in: root needs no sudo, and this machine has no network to install it from.
    sudo = '#!/bin/sh\\nexec env "$@"\\n'
    machine.run(f"printf '{sudo}' > /usr/bin/sudo; chmod +x /usr/bin/sudo")
    machine.run("useradd --create-home anna; useradd --create-home otto")
    put_source(machine)
    machine.path("/etc/systemd/system/simulator.service").write_text(SIMULATOR)
    machine.run("systemctl daemon-reload")


def put_source(machine: Machine) -> None:
    """Copy what a clone would hold into the machine."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).is_file() and not name.startswith("tests/"):
            target = machine.path(f"{SOURCE}/{name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target)


def type_in(
    machine: Machine,
    commands: Sequence[str],
    answers: Sequence[tuple[str, str]] = (),
    *,
    umask: int = 0o022,
) -> str:
    """Run the README's commands in its folder, as root at a terminal; return the output."""
    lines = [f"umask {umask:03o}", f"cd {SOURCE}", *commands]
    environment = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_ROOT_USER_ACTION": "ignore",
        "BASE_URL": f"http://127.0.0.1:{PORT}/v2",
    }
    return machine.talk("\n".join(lines), answers, environment=environment)


def install(machine: Machine, *, umask: int = 0o022) -> str:
    """Install faxdrop by the README's three commands, with the usual answers."""
    *before, init = INSTALL
    said = type_in(machine, before, umask=umask)
    machine.run("systemctl start simulator")
    return said + type_in(machine, [init], ANSWERS, umask=umask)


@dataclass
class Service:
    """The service on its machine, and the documents dropped so far."""

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
        """Write the config and the token, as a person would in an editor."""
        text = template.format(root=self.share, port=PORT, first=FIRST, more=more)
        base = self.config.removesuffix("config.toml").replace(".toml", ".")
        self.machine.path(self.config).write_text(text)
        for name, secret in (("token_id", TOKEN_ID), ("token", TOKEN)):
            path = self.machine.path(f"{base}{name}")
            if not path.exists() or path.read_text().strip() != secret:
                path.write_text(f"{secret}\n")

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
            content = letter(f"{self.share} {name} {pages}")
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

    def expect_sent(self, names: list[str], seconds: float = 2 * PATIENCE) -> None:
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
        # What was written last may be on its way to the journal yet.
        ask = 'journalctl --sync; journalctl --no-pager --output=cat --unit="$@"'
        return self.machine.run(ask, self.unit, *arguments).stdout

    def simulator(self, path: str, send: object = None) -> Any:
        """GET from the simulator, or POST ``send`` to it."""
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
