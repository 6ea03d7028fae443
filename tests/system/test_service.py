"""faxdrop as a service, in a real systemd: installed, started, reloaded, stalled, killed, rebooted.

A Debian machine is booted, faxdrop is installed on it by the README's own commands, and sipgate's
part is played by ``faxdrop simulate``, another service on its loopback (`tests.kit.installed`).
"""

import base64
import importlib
import json
import os
import quopri
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import trustme

from tests.kit.installed import (
    CHECK,
    CONFIG,
    FIRST,
    PORT,
    SHARE,
    TOKEN,
    TOKEN_ID,
    UNIT,
    Service,
    install,
    prepare,
    shown,
)
from tests.kit.nspawn import Machine, debian, missing_tools
from tests.kit.waiting import until
from tests.kit.wheels import PROJECT

pytestmark = [
    pytest.mark.long,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="booting a machine needs root"),
    pytest.mark.skipif(bool(missing_tools()), reason=f"not installed: {missing_tools()}"),
]

# Python reads this at its start, if its folder is on the path. The signal then stops the main
# thread, and only that, as an endless loop would.
STALL = """\
import signal, threading
signal.signal(signal.SIGUSR2, lambda *_: threading.Event().wait())
"""

# A mail server on the machine's loopback: STARTTLS, a password, and a file of what it took.
MAIL_SERVER = """\
import ssl, threading
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

class Took:
    async def handle_DATA(self, server, session, envelope):
        with open("/run/mails", "ab") as file:
            file.write(envelope.content)
        return "250 taken"

def known(server, session, envelope, mechanism, said):
    return AuthResult(success=said == LoginPassword(b"fax", b"pa55word-of-the-fax"))

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("/opt/mail/server.pem")
Controller(Took(), hostname="127.0.0.1", port=8587, tls_context=context, require_starttls=True,
           authenticator=known, auth_required=True, ready_timeout=60).start()
open("/run/mails", "ab").close()
threading.Event().wait()
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a machine on which faxdrop is installed, and runs."""
    folder = tmp_path_factory.mktemp("machine")
    with Machine(debian("bookworm"), folder, shown("bookworm")) as booted:
        booted.boot()
        prepare(booted)
        install(booted)
        booted.run("usermod --append --groups faxdrop anna")
        yield booted


@pytest.fixture(scope="module")
def enabled(machine: Machine) -> Service:
    """Give the service the settings of these tests."""
    service = Service(machine)
    service.configure()
    service.systemctl("restart", service.unit)
    assert service.show("ActiveState") == "active", service.journal()
    until(lambda: service.simulator(""), what="the simulator")
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
        service.expect_sent(service.drop(FIRST))
        assert time.monotonic() - began < 45  # a scan would come after a minute
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
    """The checkers work within the sandbox: a file that is not a PDF fails with the reason."""
    service.anna('echo "no PDF" > "$1"', f"{service.share}/inbox/{FIRST}/notes.pdf")
    until(lambda: "notes.pdf" in service.receipts("failed"), what="a receipt in failed/")
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
    service.systemctl("stop", service.unit)
    assert service.show("Result") == "success"  # systemd would kill it after half a minute
    service.systemctl("start", service.unit)


def _kill(service: Service) -> None:
    before = int(service.show("NRestarts"))
    service.systemctl("kill", "--signal=KILL", service.unit)
    until(lambda: int(service.show("NRestarts")) > before, what="a restart by systemd")
    until(lambda: service.show("ActiveState") == "active", what="an active service")


@pytest.mark.parametrize(
    "disturb", [_reload, _restart, _stop_and_start, _kill], ids=lambda act: act.__name__[1:]
)
def test_nothing_is_lost_or_doubled(service: Service, disturb: Callable[[Service], None]) -> None:
    """Reloaded, restarted, stopped or killed in mid-flow, each document is faxed exactly once."""
    service.simulator("account", {"pace": 3.0})
    names = []
    before = len(service.taken())
    for number in range(10):
        names += service.drop(f"+49302312504{number}", 4)
    for enough in (before + 5, before + 12, before + 20):
        # Some are with sipgate, some wait in the spool.
        until(partial(_at_least, service, enough), what="faxes taken")
        assert names[-1] not in service.files("sent")
        disturb(service)
    service.simulator("account", {"pace": 0})  # the rest goes at once
    service.expect_sent(names)
    service.expect_each_taken_once()
    assert service.files("inbox") == {}


