"""The commands that come before the first fax: demo, init, check, simulate."""

import contextlib
import json
import os
import secrets
import shlex
import signal
import threading
import time
import webbrowser
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import click
from rich.console import Console
from rich.live import Live

from faxdrop.cli import demo as demo_
from faxdrop.cli import screens
from faxdrop.cli.demo import Demo, DemoRow
from faxdrop.cli.place import takes_place
from faxdrop.cli.terminal import called, make_console, name_of_file, show
from faxdrop.config.load import load
from faxdrop.config.problems import ConfigError
from faxdrop.config.settings import Config
from faxdrop.config.simulated import SIMULATED
from faxdrop.daemon import build as service
from faxdrop.daemon.build import make_sipgate
from faxdrop.followers.post import Post
from faxdrop.names.printable import json_shown
from faxdrop.setup import check as check_
from faxdrop.setup import check_account, check_notify, check_unit
from faxdrop.setup.check import CheckReport
from faxdrop.simulator import MAGIC, Simulator
from faxdrop.spool.ownership import acting_as_owner
from faxdrop.spool.root import Spool
from faxdrop.words import _, of_system
from faxdrop.words import number as number_

_DEMO_WITHIN = 60.0  # seconds; it takes a quarter of that
_REPORTS_WITHIN = 10.0  # seconds; each takes a tenth of one
_PAGE_WITHIN = 10.0  # seconds; the page follows the last fax by two


@click.command(short_help="Show how faxdrop works: no account, no config, no network.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep everything in DIR (new, or empty), to look at it and to drop more.",
)
@click.option(
    "--open",
    "opens",
    is_flag=True,
    help="Open the status page in the browser, and keep everything.",
)
def demo(keep: Path | None, *, opens: bool) -> None:
    """Show how faxdrop works: no account, no config, no network, and 15 seconds.

    Drops five documents, lets the daemon fax them to the simulator, and ends with the contents of
    sent/ and failed/, one of the receipts, and the paths of the status page and a report.
    """
    with contextlib.ExitStack() as stack:
        if keep is None and opens:
            keep = folder = Path(mkdtemp(prefix="faxdrop-demo-"))
        elif keep is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="faxdrop-demo-")))
        else:
            folder = keep.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise click.ClickException(
                    _("{folder} is not empty: name a new folder.").format(
                        folder=name_of_file(folder)
                    )
                )
        console = make_console()
        shows = stack.enter_context(demo_.running(folder))
        console.print(_("Dropping into the inbox:"))
        for one in demo_.DROPS:
            console.print(f"  {one.folder}/{one.name}: {_(one.tells)}")
        console.print()
        shows.drop()
        over = _live(shows, console)
        _until(lambda: all(map(shows.report, demo_.DROPS)), _REPORTS_WITHIN)
        console.print("\n" + _("Where everything is now:") + "\n")
        console.print(screens.tree(shows.spool.root, [shows.spool.sent, shows.spool.failed]))
        if receipt_path := shows.receipt(demo_.TOLD_IN_FULL):
            console.print("\n" + _("The receipt {name}:").format(name=receipt_path.name) + "\n")
            console.out(receipt_path.read_text("utf-8").rstrip(), highlight=False)
        _tell_pages(shows, console)
        if opens:
            _open(shows)
    if keep is not None:
        config = shlex.quote(str(folder / "config.toml"))
        console.print(
            "\n"
            + _(
                "Everything is in {folder}. To continue, drop PDFs into share/inbox/ there, and "
                "run:"
            ).format(folder=name_of_file(folder))
            + f"\n  {called()} --config {config} run --simulate",
            soft_wrap=True,
        )
    else:
        words = _("All this is removed now. To look at it: {command}")
        console.print("\n" + words.format(command=f"{called()} demo --open"), soft_wrap=True)
    if not over:
        raise click.ClickException(
            _("the demo did not finish within {seconds} s").format(seconds=number_(_DEMO_WITHIN))
        )


def _tell_pages(shows: Demo, console: Console) -> None:
    """Print where the pages for people are."""
    console.print("\n" + _("To open and to print:"), soft_wrap=True)
    for path in (shows.report(demo_.TOLD_IN_FULL), shows.page):
        if path is not None:
            console.print(f"  {name_of_file(path)}", soft_wrap=True, highlight=False, markup=False)


