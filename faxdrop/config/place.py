"""Where a faxdrop lives on this machine: its config, the files with its token, its systemd unit.

The config decides the service: ``/etc/faxdrop/config.toml`` is ``faxdrop``'s, and
``/etc/faxdrop/berlin.toml`` that of the instance ``faxdrop@berlin``. A config anywhere else belongs
to no unit.
"""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from faxdrop.words import N_

ETC: Final = Path("/etc/faxdrop")
DEFAULT_PATH: Final = ETC / "config.toml"
UNITS: Final = Path("/etc/systemd/system")  # the administrator's
SERVICE_ROOT: Final = Path("/srv/fax")  # the unit may write here; a drop-in may add more
SERVICE_USER: Final = "faxdrop"  # the sysusers.d file creates it
INSTANCE_REMEDY: Final = N_("letters, digits, - and _, such as berlin")

_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_UNIT_FOLDERS = (  # systemd.unit(5)
    str(UNITS),
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)


def config_of(instance: str) -> Path:
    """Return an instance's config. Raises ValueError for what cannot name one."""
    if not _INSTANCE.fullmatch(instance) or instance == DEFAULT_PATH.stem:
        raise ValueError(INSTANCE_REMEDY)
    return ETC / f"{instance}.toml"


def instance_of(config: Path) -> str | None:
    """Return the instance of a config; None for the plain service's and for any other config."""
    known = config.parent == ETC and config.suffix == ".toml" and config != DEFAULT_PATH
    return config.stem if known and _INSTANCE.fullmatch(config.stem) else None


def instances() -> list[str]:
    """Return the instances that have a config here."""
    return sorted(name for config in ETC.glob("*.toml") if (name := instance_of(config)))


def unit_of(config: Path) -> str | None:
    """Return the unit of a config, as one types it; None if it has none."""
    if config == DEFAULT_PATH:
        return "faxdrop"
    instance = instance_of(config)
    return None if instance is None else f"faxdrop@{instance}"


def installed_unit(config: Path) -> str | None:
    """Return the unit of a config if systemd can find it."""
    unit = unit_of(config.absolute())
    if unit is None:
        return None
    file = f"{unit.partition('@')[0]}@.service" if "@" in unit else f"{unit}.service"
    return unit if any(Path(folder, file).exists() for folder in _UNIT_FOLDERS) else None


def root_of(config: Path) -> Path:
    """Return the folder that the unit of a config may write to without a drop-in."""
    instance = instance_of(config)
    return SERVICE_ROOT if instance is None else SERVICE_ROOT / instance


def secret_files(config: Path) -> dict[str, Path]:
    """Return the files beside a config from which its unit loads the token."""
    prefix = "" if config.stem == DEFAULT_PATH.stem else f"{config.stem}."
    return {name: config.parent / f"{prefix}{name.lower()}" for name in ("TOKEN_ID", "TOKEN")}


def notify_files(config: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the files beside a config that may hold addresses of notices, by secret."""
    prefix = "" if config.stem == DEFAULT_PATH.stem else f"{config.stem}."
    return {
        f"NOTIFY_{name.upper()}": config.parent / f"{prefix}notify_{name.lower()}" for name in names
    }


def command(words: str, config: Path | None) -> str:
    """Return a command as one types it for a config (None: DEFAULT_PATH)."""
    if config in (None, DEFAULT_PATH):
        return f"faxdrop {words}"
    if instance := instance_of(config):
        return f"faxdrop --instance {instance} {words}"
    return f"faxdrop --config {shlex.quote(str(config))} {words}"


def starting(config: Path | None) -> str:
    """Return the command that starts the daemon: systemctl's if systemd knows the unit."""
    unit = installed_unit(config or DEFAULT_PATH)
    return command("run", config) if unit is None else f"systemctl start {unit}"
