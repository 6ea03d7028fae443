"""Would this machine fax now? Finds out by trying: moves a file, reads a PDF.

``check_account`` asks sipgate, and ``check_unit`` systemd.

Nothing is faxed and nothing is left behind, so it can be run with or without a running daemon. The
JSON form of the report is stable: ``format`` changes when its readers would have to.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal

from faxdrop import __version__
from faxdrop.config import credentials
from faxdrop.config.place import DEFAULT_PATH, installed_unit, starting
from faxdrop.config.problems import ConfigError
from faxdrop.config.settings import Config
from faxdrop.documents import sandbox
from faxdrop.documents.assess import limits_of
from faxdrop.documents.checker import Checker
from faxdrop.fax.job import Record
from faxdrop.fax.recipient import AddressBook, RecipientError
from faxdrop.inbox import mounts
from faxdrop.inbox.mounts import DEAF_RESCAN
from faxdrop.names.passed_over import is_passed_over
from faxdrop.names.printable import shown
from faxdrop.setup import specimen
from faxdrop.setup.findings import LISTED, Finding, Level, finding, listing, note, ok, some, wrong
from faxdrop.spool import refusals
from faxdrop.spool.ownership import name_of, owner_of
from faxdrop.spool.root import Spool
from faxdrop.status.overview import LastWords, last_words
from faxdrop.words import _, listed, number, of_system, short_moment

CHECK_FORMAT: Final = "faxdrop-check/1"

_LITTLE_SPACE = 100_000_000  # bytes; ten of the largest documents


class CheckReport(Record):
    """What was found."""

    format: Literal["faxdrop-check/1"] = CHECK_FORMAT
    would_fax: bool
    simulated: bool  # the simulator was asked in place of sipgate
    root: str | None  # None: the config does not say it
    user: str | None  # whose rights were looked at
    findings: tuple[Finding, ...]


def report_of(
    config: Config, findings: Iterable[Finding], *, user: str, simulated: bool = False
) -> CheckReport:
    """Return the report on these findings."""
    found = tuple(findings)
    return CheckReport(
        would_fax=all(each.level is not Level.WRONG for each in found),
        simulated=simulated,
        root=shown(str(config.root)),
        user=user,
        findings=found,
    )


def report_of_config(error: ConfigError) -> CheckReport:
    """Return the report if there is no usable config."""
    findings = tuple(
        Finding(topic="config", level=Level.WRONG, words=each.setting, advice=each.remedy)
        for each in error.problems
    )
    return CheckReport(would_fax=False, simulated=False, root=None, user=None, findings=findings)


def kept_out(root: Path, *, shared: bool = False) -> tuple[str, str] | None:
    """Return why the folders cannot be used at all, and what to do; None if they can.

    ``shared``: only those that people share are needed, and not the spool.
    """
    missing = mounts.missing_mount(root)
    if missing is not None:
        return (
            _("Nothing is mounted on {missing}, which is in {table}.").format(
                missing=missing, table=mounts.FSTAB
            ),
            _("Mount it: mount {missing}").format(missing=missing),
        )
    if not root.is_dir():
        return (
            _("There is no folder {root}.").format(root=root),
            _("Create it, mount it, or correct `root` in the config."),
        )
    home = Spool(root).home
    for folder in (root,) if shared else (root, home):
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
            owner = owner_of(folder)
            return (
                _("Only {owner} may read {folder}, and you are {user}.").format(
                    folder=folder, owner=owner, user=name_of(os.geteuid())
                ),
                _("Put sudo before the command."),
            )
    return None


def folders(config: Config, spool: Spool, config_path: Path | None = None) -> Iterator[Finding]:
    """Check everything on disk; must be called with the rights of the daemon.

    ``config_path`` is where the config was read from, perhaps with more rights.
    """
    closed = [] if config_path is None else list(_closed(config, config_path.absolute()))
    yield from closed or _config(config)
    if (why := kept_out(config.root)) is not None:
        yield wrong("root", *why)
    else:
        yield from _missing(spool, config_path)
        yield from _moves(spool)
        yield from _records(spool)
        yield from _space(config.root)
        yield from _events(spool)
        yield from _daemon(spool, config_path)
    yield from _documents(config)
    yield from _recipients(config, spool)


def _config(config: Config) -> Iterator[Finding]:
    if not config.warnings and not config.faults:
        yield ok("config", _("All settings are right."))
    for fault in config.faults:
        yield finding("config", Level.FAULT, fault)
    for warning in config.warnings:
        yield note("config", warning)


def _closed(config: Config, path: Path) -> Iterator[Finding]:
    """Open what the daemon reads at its start: that root can read it proves nothing."""
    for file in (path, path.parent / ".env"):
        try:
            os.close(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            continue  # a .env need not be
        except OSError as error:
            user = name_of(os.geteuid())
            closed = [
                folder
                for folder in reversed(file.parents)
                if not os.access(folder, os.X_OK, effective_ids=True)
            ]
            if closed:
                yield wrong(
                    "config",
                    _("{user} cannot read {file}: it may not enter {closed}.").format(
                        user=user, file=file, closed=closed[0]
                    ),
                    _(
                        "Let {user} enter it, or keep the config elsewhere, such as in "
                        "/etc/faxdrop."
                    ).format(user=user),
                )
                return
            yield wrong(
                "config",
                _("{user} cannot read {file}: {why}.").format(
                    user=user, file=file, why=of_system(error)
                ),
                credentials.permitting(file, config.root, secret=file != path),
            )


def _missing(spool: Spool, config_path: Path | None) -> Iterator[Finding]:
    """Name folders that are missing: before the first start that is normal."""
    gone = [folder for folder in (spool.inbox, spool.sent, spool.failed) if not folder.is_dir()]
    if gone and spool.home.is_dir():
        makes = _("faxdrop creates them again within a minute")
        if not spool.is_locked():
            makes = _("faxdrop creates them again when it starts: {command}").format(
                command=starting(config_path)
            )
        yield wrong(
            "folders",
            _("Missing: {gone}. Nothing can be dropped where an inbox is missing.").format(
                gone=listing(gone)
            ),
            _("If something was moved, put it back. Otherwise {makes}.").format(makes=makes),
        )


def _records(spool: Spool) -> Iterator[Finding]:
    """Count the records that wait until a person has looked at them."""
    try:
        found = [*spool.jobs.unreadable(), *spool.jobs.corrupt()]
    except OSError:
        return  # the folders are said to be wrong, or yet to be made
    if found:
        yield finding(
            "records",
            Level.FAULT,
            _("The record of a fax cannot be read: {found}.").format(found=listing(found)),
            _(
                "Each of these folders contains its document.pdf. The sipgate account shows "
                "whether it was faxed. If not, drop it again; then remove the folder."
            ),
        )


def _moves(spool: Spool) -> Iterator[Finding]:
    try:
        refused = spool.try_moves()
    except OSError as error:
        yield wrong(
            "folders",
            _("Nothing can be written to {path}: {why}.").format(
                path=error.filename or spool.root, why=of_system(error)
            ),
            _rights(spool),
        )
        return
    for folder, why in list(refused.items())[:LISTED]:
        advice = _rights(spool)
        if why.errno == errno.EXDEV:
            advice = _(refusals.ONE_MOUNT)
        yield wrong(
            "folders",
            _("No document can be moved to {folder}: {why}.").format(
                folder=folder, why=of_system(why)
            ),
            advice,
        )
    if len(refused) > LISTED:
        yield wrong(
            "folders", _("The same for {count} more folders.").format(count=len(refused) - LISTED)
        )
    sticky = [folder for folder in _folders(spool.inbox) if _is_sticky(folder)]
    if sticky:
        yield wrong(
            "folders",
            _("Only its owner may take a file out of {sticky} (sticky bit).").format(
                sticky=listing(sticky)
            ),
            f"chmod -t {listing(sticky)}",
        )
    if not refused and not sticky and spool.inbox.is_dir():
        yield ok(
            "folders",
            _(
                "A test file went through all folders of {root}: one mount, and the rights suffice."
            ).format(root=spool.root),
        )


def _rights(spool: Spool) -> str:
    return _(
        "{user} must be allowed to read, write and enter all folders in {root}, which belongs to "
        "{owner}."
    ).format(user=name_of(os.geteuid()), root=spool.root, owner=owner_of(spool.root))


def _folders(inbox: Path) -> list[Path]:
    try:
        with os.scandir(inbox) as entries:
            return sorted(
                Path(entry.path)
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not is_passed_over(entry.name)
            )
    except OSError:
        return []


def _is_sticky(folder: Path) -> bool:
    try:
        status = folder.stat()
    except OSError:
        return False
    return bool(status.st_mode & stat.S_ISVTX) and os.geteuid() not in (0, status.st_uid)


def _space(root: Path) -> Iterator[Finding]:
    there = os.statvfs(root)
    free = there.f_bavail * there.f_frsize
    if free < _LITTLE_SPACE:
        words = _("Only {size} MB are free on the disk of {root}.").format(
            size=number(free / 1e6, 1), root=root
        )
        advice = _("Free some space: faxdrop does not fax what it cannot record.")
        yield wrong("space", words, advice) if not free else note("space", words, advice)


def _events(spool: Spool) -> Iterator[Finding]:
    kind = mounts.kind_of(spool.inbox)
    if mounts.tells_everything(kind):
        yield ok(
            "events",
            _("{kind}: faxdrop sees a document as soon as its writer closes it.").format(kind=kind),
        )
    else:
        yield note(
            "events",
            _(
                "{kind}: this machine gets no events for files that others write there, so "
                "faxdrop reads the inbox every {seconds} s."
            ).format(kind=kind, seconds=number(DEAF_RESCAN)),
        )


def _daemon(spool: Spool, config_path: Path | None) -> Iterator[Finding]:
    if not spool.is_locked():
        yield note(
            "daemon",
            _("faxdrop is not running."),
            _("Start it: {command}").format(command=starting(config_path)),
        )
        return
    words: LastWords = last_words(spool)
    yield ok(
        "daemon",
        _("faxdrop is running (pid {pid}).").format(pid=words.pid)
        if words.pid
        else _("faxdrop is running."),
    )
    if words.faxdrop not in (None, __version__):
        unit = installed_unit(config_path or DEFAULT_PATH)
        yield note(
            "daemon",
            _("Version {faxdrop} is still running; this is {version}.").format(
                faxdrop=words.faxdrop, version=__version__
            ),
            f"systemctl restart {unit}" if unit else _("Restart it."),
        )
    for hold in {(hold.words, hold.advice): hold for hold in words.holds}.values():
        yield wrong(
            "daemon",
            _("All faxes have been held since {when}: {words}.").format(
                when=short_moment(hold.since), words=hold.words
            ),
            hold.advice or _("faxdrop tries again by itself."),
        )


def _documents(config: Config) -> Iterator[Finding]:
    """Have a PDF checked as the daemon does it: in a separate process, with limits."""
    documents = config.documents
    try:
        with tempfile.TemporaryFile() as file, Checker(limits_of(config)) as checker:
            file.write(specimen.letter(["faxdrop check"]))
            file.flush()
            verdict = checker.check(file.fileno())
    except OSError as error:
        yield wrong(
            "documents",
            _("PDFs cannot be checked: {why}.").format(why=of_system(error)),
            _("Is faxdrop installed completely, and is there enough memory?"),
        )
        return
    if verdict.facts is None:
        why = verdict.reason.message if verdict.reason else _("no reason is given")
        yield wrong(
            "documents",
            _("The check refuses a PDF that is sound: {why}").format(why=why),
            _("This should not happen. Install faxdrop again."),
        )
        return
    yield ok(
        "documents",
        _("PDFs are checked; up to {size} MB and {pages} pages.").format(
            size=number(documents.max_megabytes), pages=documents.max_pages
        ),
    )
    if lacks := sandbox.missing():
        yield note(
            "sandbox",
            _("A hostile PDF that takes over its reader could {what}.").format(what=listed(lacks)),
            _(
                "Use a kernel with Landlock and seccomp (Linux 6.12 has everything) on x86-64 or "
                "ARM64."
            ),
        )


def _recipients(config: Config, spool: Spool) -> Iterator[Finding]:
    book = AddressBook(config.recipients, config.region, allow_premium=config.sending.allow_premium)
    names = [f"{name}: {book.resolve(name).number}" for name in config.recipients]
    if names:
        yield ok(
            "recipients",
            _("The address book is right ({names}).").format(names=some(names)),
        )
    else:
        yield ok("recipients", _("The address book is empty: folders are named after numbers."))
    nobody = []
    for folder in _folders(spool.inbox):
        try:
            book.resolve(folder.name)
        except RecipientError:
            nobody.append(folder)
    if nobody:
        yield note(
            "recipients",
            _("These folders name no recipient, so what is dropped there fails: {nobody}.").format(
                nobody=listing(nobody)
            ),
            _("Rename them, or add them to [recipients] in the config."),
        )


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``faxdrop check --json``."""
    return CheckReport.model_json_schema(mode="serialization")
