"""The commands for what is on its way, or failed: status, retry, cancel."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from faxdrop.cli import orders, screens
from faxdrop.cli.orders import (
    Answered,
    Cancellation,
    OrderError,
    PerhapsSentError,
    UnknownJobError,
)
from faxdrop.cli.place import takes_place
from faxdrop.cli.terminal import name_of_file, show
from faxdrop.clock import Clock
from faxdrop.config.load import load_what_is_right
from faxdrop.config.place import command, starting
from faxdrop.config.problems import ConfigError
from faxdrop.config.settings import Config
from faxdrop.daemon import build as service
from faxdrop.followers.status_page import write_now
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import RetryLine
from faxdrop.names.printable import json_shown, of_file, shown
from faxdrop.setup import check as check_
from faxdrop.spool.ownership import acting_as_owner, caller
from faxdrop.spool.places import SpoolError
from faxdrop.spool.root import Spool
from faxdrop.status import overview, shared
from faxdrop.words import _

_CANCEL_WITHIN = 5.0  # seconds in which the daemon has to answer


@takes_place
@click.command(short_help="Where is every document, and what is in the way?")
@click.option("--all", "everything", is_flag=True, help="List all documents, however many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (faxdrop-overview/1).")
@click.option("--page", is_flag=True, help="Only write STATUS.html anew, and print nothing.")
@click.pass_obj
def status(config_path: Path, *, everything: bool, as_json: bool, page: bool) -> None:
    """Show what is in the inbox, what is on its way, and what is in the way.

    Works whether the daemon runs or not, and changes nothing (except STATUS.html, with --page).
    Documents that ended are in sent/ and failed/, each with its receipt. Only root and the
    service's user see what is on its way; others who may fax see what is in the folders
    (faxdrop-shared/1).
    """
    config = _without_secrets(config_path)
    now = datetime.now(UTC)
    if page:
        _write_page(config, now)
        return
    with _spool_of(config, shared=True) as spool:
        if not spool.is_ours():
            found = shared.look(spool, config.inbox)
            if as_json:
                click.echo(json_shown(found.model_dump_json(indent=2)))
            else:
                show(screens.shared(found, now, f"sudo {command('status', config_path)}"))
            return
        seen = overview.look(spool, config.inbox, now)
    if as_json:
        click.echo(json_shown(seen.model_dump_json(indent=2)))
    else:
        start = starting(config_path)
        show(screens.status(seen, now, everything=everything, start=start))


def _write_page(config: Config, now: datetime) -> None:
    """Bring the status page up to date, even if no daemon runs."""
    with _spool_of(config):
        written = write_now(config.root, now, wanted=config.status_page)
    for path, problem in written.problems.items():
        raise SpoolError(f"{path} {problem}")


@takes_place
@click.command(short_help="Fax documents from failed/ again.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(path_type=Path),
    help="A document in failed/, or its receipt or report.",
)
@click.option("--even-if-sent", is_flag=True, help="Also put back what may have been sent already.")
@click.pass_obj
def retry(config_path: Path, *, files: tuple[Path, ...], even_if_sent: bool) -> None:
    """Put documents from failed/ back into their inbox, to be faxed again.

    Their receipts and reports are removed; new ones follow. A document that may have been sent
    already (outcome_unknown, no_final_status, or no receipt) is put back only with --even-if-sent.
    A duplicate, too, is faxed only with --even-if-sent.
    """
    failures = 0
    config = _without_secrets(config_path)
    note = partial(_note, service.open_journal(config.root, Clock()))
    with _spool_of(config, shared=True) as spool:
        for file in dict.fromkeys(map(orders.document_of, files)):
            try:
                target = orders.retry(
                    spool, file, even_if_sent=even_if_sent, user=caller(os.environ), note=note
                )
            except PerhapsSentError as error:
                failures += 1
                click.echo(
                    "faxdrop: "
                    + _("{error} To fax it again all the same: --even-if-sent").format(error=error),
                    err=True,
                )
            except OrderError as error:
                failures += 1
                click.echo(f"faxdrop: {error}", err=True)
            else:
                click.echo(_("Back in the inbox: {target}").format(target=name_of_file(target)))
        if failures < len(files) and spool.is_ours() and not spool.is_locked():
            start = starting(config_path)
            click.echo(
                _("faxdrop is not running: start it to fax this ({start}).").format(start=start)
            )
    if failures:
        raise SystemExit(1)


def _note(journal: Journal, retried: RetryLine) -> None:
    """Write to the journal; tell a person who may not what follows from that."""
    try:
        journal.append(retried)
    except OSError as error:
        click.echo(
            _(
                "faxdrop: this could not be written to the journal ({why}): `faxdrop verify` "
                "will report that the document is gone from failed/."
            ).format(why=of_file(error)),
            err=True,
        )


@takes_place
@click.command(short_help="Cancel faxes that are waiting.")
@click.argument(
    "jobs",
    nargs=-1,
    required=True,
    metavar="JOB...",
    help="A job id, as `faxdrop status` shows it.",
)
@click.pass_obj
def cancel(config_path: Path, *, jobs: tuple[str, ...]) -> None:
    """Cancel faxes that are waiting.

    A waiting document is moved to failed/ and not faxed (again). A fax that sipgate has accepted
    cannot be taken back: it may arrive, and only further attempts are cancelled. A document that
    is still in the inbox has no job id yet: just remove it.
    """
    config = _without_secrets(config_path)
    failures = 0
    with _spool_of(config) as spool:
        for job_id in jobs:
            try:
                answered = orders.cancel(
                    spool, job_id, config.sending, now=datetime.now(UTC), pause=_patience()
                )
            except UnknownJobError as error:
                failures += 1
                ids = command("status", config_path)
                click.echo(
                    "faxdrop: " + _("{error} To see the ids: {ids}").format(error=error, ids=ids),
                    err=True,
                )
            else:
                click.echo(_cancelled(answered, config_path))
                failures += answered.what is Cancellation.TOO_LATE
    if failures:
        raise SystemExit(1)


def _cancelled(answered: Answered, config_path: Path) -> str:
    """Return the result of a cancellation in words."""
    job = answered.job
    what = shown(job.name)
    if job.folder is not None:
        what = _("{name} to {folder}").format(name=what, folder=shown(job.folder))
    where = (
        " " + _("It is in {file}.").format(file=name_of_file(answered.filed))
        if answered.filed
        else ""
    )
    match answered.what:
        case Cancellation.CANCELLED:
            words = (
                _("Cancelled: {what} is not faxed again.")
                if job.attempts
                else _("Cancelled: {what} is not faxed.")
            )
            return words.format(what=what) + where
        case Cancellation.REST:
            return _(
                "sipgate has {what} already, and it cannot be taken back: this attempt goes on, "
                "and the fax may arrive. There will be no further attempt."
            ).format(what=what)
        case Cancellation.ASKED:
            return _(
                "faxdrop is working on {what} at this moment and cancels it right after. To see "
                "what became of it: {command}"
            ).format(what=what, command=command("status", config_path))
        case Cancellation.TOO_LATE:
            return _("Too late: {what} has ended already.").format(what=what) + where


def _patience() -> Callable[[], bool]:
    """Return a function that pauses a little, and returns False once it has paused long enough."""
    left = iter(range(int(_CANCEL_WITHIN / 0.05)))
    never = threading.Event()

    def pause() -> bool:
        never.wait(0.05)
        return next(left, None) is not None

    return pause


def _without_secrets(config_path: Path) -> Config:
    """Load the config for a command that never talks to sipgate: no token is needed.

    Problems in it are printed but no obstacle: the daemon may run with an earlier config.
    """
    config, problems = load_what_is_right(config_path)
    if problems:
        click.echo(
            _("faxdrop: the config has problems (a running daemon keeps its old one):"), err=True
        )
        for line in str(ConfigError(problems)).splitlines():
            click.echo(f"  {shown(line)}", err=True)
    return config


@contextlib.contextmanager
def _spool_of(config: Config, *, shared: bool = False) -> Iterator[Spool]:
    """Yield the spool of a config, not opened; root acts as its owner.

    ``shared``: the shared folders are all that is needed.
    """
    with acting_as_owner(config.root):
        if (why := check_.kept_out(config.root, shared=shared)) is not None:
            raise SpoolError(" ".join(why))
        yield Spool(config.root, note=service.open_journal(config.root, Clock()).note)