def test_the_status_page_tells_of_a_kill(service: Service) -> None:
    """The people at the share read whether it runs; the unit says it where the daemon cannot."""
    page = service.machine.path(f"{SHARE}/STATUS.html")
    service.drop_in("[Service]\nRestart=no\n")
    service.systemctl("restart", service.unit)
    until(lambda: page.exists() and "faxdrop is running." in page.read_text(), what="the page")
    service.systemctl("kill", "--kill-whom=main", "--signal=KILL", service.unit)
    until(lambda: service.show("ActiveState") == "failed", what="the end of the service")
    assert "faxdrop is not running: nothing is faxed." in page.read_text()
    assert (
        "not running" in service.machine.run(f"runuser -u anna -- cat {SHARE}/STATUS.html").stdout
    )
    assert page.stat().st_mode & 0o777 == 0o640


def test_a_stalled_loop_is_restarted(service: Service) -> None:
    """When the loop makes no progress, though threads live on, the watchdog starts it anew."""
    service.machine.run('mkdir -p /run/stall; printf %s "$1" > /run/stall/sitecustomize.py', STALL)
    service.drop_in(
        "[Service]\nEnvironment=PYTHONPATH=/run/stall\nWatchdogSec=15s\nRestartSec=1s\n"
    )
    service.systemctl("restart", service.unit)
    # With nothing to do the loop still reports: it is not restarted for being idle.
    (name,) = service.drop(FIRST)
    service.expect_sent([name])
    assert service.show("NRestarts") == "0"
    service.systemctl("kill", "--kill-whom=main", "--signal=USR2", service.unit)
    names = service.drop(FIRST, 2)
    until(lambda: int(service.show("NRestarts")) > 0, what="a restart by the watchdog")
    service.expect_sent(names)
    service.expect_each_taken_once()
    log = service.journal()
    assert "Watchdog timeout" in log
    assert re.search(r"Thread 0x\w+ \(most recent call first\)", log)  # where it stood


def test_a_quiet_service_feeds_the_watchdog(service: Service) -> None:
    """An idle daemon is not taken for a stalled one."""
    service.drop_in("[Service]\nWatchdogSec=10s\nRestartSec=100ms\n")
    service.systemctl("restart", service.unit)
    began = int(service.show("ActiveEnterTimestampMonotonic"))
    last_fed = "WatchdogTimestampMonotonic"  # like the other, in microseconds
    until(
        lambda: int(service.show(last_fed)) > began + 30_000_000,
        what="three times the watchdog's time",
    )
    assert (service.show("NRestarts"), service.show("ActiveState")) == ("0", "active")


def test_a_wrong_config_ends_it_for_good(service: Service) -> None:
    """A wrong config ends with status 78 and every problem in the journal, and no restart."""
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
    """A start that only a person can help is not repeated forever."""
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
    until(folder.is_dir, what="the new folder")
    service.expect_sent(service.drop("Labor Nord"))
    assert service.show("MainPID") == pid


def test_a_reload_of_a_wrong_config_keeps_the_old_one(service: Service) -> None:
    """After a reload of a wrong config, the service goes on as before, and the log says why."""
    pid = service.show("MainPID")
    service.configure(template=CONFIG + "\nresend_if_abscent = true\n")
    service.systemctl("reload", service.unit)
    until(lambda: "resend_if_abscent" in service.journal(f"_PID={pid}"), what="a word in the log")
    service.expect_sent(service.drop(FIRST))
    assert (service.show("MainPID"), service.show("ActiveState")) == (pid, "active")


