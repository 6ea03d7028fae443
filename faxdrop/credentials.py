"""Where the secrets are found: the environment, systemd's credentials, a .env file.

They go by the names of sipgate's own example, so that its ``.env`` works as it is. The first place
that has one is asked no further. Nothing here puts a secret anywhere but into what it returns.
"""

import grp
import io
import os
import pwd
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dotenv.parser import parse_stream

from faxdrop.problems import MISSING, NOT_SHOWN, Problem

NAMES = ("TOKEN_ID", "TOKEN", "FAXLINE_ID", "BASE_URL")

SIMULATED = {"TOKEN_ID": "token-FAXSIM", "TOKEN": "5f0fa5ed-0000-4000-8000-000000000000"}
"""What the simulator takes: it opens nothing, and has the form that sipgate's libraries ask for."""


class Found(NamedTuple):
    """What was found, and what is wrong with it. Its values are secret: never show one."""

    values: dict[str, str]
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"Found(values={sorted(self.values)}, problems={self.problems})"

    def missing(self, name: str, dotenv: Path) -> tuple[Problem, ...]:
        """Return the problem that a name is nowhere, unless it has a problem already."""
        if name in self.values or any(problem.key == name for problem in self.problems):
            return ()
        return (
            Problem(
                name,
                MISSING,
                f"set {name} in the environment, as a systemd credential "
                f"(LoadCredential={name}:FILE), or in {dotenv}",
            ),
        )


def find(environ: Mapping[str, str], dotenv: Path) -> Found:
    """Look for each of NAMES. ``environ`` is only read, and empty values count as none."""
    values: dict[str, str] = {}
    problems: list[Problem] = []
    places = [(environ, "the environment"), _credentials(environ, problems)]
    places.append(_dotenv(dotenv, problems))
    for name in NAMES:
        for place, where in places:
            if value := place.get(name, "").strip():
                if problem := _fault(name, value, where):
                    problems.append(problem)
                else:
                    values[name] = value
                break
    return Found(values, tuple(problems))


def open_to_others(path: Path) -> bool:
    """Tell whether everybody on this machine may read a file: no folder above keeps others out."""
    try:
        real = path.resolve()
        return bool(real.stat().st_mode & stat.S_IROTH) and all(
            folder.stat().st_mode & stat.S_IXOTH for folder in real.parents
        )
    except OSError:
        return False


def permitting(path: Path, root: Path, *, secret: bool) -> str:
    """Return the command that lets the owner of the folders read a file, and not everybody.

    A ``secret`` is for that user alone: the group are the people who may fax.
    """
    user, group = _owner(root)
    file = shlex.quote(str(path))
    if secret:
        return f"chown {user} {file} && chmod 600 {file}"
    return f"chgrp {group} {file} && chmod 640 {file}"


def _owner(root: Path) -> tuple[str, str]:
    """Return whose the folders are, and which group to name for that user; systemd's by default."""
    try:
        status = root.stat()
        user = pwd.getpwuid(status.st_uid)
    except (OSError, KeyError):
        return "faxdrop", "faxdrop"
    # People may have given the folders to a group in which the user is not.
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    gid = status.st_gid if status.st_gid in groups else user.pw_gid
    try:
        return user.pw_name, grp.getgrgid(gid).gr_name
    except KeyError:
        return user.pw_name, str(gid)


def _fault(name: str, value: str, where: str) -> Problem | None:
    if value.upper().startswith("YOUR_"):
        return Problem(
            name,
            value if value.replace("_", "").isalpha() else NOT_SHOWN,
            f"put your own in the place of the placeholder in {where} (tokens are made at "
            "https://app.sipgate.com, personal access tokens)",
        )
    # The token travels in an HTTP header, its id ends at the first colon there.
    if not value.isascii() or not value.isprintable() or " " in value:
        return Problem(
            name, NOT_SHOWN, f"write it in {where} without blanks and special characters"
        )
    if name == "TOKEN_ID" and ":" in value:
        return Problem(name, NOT_SHOWN, f"write only the id in {where}, the token as TOKEN")
    return None


def _credentials(environ: Mapping[str, str], problems: list[Problem]) -> tuple[dict[str, str], str]:
    """Read systemd's credentials, in capitals or small letters (systemd.exec(5), CREDENTIALS)."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    values: dict[str, str] = {}
    for name in NAMES if folder else ():
        for spelling in (name.lower(), name):
            try:
                values[name] = Path(folder or "", spelling).read_text("utf-8")
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                problems.append(
                    Problem(name, NOT_SHOWN, f"make {folder}/{spelling} readable: {_why(error)}")
                )
    return values, f"the credentials in {folder}"


def _dotenv(path: Path, problems: list[Problem]) -> tuple[dict[str, str], str]:
    """Read a .env file without touching our environment; a ``$`` stands for itself."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, ValueError) as error:
        problems.append(Problem(str(path), NOT_SHOWN, f"make it readable: {_why(error)}"))
        text = ""
    values: dict[str, str] = {}
    for line in parse_stream(io.StringIO(text)):
        if line.error:
            remedy = f'write line {line.original.line} as NAME="value", with nothing behind it'
            problems.append(Problem(str(path), NOT_SHOWN, remedy))
        elif line.key is not None:
            values[line.key] = line.value or ""
    return values, str(path)


def _why(error: OSError | ValueError) -> str:
    """Return what the system says, without what it was reading."""
    return error.strerror or "it cannot be read" if isinstance(error, OSError) else "not UTF-8 text"
