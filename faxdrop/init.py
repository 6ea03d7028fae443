"""The beginning: writes the first config, makes the folders, and stores the token.

Nothing that is there is changed or overwritten: each file is made or it is an error, folders are
made where they are missing, and a ``.env`` that has the token already is used as it is. The config
comes last, so where there is one, everything is there.
"""

import os
import pwd
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from faxdrop import credentials
from faxdrop.config import command, load
from faxdrop.problems import toml
from faxdrop.settings import Config
from faxdrop.sharing import share

SERVICE_ROOT = Path("/srv/fax")  # what the systemd unit may write to
SERVICE_USER = "faxdrop"  # whom the sysusers.d file makes

_SHARED = 0o2770  # people of the group drop and fetch; new files belong to the group
_TOP = 0o2750  # and change nothing above that
_OURS = 0o700
_PREAMBLE = (
    "# faxdrop's settings. config.example.toml has all the others, with what holds where nothing\n"
    "# is set. After a change: {check}, then systemctl reload faxdrop.\n"
)


class InitError(Exception):
    """There is something already, or somebody is not there; the text says what to do."""


@dataclass(frozen=True)
class Answers:
    """What the dialogue, or the flags, came to."""

    root: Path
    name: str  # of the first recipient
    number: str
    faxline: str
    region: str = "DE"
    base_url: str | None = None  # None: sipgate's
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)  # TOKEN_ID, TOKEN


@dataclass(frozen=True)
class Owner:
    """Whom everything is to belong to; nobody in particular: to whoever makes it."""

    uid: int = -1
    gid: int = -1

    def takes(self, path: Path, *, group_only: bool = False) -> None:
        """Give a file or folder to the owner."""
        if self.gid >= 0:
            os.chown(path, -1 if group_only else self.uid, self.gid)


def owner_called(name: str | None) -> Owner:
    """Return the owner of that name; without one, root makes everything for the service's user.

    Raises InitError.
    """
    if os.geteuid() != 0:
        if name is not None:
            raise InitError("Only root can give files to somebody: leave --owner out, or use sudo.")
        return Owner()
    try:
        user = pwd.getpwnam(name or SERVICE_USER)
    except KeyError:
        if name is None:
            return Owner()
        raise InitError(f"There is no user {name} on this machine.") from None
    return Owner(user.pw_uid, user.pw_gid)


def secret_files(config: Path, *, service: bool) -> dict[str, Path]:
    """Return where to store each secret: for the service, in a file each that its unit loads."""
    if not service:
        return dict.fromkeys(("TOKEN_ID", "TOKEN"), config.parent / ".env")
    prefix = "" if config.stem == "config" else f"{config.stem}."
    return {name: config.parent / f"{prefix}{name.lower()}" for name in ("TOKEN_ID", "TOKEN")}


def stored(config: Path, *, service: bool) -> dict[str, str]:
    """Return the secrets that are stored already, where ``write`` would store them.

    Raises InitError where there is a file, and not all of them are in it.
    """
    files = secret_files(config, service=service)
    there = sorted({str(path) for path in files.values() if os.path.lexists(path)})
    if not there:
        return {}
    if service:
        values = {name: _content(path) for name, path in files.items()}
        found = {name: value for name, value in values.items() if value}
    else:
        values = credentials.find({}, config.parent / ".env").values
        found = {name: values[name] for name in files if name in values}
    if len(found) < len(files):
        raise InitError(
            f"{' and '.join(there)} is there already, and nothing is ever overwritten: put "
            "TOKEN_ID and TOKEN into it, or remove it."
        )
    return found


def config_text(answers: Answers, path: Path) -> str:
    """Return the config that is to lie at ``path``."""
    lines = [
        _PREAMBLE.replace("{check}", command("check", path)),
        f"root = {toml(str(answers.root))}",
        f"region = {toml(answers.region)}",
        "",
        "[sipgate]",
        f"faxline = {toml(answers.faxline)}",
    ]
    if answers.base_url is not None:
        lines.append(f"base_url = {toml(answers.base_url)}")
    lines += ["", "[recipients]", f"{toml(answers.name)} = {toml(answers.number)}", ""]
    return "\n".join(lines)


def checked(answers: Answers) -> Config:
    """Return the config that the answers make. Raises ConfigError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_text(config_text(answers, path), "utf-8")
        return load(path, answers.secrets)


def write(config: Path, answers: Answers, owner: Owner, *, service: bool) -> list[Path]:
    """Make folders and files; return what was made. Raises InitError, ConfigError and OSError."""
    if os.path.lexists(config):
        raise already(config)
    checked(answers)
    is_stored = bool(stored(config, service=service))
    made: list[Path] = []
    _make_folder(answers.root, _TOP, owner, made)
    for name in ("inbox", "sent", "failed", f"inbox/{answers.name}"):
        _make_folder(answers.root / name, _SHARED, owner, made, shared="/" not in name)
    _make_folder(answers.root / ".faxdrop", _OURS, owner, made)
    # What root adds here later belongs to the group, too: chmod o-r does not lock us out.
    _make_folder(config.parent, 0o2750, owner, made, group_only=True)
    if not is_stored:
        _store(config, answers.secrets, owner, made, service=service)
    _make_file(config, config_text(answers, config), 0o640, made)
    owner.takes(config, group_only=True)
    return made


def already(config: Path) -> InitError:
    """Return the refusal to overwrite a config."""
    return InitError(
        f"{config} is there already, and nothing is ever overwritten. Edit it, and then run: "
        f"{command('check', config)}"
    )


def _store(
    config: Path, secrets: Mapping[str, str], owner: Owner, made: list[Path], *, service: bool
) -> None:
    texts: dict[Path, str] = {}
    for name, path in secret_files(config, service=service).items():
        line = secrets[name] if service else f"{name}={_quoted(secrets[name])}"
        texts[path] = texts.get(path, "") + f"{line}\n"
    for path, text in texts.items():
        _make_file(path, text, 0o600, made)
        if not service:  # systemd reads those of the service, as root
            owner.takes(path)


def _quoted(secret: str) -> str:
    """Return a value as a .env takes it for what it is."""
    plain = secret.replace("-", "").replace("_", "").isalnum()
    escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
    return secret if plain else f"'{escaped}'"


def _content(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def _make_folder(
    path: Path,
    mode: int,
    owner: Owner,
    made: list[Path],
    *,
    group_only: bool = False,
    shared: bool = False,
) -> None:
    if path.is_dir():
        return
    if not path.parent.is_dir():
        _make_folder(path.parent, 0o755, Owner(), made)
    path.mkdir()
    made.append(path)
    owner.takes(path, group_only=group_only)
    if shared:
        share(path)
    path.chmod(mode)  # whatever the umask is; after the owner, whose change takes the setgid bit


def _make_file(path: Path, text: str, mode: int, made: list[Path]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        os.fchmod(fd, mode)
    made.append(path)
