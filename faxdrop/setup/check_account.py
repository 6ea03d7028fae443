"""Asks sipgate whether it would take a fax of this account now. Nothing is faxed."""

from collections.abc import Iterator
from datetime import UTC, datetime

from faxdrop.config.problems import dotted
from faxdrop.config.settings import Config
from faxdrop.setup.findings import Finding, Level, finding
from faxdrop.sipgate import AccountReport, Sipgate, Unreachable
from faxdrop.words import _, number

_CLOCK_SLACK = 60.0  # seconds; sipgate's own is known by its answers, so this is for the people
_MAY_NOT_SEE = {401, 403, 404}


def account(config: Config, sipgate: Sipgate) -> Iterator[Finding]:
    """Ask sipgate what the daemon would ask, and what the account allows."""
    try:
        sipgate.history(faxlines=(), since=datetime.now(UTC), limit=1)
    except Unreachable as error:
        words = error.answer.words
        if not words.startswith("sipgate"):  # which is never written with a capital
            words = words[:1].upper() + words[1:]
        advice = error.answer.advice or _("Faxes wait until that is over, then go out.")
        if error.answer.status is None and not error.answer.advice:
            advice = _("Is the network up? Faxes wait until it is, then go out.")
        yield finding("sipgate", Level.WRONG, f"{words} ({config.sipgate.base_url}).", advice)
        return
    yield finding(
        "sipgate",
        Level.OK,
        _("{base_url} answers and accepts the token.").format(base_url=config.sipgate.base_url),
    )
    yield from _clock(sipgate.clock_offset or 0.0)
    try:
        seen = sipgate.account()
    except Unreachable as error:
        words = _("sipgate did not show the account ({words})").format(words=error.answer.words)
        if error.answer.status in _MAY_NOT_SEE:
            words = _("The token may not see the account ({words})").format(
                words=error.answer.words
            )
        yield finding(
            "faxline",
            Level.NOTE,
            _("{words}; the first fax will show whether the fax line may send.").format(
                words=words
            ),
        )
        return
    yield from _faxlines(config, seen)
    yield _balance(seen)


def _clock(offset: float) -> Iterator[Finding]:
    if abs(offset) > _CLOCK_SLACK:
        yield finding(
            "clock",
            Level.NOTE,
            (
                _(
                    "This machine's clock is {seconds} s behind sipgate's. faxdrop allows for "
                    "that, but the times in receipts will be wrong."
                )
                if offset > 0
                else _(
                    "This machine's clock is {seconds} s ahead of sipgate's. faxdrop allows for "
                    "that, but the times in receipts will be wrong."
                )
            ).format(seconds=number(abs(offset), 0)),
            _("Set it: timedatectl set-ntp true"),
        )


def _faxlines(config: Config, seen: AccountReport) -> Iterator[Finding]:
    if seen.faxlines is None:
        yield finding(
            "faxline",
            Level.NOTE,
            _(
                "The token may not list the fax lines; the first fax will show whether {faxline} "
                "may send."
            ).format(faxline=config.sipgate.faxline),
        )
        return
    lines = {line.id: line for line in seen.faxlines}
    listing = ", ".join(f"{line.id} ({line.alias})" for line in lines.values()) or _("none")
    users = {config.sipgate.faxline: "sipgate.faxline"}
    for name, entry in config.recipients.items():
        if entry.faxline is not None:
            users.setdefault(entry.faxline, dotted(("recipients", name, "faxline")))
    for wanted, key in users.items():
        line = lines.get(wanted)
        if line is None:
            yield finding(
                "faxline",
                Level.WRONG,
                _("There is no fax line {wanted}.").format(wanted=wanted),
                _("Set {key} to one of these: {listing}").format(key=key, listing=listing),
            )
        elif not line.can_send:
            yield finding(
                "faxline",
                Level.WRONG,
                _("The fax line {wanted} ({alias}) may not send.").format(
                    wanted=wanted, alias=line.alias
                ),
                _("Allow it at sipgate, or set {key} to one of these: {listing}").format(
                    key=key, listing=listing
                ),
            )
        else:
            yield finding(
                "faxline",
                Level.OK,
                _("{wanted} ({alias}) exists and may send.").format(
                    wanted=wanted, alias=line.alias
                ),
            )


def _balance(seen: AccountReport) -> Finding:
    if seen.balance is None:
        return finding(
            "balance", Level.OK, _("This token may not see it; faxing does not need that.")
        )
    words = f"{number(float(seen.balance), 2)} {seen.currency or ''}".rstrip()
    if seen.balance <= 0:
        return finding(
            "balance",
            Level.NOTE,
            _("{words}: sipgate may refuse faxes.").format(words=words),
            _("Top the account up."),
        )
    return finding("balance", Level.OK, f"{words}.")
