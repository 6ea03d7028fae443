"""Gives servers under test an /etc of their own, with users of their own.

What an administrator does as root on a server (add users, write configs, start Samba) happens here
in a mount namespace: /etc is an overlay, the servers' state is in memory, and the test's root is
mounted at /srv/fax, where the configs of tests/data expect it. Only the ports on loopback and the
files in the root are visible outside. Needs root.
"""

import secrets
import shutil
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from tests.kit.processes import User, kill
from tests.kit.users import open_to_all
from tests.kit.waiting import PATIENCE, until

DATA = Path(__file__).parents[1] / "data"

_HOLDER = """
mount -t tmpfs -o mode=0755 tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/srv"
mount -t overlay -o "lowerdir=/etc,upperdir=$2/upper,workdir=$2/work" overlay /etc
mkdir "$2/srv/fax"
mount --bind "$1" "$2/srv/fax"
mount --rbind "$2/srv" /srv
for state in /var/lib/samba /var/cache/samba /var/log/samba /run/samba /run/vsftpd; do
    if test -d "$state"; then mount -t tmpfs -o mode=0755 tmpfs "$state"; fi
done
mkdir -p /var/lib/samba/private /run/samba/ncalrpc /run/vsftpd/empty
echo ready
exec cat
"""


class Site:
    """The machine as its servers see it. A context manager, which ends all it has started.

    ``root`` has the modes of faxdrop's tmpfiles snippet, and is /srv/fax for the servers.
    ``faxdrop`` is the daemon's user, ``scanner`` a user who may fax and has a password.
    """

    def __init__(self) -> None:
        self._open = ExitStack()
        self.folder = self._open.enter_context(open_to_all())
        self.root = self.folder / "share"
        self.root.mkdir()
        scratch = self.folder / "servers"
        scratch.mkdir()
        self._started: list[subprocess.Popen[bytes]] = []
        private = ["unshare", "--mount", "--propagation", "private"]
        self._holder = subprocess.Popen(
            [*private, "sh", "-euc", _HOLDER, "sh", str(self.root), str(scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._inside = ["nsenter", "--mount", f"--target={self._holder.pid}", "--"]
        try:
            assert self._holder.stdout is not None
            assert self._holder.stdout.readline() == b"ready\n"
            self.faxdrop = self.add_user("faxdrop")
            self.scanner = self.add_user("scanner", "faxdrop")
        except BaseException:
            self.close()
            raise
        for path, mode in ((self.root, 0o2750), (self.root / "inbox", 0o2770)):
            path.mkdir(exist_ok=True)
            shutil.chown(path, self.faxdrop.uid, self.faxdrop.gid)
            path.chmod(mode)

    def run(self, *command: str, text: str = "") -> str:
        """Run a command as the administrator; return its output."""
        done = subprocess.run(
            [*self._inside, *command], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, path: str, content: str) -> None:
        """Write a file, as the administrator does."""
        self.run("sh", "-euc", 'mkdir -p "${1%/*}"; cat > "$1"', "sh", path, text=content)

    def add_user(self, name: str, *groups: str) -> User:
        """Add a user without a login, and a group of the same name."""
        more = ["--groups", ",".join(groups)] if groups else []
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir=/"]
        self.run(*command, "--shell", "/usr/sbin/nologin", *more, name)
        uid, gid = (int(self.run("id", option, name)) for option in ("-u", "-g"))
        return User(uid, gid)

    def serve(self, port: int, *command: str) -> None:
        """Start a server, and wait until it answers at its port."""
        server = subprocess.Popen(
            [*self._inside, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._started.append(server)

        def answers() -> bool:
            assert server.poll() is None, f"{command}: {server.communicate()[0].decode()}"
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(answers, PATIENCE, f"{command[0]} at port {port}")

    def close(self) -> None:
        """End all servers, and drop all changes."""
        for program in (*reversed(self._started), self._holder):
            kill(program)
            for stream in (program.stdin, program.stdout):
                if stream is not None:
                    stream.close()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def missing(*tools: str) -> list[str]:
    """Return which of the required programs are missing."""
    return [tool for tool in ("nsenter", "unshare", *tools) if shutil.which(tool) is None]


def free_port() -> int:
    """Return a loopback port on which nobody listens.

    It is none of those that the kernel gives to whoever asks for any port: such a one could be
    another test's before it is used here, or while its server is away.
    """
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [port for port in range(1024, 65536) if not first <= port <= last]
    while True:
        port = secrets.choice(ports or range(first, last))
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
