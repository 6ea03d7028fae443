"""Compares the running service, its unit and its token, with what is on disk."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from faxdrop.config import place
from faxdrop.config.settings import Config
from faxdrop.setup import units
from faxdrop.setup.findings import Finding, Level, finding
from faxdrop.setup.units import Unit
from faxdrop.spool.ownership import owner_of
from faxdrop.words import _

OUTDATED: Final = "token"  # the topic of what a restart mends


def unit(config: Config, config_path: Path) -> Iterator[Finding]:
    """Check the unit of a config, if systemd knows one. Root learns more than others."""
    known = units.ask(config_path)
    if known is not None:
        yield from of_unit(known, config, config_path)
        yield from of_token(
            known.name,
            units.running_secrets(known.name),
            units.contents(place.secret_files(config_path)),
        )


def of_unit(known: Unit, config: Config, config_path: Path) -> Iterator[Finding]:
    """Compare a unit with the config that it starts with."""
    wrong = False
    if not known.may_write(config.root):
        wrong = True
        yield finding(
            "unit",
            Level.WRONG,
            _("The unit {name} may not write to {root}.").format(name=known.name, root=config.root),
            _allowing(known.name, config.root, config_path),
        )
    if config.root.is_dir() and known.user not in ("", owner_of(config.root)):
        wrong = True
        yield finding(
            "unit",
            Level.WRONG,
            _("{name} runs as {user}, and {root} belongs to {owner}.").format(
                name=known.name, user=known.user, root=config.root, owner=owner_of(config.root)
            ),
            _("Give the folders to the service: chown -R {user}: {root}").format(
                user=known.user, root=config.root
            ),
        )
    if known.is_stale:
        yield finding(
            "unit",
            Level.NOTE,
            _("The files of {name} have changed since systemd read them.").format(name=known.name),
            f"systemctl daemon-reload && systemctl restart {known.name}",
        )
    elif not known.at_boot:
        yield finding(
            "unit",
            Level.NOTE,
            _("{name} does not start at boot.").format(name=known.name),
            _(
                "systemctl enable {name} (unless something else starts it, such as a cluster)"
            ).format(name=known.name),
        )
    elif not wrong:
        yield finding(
            "unit",
            Level.OK,
            _("{name} may write to {root}.").format(name=known.name, root=config.root),
        )


def _allowing(name: str, root: Path, config_path: Path) -> str:
    if why := units.no_place(root):
        return _("Use another folder: {why}.").format(why=why)
    lines = units.drop_in(config_path, root, units.PROGRAM)
    return (
        _(
            "sudo {command} corrects that. By hand: systemctl edit {name}, with these lines; "
            "then restart it.\n{lines}"
        )
        .format(command=place.command("init --service", config_path), name=name, lines=lines)
        .rstrip()
    )


def of_token(name: str, running: dict[str, str], stored: dict[str, str]) -> Iterator[Finding]:
    """Compare the token that a service was started with and the one on disk now."""
    if (
        os.geteuid() == 0
        and running
        and any(running.get(secret, text) != text for secret, text in stored.items())
    ):
        yield finding(
            OUTDATED,
            Level.WRONG,
            _("{name} still uses an older token than the one in {folder}.").format(
                name=name, folder=place.ETC
            ),
            f"systemctl restart {name}",
        )
