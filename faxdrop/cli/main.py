"""The commands. Nothing prints but these, those in the other ``cli_*``, and ``terminal``."""

import contextlib
import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
import structlog

from faxdrop import __version__, logs, words
from faxdrop.cli import audit as cli_audit
from faxdrop.cli import init as cli_init
from faxdrop.cli import orders, screens
from faxdrop.cli import place as cli_place
from faxdrop.cli import preview as cli_preview
from faxdrop.cli import report as cli_report
from faxdrop.cli import setup as cli_setup
from faxdrop.cli.orders import (
    Answered,
    Cancellation,
    OrderError,
    PerhapsSentError,
    UnknownJobError,
)
from faxdrop.cli.terminal import name_of_file, of_the_system, show
from faxdrop.clock import Clock
from faxdrop.config.credentials import Watch, files_of
from faxdrop.config.load import DEFAULT_PATH, ConfigError, command, load, load_what_is_right
from faxdrop.config.place import SERVICE_USER, installed_unit, starting
from faxdrop.config.problems import NoConfigError
from faxdrop.config.settings import Config
from faxdrop.daemon import build as service
from faxdrop.fax import receipt
from faxdrop.followers.status_page import write_now
from faxdrop.journal.chain import Journal, JournalError
from faxdrop.journal.lines import RetryLine
from faxdrop.names.printable import json_shown, shown
from faxdrop.setup import check as check_
from faxdrop.setup.init import InitError
from faxdrop.setup.installation import InstallationError
from faxdrop.simulator import Simulator
from faxdrop.spool.ownership import acting_as_owner, caller, refuses_root
from faxdrop.spool.places import SpoolError
from faxdrop.spool.root import Spool
from faxdrop.status import overview, shared

log = structlog.stdlib.get_logger(__name__)

EX_CONFIG = 78  # sysexits.h: something was found in an unconfigured or misconfigured state
EX_TEMPFAIL = 75  # the unit starts it again
_CANCEL_WITHIN = 5.0  # seconds that the daemon is given to answer


_NOT_THE_UNITS = (
    "The service's unit lets it write to one folder only. As root, `faxdrop check` says what to do."
)


class _Commands(click.Group):
    """All commands; turns our errors into words and an exit status."""

    def invoke(self, ctx: click.Context) -> object:
        status = 1
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise _shown(error) from None
        except NoConfigError as error:
            click.echo(shown(f"faxdrop: {error}", lines=True), err=True)
            status = EX_CONFIG
        except ConfigError as error:
            click.echo("faxdrop: the settings are wrong:", err=True)
            for line in str(error).splitlines():
                click.echo(f"  {shown(line)}", err=True)
            status = EX_CONFIG
        except (
            SpoolError,
            OrderError,
            InitError,
            InstallationError,
            JournalError,
        ) as error:
            click.echo(shown(f"faxdrop: {error}", lines=True), err=True)
        except OSError as error:
            click.echo(f"faxdrop: {of_the_system(error)}", err=True)
            if error.errno == errno.EROFS and "INVOCATION_ID" in os.environ:  # systemd.exec(5)
                click.echo(f"faxdrop: {_NOT_THE_UNITS}", err=True)
        raise click.exceptions.Exit(status)

    def make_context(self, *what: Any, **extra: Any) -> click.Context:
        """Take the command line; an error that quotes it is fit to be printed."""
        words.use(words.of_environment(os.environ))  # until a config says more
        try:
            return super().make_context(*what, **extra)
        except click.ClickException as error:
            raise _shown(error) from None

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands in the order in which one needs them, which is that below."""
        return list(self.commands)


def _shown(error: click.ClickException) -> click.ClickException:
    """Return an error that quotes what was typed, or a file's name, fit to be printed."""
    words = error.format_message()
    if (fit := shown(words, lines=True)) == words:
        return error
    if isinstance(error, click.UsageError):
        return click.UsageError(fit, error.ctx)
    return click.ClickException(fit)


