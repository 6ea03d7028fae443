"""What systemd knows about faxdrop's unit, and the drop-in that adapts it to a machine."""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from faxdrop.config import place
from faxdrop.words import _

PROGRAM: Final = Path("/opt/faxdrop/bin/faxdrop")  # what the shipped units start
_ASKED = ("LoadState", "ReadWritePaths", "ProtectHome", "User", "NeedDaemonReload", "UnitFileState")
_HOMES = ("/home", "/root", "/run/user")  # what ProtectHome= hides
_WITHIN = 10.0  # seconds for systemd to answer


class Unit(NamedTuple):
    """A unit that systemd has loaded."""

    name: str  # as one types it: faxdrop, faxdrop@berlin
    writable: tuple[str, ...]
    homes: bool  # it sees /home
    user: str
    is_stale: bool  # its files have changed since systemd read them
    at_boot: bool  # it is started when the machine is

    def may_write(self, root: Path) -> bool:
        """Return whether a root is within what the unit may write to."""
        above = {str(root), *map(str, root.parents)} - {"/"}
        return bool(above & set(self.writable)) and (self.homes or not _is_home(root))


def ask(config: Path) -> Unit | None:
    """Return the unit of a config; None if there is none, or no systemd."""
    name = place.installed_unit(config)
    if name is None:
        return None
    command = ["systemctl", "show", f"--property={','.join(_ASKED)}", "--", name]
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program; the name is checked
            command, capture_output=True, text=True, check=False, timeout=_WITHIN
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return read(name, done.stdout)


def read(name: str, shown: str) -> Unit | None:
    """Return the unit that ``systemctl show`` describes."""
    said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if said.get("LoadState") != "loaded":
        return None
    writable = tuple(path.lstrip("+-") for path in said.get("ReadWritePaths", "").split())
    return Unit(
        name=name,
        writable=writable,
        homes=said.get("ProtectHome", "no") == "no",
        user=said.get("User", ""),
        is_stale=said.get("NeedDaemonReload") == "yes",
        at_boot=said.get("UnitFileState", "").startswith("enabled"),
    )


def running_secrets(unit: str) -> dict[str, str]:
    """Return the copies of the token that a running unit was given; {} unless we are root."""
    return contents(
        {name: Path(f"/run/credentials/{unit}.service", name) for name in ("TOKEN_ID", "TOKEN")}
    )


def contents(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the contents of those files that can be read."""
    found = {}
    for name, path in files.items():
        try:
            found[name] = path.read_text("utf-8").strip()
        except (OSError, ValueError):
            continue
    return found


def drop_in(config: Path, root: Path, program: Path) -> str:
    """Return the drop-in for a root or a program in another place; "" if none is needed.

    Raises ValueError for a root that cannot be written in a unit.
    """
    unit: list[str] = []
    service: list[str] = []
    if root != place.root_of(config):
        path = _quoted(root)
        unit = [f"Description=Fax the PDFs that are dropped into {_percent(root)}"]
        unit += [f"RequiresMountsFor={path}"]
        # The empty lines take back what the unit says: it need not be there.
        service = ["ReadWritePaths=", f"ReadWritePaths={path}"]
        service += ["NoExecPaths=", f"NoExecPaths={path} /tmp /var/tmp"]
        if _is_home(root):
            service += ["ProtectHome=no"]
    if program != PROGRAM:
        faxdrop = f"{_quoted(program)} --config {_quoted(config)}"
        service += ["ExecStart=", f"ExecStart={faxdrop} run"]
        service += ["ExecStopPost=", f"ExecStopPost=-{faxdrop} status --page"]
    sections = (("Unit", unit), ("Service", service))
    return "\n".join(
        f"[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections if lines
    )


def drop_in_path(config: Path) -> Path:
    """Return the path of the drop-in."""
    return place.UNITS / f"{place.unit_of(config)}.service.d" / "place.conf"


def no_place(root: Path) -> str:
    """Return why no service can have its root there; "" if one can."""
    if why := _unspeakable(root):
        return why
    for place_ in ("/tmp", "/var/tmp", "/proc", "/sys", "/dev", "/run", "/etc", "/usr", "/boot"):  # noqa: S108
        if root.is_relative_to(place_):
            return _("a service's files in {place} do not last").format(place=place_)
    return ""


def _unspeakable(path: Path) -> str:
    if str(path).isprintable() and not set(str(path)) & set("\"'\\"):
        return ""
    return _("systemd allows no quotes, backslashes or control characters in a path")


def _is_home(root: Path) -> bool:
    return any(root.is_relative_to(home) for home in _HOMES)


def _percent(path: Path) -> str:
    return str(path).replace("%", "%%")  # systemd's own use of it


def _quoted(path: Path) -> str:
    if why := _unspeakable(path):
        raise ValueError(why)
    text = _percent(path)
    return f'"{text}"' if shlex.quote(str(path)) != str(path) else text
