"""Asks sipgate whether it would take a fax of this account now. Nothing is faxed."""

from collections.abc import Iterator
from datetime import UTC, datetime

from faxdrop.config.settings import Config
from faxdrop.setup.check import Finding, Level, finding
from faxdrop.sipgate import AccountReport, Sipgate, Unreachable

_CLOCK_SLACK = 60.0  # seconds; sipgate's own is known by its answers, so this is for the people
_MAY_NOT_SEE = {401, 403, 404}


def account(config: Config, sipgate: Sipgate) -> Iterator[Finding]:
    """Ask sipgate what the daemon would ask, and what the account allows."""
    try:
        sipgate.history(faxlines=(), since=datetime.now(UTC), limit=1)
    except Unreachable as error:
        words = error.answer.words[:1].upper() + error.answer.words[1:]
        advice = error.answer.advice or "Faxes wait until that is over, and then go out."
        if error.answer.status is None and not error.answer.advice:
            advice = "Is the network there? Faxes wait until it is, and then go out."
        yield finding("sipgate", Level.WRONG, f"{words} ({config.sipgate.base_url}).", advice)
        return
    yield finding("sipgate", Level.OK, f"{config.sipgate.base_url} answers, and knows the token.")
    yield from _clock(sipgate.clock_offset or 0.0)
    try:
        seen = sipgate.account()
    except Unreachable as error:
        words = f"sipgate did not show the account ({error.answer.words})"
        if error.answer.status in _MAY_NOT_SEE:
            words = f"The token may not see the account ({error.answer.words})"
        yield finding(
            "faxline", Level.NOTE, f"{words}; whether the fax line may send, the first fax tells."
        )
        return
    yield from _faxlines(config, seen)
    yield _balance(seen)


def _clock(offset: float) -> Iterator[Finding]:
    if abs(offset) > _CLOCK_SLACK:
        yield finding(
            "clock",
            Level.NOTE,
            f"This machine's clock is {abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} "
            "sipgate's; faxdrop allows for that, but its receipts will confuse people.",
            "Set it: timedatectl set-ntp true",
        )


def _faxlines(config: Config, seen: AccountReport) -> Iterator[Finding]:
    if seen.faxlines is None:
        yield finding(
            "faxline",
            Level.NOTE,
            "The token may not list the fax lines; whether "
            f"{config.sipgate.faxline} may send, the first fax tells.",
        )
        return
    lines = {line.id: line for line in seen.faxlines}
    listing = ", ".join(f"{line.id} ({line.alias})" for line in lines.values()) or "none"
    users = {config.sipgate.faxline: "sipgate.faxline"}
    for name, entry in config.recipients.items():
        if entry.faxline is not None:
            users.setdefault(entry.faxline, f"recipients.{name}")
    for wanted, key in users.items():
        line = lines.get(wanted)
        if line is None:
            yield finding(
                "faxline",
                Level.WRONG,
                f"There is no fax line {wanted}.",
                f"Set {key} to one that there is: {listing}",
            )
        elif not line.can_send:
            yield finding(
                "faxline",
                Level.WRONG,
                f"The fax line {wanted} ({line.alias}) may not send.",
                f"Allow it at sipgate, or set {key} to another of: {listing}",
            )
        else:
            yield finding("faxline", Level.OK, f"{wanted} ({line.alias}) is there and may send.")


def _balance(seen: AccountReport) -> Finding:
    if seen.balance is None:
        return finding("balance", Level.OK, "Not for this token to see; that is no obstacle.")
    words = f"{seen.balance:.2f} {seen.currency or ''}".rstrip()
    if seen.balance <= 0:
        return finding(
            "balance", Level.NOTE, f"{words}: sipgate may refuse faxes.", "Top the account up."
        )
    return finding("balance", Level.OK, f"{words}.")