_FIRST_STEPS = """\b
To see it work:           faxdrop demo
To set a service up:      sudo faxdrop init --service
To set it up by hand:     faxdrop init, then faxdrop run
Would it fax now?         faxdrop check
Where is my fax?          faxdrop status
What was faxed?           faxdrop receipts
To rehearse, no account:  faxdrop --config FILE run --simulate

Exit status: 0 is good, 1 is not, 2 a wrong option, 78 a config that is wrong."""


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_FIRST_STEPS,
)
@click.version_option(__version__, prog_name="faxdrop")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fax from a folder: never sent twice, never lost, and everyone can see what became of it.

    People drop PDFs into inbox/RECIPIENT/, where RECIPIENT is a name from the address book or a fax
    number. The daemon (run) faxes them by sipgate, and each ends in sent/ or in failed/, beside a
    receipt that says what happened and what to do now.
    """
    logs.configure(sys.stderr)  # standard output is for what was asked
    ctx.obj = ctx.obj or DEFAULT_PATH


main.params[:0] = cli_place.options(first=True)


@main.command(short_help="Run the daemon.")
@click.option("--simulate", is_flag=True, help="Use the built-in simulator in place of sipgate.")
@click.pass_obj
def run(config_path: Path, *, simulate: bool) -> None:
    """Run the daemon: watch the inbox, fax, file away. Ends with SIGTERM or Ctrl-C.

    SIGHUP makes it read its config again. With --simulate no token is needed and no fax goes
    anywhere; a magic number as the recipient decides what happens (see `faxdrop simulate --help`),
    and the log says where the simulator can be asked what it took.
    """
    config = load(config_path, os.environ, simulate=simulate)
    if (owner := refuses_root(config.root)) is not None:
        raise SpoolError(
            f"{config.root} belongs to {owner}, who could not read what root puts there. Do it as "
            f"{owner}: sudo {_start(config_path, owner)}"
        )
    with contextlib.ExitStack() as stack:
        simulator = None
        if simulate:
            simulator = stack.enter_context(Simulator(ledger=service.ledger_of(config)))
            log.info(
                "simulator.ready", base_url=simulator.base_url, control_url=simulator.control_url
            )
        take = partial(_taken, config_path, simulator)
        watch = Watch(() if simulate else files_of(config_path.absolute()))
        ended = service.run(take(), take, watch, simulated=simulate)
    status = EX_TEMPFAIL if ended.restart else 0
    if not ended.clean:
        # A submission under way would keep its thread, and so us. On disk it is still "queued"; or
        # "submitting" where only its answer is missing, and then the next start looks it up.
        sys.stderr.flush()
        os._exit(status)
    if status:
        raise SystemExit(status)


def _start(config_path: Path, owner: str) -> str:
    if owner == SERVICE_USER and (unit := installed_unit(config_path)):
        return f"systemctl start {unit}"
    return f"-u {owner} {command('run', config_path)}"


def _taken(config_path: Path, simulator: Simulator | None) -> Config:
    """Load the config for the daemon, at its start and at each reload."""
    config = load(config_path, os.environ, simulate=simulator is not None)
    if simulator is not None:
        config = service.with_simulator(config, simulator)
    else:  # the simulator's token is no secret
        logs.configure(sys.stderr, secrets=config.secrets.values())
    for warning in (*config.warnings, *config.faults):
        log.warning("config.unwise", words=warning)
    return config


@main.command(short_help="What is on its way, and what is in its way?")
@click.option("--all", "everything", is_flag=True, help="List every document, however many.")
@click.option("--json", "as_json", is_flag=True, help="Say it in JSON (faxdrop-overview/1).")
@click.option("--page", is_flag=True, help="Only write STATUS.html, as it should be now.")
@click.pass_obj
def status(config_path: Path, *, everything: bool, as_json: bool, page: bool) -> None:
    """Show what is in the inbox and on its way, and what is in its way.

    Works while the daemon runs and while it does not, and changes nothing. What is done with lies
    in sent/ and failed/, each with its receipt. The people who may fax see what lies in their
    folders (faxdrop-shared/1); what is on its way, only root and the service's user.
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
    """Have the status page say what is so, also when no daemon does."""
    with _spool_of(config):
        written = write_now(config.root, now, wanted=config.status_page)
    for path, problem in written.problems.items():
        raise SpoolError(f"{path} {problem}")


@main.command(short_help="Fax documents from failed/ again.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(path_type=Path),
    help="A PDF in failed/, or its receipt.",
)
@click.option("--even-if-sent", is_flag=True, help="Also what may have been sent already.")
@click.pass_obj
def retry(config_path: Path, *, files: tuple[Path, ...], even_if_sent: bool) -> None:
    """Put documents from failed/ back into their inbox, to be faxed again.

    Their receipts are removed: there will be new ones. A document that may have been sent already
    (outcome_unknown, no_final_status, or no receipt) is only put back with --even-if-sent; and only
    with that is a duplicate faxed while it is one.
    """
    failures = 0
    config = _without_secrets(config_path)
    note = partial(_note, service.journal_of(config.root, Clock()))
    with _spool_of(config, shared=True) as spool:
        for file in dict.fromkeys(map(orders.document_of, files)):
            try:
                target = orders.retry(
                    spool, file, even_if_sent=even_if_sent, user=caller(os.environ), note=note
                )
            except PerhapsSentError as error:
                failures += 1
                click.echo(
                    f"faxdrop: {error} To fax it again all the same: --even-if-sent", err=True
                )
            except OrderError as error:
                failures += 1
                click.echo(f"faxdrop: {error}", err=True)
            else:
                click.echo(f"Back in the inbox: {name_of_file(target)}")
        if failures < len(files) and spool.is_ours() and not spool.is_locked():
            start = starting(config_path)
            click.echo(f"faxdrop is not running: it is faxed when it does ({start}).")
    if failures:
        raise SystemExit(1)