def _probe(service: Service, drop_in: str = "") -> dict[str, Any]:
    """Run the probe in the service's place; return what it found."""
    machine = service.machine
    machine.run('cp "$(realpath "/etc/systemd/system/$1")" /etc/systemd/system/probe.service', UNIT)
    # Where only the sandbox forbids to write.
    machine.run("mkdir -p -m 1777 /opt/open /var/open /run/open /home/open")
    service.anna('touch "$1"', f"{SHARE}/inbox/.anna")
    text = (PROJECT / "tests/kit/sandbox_probe.py").read_text()
    machine.path("/opt/faxdrop/probe.py").write_text(text)
    Service(machine, unit="probe.service").drop_in(
        "[Service]\nType=oneshot\nRestart=no\nRestartForceExitStatus=\nWatchdogSec=0\n"
        "ExecStopPost=\nExecStart=\n"
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
    """faxdrop@berlin and faxdrop@bonn, in another place, each have their own folders and token."""
    machine = service.machine
    service.systemctl("stop", service.unit)
    sites = [
        Service(
            machine,
            unit=f"faxdrop@{site}.service",
            config=f"/etc/faxdrop/{site}.toml",
            share=share,
        )
        for site, share in (("berlin", f"{SHARE}/berlin"), ("bonn", "/data/bonn"))
    ]
    told = {"BASE_URL": f"http://127.0.0.1:{PORT}/v2", "TOKEN_ID": TOKEN_ID, "TOKEN": TOKEN}
    for site, name in zip(sites, ("berlin", "bonn"), strict=True):
        init = f"faxdrop --instance {name} init --service --root {site.share}"
        init = f"{init} --recipient '{FIRST}'"
        init = f"{init} --number +493023125030 --faxline f0"
        said = machine.run(init, environment=told).stdout
        assert "This machine would fax, as faxdrop, through sipgate." in said
        assert "would fax" in machine.run(f"faxdrop check --instance {name}").stdout
        site.configure()
        site.systemctl("reload", site.unit)
    for site in sites:
        site.expect_sent(site.drop(FIRST, 2))
        site.expect_each_taken_once()
    assert [len(site.receipts("sent")) for site in sites] == [2, 2]
    for site in sites:
        site.systemctl("stop", site.unit)


def _refused(service: Service) -> list[str]:
    """Have sipgate refuse the token of the service, which holds a document for that."""
    service.machine.path("/etc/faxdrop/token").write_text("5f0fa5ed-0000-4000-8000-00000000dead\n")
    service.systemctl("restart", service.unit)
    names = service.drop(FIRST)
    until(lambda: "queue.held" in service.journal("-b"), what="queue.held")
    return names


def test_a_new_token_counts_by_itself(service: Service) -> None:
    """Where sipgate refuses the token, the new one only has to be written into its file."""
    names = _refused(service)
    said = service.machine.run("faxdrop check || true").stdout
    assert "refused the token (401)" in said
    service.machine.path("/etc/faxdrop/token").write_text(f"{TOKEN}\n")
    service.expect_sent(names)
    assert "daemon.restarting" in service.journal()
    assert service.show("Result") == "success"
    service.expect_each_taken_once()


def test_a_new_token_counts_at_a_reload(service: Service) -> None:
    """After a new token, `check` sees that the old one is in use; `reload` takes the new one."""
    pid = service.show("MainPID")
    service.machine.path("/etc/faxdrop/token").write_text(f"{TOKEN} \n\n")  # the same, really
    assert "older token" not in service.machine.run(CHECK).stdout
    service.machine.path("/etc/faxdrop/token").write_text("5f0fa5ed-0000-4000-8000-00000000dead\n")
    said = service.machine.run(f"{CHECK} || true").stdout
    assert "faxdrop still uses an older token than the one in /etc/faxdrop." in said
    service.machine.path("/etc/faxdrop/token").write_text(f"{TOKEN}\n")
    service.systemctl("reload", service.unit)
    until(lambda: service.show("MainPID") not in (pid, "0"), what="another start")
    until(lambda: service.show("ActiveState") == "active", what="an active service")
    service.expect_sent(service.drop(FIRST))


def test_a_root_that_the_unit_may_not_write_to(service: Service) -> None:
    """For a root outside the unit's paths, log and `check` say what to do, and `init` does it."""
    machine = service.machine
    machine.run("mkdir -p /data/fax; chown faxdrop: /data/fax")
    config = machine.path("/etc/faxdrop/config.toml")
    config.write_text(config.read_text().replace('"/srv/fax"', '"/data/fax"'))
    service.attempt("restart", service.unit)
    assert "`faxdrop check` says what to do" in service.journal("-b")
    said = machine.run(f"{CHECK} || true").stdout
    assert "The unit faxdrop may not write to /data/fax." in said
    assert "ReadWritePaths=/data/fax" in said
    machine.run("faxdrop init --service")
    moved = Service(machine, share="/data/fax")
    moved.expect_sent(moved.drop(FIRST))
    machine.run("rm -r /etc/systemd/system/faxdrop.service.d/place.conf; systemctl daemon-reload")


def test_a_hook_and_figures_with_the_drop_ins_of_the_readme(service: Service) -> None:
    """What the unit forbids is reported, faxes go out all the same, and the drop-ins allow it."""
    machine = service.machine
    readme = (PROJECT / "README.md").read_text()
    [script] = re.findall(r"^```bash\n(#!.*?fax-to-dms.*?)^```", readme, re.MULTILINE | re.DOTALL)
    hook = machine.path("/usr/local/bin/fax-to-dms")
    hook.write_text(script)
    hook.chmod(0o755)
    collector = "/var/lib/prometheus/node-exporter"
    machine.run('mkdir -p /srv/dms/fax "$1"; chown faxdrop /srv/dms/fax "$1"', collector)
    service.configure(
        '[hook]\ncommand = ["/usr/local/bin/fax-to-dms"]\n'
        f'[heartbeat]\nmetrics_file = "{collector}/faxdrop.prom"\n'
    )
    service.systemctl("restart", service.unit)
    service.expect_sent(service.drop(FIRST))
    until(lambda: '"hook.failed"' in service.journal("-b"), what="a hook that may not write")
    until(
        lambda: '"follower.failed"' in service.journal("-b"), what="figures that may not be there"
    )
    assert "Read-only file system" in service.journal("-b")
    service.drop_in(f"[Service]\nReadWritePaths=/srv/dms/fax {collector}\n")
    service.systemctl("restart", service.unit)
    names = service.drop(FIRST, 2)
    service.expect_sent(names)
    copied = machine.path("/srv/dms/fax")
    reports = (f"{name.removesuffix('.pdf')}.report.pdf" for name in names)
    wanted = {*names, *(f"{name}.json" for name in names), *reports}
    until(lambda: {path.name for path in copied.glob("*/*")} == wanted, what="the copies")
    figures = machine.path(f"{collector}/faxdrop.prom")
    until(figures.exists, what="figures")
    assert 'faxdrop_up{root="/srv/fax"} 1' in figures.read_text()


def _start_mail_server(machine: Machine) -> None:
    authority, server = trustme.CA(), machine.path("/opt/mail")
    for name in ("aiosmtpd", "attr", "public"):
        [package] = importlib.import_module(name).__path__
        shutil.copytree(package, server / name)
    server.joinpath("server.py").write_text(MAIL_SERVER)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        server / "server.pem"
    )
    authority.cert_pem.write_to_path(server / "authority.pem")
    run = "systemd-run --unit=mail --working-directory=/opt/mail /opt/faxdrop/bin/python server.py"
    machine.run(f"chmod -R go+rX /opt/mail; {run}")
    until(machine.path("/run/mails").exists, what="a mail server")


