"""The spool of one host continues on another, as after a failover with a shared disk."""

import os
import shutil
from pathlib import Path

import pytest

from tests.kit import pdfs
from tests.kit.breaking import assert_all_answered, ends, stage
from tests.kit.processes import NOBODY, Office, Simulated, User
from tests.kit.users import let_in

NUMBERS = [f"+4930231251{number}" for number in range(30, 36)]
SENT = ("sent", None)
THERE = User(4242, 4242)  # the user id of faxdrop on the other host

# Another host name and machine id, but the same disk.
ANOTHER_HOST = """
hostname other
mount -t tmpfs tmpfs "$1"
echo 0123456789abcdef0123456789abcdef > "$1/machine-id"
test ! -e /etc/machine-id || mount --bind "$1/machine-id" /etc/machine-id
shift; exec "$@"
"""


@pytest.mark.parametrize("ahead", [-7200.0, 7200.0])
def test_another_clock(tmp_path: Path, ahead: float) -> None:
    """Whatever the other host's clocks say, each fax goes on where it stood and is sent once."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        world.live(1.0)
        staged.simulator.script(["slow", "lose-after"])
        for number in NUMBERS:
            staged.drop(number, f"{number}.pdf", pdfs.good(1, number))
        world.until(lambda: len(staged.simulator.taken) >= 2)
        world.turn()
        states = {record["state"] for record in world.records()}
        assert {"accepted", "unknown"} <= states, states
        world.crash()
        staged.time.jump(ahead)
        staged.drift.seconds = -ahead  # sipgate's clock is not ours
        staged.time.mono = 7.0  # that host was started seconds ago
        world.start()
        world.until_done(hours=3.0)
        assert ends(world) == [SENT] * len(NUMBERS)
        assert len(staged.simulator.taken) == len(NUMBERS)
        assert_all_answered(staged)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="to be another host needs root")
def test_another_host(tmp_path: Path) -> None:
    """Another host name, machine id and user id: nothing is lost or doubled."""
    let_in(tmp_path)
    with Simulated("--pace", "3600") as simulated:
        recipients = {f"Amt {number}": number for number in NUMBERS}
        with Office(tmp_path, simulated.base_url, recipients=recipients, user=NOBODY) as office:
            os.chown(office.root, NOBODY.uid, NOBODY.gid)
            office.start()
            for name in recipients:
                for number in (1, 2):
                    office.drop(name, f"{name} {number}.pdf", pdfs.good(number, name))
            # Each number has one on its way and one that waits; no answer is under way.
            office.await_event("fax.submitted", count=len(recipients))
            office.kill()
            assert office.waiting()
            # The README's way: the user is the same by name, so the files are given to it.
            for path in (office.root, *office.root.rglob("*")):
                shutil.chown(path, THERE.uid, THERE.gid)
            office.user = THERE
            scratch = tmp_path / "host"
            scratch.mkdir()
            apart = ["unshare", "--uts", "--mount", "--propagation=private", "sh", "-euc"]
            office.on_host = [*apart, ANOTHER_HOST, "sh", str(scratch)]
            office.start()
            simulated.tell("account", pace=0)
            office.await_filed(2 * len(recipients))
            assert len(office.filed("sent")) == 2 * len(recipients)
            assert len(simulated.taken) == 2 * len(recipients)
            assert office.stop() == 0
            assert {path.stat().st_uid for path in office.root.rglob("*")} == {THERE.uid}
