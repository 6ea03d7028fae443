"""The dialogue of ``faxdrop init``: it asks for what no option gave, and checks each answer."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
from pydantic import SecretStr

from faxdrop.cli.terminal import say
from faxdrop.config import place
from faxdrop.config.place import command
from faxdrop.config.settings import SipgateSettings
from faxdrop.fax.recipient import RecipientError
from faxdrop.fax.recipient import number as fax_number
from faxdrop.names.printable import shown
from faxdrop.setup import init as init_
from faxdrop.sipgate import AccountFaxline, Sipgate, Unreachable
from faxdrop.words import _, listed

_REFUSED = {401, 403}  # answers that another token may change
_ASK_WITHIN = 30.0  # seconds for sipgate to answer


@dataclass(frozen=True)
class Given:
    """What the options gave; "" and None: nothing."""

    root: Path | None
    recipient: str | None
    number: str | None
    region: str | None
    token_id: str
    token: str = field(repr=False)
    faxline: str | None
    base_url: str | None


class Questions:
    """Asks for what was not given; a wrong answer is asked for again at once."""

    def __init__(self, config: Path, given: Given, *, service: bool) -> None:
        self._config = config
        self._given = given
        self._service = service
        self._lines: tuple[AccountFaxline, ...] | None = None  # None: sipgate did not show them

    def answers(self, found: Mapping[str, str]) -> init_.Answers:
        """Return all that a config and its secrets need; ``found`` are secrets already stored."""
        given = self._given
        self._foreword(found)
        secrets = self.token(found)
        home = place.root_of(self._config) if self._service or os.geteuid() == 0 else None
        root = given.root or Path(
            _ask(_("Folder for inbox, sent and failed"), self._root, home or Path.home() / "fax")
        )
        name = given.recipient or _ask(
            _("Name of the first recipient, such as Dr. Müller"), partial(_right, "name")
        )
        region = given.region or "DE"
        if not (given.region or given.number):
            question = _("Country of numbers without a country code")
            region = _ask(question, partial(_right, "region"), region)
        return init_.Answers(
            root=root.absolute(),
            name=name,
            number=given.number or _ask(_("Fax number"), partial(_fax_number, region)),
            faxline=given.faxline or self._faxline(),
            region=region,
            base_url=given.base_url,
            secrets=secrets,
        )

    def _foreword(self, found: Mapping[str, str]) -> None:
        given = self._given
        asked = {
            _("the id of a sipgate token"): found.get("TOKEN_ID") or given.token_id,
            _("the token"): found.get("TOKEN") or given.token,
            _("a folder"): given.root,
            _("a first recipient"): given.recipient,
            _("their fax number"): given.number,
            _("the fax line that sends"): given.faxline,
        }
        if left := [what for what, said in asked.items() if not said]:
            say(
                _(
                    "You will be asked for {what}. Create a token at "
                    "https://app.sipgate.com/personal-access-token; `{command}` needs none."
                ).format(
                    what=listed(left),
                    command=command("run --simulate", self._config),
                )
            )

    def token(self, found: Mapping[str, str]) -> dict[str, str]:
        """Return both halves of the token; sipgate is asked whether it accepts a typed one."""
        given = {"TOKEN_ID": self._given.token_id, "TOKEN": self._given.token, **found}
        while True:
            secrets = {
                "TOKEN_ID": given["TOKEN_ID"]
                or _ask(_("Token id (token-...)"), partial(_secret, "TOKEN_ID")),
                "TOKEN": given["TOKEN"] or _ask(_("Token"), partial(_secret, "TOKEN"), hidden=True),
            }
            typed = not (given["TOKEN_ID"] and given["TOKEN"])
            needed = typed or not self._given.faxline
            refused = self._refused(secrets) if needed else None
            if refused is None or not typed:
                return secrets
            click.echo(_("Error: {why}").format(why=refused))
            given = {"TOKEN_ID": found.get("TOKEN_ID", ""), "TOKEN": found.get("TOKEN", "")}

    def _refused(self, secrets: Mapping[str, str]) -> str | None:
        """Ask sipgate for the fax lines; return why it refuses the token, if it does."""
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
            click.echo(_("(sipgate could not be asked: {words})").format(words=error.answer.words))
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
            may = "" if line.can_send else _(" (may not send)")
            click.echo(f"  {line.id}  {shown(line.alias)}{may}")

        def known(text: str) -> str:
            if lines and text not in lines:
                raise click.UsageError(
                    _("There is no fax line {text}: {lines}.").format(
                        text=text, lines=", ".join(lines)
                    )
                )
            if lines and not lines[text].can_send:
                raise click.UsageError(
                    _("{text} may not send: allow it at sipgate, or choose another.").format(
                        text=text
                    )
                )
            return _right("faxline", text)

        default = next((line.id for line in lines.values() if line.can_send), None)
        return _ask(_("Fax line"), known, default or (None if lines else "f0"))


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
    """Accept an answer that makes a valid config; click asks again for any other."""
    if remedy := init_.fault(**{what: text.strip()}):
        raise click.UsageError(_("It must be {remedy}.").format(remedy=remedy))
    return text.strip()


def _secret(name: str, text: str) -> str:
    secrets = {"TOKEN_ID": "token-A", "TOKEN": "A", name: text.strip()}
    if remedy := init_.fault(secrets=secrets):
        raise click.UsageError(_("That does not work: {remedy}.").format(remedy=remedy))
    return text.strip()


def _fax_number(region: str, text: str) -> str:
    try:
        fax_number(text, region, allow_premium=False)
    except RecipientError as error:
        raise click.UsageError(error.reason.message) from None
    return text
