"""A Debian machine of a test's own, with systemd as its first process.

The systems are built once from Debian's packages with debootstrap, through the mirror that this
machine's apt is set up with; they are kept (see `tests.kit.kept`) and never written to again. A
`Machine` lays a disk in memory over one: what a test does there survives a reboot and a power cut
of the machine, and is gone with it. Needs root, and no systemd outside.
"""

import fcntl
import hashlib
import os
import platform
import pty
import re
import secrets
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.kit.kept import kept
from tests.kit.waiting import PATIENCE, until

PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}  # each Debian's own
PACKAGES = ("systemd-sysv", "dbus", "python3-venv")  # what faxdrop uses of a usual server
TOOLS = ("apt-get", "debootstrap", "nsenter", "setpriv", "systemd-nspawn", "unshare")

_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LC_ALL": "C.UTF-8"}

# Mounts that only this shell and its children see, and that end with it. Hosts mount
# cgroup v2 in different places, or read-only: the machine gets it where systemd expects it.
_HOLDER = """
mount -t tmpfs -o mode=0755 tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root" "$2/srv"
mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mkdir "/sys/fs/cgroup/$3"
echo ready
cat
find "/sys/fs/cgroup/$3" -depth -type d -exec rmdir {} +
"""


def missing_tools() -> list[str]:
    """Return which of the required programs are missing."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def _mirror() -> str:
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(COMPONENT) $(REPO_URI) $(RELEASE) $(CODENAME)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for line in targets.splitlines():
        component, uri, *names = line.split()
        if component == "main" and PYTHONS.keys() & set(names):
            return uri  # a mirror has all suites
    raise LookupError("apt knows no source of Debian")


def _proxies() -> dict[str, str]:
    """Return apt's proxy, if it has one, where debootstrap's downloads look for it."""
    shell = ["apt-config", "shell", "http_proxy", "Acquire::http::Proxy"]
    shell += ["https_proxy", "Acquire::https::Proxy"]
    lines = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^(\w+)='(.*)'$", lines, re.MULTILINE))


def debian(suite: str) -> Path:
    """Return the root folder of a Debian system; the first time this takes a minute."""
    mirror = _mirror()

    def fill(tree: Path) -> None:
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        done = subprocess.run(
            [*command, suite, str(tree), mirror],
            env={**os.environ, **_proxies()},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if done.returncode != 0:
            raise AssertionError(f"debootstrap failed:\n{done.stdout[-2000:]}{done.stderr}")
        shutil.rmtree(tree / "var/cache/apt/archives", ignore_errors=True)
        # Empty: each machine gets its own id, and asks nothing at its first boot.
        (tree / "etc/machine-id").write_text("")

    key = " ".join((suite, *PACKAGES, platform.machine()))
    return kept(f"debian-{hashlib.sha256(key.encode()).hexdigest()[:12]}", fill)


class Machine:
    """Owns the disk, the mounts and the running system; a context manager that leaves no trace.

    ``folder`` is an empty folder for the mount point and the console log; ``shown`` are folders of
    this machine that the other one sees, read-only, by their names there.
    """

    def __init__(self, tree: Path, folder: Path, shown: Mapping[str, Path]) -> None:
        self._disk = folder / "disk"
        self._disk.mkdir()
        self.console = folder / "console.log"
        self._shown = shown
        self._name = f"faxdrop-test-{secrets.token_hex(6)}"
        self._leader = 0
        self._nspawn: subprocess.Popen[bytes] | None = None
        # It ends with its standard input: at the latest when this program ends.
        apart = ["unshare", "--mount", "--propagation=private", "sh", "-ec", _HOLDER, "sh"]
        self._holder = subprocess.Popen(
            [*apart, str(tree), str(self._disk), self._name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise OSError("the machine's mounts could not be made: see the output")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()
        self._holder.communicate()

    def boot(self) -> None:
        """Start the machine; return when everything in it that starts at boot has started."""
        command = ["systemd-nspawn", "--quiet", "--boot", "--console=pipe"]
        command += [f"--directory={self._disk}/root", f"--bind={self._disk}/srv:/srv"]
        command += [f"--bind-ro={outside}:{inside}" for inside, outside in self._shown.items()]
        # No network but loopback, no ties to a systemd outside (there may be none).
        command += ["--private-network", "--register=no", "--keep-unit", f"--machine={self._name}"]
        # A newer nspawn allows this by default.
        landlock = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
        command += [f"--system-call-filter={landlock}"]
        command += ["--resolv-conf=off", "--timezone=off", "--link-journal=no"]
        enter = [
            "setpriv",
            "--pdeathsig=KILL",
            "nsenter",
            f"--target={self._holder.pid}",
            "--mount",
        ]
        join = f'echo $$ > /sys/fs/cgroup/{self._name}/cgroup.procs; exec "$@"'
        with self.console.open("ab") as console:
            self._nspawn = subprocess.Popen(
                [*enter, "sh", "-c", join, "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=_ENVIRONMENT,
            )
        until(self._has_leader, what=f"a first process ({self.console})")
        until(lambda: self.path("/run/systemd/private").is_socket(), what="systemd's socket")
        booted = "systemctl is-system-running --wait"
        state = self.run(booted, check=False, timeout=5 * PATIENCE).stdout.strip()
        if state != "running":
            failed = self.run("systemctl --failed --no-legend", check=False).stdout
            raise AssertionError(f"the machine is {state}: {failed}")

    def _has_leader(self) -> bool:
        assert self._nspawn is not None
        pid = self._nspawn.pid
        if self._nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn gave up: {self.console.read_text()}")
        with suppress(OSError):
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                status = Path(f"/proc/{child}/status").read_text()
                program = Path(f"/proc/{child}/comm").read_text().strip()
                if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE) and program == "systemd":
                    self._leader = int(child)
                    return True
        return False

    def shut_down(self) -> None:
        """Stop the machine as its power button does."""
        self._end(signal.SIGTERM)

    def cut_power(self) -> None:
        """Stop the machine dead."""
        if self._leader:
            with suppress(ProcessLookupError):
                os.kill(self._leader, signal.SIGKILL)
        self._end(signal.SIGTERM)

    def _end(self, by: signal.Signals) -> None:
        if self._nspawn is None:
            return
        self._nspawn.send_signal(by)
        try:
            self._nspawn.wait(2 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn = None
        self._leader = 0

    def path(self, inside: str) -> Path:
        """Return where a file of the running machine is seen from here."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def run(
        self,
        command: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 2 * PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the machine, as root; ``arguments`` are its $1, $2 ..."""
        enter = ["nsenter", f"--target={self._leader}", "--all"]
        done = subprocess.run(
            [*enter, "sh", "-euc", f"cd /\n{command}", "sh", *arguments],
            env={**_ENVIRONMENT, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{command!r} in the machine: status {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def talk(
        self,
        command: str,
        answers: Sequence[tuple[str, str]],
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = 10 * PATIENCE,
    ) -> str:
        """Run a shell command at a terminal of 80 columns; return what was shown there.

        ``answers`` are what is shown at last before each line that is typed, and that line.
        """
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        enter = ["setsid", "--ctty", "--wait", "nsenter", f"--target={self._leader}", "--all"]
        program = subprocess.Popen(
            [*enter, "sh", "-euc", f"cd /\n{command}", "sh"],
            env={**_ENVIRONMENT, "TERM": "xterm", "NO_COLOR": "1", **(environment or {})},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        said, shown, left = "", "", list(answers)
        deadline = time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                if not select.select([master], [], [], 1.0)[0]:
                    continue
                try:
                    text = os.read(master, 65536).decode("utf-8", "replace")
                except OSError:  # EIO: the other end is closed
                    break
                said, shown = said + text, shown + text
                if left and left[0][0] in shown:
                    os.write(master, f"{left.pop(0)[1]}\n".encode())
                    shown = ""
            status = program.wait(PATIENCE)
        finally:
            program.kill()
            program.wait()
            os.close(master)
        assert (status, left) == (0, []), f"status {status}, {left} not asked for:\n{said}"
        return re.sub("\x1b\\[[0-9;]*m", "", re.sub("\r+\n", "\n", said))
