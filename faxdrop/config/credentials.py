"""Where the secrets are found: the environment, systemd's credentials, files beside the config.

They have the names of sipgate's own example, so that its ``.env`` works as it is. Beside the config
lies that file, or the two files that the service's unit loads. The first place that has a secret
counts. Nothing here puts a secret anywhere but into what it returns.
"""

import contextlib
import grp
import io
import os
import pwd
import shlex
import stat
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from dotenv.parser import parse_stream

from faxdrop.config.place import SERVICE_USER, secret_files
from faxdrop.config.problems import CLOSED, EMPTY, MISSING, NOT_SHOWN, Problem
from faxdrop.spool.ownership import group_name, name_of
from faxdrop.words import _, of_system

NAMES = ("TOKEN_ID", "TOKEN", "FAXLINE_ID", "BASE_URL", "HEARTBEAT_URL")


class Found(NamedTuple):
    """What was found, and what is wrong with it. Its values are secret: never show one."""

    values: dict[str, str]
    problems: tuple[Problem, ...]
    closed: bool = False  # a file may not be read: it may hold what was not found

    def __repr__(self) -> str:
        return f"Found(values={sorted(self.values)}, problems={self.problems})"

    def missing(self, name: str, dotenv: Path) -> tuple[Problem, ...]:
        """Return the problem that a name was not found, unless it already has one."""
        known = name in self.values or any(problem.key == name for problem in self.problems)
        if known or self.closed:
            return ()
        return (
            Problem(
                name,
                MISSING,
                _(
                    "set {name} in the environment, as a systemd credential "
                    "(LoadCredential={name}:FILE), or in {dotenv}"
                ).format(name=name, dotenv=dotenv),
            ),
        )


def find(
    environ: Mapping[str, str],
    dotenv: Path,
    files: Mapping[str, Path] | None = None,
    names: Collection[str] = NAMES,
) -> Found:
    """Look for each of the names. ``environ`` is only read; an empty value counts as missing.

    ``files`` are those that hold one secret each. They belong to root: a missing permission matters
    only if the secret is nowhere else.
    """
    values: dict[str, str] = {}
    problems: list[Problem] = []
    beside, hidden = _beside(files or {})
    places = [(environ, _("the environment")), _credentials(environ, problems, names)]
    places += [({name: text}, str((files or {})[name])) for name, text in beside.items()]
    places.append(_dotenv(dotenv, problems))
    is_closed = any(problem.value == CLOSED for problem in problems)
    for name in names:
        for place, where in places:
            if value := place.get(name, "").strip():
                if problem := _fault(name, value, where):
                    problems.append(problem)
                else:
                    values[name] = value
                break
        else:
            if name in hidden:
                problems.append(hidden[name])
    return Found(values, tuple(problems), is_closed)


def files_of(config: Path) -> tuple[Path, ...]:
    """Return the files beside a config in which its secrets may lie."""
    return (*secret_files(config).values(), config.parent / ".env")


class Watch:
    """Notices when files with secrets are replaced, even files that only root may read."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = tuple(files)
        self._known = self._look()

    def has_changed(self) -> bool:
        """Return whether a file is new or has changed since the last call."""
        now = self._look()
        # A file that is gone or empty is just being written, or was taken away: no change yet.
        news = {path: mark for path, mark in now.items() if self._known.get(path) != mark}
        self._known |= now
        return bool(news)

    def _look(self) -> dict[Path, tuple[int, int, int]]:
        found = {}
        for path in self._files:
            with contextlib.suppress(OSError):
                status = path.stat()
                if status.st_size:
                    found[path] = (status.st_ino, status.st_size, status.st_ctime_ns)
        return found


def open_to_others(path: Path) -> bool:
    """Return whether everybody on this machine may read a file: no folder above prevents it."""
    try:
        real = path.resolve()
        return bool(real.stat().st_mode & stat.S_IROTH) and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in real.parents
        )
    except OSError:
        return False


def permitting(path: Path, root: Path, *, secret: bool) -> str:
    """Return the command that lets the owner of the folders, but not everybody, read a file.

    A ``secret`` is for that user alone: the group are the people who may fax.
    """
    user, group = _owner(root)
    file = shlex.quote(str(path))
    if secret:
        return f"chown {user} {file} && chmod 600 {file}"
    return f"chgrp {group} {file} && chmod 640 {file}"


def _owner(root: Path) -> tuple[str, str]:
    """Return who owns the folders, or will, and which group to name for that user."""
    try:
        status = root.stat()
        user = pwd.getpwuid(status.st_uid)
    except (OSError, KeyError):
        return _service_user()
    # People may have given the folders to a group that the user is not a member of.
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    gid = status.st_gid if status.st_gid in groups else user.pw_gid
    return user.pw_name, group_name(gid)


def _service_user() -> tuple[str, str]:
    """Return the service's user and group if they exist, else our own."""
    try:
        user = pwd.getpwnam(SERVICE_USER)
        return user.pw_name, grp.getgrgid(user.pw_gid).gr_name
    except KeyError:
        return name_of(os.geteuid()), group_name(os.getegid())


