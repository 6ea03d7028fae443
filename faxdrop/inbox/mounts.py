"""What kind of file system a folder is on, and whether inotify(7) hears everything there."""

import os
from pathlib import Path
from typing import NamedTuple

MOUNTINFO = Path("/proc/self/mountinfo")  # its fields: proc(5)
FSTAB = Path("/etc/fstab")  # fstab(5)
DEAF_RESCAN = 3.0  # seconds between scans where events do not tell everything

_LOCAL = frozenset(
    {"bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "jfs", "msdos"}
    | {"nilfs2", "ntfs", "ntfs3", "ramfs", "reiserfs", "tmpfs", "ubifs", "vfat", "xfs", "zfs"}
)
"""File systems that only this machine's kernel writes to. Of others (NFS, CIFS, FUSE, overlay and
what is yet to come) it is not known that their changes are all heard."""


class Mount(NamedTuple):
    """One line of mountinfo, as far as it matters here."""

    point: Path
    kind: str


def mounts(mountinfo: Path = MOUNTINFO) -> list[Mount]:
    """Return what is mounted, the later over the earlier; [] where /proc does not tell."""
    found = []
    try:
        lines = mountinfo.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    for line in lines:
        fields = line.split(" ")
        if "-" in fields[6:]:
            found.append(Mount(Path(_plain(fields[4])), fields[fields.index("-", 6) + 1]))
    return found


def kind_of(folder: Path, mountinfo: Path = MOUNTINFO) -> str:
    """Return the type of the file system that a folder is on, ``"unknown"`` if none is found."""
    real = Path(os.path.realpath(folder))
    best: Mount | None = None
    for mount in mounts(mountinfo):
        if real.is_relative_to(mount.point) and (
            best is None or len(mount.point.parts) >= len(best.point.parts)
        ):
            best = mount
    return best.kind if best else "unknown"


def tells_everything(kind: str) -> bool:
    """Return whether events of a file system of this type tell of every writer."""
    return kind in _LOCAL


def missing_mount(folder: Path, fstab: Path = FSTAB, mountinfo: Path = MOUNTINFO) -> Path | None:
    """Return the mount point over a folder that fstab(5) names and where nothing is mounted."""
    mounted = {mount.point for mount in mounts(mountinfo)}
    real = Path(os.path.realpath(folder))
    try:
        lines = fstab.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#"):  # noqa: PLR2004  (what, where)
            continue
        point = Path(_plain(fields[1]))
        if point.is_absolute() and real.is_relative_to(point) and point not in mounted:
            return point
    return None


def _plain(field: str) -> str:
    r"""Undo the octal escapes of proc(5) and fstab(5): ``\040`` is a space."""
    parts = field.split("\\")
    return parts[0] + "".join(
        chr(int(part[:3], 8)) + part[3:] if part[:3].isdigit() else "\\" + part
        for part in parts[1:]
    )
