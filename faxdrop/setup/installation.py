"""faxdrop as a service of this machine: what that needs, as steps that can be repeated.

Each step knows whether it is done, so a second run adds what is missing. What somebody else made
stays as it is: folders keep their owner, a program or unit of the same name stays, and the config
and the token are never overwritten.
"""

import errno
import os
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from faxdrop.config import place
from faxdrop.setup import units
from faxdrop.spool.ownership import gid_of, uid_of
from faxdrop.words import _

LINK = Path("/usr/local/bin/faxdrop")
_HEADER = (
    "# Made by `faxdrop init --service`, and made anew when the root changes. What you want to\n"
    "# say to the unit yourself belongs into a file of your own: systemctl edit {unit}\n"
)
_SHIPPED_ETC, _SHIPPED_ROOT = Path("/etc/faxdrop"), Path("/srv/fax")  # in the tmpfiles.d file
_PATIENCE = 330.0  # seconds for a program of the system's: more than the unit has for its start


class InstallationError(Exception):
    """A step could not be taken; the text says which, why, and what to do."""


class Step(NamedTuple):
    """One thing that the service needs."""

    what: str  # in words
    how: str  # as one would type it
    is_done: Callable[[], bool]
    do: Callable[[], None]


def _program(command: list[str], text: str) -> None:
    """Run a system program. Raises InstallationError with the program's own words."""
    line = shlex.join(command)
    try:
        done = subprocess.run(  # noqa: S603 - the programs are named below
            command, input=text, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallationError(f"{line}: {error}") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or _("exit status {status}").format(
            status=done.returncode
        )
        raise InstallationError(f"{line}: {said}")


@dataclass(frozen=True)
class Machine:
    """Where faxdrop is installed, and how programs are run; tests bring their own machine."""

    prefix: Path = Path(sys.prefix)  # the environment that faxdrop is installed in
    run: Callable[[list[str], str], None] = _program

    @property
    def program(self) -> Path:
        """What the unit starts."""
        return self.prefix / "bin/faxdrop"


def steps(config: Path, root: Path, machine: Machine) -> list[Step]:
    """Return the steps that the service needs before its config and its token."""
    return [
        _readable(machine),
        _user(machine),
        _folders(root, machine),
        _link(machine),
        _unit(config, machine),
        *_drop_in(config, root, machine),
    ]


def opened(config: Path) -> Step:
    """Return the step that lets the service read an existing config, whoever wrote it."""

    def is_done() -> bool:
        status = config.stat()
        return status.st_gid == gid_of(place.SERVICE_USER) and bool(status.st_mode & stat.S_IRGRP)

    def do() -> None:
        os.chown(config, -1, gid_of(place.SERVICE_USER) or 0)
        config.chmod(0o640)

    file = shlex.quote(str(config))
    return Step(
        _("the service may read {config}").format(config=config),
        f"chgrp {place.SERVICE_USER} {file} && chmod 640 {file}",
        is_done,
        do,
    )


def start(config: Path, machine: Machine, *, anew: bool) -> Step:
    """Return the last step. ``anew``: the running version is older than the installed one."""
    unit = str(place.unit_of(config))

    def asked(question: str) -> bool:
        try:
            machine.run(["systemctl", question, "--quiet", unit], "")
        except InstallationError:
            return False
        return True

    def do() -> None:
        if anew:
            machine.run(["systemctl", "daemon-reload"], "")
        machine.run(["systemctl", "enable", unit], "")
        machine.run(["systemctl", "restart" if anew else "start", unit], "")

    how = f"systemctl enable --now {unit}"
    if anew:
        how = f"systemctl daemon-reload && systemctl enable {unit} && systemctl restart {unit}"
    return Step(
        _("{unit} runs, and starts at boot").format(unit=unit),
        how,
        lambda: not anew and asked("is-enabled") and asked("is-active"),
        do,
    )


def has_systemd() -> bool:
    """Return whether systemd runs this machine (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def hidden(prefix: Path) -> str:
    """Return why a service could not start the program installed there; "" if it could."""
    if any(prefix.is_relative_to(folder) for folder in ("/home", "/root", "/tmp", "/var/tmp")):  # noqa: S108
        return _("A service cannot see what is in {prefix}.").format(prefix=prefix)
    for folder in prefix.parents:
        if not folder.stat().st_mode & stat.S_IXOTH:
            return _("{folder} keeps the service out of {prefix}.").format(
                folder=folder, prefix=prefix
            )
    return ""


# -- the steps -------------------------------------------------------------------------------


def _readable(machine: Machine) -> Step:
    """Make the program readable for the service, whatever root's umask was at installation."""
    prefix = machine.prefix

    def closed() -> Iterator[tuple[Path, int]]:
        for folder, _folders, names in os.walk(prefix):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                mode = path.lstat().st_mode
                wanted = mode | 0o444 | (0o111 if stat.S_ISDIR(mode) or mode & 0o100 else 0)
                if wanted != mode and not stat.S_ISLNK(mode):
                    yield path, stat.S_IMODE(wanted)

    def do() -> None:
        for path, mode in closed():
            path.chmod(mode)

    return Step(
        _("everybody can read the program"),
        f"chmod -R a+rX {shlex.quote(str(prefix))}",
        lambda: next(closed(), None) is None,
        do,
    )


def _user(machine: Machine) -> Step:
    name = place.SERVICE_USER
    command = ["systemd-sysusers", str(machine.prefix / "lib/sysusers.d/faxdrop.conf")]
    return Step(
        _("the user and the group {name}").format(name=name),
        shlex.join(command),
        lambda: uid_of(name) is not None and gid_of(name) is not None,
        lambda: machine.run(command, ""),
    )


def _folders(root: Path, machine: Machine) -> Step:
    """Make the folders of the tmpfiles.d file, at the place of the root."""
    shipped = (machine.prefix / "lib/tmpfiles.d/faxdrop.conf").read_text("utf-8")
    lines = [line.split(None, 2) for line in shipped.splitlines() if line[:2] in ("d ", "a ")]
    wanted = [(kind, _moved(Path(path), root), rest) for kind, path, rest in lines]

    def missing() -> list[str]:
        return [
            f'{kind} "{_escaped(path)}" {rest}'
            for kind, path, rest in wanted
            if _lacks(kind, path, path == place.ETC)
        ]

    return Step(
        _("{folder} and {root}, with inbox, sent and failed").format(folder=place.ETC, root=root),
        "systemd-tmpfiles --create -  (group faxdrop, modes, access lists)",
        lambda: not missing(),
        lambda: machine.run(
            ["systemd-tmpfiles", "--create", "-"], "".join(f"{line}\n" for line in missing())
        ),
    )


def _moved(path: Path, root: Path) -> Path:
    """Return where a path of the tmpfiles.d file lies on this machine."""
    if path == _SHIPPED_ETC:
        return place.ETC
    return root / path.relative_to(_SHIPPED_ROOT)


def _escaped(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _lacks(kind: str, path: Path, group_only: bool) -> bool:  # noqa: FBT001
    """Return whether a folder, or its access list, has yet to be made.

    The service cannot work in a folder that belongs to root: somebody has just made it, or it is a
    disk that was just mounted. If anybody else owns it, that is on purpose.
    """
    try:
        status = path.stat()
    except OSError:
        return True
    user = uid_of(place.SERVICE_USER)
    if kind == "d" and group_only:
        return status.st_gid != gid_of(place.SERVICE_USER)
    if kind == "d":
        return status.st_uid == 0 != user
    if status.st_uid not in (0, user):
        return False
    try:
        os.getxattr(path, "system.posix_acl_default")
    except OSError as error:
        return error.errno == errno.ENODATA  # and not: this file system has none
    return False


def _link(machine: Machine) -> Step:
    def is_done() -> bool:
        return LINK.exists()  # which no link is that leads nowhere

    def do() -> None:
        LINK.parent.mkdir(parents=True, exist_ok=True)
        LINK.unlink(missing_ok=True)
        LINK.symlink_to(machine.program)

    stays = ""
    if is_done() and LINK.resolve() != machine.program.resolve():
        stays = " " + _("(another program has that name, and stays)")
    return Step(
        _("faxdrop is a command: {link}").format(link=LINK) + stays,
        f"ln -s {shlex.quote(str(machine.program))} {LINK}",
        is_done,
        do,
    )


def _unit(config: Path, machine: Machine) -> Step:
    name = "faxdrop.service" if config == place.DEFAULT_PATH else "faxdrop@.service"
    shipped = machine.prefix / "lib/systemd/system" / name
    link = place.UNITS / name

    def do() -> None:
        if link.is_symlink() and not link.exists():
            link.unlink()  # to an installation that is gone; systemctl would not replace it
        machine.run(["systemctl", "link", str(shipped)], "")
        machine.run(["systemctl", "daemon-reload"], "")

    return Step(
        _("systemd knows {name}").format(name=name),
        f"systemctl link {shlex.quote(str(shipped))}",
        lambda: place.installed_unit(config) is not None,
        do,
    )


def _drop_in(config: Path, root: Path, machine: Machine) -> Iterator[Step]:
    """Write a drop-in for a root or a program in another place."""
    text = units.drop_in(config, root, machine.program)
    path = units.drop_in_path(config)
    header = _HEADER.format(unit=place.unit_of(config))

    def found() -> str | None:
        try:
            return path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def do() -> None:
        if not (found() or header).startswith(header):
            raise InstallationError(
                _(
                    "{path} was not written by faxdrop. Put this into it:\n{text}then run: "
                    "systemctl daemon-reload"
                ).format(path=path, text=text)
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o755)
        path.write_text(header + text, "utf-8")
        path.chmod(0o644)
        machine.run(["systemctl", "daemon-reload"], "")

    if text or found() is not None:
        yield Step(
            _("the unit may write to {root}").format(root=root),
            f"{path}:\n{text}".rstrip(),
            lambda: found() == header + text,
            do,
        )
