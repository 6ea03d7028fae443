"""Whether the disk has room for one more document: the space that filing needs stays free.

A claimed document must be able to end: its records, its copy and its receipt need bytes and
inodes. So nothing is claimed while these are scarce, and claiming resumes only when there is
clearly more.
"""

import os
from collections.abc import Callable
from pathlib import Path

from faxdrop.words import _, number

_SHARE = 64  # a 64th of the disk is kept free for filing,
_LEAST, _MOST = 1 << 20, 32 << 20  # but no less and no more bytes than that
_LEAST_INODES, _MOST_INODES = 32, 1024
_A_JOB = 64 << 10  # bytes that each document in the spool may still need for its end
_INODES_A_JOB = 4
_AGAIN = 1.5  # times as much must be free before documents are taken again


class Room:
    """The disk that a folder is on. Thread-safe."""

    def __init__(
        self, folder: Path, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
    ) -> None:
        self._folder = folder
        self._statvfs = statvfs
        self.short = ""  # of what there is too little, in words; empty: there is enough

    def has(self, size: int, jobs: int) -> bool:
        """Return whether a document of a size may be taken, beside the jobs in the spool."""
        try:
            disk = self._statvfs(self._folder)
        except OSError:  # what is wrong there, the claim will find
            return True
        more = _AGAIN if self.short else 1.0
        free, total = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        reserve = min(max(total // _SHARE, _LEAST), _MOST) + jobs * _A_JOB
        inodes = min(max(disk.f_files // _SHARE, _LEAST_INODES), _MOST_INODES)
        inodes += jobs * _INODES_A_JOB
        short = ""
        if free < more * reserve + size:
            short = _("too little room on the disk: {size} MB are free").format(
                size=number(free / 1e6, digits=1)
            )
        elif disk.f_files and disk.f_favail < more * inodes:  # some do not count them
            short = _(
                "too little room on the disk: {count} more files are possible (inodes)"
            ).format(count=disk.f_favail)
        self.short = short
        return not short
