"""Who gets notices: their names, and their addresses, which are secrets."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from faxdrop.config import credentials
from faxdrop.config.addresses import unusable
from faxdrop.config.place import notify_files
from faxdrop.config.problems import CLOSED, MISSING, NOT_SHOWN, Problem, dotted, toml
from faxdrop.config.settings import Settings
from faxdrop.words import _

_LOADED: Final = "CREDENTIALS_DIRECTORY"  # systemd sets it
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


def find(
    path: Path,
    environ: Mapping[str, str],
    settings: Settings,
    problems: list[Problem],
    *,
    is_closed: bool,
) -> dict[str, str]:
    """Find the address of each [notify.NAME], and check that it can be used."""
    dotenv = path.parent / ".env"
    files = notify_files(path, settings.notify)
    found = credentials.find(environ, dotenv, files, tuple(files))
    problems += [
        _in_the_unit(problem, files[problem.key]) if _LOADED in environ else problem
        for problem in found.problems
        if problem.key in files
    ]
    addresses = {
        name: found.values[secret]
        for name, secret in zip(settings.notify, files, strict=False)
        if secret in found.values
    }
    for secret in files:
        problems += () if is_closed else found.missing(secret, dotenv)
    for name in sorted(unusable(addresses)):
        remedy = _('an address that apprise knows: the README has examples in "Who hears of it"')
        problems.append(Problem(f"NOTIFY_{name.upper()}", NOT_SHOWN, remedy))
    return addresses


def _in_the_unit(problem: Problem, file: Path) -> Problem:
    """Add how systemd hands over a file that only root may read."""
    if problem.value != CLOSED:
        return problem
    remedy = _(
        "{file} is root's, so systemd has to hand it over: LoadCredential={name}:{file} below "
        "[Service] in a drop-in (systemctl edit), then systemctl restart"
    )
    return Problem(problem.key, MISSING, remedy.format(file=file, name=problem.key))


def wrong_names(settings: Settings) -> Iterator[Problem]:
    """Check the names in [notify]: each becomes part of a variable's name."""
    seen: dict[str, str] = {}
    for name in settings.notify:
        twin = seen.setdefault(name.upper(), name)
        if not _NAME.fullmatch(name):
            remedy = _(
                "a name of letters, digits and _, because its address is the secret NOTIFY_NAME"
            )
            yield Problem(dotted(("notify", name)), toml(name), remedy)
        elif twin != name:
            yield Problem(
                dotted(("notify", name)),
                toml(name),
                _("a name that differs from {twin}").format(twin=toml(twin)),
            )
