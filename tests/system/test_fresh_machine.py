"""The README, followed to the letter on fresh Debian servers: from zero to a fax, and to the end.

Each Debian is installed with another umask of root's. The commands are those of the README.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.installed import (
    ANSWERS,
    CHECK,
    INSTALL,
    JOIN,
    RENEW,
    SOURCE,
    STATUS,
    UNINSTALL,
    UPGRADE,
    Service,
    prepare,
    put_source,
    shown,
    type_in,
)
from tests.kit.nspawn import Machine, debian, missing_tools
from tests.kit.waiting import until

pytestmark = [
    pytest.mark.long,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a machine needs root"),
    pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}"),
]

UMASKS = {"bookworm": 0o077, "trixie": 0o027}
WRONG = {  # typed before the right answer
    "Token id": "token:FAXSIM",
    "Folder": "/tmp/fax",  # noqa: S108 - that is what is wrong with it
    "Name of the first recipient": "a/b",
    "Country": "Germany",
    "Fax number": "112",
    "Fax line": "f9",
}


@dataclass
class Fresh:
    """A Debian on which the README's commands were typed, up to the one that lets people fax."""

    suite: str
    machine: Machine
    service: Service
    dry: str  # what --dry-run showed before
    said: str  # what was shown

    def type_in(self, commands: list[str]) -> str:
        """Type commands of the README."""
        return type_in(self.machine, commands, umask=UMASKS[self.suite])

    def fax_one(self) -> None:
        """Fax a document as a member of the group, and see it arrive."""
        self.service.expect_sent(self.service.drop("+49 30 23125 031"))


@pytest.fixture(scope="module", params=list(UMASKS))
def fresh(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fresh]:
    """Boot a Debian, and install faxdrop as the README says; every answer is wrong at first."""
    suite = request.param
    with Machine(debian(suite), tmp_path_factory.mktemp(suite), shown(suite)) as machine:
        machine.boot()
        prepare(machine)
        *before, init = INSTALL
        said = type_in(machine, before, umask=UMASKS[suite])
        machine.run("systemctl start simulator")
        dry = type_in(machine, [f"{init} --dry-run"], umask=UMASKS[suite])
        answers = [
            each
            for prompt, answer in ANSWERS
            for each in (
                *([(prompt, WRONG[prompt])] if prompt in WRONG else []),
                (prompt, answer),
            )
        ]
        refused = [("Token id", "token-FAXSIM"), ("Token: ", "5f0fa5ed-not-the-one")]
        said += type_in(machine, [init], [*refused, *answers], umask=UMASKS[suite])
        type_in(machine, [JOIN], umask=UMASKS[suite])
        yield Fresh(suite, machine, Service(machine), dry, said)


def _is_on(fresh: Fresh, suite: str) -> None:
    if fresh.suite != suite:
        pytest.skip("once is enough")


def test_the_first_fax(fresh: Fresh) -> None:
    """Three commands and some answers later, a member of the group faxes, and all is well."""
    assert "sipgate refused the token (401)" in fresh.said
    for again in (
        "That does not work",
        "a service's files in /tmp do not last",
        "a name without /",
        "two capital",
    ):
        assert f"Error: {again}" in fresh.said or again in fresh.said
    assert "emergency" in fresh.said
    assert "There is no fax line f9" in fresh.said
    assert "This machine would fax, as faxdrop, through sipgate." in fresh.said
    fresh.fax_one()
    fresh.service.expect_each_taken_once()
    assert "This machine would fax, as faxdrop, through sipgate." in fresh.type_in([CHECK])
    status = fresh.type_in([STATUS])
    assert "faxdrop is running on /srv/fax" in status
    assert "Nothing is in the inbox or on its way." in status
    assert "would" not in fresh.type_in([f"{INSTALL[-1]} --dry-run"])


def test_the_dry_run_said_what_was_done(fresh: Fresh) -> None:
    """What --dry-run shows is what is then done, step by step, and nothing was done by it."""
    would = re.findall(r"^would +(.*?)(?:  \(.*)?$", fresh.dry, re.MULTILINE)
    done = re.findall(r"^(?:done|made) +(.*)$", fresh.said, re.MULTILINE)
    assert would == done


