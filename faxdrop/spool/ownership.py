"""Who owns the folders: a command that root starts acts as that user.

The daemon could not read a record that root wrote, and what root may do proves nothing about the
daemon's rights.
"""

import grp
import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = 0


def owner_of(folder: Path) -> str:
    """Return the name of a folder's owner, or its number where it has no name. Raises OSError."""
    return name_of(folder.stat().st_uid)


def name_of(uid: int) -> str:
    """Return a user's name, or the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def caller(environ: Mapping[str, str]) -> str:
    """Return the name of the person who calls a command, also behind sudo(8)."""
    return environ.get("SUDO_USER") or name_of(os.getuid())


def group_name(gid: int) -> str:
    """Return a group's name, or the number where there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def uid_of(name: str) -> int | None:
    """Return a user's number, None where there is no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid_of(name: str) -> int | None:
    """Return a group's number, None where there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def refuses_root(root: Path) -> str | None:
    """Return the owner if it is not root: the owner could not read what root writes there."""
    if os.geteuid() != ROOT or not root.exists():
        return None
    uid = root.stat().st_uid
    return None if uid == ROOT else name_of(uid)


@contextmanager
def acting_as_owner(folder: Path) -> Iterator[str]:
    """Act with the rights of a folder's owner, if we are root; yield the user whose rights we have.

    For every other user, and if the folder is not there, nothing changes.
    """
    if os.geteuid() != ROOT or not folder.exists() or folder.stat().st_uid == ROOT:
        yield name_of(os.geteuid())
        return
    status = folder.stat()
    groups, group = os.getgroups(), os.getegid()
    name = name_of(status.st_uid)
    os.setgroups(os.getgrouplist(name, status.st_gid) if not name.isdigit() else [status.st_gid])
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        yield name
    finally:
        os.seteuid(ROOT)
        os.setegid(group)
        os.setgroups(groups)