def _until(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until ``holds`` returns true, but no longer than so many seconds."""
    never = threading.Event()
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        never.wait(0.1)


def _open(shows: Demo) -> None:
    """Show the status page in the browser; the daemon runs until the person ends it."""
    _until(shows.page_is_current, _PAGE_WITHIN)
    if not webbrowser.open(shows.page.as_uri()):
        click.echo(_("No browser could be opened. Open the page yourself."), err=True)
    click.pause(_("Press any key to end the demo."))


def _live(shows: Demo, console: Console) -> bool:
    """Show a demo until everything is filed; return whether it was in time."""
    begun = time.monotonic()
    never = threading.Event()
    before: list[DemoRow] = []
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with live or contextlib.nullcontext():
        while (elapsed := time.monotonic() - begun) < _DEMO_WITHIN:
            rows = shows.rows()
            if live is not None:
                live.update(screens.demo(rows, elapsed), refresh=True)
            else:
                for row in rows:
                    if row not in before:
                        console.print(screens.demo_change(row, elapsed))
            before = rows
            if all(row.filed for row in rows):
                return True
            never.wait(0.1)
    return False


@takes_place
@click.command(short_help="Would this machine fax now?")
@click.option(
    "--simulate",
    is_flag=True,
    help="Ask the built-in simulator instead of sipgate; needs no token.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (faxdrop-check/1).")
@click.option("--notify", is_flag=True, help="Also send a test notice to everybody in [notify].")
@click.pass_obj
def check(config_path: Path, *, simulate: bool, as_json: bool, notify: bool) -> None:
    """Check whether this machine would fax now. Exit status: 0 if so, else 1, or 78 (config).

    Moves an empty hidden file through all folders, checks a PDF, and asks sipgate for the fax line
    and the balance. Nothing is faxed, and the daemon may be running. As root, it checks with the
    rights of the folders' owner, and also what the service's unit allows. A FAULT stops no fax, but
    needs to be corrected.
    """
    with contextlib.ExitStack() as stack:
        try:
            if simulate:
                config = _rehearsed(config_path, stack.enter_context(Simulator()))
            else:
                config = load(config_path, os.environ)
        except ConfigError as error:
            if as_json:
                click.echo(json_shown(check_.report_of_config(error).model_dump_json(indent=2)))
            raise
        report = checked(config, config_path, simulate=simulate, notify=notify)
    tell(report, as_json=as_json)


def tell(report: CheckReport, *, as_json: bool) -> None:
    """Print a report; exit status 1 if it says that nothing would be faxed."""
    if as_json:
        click.echo(json_shown(report.model_dump_json(indent=2)))
    else:
        show(screens.check(report))
    if not report.would_fax:
        raise click.exceptions.Exit(1)


def checked(
    config: Config, config_path: Path, *, simulate: bool, notify: bool = False
) -> CheckReport:
    """Check everything, with the rights of the daemon."""
    unit = list(check_unit.unit(config, config_path.absolute()))
    with acting_as_owner(config.root) as user:
        findings = list(check_.folders(config, Spool(config.root), config_path))
    findings += unit
    with make_sipgate(config) as sipgate:
        findings += check_account.account(config, sipgate)
    if notify:
        findings += check_notify.notices(config, Post(), simulate=simulate)
    return check_.report_of(config, findings, user=user, simulated=simulate)


def _rehearsed(config_path: Path, simulator: Simulator) -> Config:
    return service.with_simulator(load(config_path, os.environ, simulate=True), simulator)


def _magic_numbers() -> str:
    """Return the table for the help text."""
    lines = (f"  {magic.number}  {magic.meaning}" for magic in MAGIC)
    return "\b\nThe recipient's number decides what happens:\n" + "\n".join(lines)


@click.command(
    epilog=_magic_numbers(), short_help="Simulate sipgate on this machine, for rehearsals."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8025,
    show_default=True,
    help="The port to listen on, for this machine only; 0 takes a free one.",
)
@click.option(
    "--hostile", is_flag=True, help="Lose answers, be slow, limit and fail, as networks do."
)
@click.option("--seed", type=int, help="Repeat the hostile run with this seed (implies --hostile).")
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="How many seconds a fax is PENDING, and then SENDING.",
)
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the faxes in this file, for the next start.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the address and the token as one line of JSON."
)
def simulate(
    *,
    port: int,
    hostile: bool,
    seed: int | None,
    pace: float,
    ledger: Path | None,
    as_json: bool,
) -> None:
    """Simulate sipgate on this machine, for rehearsals: no fax is sent.

    Put what it prints into a .env beside a config; then `faxdrop run` faxes to it. Ctrl-C ends it.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if hostile and seed is None:
        seed = secrets.randbelow(1_000_000)
    simulator = Simulator(port, hostile=seed, pace=pace, ledger=ledger)
    try:
        simulator.start()
    except OSError as error:
        raise click.ClickException(
            _("port {port}: {why}").format(port=port, why=of_system(error))
        ) from None
    try:
        click.echo(_where(simulator, as_json=as_json))
        ended.wait()
    finally:
        simulator.stop()


def _where(simulator: Simulator, *, as_json: bool) -> str:
    """Return where a simulator is: for a .env, or as JSON."""
    where = {
        "base_url": simulator.base_url,
        "control_url": simulator.control_url,
        "token_id": SIMULATED["TOKEN_ID"],
        "token": SIMULATED["TOKEN"],
        "faxline": "f0",
        "seed": simulator.seed,
    }
    if as_json:
        return json.dumps(where)
    lines = [
        f"BASE_URL={where['base_url']}",
        f"TOKEN_ID={where['token_id']}",
        f"TOKEN={where['token']}",
        f"FAXLINE_ID={where['faxline']}",
        "# "
        + _("What was faxed, and how to simulate trouble: {url}").format(url=where["control_url"]),
    ]
    if simulator.seed is not None:
        lines.append("# " + _("Hostile; to repeat it: --seed {seed}").format(seed=simulator.seed))
    return "\n".join(lines)
