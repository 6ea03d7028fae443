"""Would this machine fax now? Finds out by doing: moves a file, reads a PDF.

``check_account`` asks sipgate, and ``check_unit`` systemd.

Nothing is faxed and nothing stays behind, so it can be asked while the daemon runs and while it
does not. The JSON form of the report is stable: ``format`` changes when a reader of it would have
to.
"""

import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from enum import StrEnum
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
from faxdrop.spool.ownership import name_of, owner_of
from faxdrop.spool.root import Spool
from faxdrop.status.overview import LastWords, last_words

CHECK_FORMAT: Final = "faxdrop-check/1"

_LISTED = 3  # examples of what there may be very many of
_LITTLE_SPACE = 100_000_000  # bytes; ten of the largest documents


class Level(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"  # worth knowing; faxes go out all the same
    FAULT = "fault"  # to be mended; faxes go out all the same
    WRONG = "wrong"  # it would not fax, or not everything


class Finding(Record):
    """One thing that was looked at."""

    topic: str  # config, root, folders, space, events, documents, recipients, sipgate, ...
    level: Level
    words: str
    advice: str = ""  # what to do now


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
    """Return the report that findings make."""
    found = tuple(findings)
    return CheckReport(
        would_fax=all(each.level is not Level.WRONG for each in found),
        simulated=simulated,
        root=shown(str(config.root)),
        user=user,
        findings=found,
    )


def report_of_config(error: ConfigError) -> CheckReport:
    """Return the report where there is no config to go by."""
    findings = tuple(
        Finding(topic="config", level=Level.WRONG, words=f"{key} = {value}", advice=remedy)
        for key, value, remedy in error.problems
    )
    return CheckReport(would_fax=False, simulated=False, root=None, user=None, findings=findings)


def kept_out(root: Path, *, shared: bool = False) -> tuple[str, str] | None:
    """Return why the folders cannot be used at all, and what to do; None if they can.

    ``shared``: only those that people share are needed, and not the spool.
    """
    missing = mounts.missing_mount(root)
    if missing is not None:
        return (
            f"Nothing is mounted on {missing} (it stands in {mounts.FSTAB}).",
            f"Mount it: mount {missing}",
        )
    if not root.is_dir():
        return (
            f"The folder {root} is not there.",
            "Make it, mount it, or correct `root` in the config.",
        )
    home = Spool(root).home
    for folder in (root,) if shared else (root, home):
        if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
            owner = owner_of(folder)
            return (
                f"{folder} is for {owner} to read, and you are {name_of(os.geteuid())}.",
                "Put sudo before the command.",
            )
    return None


def folders(config: Config, spool: Spool, config_path: Path | None = None) -> Iterator[Finding]:
    """Look at everything on disk: to be called with the rights of the daemon.

    ``config_path`` is where the config was read from, perhaps with more rights.
    """
    closed = [] if config_path is None else list(_closed(config, config_path.absolute()))
    yield from closed or _config(config)
    if (why := kept_out(config.root)) is not None:
        yield _wrong("root", *why)
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
        yield _ok("config", "Everything in it is right.")
    for fault in config.faults:
        yield finding("config", Level.FAULT, fault)
    for warning in config.warnings:
        yield _note("config", warning)


def _closed(config: Config, path: Path) -> Iterator[Finding]:
    """Open what the daemon has to read at its start: root has read it, which proves nothing."""
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
                yield _wrong(
                    "config",
                    f"{user} cannot read {file}, for it may not enter {closed[0]}.",
                    f"Let {user} enter it, or keep the config elsewhere, such as in /etc/faxdrop.",
                )
                return
            yield _wrong(
                "config",
                f"{user} cannot read {file}: {error.strerror}.",
                credentials.permitting(file, config.root, secret=file != path),
            )


def _missing(spool: Spool, config_path: Path | None) -> Iterator[Finding]:
    """Name folders that are gone: before the first start they have yet to be made."""
    gone = [folder for folder in (spool.inbox, spool.sent, spool.failed) if not folder.is_dir()]
    if gone and spool.home.is_dir():
        makes = "it makes them anew within a minute"
        if not spool.is_locked():
            makes = f"faxdrop makes them anew when it starts: {starting(config_path)}"
        yield _wrong(
            "folders",
            f"Not there: {_listing(gone)}. Where an inbox is missing, nothing can be dropped.",
            f"Was it moved? Put it back; else {makes}.",
        )


def _records(spool: Spool) -> Iterator[Finding]:
    """Count what no faxdrop goes on with before a person has looked at it."""
    try:
        found = [*spool.jobs.unreadable(), *spool.jobs.corrupt()]
    except OSError:
        return  # the folders are said to be wrong, or yet to be made
    if found:
        yield finding(
            "records",
            Level.FAULT,
            f"What is known of a fax cannot be read: {_listing(found)}.",
            "Each of these folders has its document.pdf; whether it was faxed, the sipgate account "
            "tells. If not, drop it again; then remove the folder.",
        )


def _moves(spool: Spool) -> Iterator[Finding]:
    try:
        refused = spool.try_moves()
    except OSError as error:
        yield _wrong(
            "folders",
            f"Nothing can be written to {error.filename or spool.root}: {error.strerror}.",
            _rights(spool),
        )
        return
    for folder, why in list(refused.items())[:_LISTED]:
        advice = _rights(spool)
        if why.errno == errno.EXDEV:
            advice = (
                "All folders must be on one mount, also where two mounts show one file system "
                "(under systemd: one ReadWritePaths=)."
            )
        yield _wrong("folders", f"No document can be moved to {folder}: {why.strerror}.", advice)
    if len(refused) > _LISTED:
        yield _wrong("folders", f"The same with {len(refused) - _LISTED} more folders.")
    sticky = [folder for folder in _folders(spool.inbox) if _is_sticky(folder)]
    if sticky:
        yield _wrong(
            "folders",
            f"Only its owner may take a file out of {_listing(sticky)} (sticky bit).",
            f"chmod -t {_listing(sticky)}",
        )
    if not refused and not sticky and spool.inbox.is_dir():
        yield _ok("folders", f"A file went through all of {spool.root}: one mount, rights enough.")


def _rights(spool: Spool) -> str:
    return (
        f"{name_of(os.geteuid())} needs the rights to read, write and enter all folders in "
        f"{spool.root} (which belongs to {owner_of(spool.root)})."
    )


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
        words = f"Only {free / 1e6:.1f} MB are free on the disk of {root}."
        advice = "Make room: what cannot be recorded is not faxed."
        yield _wrong("space", words, advice) if not free else _note("space", words, advice)


def _events(spool: Spool) -> Iterator[Finding]:
    kind = mounts.kind_of(spool.inbox)
    if mounts.tells_everything(kind):
        yield _ok("events", f"{kind}: a document is seen as soon as it is closed.")
    else:
        yield _note(
            "events",
            f"{kind}: what others write there causes no events here, so the inbox is read every "
            f"{DEAF_RESCAN:g} s.",
        )


def _daemon(spool: Spool, config_path: Path | None) -> Iterator[Finding]:
    if not spool.is_locked():
        yield _note(
            "daemon",
            "faxdrop is not running.",
            f"Start it: {starting(config_path)}",
        )
        return
    words: LastWords = last_words(spool)
    yield _ok("daemon", f"faxdrop is running{f' (pid {words.pid})' if words.pid else ''}.")
    if words.faxdrop not in (None, __version__):
        unit = installed_unit(config_path or DEFAULT_PATH)
        yield _note(
            "daemon",
            f"It is still version {words.faxdrop}; this is {__version__}.",
            f"systemctl restart {unit}" if unit else "Restart it.",
        )
    for hold in {(hold.words, hold.advice): hold for hold in words.holds}.values():
        yield _wrong(
            "daemon",
            f"It holds all faxes since {hold.since:%Y-%m-%d %H:%M} UTC: {hold.words}.",
            hold.advice or "It tries again by itself.",
        )


def _documents(config: Config) -> Iterator[Finding]:
    """Have a PDF checked as the daemon does it: in a process of its own, with limits."""
    documents = config.documents
    try:
        with tempfile.TemporaryFile() as file, Checker(limits_of(config)) as checker:
            file.write(specimen.letter(["faxdrop check"]))
            file.flush()
            verdict = checker.check(file.fileno())
    except OSError as error:
        yield _wrong(
            "documents",
            f"PDFs cannot be checked: {error.strerror or error}.",
            "Is faxdrop installed completely, and is there memory enough?",
        )
        return
    if verdict.facts is None:
        why = verdict.reason.message if verdict.reason else "no reason is given"
        yield _wrong(
            "documents",
            f"The check refuses a good PDF: {why}",
            "Install faxdrop anew; this should not happen.",
        )
        return
    yield _ok(
        "documents",
        f"PDFs are checked; up to {documents.max_megabytes:g} MB and {documents.max_pages} pages.",
    )
    if lacks := sandbox.missing():
        yield _note(
            "sandbox",
            f"A hostile PDF that takes over its reader could {', and '.join(lacks)}.",
            "Use a kernel with Landlock and seccomp (Linux 6.12 has it all) on x86-64 or ARM64.",
        )


def _recipients(config: Config, spool: Spool) -> Iterator[Finding]:
    book = AddressBook(config.recipients, config.region, allow_premium=config.sending.allow_premium)
    names = [f"{name}: {book.resolve(name).number}" for name in config.recipients]
    if names:
        more = f", and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        yield _ok("recipients", f"The address book is right ({', '.join(names[:_LISTED])}{more}).")
    else:
        yield _ok("recipients", "The address book is empty: folders are named after numbers.")
    nobody = []
    for folder in _folders(spool.inbox):
        try:
            book.resolve(folder.name)
        except RecipientError:
            nobody.append(folder)
    if nobody:
        yield _note(
            "recipients",
            f"These folders name nobody, and what is dropped there fails: {_listing(nobody)}.",
            "Rename them, or add them to [recipients] in the config.",
        )


# -- findings --------------------------------------------------------------------------------


def _listing(paths: list[Path]) -> str:
    text = ", ".join(shown(str(path)) for path in paths[:_LISTED])
    return f"{text}, and {len(paths) - _LISTED} more" if len(paths) > _LISTED else text


def finding(topic: str, level: Level, words: str, advice: str = "") -> Finding:
    """Return a finding whose words can be written down, whatever names stand in them."""
    return Finding(topic=topic, level=level, words=shown(words), advice=shown(advice, lines=True))


def _ok(topic: str, words: str) -> Finding:
    return finding(topic, Level.OK, words)


def _note(topic: str, words: str, advice: str = "") -> Finding:
    return finding(topic, Level.NOTE, words, advice)


def _wrong(topic: str, words: str, advice: str = "") -> Finding:
    return finding(topic, Level.WRONG, words, advice)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of ``faxdrop check --json``."""
    return CheckReport.model_json_schema(mode="serialization")