def _fault(name: str, value: str, where: str) -> Problem | None:
    if value.upper().startswith("YOUR_"):
        return Problem(
            name,
            value if value.replace("_", "").isalpha() else NOT_SHOWN,
            _(
                "replace the placeholder in {where} by your own (create tokens at "
                "https://app.sipgate.com, personal access tokens)"
            ).format(where=where),
        )
    if name.startswith("NOTIFY_") and value.isprintable() and " " not in value:
        return None
    # The token travels in an HTTP header, where its id ends at the first colon.
    if not value.isascii() or not value.isprintable() or " " in value:
        return Problem(
            name,
            NOT_SHOWN,
            _("write it in {where} without blanks and special characters").format(where=where),
        )
    if name == "HEARTBEAT_URL" and not _is_address(value):
        return Problem(
            name,
            NOT_SHOWN,
            _("write a whole http or https address in {where}, without a #").format(where=where),
        )
    if name == "TOKEN_ID" and ":" in value:
        return Problem(
            name,
            NOT_SHOWN,
            _("write only the id in {where}, the token as TOKEN").format(where=where),
        )
    return None


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError if it is not a port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "#" not in url


def _beside(files: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, Problem]]:
    """Read files that hold one secret each; for unreadable ones return what to do."""
    values: dict[str, str] = {}
    hidden: dict[str, Problem] = {}
    for name, path in files.items():
        try:
            values[name] = path.read_text("utf-8")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            hidden[name] = Problem(name, _not_read(error), unreadable(path, error))
        else:
            if not values[name].strip():
                hidden[name] = Problem(
                    name, EMPTY, _("write it into {path}, which is empty").format(path=path)
                )
    return values, hidden


def _not_read(error: OSError | ValueError) -> str:
    return CLOSED if isinstance(error, PermissionError) else NOT_SHOWN


def unreadable(path: Path, error: OSError | ValueError) -> str:
    """Return why a file was not read, and what to do."""
    if not isinstance(error, PermissionError):
        return _("{path} cannot be read: {why}").format(path=path, why=_why(error))
    user = name_of(os.geteuid())
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return _("{user} may not look into {folder}: put sudo before the command").format(
                user=user, folder=folder
            )
    return _("{path} exists, but {user} may not read it: put sudo before the command").format(
        path=path, user=user
    )


def _credentials(
    environ: Mapping[str, str], problems: list[Problem], names: Collection[str]
) -> tuple[dict[str, str], str]:
    """Read systemd's credentials, in capitals or small letters (systemd.exec(5), CREDENTIALS)."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    values: dict[str, str] = {}
    for name in names if folder else ():
        for spelling in (name.lower(), name):
            try:
                values[name] = Path(folder or "", spelling).read_text("utf-8")
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                problems.append(
                    Problem(
                        name,
                        NOT_SHOWN,
                        _("make {folder}/{spelling} readable: {why}").format(
                            folder=folder, spelling=spelling, why=_why(error)
                        ),
                    )
                )
    return values, _("the credentials in {folder}").format(folder=folder)


def _dotenv(path: Path, problems: list[Problem]) -> tuple[dict[str, str], str]:
    """Read a .env file without touching our environment; a ``$`` is a plain character."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, ValueError) as error:
        problems.append(Problem(str(path), _not_read(error), unreadable(path, error)))
        text = ""
    values: dict[str, str] = {}
    for line in parse_stream(io.StringIO(text)):
        if line.error:
            remedy = _('write line {line} as NAME="value", with nothing behind it').format(
                line=line.original.line
            )
            problems.append(Problem(str(path), NOT_SHOWN, remedy))
        elif line.key is not None:
            values[line.key] = line.value or ""
    return values, str(path)


def _why(error: OSError | ValueError) -> str:
    """Return the system's message without the content that it was reading."""
    return of_system(error) if isinstance(error, OSError) else _("not UTF-8 text")