def test_nothing_is_for_everybody(fresh: Fresh) -> None:
    """Config, token and folders have the modes that they should, whatever root's umask is."""
    fresh.fax_one()
    made = "test -d /srv/fax/journal && test -f /srv/fax/STATUS.html"  # shortly after the first fax
    until(lambda: not fresh.machine.run(made, check=False).returncode, what="what people look at")
    ask = "stat --format '%a %U %G %n' /etc/faxdrop /etc/faxdrop/* /srv/fax /srv/fax/* /srv/fax/.f*"
    assert set(fresh.machine.run(ask).stdout.splitlines()) == {
        "2750 root faxdrop /etc/faxdrop",
        "640 root faxdrop /etc/faxdrop/config.toml",
        "600 root faxdrop /etc/faxdrop/token",
        "600 root faxdrop /etc/faxdrop/token_id",
        "640 faxdrop faxdrop /srv/fax/STATUS.html",
        "2750 faxdrop faxdrop /srv/fax",
        "700 faxdrop faxdrop /srv/fax/.faxdrop",
        "2770 faxdrop faxdrop /srv/fax/failed",
        "2770 faxdrop faxdrop /srv/fax/inbox",
        "2770 faxdrop faxdrop /srv/fax/journal",
        "2770 faxdrop faxdrop /srv/fax/sent",
    }


def test_an_upgrade_in_mid_flow(fresh: Fresh) -> None:
    """The README's upgrade, while faxes are on their way: nothing is lost or faxed twice."""
    _is_on(fresh, "bookworm")
    service = fresh.service
    service.simulator("account", {"pace": 3.0})
    names = [name for number in range(4) for name in service.drop(f"+49302312504{number}", 3)]
    until(lambda: len(service.taken()) > 2, what="faxes on their way")
    put_source(fresh.machine)
    version = fresh.machine.path(f"{SOURCE}/faxdrop/__init__.py")
    version.write_text(re.sub(r'"[\d.]+"', '"99.0"', version.read_text()))
    said = fresh.type_in(UPGRADE)
    assert "systemctl restart faxdrop" in said
    service.simulator("account", {"pace": 0})
    service.expect_sent(names)
    service.expect_each_taken_once()
    versions = {receipt["faxdrop"] for receipt in service.receipts("sent").values()}
    assert "99.0" in versions
    assert "systemctl restart" not in fresh.type_in(UPGRADE[1:])


def test_a_venv_whose_python_is_gone(fresh: Fresh) -> None:
    """After an upgrade of Debian, the README's commands restore faxdrop, and nothing is lost."""
    _is_on(fresh, "trixie")
    venv = "/opt/faxdrop"
    fresh.machine.run(f"""
        mv {venv}/lib/python3.13 {venv}/lib/python3.11
        rm {venv}/bin/python3*
        ln -s /usr/bin/python3.11 {venv}/bin/python3.11
        ln -s python3.11 {venv}/bin/python3
        systemctl stop faxdrop""")
    names = fresh.service.drop("+49 30 23125 031")
    assert fresh.machine.run("systemctl start faxdrop", check=False).returncode != 0
    assert "203" in fresh.machine.run("systemctl status faxdrop || true").stdout
    fresh.type_in(RENEW)
    fresh.service.expect_sent(names)
    fresh.service.expect_each_taken_once()


def test_who_is_no_root(fresh: Fresh) -> None:
    """A member of the group is told what to do where root is needed, and of no missing file."""
    as_anna = "runuser -u anna -- sh -c 'faxdrop check 2>&1; true'"
    said = fresh.machine.run(as_anna).stdout
    assert "/etc/faxdrop/token_id exists, but anna may not read it: put sudo before" in said
    assert "missing" not in said
    seen = fresh.machine.run("runuser -u anna -- faxdrop status").stdout
    assert "In /srv/fax: 0 documents in inbox/" in seen
    as_otto = "runuser -u otto -- sh -c 'faxdrop status 2>&1; true'"
    said = fresh.machine.run(as_otto).stdout
    assert "otto may not look into /etc/faxdrop: put sudo before the command" in said


def test_the_end(fresh: Fresh) -> None:
    """After the README's uninstall, everything it says stays is there, and can be used again."""
    fresh.fax_one()
    kept = fresh.service.files("sent")
    fresh.type_in(UNINSTALL)
    assert fresh.service.files("sent").items() >= kept.items()  # a report may have come yet
    machine = fresh.machine
    machine.run("systemctl daemon-reload")
    assert machine.run("systemctl cat faxdrop", check=False).returncode != 0
    assert machine.run("ls /opt /usr/local/bin").stdout.split() == ["/opt:", "/usr/local/bin:"]
    assert machine.path("/etc/faxdrop/token").is_file()
    assert not Path(machine.path("/etc/systemd/system/faxdrop.service")).is_symlink()
    fresh.type_in(INSTALL)  # the simulator still runs, and there is no question left
    fresh.fax_one()
    fresh.service.expect_each_taken_once()