def _note(journal: Journal, retried: RetryLine) -> None:
    """Have the journal told; a person who may not write there is told what follows from that."""
    try:
        journal.append(retried)
    except OSError as error:
        click.echo(
            f"faxdrop: the journal could not be told ({of_the_system(error)}): "
            "`faxdrop verify` will say that the document is gone from failed/.",
            err=True,
        )


@main.command(short_help="Cancel faxes that are waiting.")
@click.argument(
    "jobs",
    nargs=-1,
    required=True,
    metavar="JOB...",
    help="An id that `faxdrop status` shows.",
)
@click.pass_obj
def cancel(config_path: Path, *, jobs: tuple[str, ...]) -> None:
    """Cancel faxes that are waiting.

    A document that waits is moved to failed/ and not faxed (again). A fax that sipgate has already
    taken cannot be taken back: it may arrive, and only further attempts are cancelled. A document
    that is still in the inbox has no id yet: just take it out.
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
                click.echo(f"faxdrop: {error} The ids stand in: {ids}", err=True)
            else:
                click.echo(_cancelled(answered, config_path))
                failures += answered.what is Cancellation.TOO_LATE
    if failures:
        raise SystemExit(1)


def _cancelled(answered: Answered, config_path: Path) -> str:
    """Say what a cancellation came to."""
    job = answered.job
    what = shown(job.name)
    if job.folder is not None:
        what += f" to {shown(job.folder)}"
    where = f" It lies in {name_of_file(answered.filed)}." if answered.filed else ""
    match answered.what:
        case Cancellation.CANCELLED:
            again = " again" if job.attempts else ""
            return f"Cancelled: {what} is not faxed{again}.{where}"
        case Cancellation.REST:
            return (
                f"{what} is with sipgate and cannot be taken back: this attempt goes on, and the "
                "fax may arrive. There will be no further attempt."
            )
        case Cancellation.ASKED:
            return (
                f"{what} is in faxdrop's hands at this moment; it is cancelled as soon as they are "
                f"free. What became of it: {command('status', config_path)}"
            )
        case Cancellation.TOO_LATE:
            return f"Too late: {what} has come to its end.{where}"


def _patience() -> Callable[[], bool]:
    """Return what pauses a little, and returns False when it has paused long enough."""
    left = iter(range(int(_CANCEL_WITHIN / 0.05)))
    never = threading.Event()

    def pause() -> bool:
        never.wait(0.05)
        return next(left, None) is not None

    return pause


@main.command("receipt-schema")
def receipt_schema() -> None:
    """Print the JSON Schema of the receipts."""
    click.echo(json.dumps(receipt.schema(), indent=2))


def _without_secrets(config_path: Path) -> Config:
    """Load the config for a command that never talks to sipgate: no token is needed.

    What is wrong in it is said and no obstacle: the daemon may run with what stood there before.
    """
    config, problems = load_what_is_right(config_path)
    if problems:
        click.echo(
            "faxdrop: the config has problems (a daemon that runs keeps its old one):", err=True
        )
        for line in str(ConfigError(problems)).splitlines():
            click.echo(f"  {shown(line)}", err=True)
    return config


@contextlib.contextmanager
def _spool_of(config: Config, *, shared: bool = False) -> Iterator[Spool]:
    """Yield the spool of a config, not opened; root acts as its owner.

    ``shared``: for what needs no more than the folders that people share.
    """
    with acting_as_owner(config.root):
        if (why := check_.kept_out(config.root, shared=shared)) is not None:
            raise SpoolError(" ".join(why))
        yield Spool(config.root, note=service.journal_of(config.root, Clock()).note)


# In the order in which one needs them: so the help lists them.
main.commands = {
    each.name or "": each
    for each in (
        cli_setup.demo,
        cli_place.takes_place(cli_init.init),
        cli_place.takes_place(cli_setup.check),
        cli_preview.preview,
        *map(cli_place.takes_place, (run, status, retry, cancel)),
        *map(cli_place.takes_place, (cli_audit.receipts, cli_audit.verify, cli_audit.evidence)),
        cli_place.takes_place(cli_report.report),
        cli_setup.simulate,
        receipt_schema,
    )
}

if __name__ == "__main__":
    main()
