"""The set-up: writes the first config, makes the folders, and stores the token.

Nothing that exists is changed or overwritten: a file that exists already is an error, folders are
made if they are missing, and a ``.env`` that has the token already is used as it is. The config
comes last, so if there is one, everything is there.
"""

import os
import pwd
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from faxdrop.config import credentials
from faxdrop.config.load import load
from faxdrop.config.place import SERVICE_USER, command, secret_files, unit_of
from faxdrop.config.problems import ConfigError, toml
from faxdrop.config.settings import Config
from faxdrop.setup import units
from faxdrop.spool.home import home_of
from faxdrop.spool.ownership import name_of
from faxdrop.spool.sharing import share
from faxdrop.words import SOURCE, _, language

_SHARED = 0o2770  # people of the group drop and fetch; new files belong to the group
_TOP = 0o2750  # and change nothing above that
_OURS = 0o700
_PREAMBLE = (
    "# faxdrop's settings. config.example.toml has all the others, with what holds where nothing\n"
    "# is set. After a change: {check}\n"
)


class InitError(Exception):
    """A file exists already, or a user does not exist; the text says what to do."""


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


_SAMPLE = Answers(  # right in all; what is asked for takes the place of one of them
    Path("/srv/fax"), "A", "+492111234567", "f0", secrets={"TOKEN_ID": "token-A", "TOKEN": "A"}
)


@dataclass(frozen=True)
class Owner:
    """The owner of everything that is made; -1: whoever makes it."""

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
            raise InitError(
                _("Only root can give files to another user: leave out --owner, or use sudo.")
            )
        return Owner()
    try:
        user = pwd.getpwnam(name or SERVICE_USER)
    except KeyError:
        if name is None:
            return Owner()
        raise InitError(_("This machine has no user {name}.").format(name=name)) from None
    return Owner(user.pw_uid, user.pw_gid)


def stored(config: Path, *, service: bool) -> dict[str, str]:
    """Return the secrets that are stored already, where ``write`` would store them.

    For the service also what a .env has, and perhaps only one of the two. Raises InitError where a
    .env that would have to be written is there, without the token.
    """
    dotenv = config.parent / ".env"
    files = secret_files(config) if service else {}
    values = credentials.find({}, dotenv, files).values
    found = {name: values[name] for name in secret_files(config) if name in values}
    if len(found) < len(secret_files(config)) and not service and os.path.lexists(dotenv):
        raise InitError(
            _(
                "{dotenv} exists already, and faxdrop overwrites nothing: put TOKEN_ID and TOKEN "
                "into it, or remove it."
            ).format(dotenv=dotenv)
        )
    return found


def config_text(answers: Answers, path: Path, *, service: bool = False) -> str:
    """Return the text of the config for ``path``."""
    then = command("check", path)
    if service:
        then = f"sudo {then} && sudo systemctl reload {unit_of(path)}"
    lines = [
        _PREAMBLE.replace("{check}", then),
        f"root = {toml(str(answers.root))}",
        f"region = {toml(answers.region)}",
        *([f"language = {toml(language())}"] if language() != SOURCE else []),
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


def fault(**answer: Any) -> str:
    """Return what would be right if an answer makes the config wrong; "" if it does not."""
    try:
        checked(replace(_SAMPLE, **answer))
    except ConfigError as error:
        return error.problems[0].remedy
    return ""


def root_fault(root: Path, *, service: bool) -> str:
    """Return why a folder cannot be the root; "" if it can."""
    if wrong := fault(root=root):
        return _("It must be {wrong}.").format(wrong=wrong)
    if service and (why := units.no_place(root)):
        return _("It must be another folder: {why}.").format(why=why)
    there = next(path for path in (root, *root.parents) if os.path.lexists(path))
    if not there.is_dir():
        return _("{there} is not a folder.").format(there=there)
    owner = name_of(there.stat().st_uid)
    if service and there == root and owner not in ("root", SERVICE_USER):
        return _(
            "{root} belongs to {owner}; the service runs as {user} and needs its own folder."
        ).format(root=root, owner=owner, user=SERVICE_USER)
    return ""


def write(config: Path, answers: Answers, owner: Owner, *, service: bool) -> list[Path]:
    """Make folders and files; return what was made. Raises InitError, ConfigError and OSError.

    The installation has made the service's folders before.
    """
    if os.path.lexists(config):
        raise already(config)
    checked(answers)
    made: list[Path] = []
    if not service:
        _make_folder(answers.root, _TOP, owner, made)
        for name in ("inbox", "sent", "failed", f"inbox/{answers.name}"):
            _make_folder(answers.root / name, _SHARED, owner, made, shared="/" not in name)
        _make_folder(home_of(answers.root), _OURS, owner, made)
        # What root adds here later belongs to the group, too: chmod o-r does not lock us out.
        _make_folder(config.parent, 0o2750, owner, made, group_only=True)
    if service:
        made += store(config, answers.secrets)
    elif not stored(config, service=False):
        dotenv = config.parent / ".env"
        lines = (f"{name}={_quoted(answers.secrets[name])}\n" for name in ("TOKEN_ID", "TOKEN"))
        _make_file(dotenv, "".join(lines), 0o600, made)
        owner.takes(dotenv)
    _make_file(config, config_text(answers, config, service=service), 0o640, made)
    owner.takes(config, group_only=True)
    return made


def store(config: Path, secrets: Mapping[str, str]) -> list[Path]:
    """Write the secrets to the files that the unit loads, if they are missing; return which."""
    made: list[Path] = []
    for name, path in secret_files(config).items():
        text = f"{secrets[name]}\n"
        if not os.path.lexists(path):
            _make_file(path, text, 0o600, made)
        elif not path.stat().st_size:
            path.write_text(text, "utf-8")
            made.append(path)
    return made


def already(config: Path) -> InitError:
    """Return the refusal to overwrite a config."""
    return InitError(
        _(
            "{config} exists already, and faxdrop overwrites nothing. Edit it, then run: {command}"
        ).format(config=config, command=command("check", config))
    )


def _quoted(secret: str) -> str:
    """Return a value quoted so that a .env keeps it unchanged."""
    plain = secret.replace("-", "").replace("_", "").isalnum()
    escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
    return secret if plain else f"'{escaped}'"


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
