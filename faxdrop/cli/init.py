"""The command that sets faxdrop up: ``init``. Asks, checks each answer at once, and installs."""

import os
from pathlib import Path
from typing import TextIO

import click

from faxdrop.cli.place import takes_place
from faxdrop.cli.questions import Given, Questions
from faxdrop.cli.setup import checked, tell
from faxdrop.cli.terminal import name_of_file
from faxdrop.config import place
from faxdrop.config.load import load, load_what_is_right
from faxdrop.config.place import command
from faxdrop.names.printable import shown
from faxdrop.setup import check_unit, installation, units
from faxdrop.setup import init as init_
from faxdrop.setup.findings import Level
from faxdrop.setup.init import InitError
from faxdrop.setup.installation import Machine, Step
from faxdrop.spool.ownership import name_of
from faxdrop.spool.root import Spool
from faxdrop.status.overview import last_words
from faxdrop.words import _

_MARK = 8  # characters of the first column
# These do not prevent a start: the daemon waits until they end, or the start itself mends them.
_START_ANYWAY = {"sipgate", "faxline", "balance", "clock", "daemon", check_unit.OUTDATED}


@takes_place
@click.command(short_help="Set faxdrop up: config, folders, token; or a whole service.")
@click.option(
    "--service",
    is_flag=True,
    help="Install a systemd service: user, folders, command, unit, config, token (needs root).",
)
@click.option(
    "--dry-run", is_flag=True, help="With --service: show what it would do, and change nothing."
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for inbox/, sent/ and failed/.",
)
@click.option("--recipient", help="The first name in the address book.")
@click.option("--number", help="That recipient's fax number.")
@click.option(
    "--region",
    help="The country of numbers without a country code, such as DE.",
)
@click.option(
    "--token-id",
    envvar="TOKEN_ID",
    show_envvar=True,
    help="The id of sipgate's personal access token.",
)
@click.option(
    "--token-file",
    type=click.File("r"),
    metavar="FILE",
    help="A file that contains the token, or - for standard input.  [env var: TOKEN]",
)
@click.option(
    "--faxline", envvar="FAXLINE_ID", show_envvar=True, help="The fax line that sends, such as f0."
)
@click.option(
    "--base-url",
    envvar="BASE_URL",
    show_envvar=True,
    help="The address of the API, for a rehearsal with `faxdrop simulate`.",
)
@click.option(
    "--owner",
    metavar="USER",
    help="The owner of the folders (only as root, without --service).  [default: faxdrop]",
)
@click.pass_obj
def init(  # noqa: PLR0913 - each is an option of its own
    config_path: Path,
    *,
    service: bool,
    dry_run: bool,
    root: Path | None,
    recipient: str | None,
    number: str | None,
    region: str | None,
    token_id: str | None,
    token_file: TextIO | None,
    faxline: str | None,
    base_url: str | None,
    owner: str | None,
) -> None:
    """Set faxdrop up: write the config, create the folders, store the token, and check.

    Asks for everything that no option gives, and never overwrites a file. With --service, it also
    installs a systemd service, shows each step, and starts it; run again, it creates what is
    missing.

    You need a personal access token of sipgate (https://app.sipgate.com) with the scopes
    sessions:fax:write and history:read; with faxlines:read and balance:read, `faxdrop check` can
    tell more. No option takes the token itself, because others could see it in the process list.
    """
    config_path = config_path.absolute()
    if not service and dry_run:
        raise click.UsageError(_("--dry-run works only with --service."))
    if service and owner is not None:
        raise click.UsageError(
            _("--owner does not work with --service: the service runs as faxdrop.")
        )
    if not service and os.path.lexists(config_path):
        raise init_.already(config_path)
    token = token_file.read().strip() if token_file else os.environ.get("TOKEN", "")
    given = Given(root, recipient, number, region, token_id or "", token, faxline, base_url)
    if service:
        _install(config_path, given, dry_run=dry_run)
        return
    belongs_to = init_.owner_called(owner)
    questions = Questions(config_path, given, service=False)
    answers = questions.answers(init_.stored(config_path, service=False))
    for path in init_.write(config_path, answers, belongs_to, service=False):
        click.echo(_("Created {path}").format(path=name_of_file(path)))
    click.echo()
    config = load(config_path, {**os.environ, **answers.secrets})
    tell(checked(config, config_path, simulate=False), as_json=False)


# -- the service -----------------------------------------------------------------------------


def _install(config: Path, given: Given, *, dry_run: bool) -> None:
    """Take all steps and show each; raise InstallationError with the one that failed."""
    machine = Machine()
    _may_be_a_service(config, machine, dry_run=dry_run)
    root = _known_root(config, given)
    is_there = root is not None
    secrets = init_.stored(config, service=True)
    if dry_run:
        root = (root or given.root or place.root_of(config)).absolute()
        _show(config, installation.steps(config, root, machine), machine)
        return
    questions = Questions(config, given, service=True)
    answers = None
    if root is None:
        answers = questions.answers(secrets)
        root, secrets = answers.root, dict(answers.secrets)
        init_.checked(answers)
    elif len(secrets) < len(place.secret_files(config)):
        secrets = questions.token(secrets)
    unit_before = _unit_text(config)
    for step in installation.steps(config, root, machine):
        _take(step)
    if is_there:
        _take(installation.opened(config))
    made = (
        init_.store(config, secrets)
        if answers is None
        else init_.write(config, answers, init_.owner_called(None), service=True)
    )
    for path in made:
        click.echo(_("made").ljust(_MARK) + name_of_file(path))
    click.echo()
    report = checked(load(config, {}), config, simulate=False)
    wrong = {each.topic for each in report.findings if each.level is Level.WRONG}
    if wrong - _START_ANYWAY:
        tell(report, as_json=False)
    anew = _unit_text(config) != unit_before or _is_older(config, root)
    anew = anew or check_unit.OUTDATED in wrong
    _take(installation.start(config, machine, anew=anew))
    click.echo()
    tell(checked(load(config, {}), config, simulate=False), as_json=False)
    _afterword(config, root)


def _known_root(config: Path, given: Given) -> Path | None:
    """Return the root from an existing config; None if there is no config."""
    if os.path.lexists(config):
        root = load_what_is_right(config).config.root
        if given.root not in (None, root):
            raise InitError(
                _("{config} sets the root to {root}. Change it there.").format(
                    config=config, root=root
                )
            )
        return root
    if given.root and (why := init_.root_fault(given.root.absolute(), service=True)):
        raise InitError(why)
    return None


def _may_be_a_service(config: Path, machine: Machine, *, dry_run: bool) -> None:
    unit = place.unit_of(config)
    if unit is None:
        raise InitError(
            _(
                "A service has its config in {folder}: leave out --config, or use --instance NAME."
            ).format(folder=place.ETC)
        )
    if not (machine.prefix / "lib/systemd/system/faxdrop.service").is_file():
        raise InitError(
            _(
                "{prefix} contains no systemd units: install faxdrop into its own venv, such as "
                "/opt/faxdrop (an editable installation has no units)."
            ).format(prefix=machine.prefix)
        )
    if why := installation.hidden(machine.prefix):
        raise InitError(_("{why} Install faxdrop into /opt/faxdrop.").format(why=why))
    if dry_run:
        return
    if os.geteuid() != 0:
        raise InitError(
            _(
                "You are {user}, and only root can install a service: put sudo before the "
                "command, or use --dry-run to see what it would do."
            ).format(user=name_of(os.geteuid()))
        )
    if not installation.has_systemd():
        raise InitError(_("This machine does not run systemd, so it cannot have this service."))


def _is_older(config: Path, root: Path) -> bool:
    """Return whether the running service is older than the installed faxdrop or its unit."""
    unit = units.ask(config)
    spool = Spool(root)
    started = last_words(spool).started_at if spool.is_locked() else None
    installed = Path(init_.__file__).stat().st_mtime
    is_older = started is not None and started.timestamp() < installed
    return is_older or (unit is not None and unit.is_stale)


def _unit_text(config: Path) -> str:
    """Return what is this machine's own in the unit; comparing it shows later changes."""
    try:
        return units.drop_in_path(config).read_text("utf-8")
    except OSError:
        return ""


def _show(config: Path, steps: list[Step], machine: Machine) -> None:
    """Show what would be done."""
    for step in steps:
        _tell_step(_("there") if step.is_done() else _("would"), step, in_full=not step.is_done())
    files = [*place.secret_files(config).values(), config]
    for path in files:
        there = os.path.lexists(path)
        mode = (
            ""
            if there
            else _("  (asks for it and writes it: mode {mode})").format(
                mode="640" if path == config else "600"
            )
        )
        click.echo((_("there") if there else _("would")).ljust(_MARK) + name_of_file(path) + mode)
    last = installation.start(config, machine, anew=False)
    _tell_step(_("there") if last.is_done() else _("would"), last, in_full=not last.is_done())


def _take(step: Step) -> None:
    if step.is_done():
        _tell_step(_("there"), step, in_full=False)
    else:
        step.do()
        _tell_step(_("done"), step, in_full=True)


def _tell_step(mark: str, step: Step, *, in_full: bool) -> None:
    click.echo(f"{mark:<{_MARK}}{shown(step.what)}")
    if in_full:
        for line in step.how.splitlines():
            click.echo(f"{'':<10}{shown(line)}")


def _afterword(config: Path, root: Path) -> None:
    click.echo(
        _(
            "Drop PDFs into {root}/inbox/RECIPIENT/\n  To see where they are:     sudo "
            "{command}\n  To let somebody else fax:  sudo usermod --append --groups {group} USER"
        ).format(
            root=name_of_file(root),
            command=command("status", config),
            group=place.SERVICE_USER,
        )
    )