def test_a_mail_with_the_drop_in_of_the_readme(service: Service) -> None:
    """From within its sandbox the service mails that a fax failed; it shows the address nowhere."""
    machine = service.machine
    _start_mail_server(machine)
    address = machine.path("/etc/faxdrop/notify_office")
    login = "mailtos://fax:pa55word-of-the-fax@127.0.0.1:8587"
    address.write_text(f"{login}?from=fax@office.example&to=anna@office.example&mode=starttls\n")
    address.chmod(0o600)
    readme = (PROJECT / "README.md").read_text()
    [drop_in] = re.findall(r"^(\[Service\]\nLoadCredential=NOTIFY_OFFICE.*)$", readme, re.MULTILINE)
    service.configure('[notify.office]\non = ["failed"]\n')
    trust = {"SSL_CERT_FILE": "/opt/mail/authority.pem"}
    said = machine.run("faxdrop check --notify", environment=trust).stdout
    assert "office: the test notice was accepted." in said, said
    service.drop_in(f"{drop_in}\nEnvironment=SSL_CERT_FILE=/opt/mail/authority.pem\n")
    service.systemctl("restart", service.unit)
    service.anna('echo "no PDF" > "$1"', f"{service.share}/inbox/{FIRST}/lost.pdf")
    mails = machine.path("/run/mails")
    until(lambda: "lost.pdf" in _decoded(mails.read_bytes()), 120.0, "a mail")
    until(lambda: '"notice.sent"' in service.journal("-b"), what="its note")
    everything = machine.run("journalctl --no-pager --all --output=export").stdout
    for secret in ("pa55word-of-the-fax", "office.example"):
        assert secret not in said + everything


def _decoded(mails: bytes) -> str:
    return quopri.decodestring(mails).decode("utf-8", "replace")


def test_root_does_not_run_it_by_hand(service: Service) -> None:
    """Root may not run the daemon by hand; the error says how to start the service."""
    service.systemctl("stop", service.unit)
    done = service.machine.run("faxdrop run", check=False)
    assert done.returncode == 1
    assert "/srv/fax belongs to faxdrop" in done.stderr
    assert "sudo systemctl start faxdrop" in done.stderr


def test_the_journal_is_structured_and_silent_about_secrets(service: Service) -> None:
    """Each line that the service wrote is an event in JSON; the token is nowhere."""
    pid = service.show("MainPID")
    service.expect_sent(service.drop(FIRST))
    lines = service.journal(f"_PID={pid}", "_TRANSPORT=stdout").splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry for entry in entries if "timestamp" in entry] == []  # the journal has its own
    events = [entry["event"] for entry in entries]
    assert len(events) > 2
    assert [event for event in events if not re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", event)] == []
    everything = service.machine.run("journalctl --no-pager --all --output=export").stdout
    basic = base64.b64encode(f"{TOKEN_ID}:{TOKEN}".encode()).decode()
    secrets = (TOKEN, TOKEN_ID, basic)
    assert [secret for secret in secrets if secret in everything] == []


def test_it_is_there_after_a_reboot(service: Service) -> None:
    """After the machine's next boot, the enabled service faxes what was left."""
    service.simulator("account", {"pace": 0})
    service.systemctl("stop", service.unit)
    names = service.drop(FIRST, 3)
    service.machine.shut_down()
    service.machine.boot()
    service.systemctl("start", "simulator")
    service.expect_sent(names)
