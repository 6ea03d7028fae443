"""The status page: the state of faxing as a file that any browser opens from the share.

    <root>/STATUS.html

It shows what ``faxdrop status`` shows, from the same source (``status``). It is written only when
that changes, so disks may sleep in a quiet hour, and it is whole at every moment. People on the
share can read it, change it or put something else in its place. So nothing in it is ever read back,
and it is made anew.
"""

import errno
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from faxdrop.followers.follower import Follower, Turn
from faxdrop.followers.page import MARK, PageContent, page_of, render
from faxdrop.names.printable import shown
from faxdrop.spool.disk import Disk, open_ordinary
from faxdrop.spool.root import Spool
from faxdrop.status import ended, overview
from faxdrop.words import _, of_system

PAGE: Final = "STATUS.html"
_SOON: Final = 5.0  # seconds until the loop has said how things stand
_EVERY: Final = 60.0  # seconds between looks at what comes without news
_ON_THE_WAY: Final = 30.0  # the same, while one is: sipgate's status of it is no news
_LONGEST_REST: Final = 300.0  # seconds
_SHARE: Final = 30  # one second in so many may go into the page: a long queue is read less often


class StatusPage(Follower):
    """Keeps the page of one root up to date; ``wanted=False`` removes it instead."""

    name = "status_page"
    gathers = 2.0  # events that come together are shown together

    def __init__(
        self,
        root: Path,
        *,
        wanted: bool,
        disk: Disk | None = None,
    ) -> None:
        self.path = root / PAGE
        self._spool = Spool(root)
        self._wanted = wanted
        self._disk = disk or Disk()
        self._page: PageContent | None = None  # what was written last
        self._stamp: object = None  # of the file as we wrote it
        self._known: tuple[object, ...] = ()  # what was known then
        self._rests_until: datetime | None = None
        self._problems: dict[str, str] = {}

    @property
    def problems(self) -> dict[str, str]:
        """Why the page is not up to date, if it is not."""
        return self._problems

    def turn(self, now: Turn) -> float | None:
        """Show what has changed; also look for changes that come without news."""
        if not self._wanted:
            self.withdraw()
            return None
        if not now.standing:
            return _SOON
        if (rest := self._rest(now.at)) > 0:
            return rest
        is_whole = self._stamp is not None and _stamp(self.path) == self._stamp
        stamps = overview.stamp(self._spool), ended.stamp(self._spool.root)
        known = (now.standing, now.head, *stamps, is_whole)
        if known != self._known or self._problems:
            cost = time.thread_time()
            self.show(now.standing, now.at, running=True)
            cost = time.thread_time() - cost
            self._known = (*known[:-1], True)
            self._rests_until = now.at + timedelta(seconds=min(cost * _SHARE, _LONGEST_REST))
        is_moving = self._page is not None and self._page.is_moving
        return _ON_THE_WAY if is_moving else _EVERY

    def last(self, now: Turn) -> None:
        """Show that faxdrop no longer runs."""
        if self._wanted and now.standing:
            self.show(now.standing, now.at, running=False)

    def show(self, told: Mapping[str, Any], at: datetime, *, running: bool) -> None:
        """Write the page if it is not up to date.

        ``told``: faxdrop-status/1. Errors are left to ``problems``.
        """
        try:
            seen = overview.look_with(told, self._spool, at, running=running)
            self._write(page_of(seen, without=shown(str(self.path))), at)
        except OSError as error:
            self._stamp = None
            self._problems = {shown(str(self.path)): _why(error)}
        else:
            self._problems = {}

    def withdraw(self) -> None:
        """Remove the page if it is one of ours: nobody keeps it up to date any more."""
        with suppress(OSError):
            with open_ordinary(self.path) as file:
                is_ours = file.read(len(MARK)) == MARK
            if is_ours:
                self._disk.remove(self.path)

    # -- inside -----------------------------------------------------------------------------

    def _rest(self, at: datetime) -> float:
        """Return for how many more seconds not to look; setting the clock ends the pause."""
        rest = 0.0 if self._rests_until is None else (self._rests_until - at).total_seconds()
        return rest if rest < _LONGEST_REST else 0.0

    def _write(self, page: PageContent, at: datetime) -> None:
        if page == self._page and self._stamp is not None and _stamp(self.path) == self._stamp:
            return
        content = render(page, at)
        temporary = self._spool.home / f"{PAGE}.tmp"
        with suppress(FileNotFoundError):  # a page that was never finished
            self._disk.remove(temporary)
        fd = self._disk.open_new(temporary, 0o644)
        try:
            _give_to_the_group(fd, self._spool.root)
            self._disk.write(fd, content)
            stamp = _stamp_of(os.fstat(fd))
        finally:
            os.close(fd)
        # No fsync: after a power cut the page is made anew. A link or a pipe in its place is
        # replaced, never opened.
        self._disk.replace(temporary, self.path)
        self._page, self._stamp = page, stamp


def write_now(root: Path, at: datetime, *, wanted: bool) -> StatusPage:
    """Write the page without a daemon or beside one; with ``wanted=False``, remove it."""
    page = StatusPage(root, wanted=wanted)
    spool = Spool(root)
    if wanted:
        page.show(spool.notes.read_status(), at, running=spool.is_locked())
    else:
        page.withdraw()
    return page


def _why(error: OSError) -> str:
    if error.errno in {errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST}:
        return _("cannot be written because a folder has its name: remove that folder")
    return _("cannot be written ({why})").format(why=of_system(error))


def _give_to_the_group(fd: int, root: Path) -> None:
    """Give the page to its folder's group, if the folder gives all files in it to its group."""
    status = root.stat()
    if status.st_mode & stat.S_ISGID and os.fstat(fd).st_gid != status.st_gid:
        with suppress(PermissionError):
            os.fchown(fd, -1, status.st_gid)


def _stamp(path: Path) -> object:
    try:
        return _stamp_of(path.lstat())
    except OSError:
        return None


def _stamp_of(status: os.stat_result) -> object:
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns
