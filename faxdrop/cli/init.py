"""The command that sets faxdrop up: ``init``. Asks, checks each answer at once, and installs."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TextIO

import click
from pydantic import SecretStr

from faxdrop.cli.place import takes_place
from faxdrop.cli.setup import checked, tell
from faxdrop.cli.terminal import name_of_file, say
from faxdrop.config import place
from faxdrop.config.load import command, load, load_what_is_right
from faxdrop.config.settings import SipgateSettings
from faxdrop.fax.recipient import RecipientError
from faxdrop.fax.recipient import number as fax_number
from faxdrop.names.printable import shown
from faxdrop.setup import check as check_
from faxdrop.setup import check_unit, installation, units
from faxdrop.setup import init as init_
from faxdrop.setup.init import InitError
from faxdrop.setup.installation import Machine, Step
from faxdrop.sipgate import AccountFaxline, Sipgate, Unreachable
from faxdrop.spool.ownership import name_of
from faxdrop.spool.root import Spool
from faxdrop.status.overview import last_words

_REFUSED = {401, 403}  # answers that another token may mend
_ASK_WITHIN = 30.0  # seconds for sipgate to answer
# What is no obstacle to a start: the daemon waits for its end, or the start itself mends it.
_START_ANYWAY = {"sipgate", "faxline", "balance", "clock", "daemon", check_unit.OUTDATED}


@takes_place
@click.command(short_help="Set it up: config, folders, token; with --service, everything.")
@click.option(
    "--service",
    is_flag=True,
    help="Install the service: user, folders, command, unit, config, token, start (needs root).",
)
@click.option(
    "--dry-run", is_flag=True, help="With --service: show what it would do, and do nothing."
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
    help="The country in which numbers without a country code are dialled, such as DE.",
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
    help="Where the token itself stands, - for standard input.  [env var: TOKEN]",
)
@click.option("--faxline", envvar="FAXLINE_ID", show_envvar=True, help="The fax line that sends.")
@click.option(
    "--base-url",
    envvar="BASE_URL",
    show_envvar=True,
    help="Where sipgate's API is, for a rehearsal with `faxdrop simulate`.",
)
@click.option(
    "--owner",
    metavar="USER",
    help="Whom the folders are to belong to (for root, without --service; default: faxdrop).",
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
    """Set faxdrop up: write the config, make the folders, store the token, and check.

    With --service it makes a service of this machine, shows each step, and starts it; run again, it
    mends what is missing. Asks for what no option says. Nothing that is there is ever overwritten.
    The token is one of sipgate's personal access tokens (https://app.sipgate.com), with the scopes
    sessions:fax:write and history:read; with faxlines:read and balance:read, `faxdrop check` can
    tell more. There is no option for it, for others could see it on the command line.
    """
    config_path = config_path.absolute()
    if not service and dry_run:
        raise click.UsageError("--dry-run goes with --service.")
    if service and owner is not None:
        raise click.UsageError("--owner does not go with --service, which runs as faxdrop.")
    if not service and os.path.lexists(config_path):
        raise init_.already(config_path)
    token = token_file.read().strip() if token_file else os.environ.get("TOKEN", "")
    given = _Given(root, recipient, number, region, token_id or "", token, faxline, base_url)
    if service:
        _install(config_path, given, dry_run=dry_run)
        return
    belongs_to = init_.owner_called(owner)
    questions = _Questions(config_path, given, service=False)
    answers = questions.answers(init_.stored(config_path, service=False))
    for path in init_.write(config_path, answers, belongs_to, service=False):
        click.echo(f"Made {name_of_file(path)}")
    click.echo()
    config = load(config_path, {**os.environ, **answers.secrets})
    tell(checked(config, config_path, simulate=False), as_json=False)


# -- the service -----------------------------------------------------------------------------


def _install(config: Path, given: "_Given", *, dry_run: bool) -> None:
    """Take all steps, each shown; raise InstallationError with the one that failed."""
    machine = Machine()
    _may_be_a_service(config, machine, dry_run=dry_run)
    root = _known_root(config, given)
    is_there = root is not None
    secrets = init_.stored(config, service=True)
    if dry_run:
        root = (root or given.root or place.root_of(config)).absolute()
        _show(config, installation.steps(config, root, machine), machine)
        return
    questions = _Questions(config, given, service=True)
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
        click.echo(f"made    {name_of_file(path)}")
    click.echo()
    report = checked(load(config, {}), config, simulate=False)
    wrong = {each.topic for each in report.findings if each.level is check_.Level.WRONG}
    if wrong - _START_ANYWAY:
        tell(report, as_json=False)
    anew = _unit_text(config) != unit_before or _is_older(config, root)
    anew = anew or check_unit.OUTDATED in wrong
    _take(installation.start(config, machine, anew=anew))
    click.echo()
    tell(checked(load(config, {}), config, simulate=False), as_json=False)
    _afterword(config, root)


def _known_root(config: Path, given: "_Given") -> Path | None:
    """Return the root that stands in a config that is there; None without one."""
    if os.path.lexists(config):
        root = load_what_is_right(config).config.root
        if given.root not in (None, root):
            raise InitError(f"The root stands in {config}, and is {root}. Change it there.")
        return root
    if given.root and (why := init_.root_fault(given.root.absolute(), service=True)):
        raise InitError(why)
    return None


def _may_be_a_service(config: Path, machine: Machine, *, dry_run: bool) -> None:
    unit = place.unit_of(config)
    if unit is None:
        raise InitError(
            f"A service has its config in {place.ETC}: leave --config out, or say --instance NAME."
        )
    if not (machine.prefix / "lib/systemd/system/faxdrop.service").is_file():
        raise InitError(
            f"{machine.prefix} holds no units of systemd: install faxdrop into a venv of its own, "
            "such as /opt/faxdrop (an editable installation has none)."
        )
    if why := installation.hidden(machine.prefix):
        raise InitError(f"{why} Install faxdrop into /opt/faxdrop.")
    if dry_run:
        return
    if os.geteuid() != 0:
        raise InitError(
            f"You are {name_of(os.geteuid())}, and only root can install a service: put sudo "
            "before the command, or say --dry-run to see what it would do."
        )
    if not installation.has_systemd():
        raise InitError("This machine was not started by systemd, so it can have no such service.")


def _is_older(config: Path, root: Path) -> bool:
    """Tell whether what runs was started before this faxdrop, or its unit, was installed."""
    unit = units.ask(config)
    spool = Spool(root)
    started = last_words(spool).started_at if spool.is_locked() else None
    installed = Path(init_.__file__).stat().st_mtime
    is_older = started is not None and started.timestamp() < installed
    return is_older or (unit is not None and unit.is_stale)


def _unit_text(config: Path) -> str:
    """Return what of the unit is this machine's own, to know later whether that has changed."""
    try:
        return units.drop_in_path(config).read_text("utf-8")
    except OSError:
        return ""


def _show(config: Path, steps: list[Step], machine: Machine) -> None:
    """Say what would be done."""
    for step in steps:
        _tell_step("there" if step.is_done() else "would", step, in_full=not step.is_done())
    files = [*place.secret_files(config).values(), config]
    for path in files:
        there = os.path.lexists(path)
        mode = (
            "" if there else f"  (asks, and writes it: mode {'640' if path == config else '600'})"
        )
        click.echo(f"{'there' if there else 'would':<8}{name_of_file(path)}{mode}")
    last = installation.start(config, machine, anew=False)
    _tell_step("there" if last.is_done() else "would", last, in_full=not last.is_done())


def _take(step: Step) -> None:
    if step.is_done():
        _tell_step("there", step, in_full=False)
    else:
        step.do()
        _tell_step("done", step, in_full=True)


def _tell_step(mark: str, step: Step, *, in_full: bool) -> None:
    click.echo(f"{mark:<8}{shown(step.what)}")
    if in_full:
        for line in step.how.splitlines():
            click.echo(f"{'':<10}{shown(line)}")


def _afterword(config: Path, root: Path) -> None:
    click.echo(
        f"Drop PDFs into {name_of_file(root)}/inbox/RECIPIENT/\n"
        f"  where they are:   sudo {command('status', config)}\n"
        f"  who may fax, too: sudo usermod --append --groups {place.SERVICE_USER} USER"
    )


# -- the dialogue ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Given:
    """What the options said; "" and None: nothing."""

    root: Path | None
    recipient: str | None
    number: str | None
    region: str | None
    token_id: str
    token: str = field(repr=False)
    faxline: str | None
    base_url: str | None


class _Questions:
    """Asks for what was not given; an answer that is wrong is asked for again at once."""

    def __init__(self, config: Path, given: _Given, *, service: bool) -> None:
        self._config = config
        self._given = given
        self._service = service
        self._lines: tuple[AccountFaxline, ...] | None = None  # None: sipgate did not show them

    def answers(self, found: Mapping[str, str]) -> init_.Answers:
        """Return all that a config and its secrets need; ``found`` are secrets that are stored."""
        given = self._given
        self._foreword(found)
        secrets = self.token(found)
        home = place.root_of(self._config) if self._service or os.geteuid() == 0 else None
        root = given.root or Path(
            _ask("Folder for inbox, sent and failed", self._root, home or Path.home() / "fax")
        )
        name = given.recipient or _ask(
            "Name of the first recipient, such as Dr. Müller", partial(_right, "name")
        )
        region = given.region or "DE"
        if not (given.region or given.number):
            question = "Country of numbers without a country code"
            region = _ask(question, partial(_right, "region"), region)
        return init_.Answers(
            root=root.absolute(),
            name=name,
            number=given.number or _ask("Fax number", partial(_fax_number, region)),
            faxline=given.faxline or self._faxline(),
            region=region,
            base_url=given.base_url,
            secrets=secrets,
        )

    def _foreword(self, found: Mapping[str, str]) -> None:
        given = self._given
        asked = {
            "the id of a sipgate token": found.get("TOKEN_ID") or given.token_id,
            "the token": found.get("TOKEN") or given.token,
            "a folder": given.root,
            "a first recipient": given.recipient,
            "their fax number": given.number,
            "the fax line that sends": given.faxline,
        }
        if left := [what for what, said in asked.items() if not said]:
            first = ", ".join(left[:-1])
            say(
                f"This asks for {first}{' and ' if first else ''}{left[-1]}. Tokens are made at "
                "https://app.sipgate.com/personal-access-token; "
                f"`{command('run --simulate', self._config)}` needs none."
            )

    def token(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return both halves of the token; sipgate is asked whether it takes what was typed."""
        given = {"TOKEN_ID": self._given.token_id, "TOKEN": self._given.token, **found}
        while True:
            secrets = {
                "TOKEN_ID": given["TOKEN_ID"]
                or _ask("Token id (token-...)", partial(_secret, "TOKEN_ID")),
                "TOKEN": given["TOKEN"] or _ask("Token", partial(_secret, "TOKEN"), hidden=True),
            }
            typed = not (given["TOKEN_ID"] and given["TOKEN"])
            needed = typed or not self._given.faxline
            refused = self._refused(secrets) if needed else None
            if refused is None or not typed:
                return secrets
            click.echo(f"Error: {refused}")
            given = {"TOKEN_ID": found.get("TOKEN_ID", ""), "TOKEN": found.get("TOKEN", "")}

    def _refused(self, secrets: Mapping[str, str]) -> str | None:
        """Ask sipgate for the fax lines; return why it does not take the token, if it does not."""
        url = self._given.base_url or SipgateSettings(faxline="f0").base_url
        try:
            with Sipgate(
                url, secrets["TOKEN_ID"], SecretStr(secrets["TOKEN"]), _ASK_WITHIN
            ) as asked:
                asked.history(faxlines=(), since=datetime.now(UTC), limit=1)
                self._lines = asked.account().faxlines
        except Unreachable as error:
            if error.answer.status in _REFUSED:
                return f"{error.answer.words}. {error.answer.advice}".strip()
            click.echo(f"(sipgate cannot be asked at the moment: {error.answer.words})")
        return None

    def _root(self, text: str) -> str:
        path = Path(text).absolute()
        if why := init_.root_fault(path, service=self._service):
            raise click.UsageError(why)
        return str(path)

    def _faxline(self) -> str:
        """Show the fax lines that the token may see, and ask for one."""
        lines = {line.id: line for line in self._lines or ()}
        for line in lines.values():
            may = "" if line.can_send else " (may not send)"
            click.echo(f"  {line.id}  {shown(line.alias)}{may}")

        def known(text: str) -> str:
            if lines and text not in lines:
                raise click.UsageError(f"There is no fax line {text}: {', '.join(lines)}.")
            if lines and not lines[text].can_send:
                raise click.UsageError(
                    f"{text} may not send: allow it at sipgate, or take another."
                )
            return _right("faxline", text)

        default = next((line.id for line in lines.values() if line.can_send), None)
        return _ask("Fax line", known, default or (None if lines else "f0"))


def _ask(
    question: str,
    check: Callable[[str], str],
    default: str | Path | None = None,
    *,
    hidden: bool = False,
) -> str:
    return str(
        click.prompt(
            question, None if default is None else str(default), hide_input=hidden, value_proc=check
        )
    )


def _right(what: str, text: str) -> str:
    """Take an answer that makes a right config; click asks again for any other."""
    if remedy := init_.fault(**{what: text.strip()}):
        raise click.UsageError(f"It must be {remedy}.")
    return text.strip()


def _secret(name: str, text: str) -> str:
    secrets = {"TOKEN_ID": "token-A", "TOKEN": "A", name: text.strip()}
    if remedy := init_.fault(secrets=secrets):
        raise click.UsageError(f"Not that: {remedy}.")
    return text.strip()


def _fax_number(region: str, text: str) -> str:
    try:
        fax_number(text, region, allow_premium=False)
    except RecipientError as error:
        raise click.UsageError(error.reason.message) from None
    return text
