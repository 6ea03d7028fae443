"""What is wrong with the settings, in words: the place, the value, and what would be right.

Administrators write tokens in wrong places. So nothing here repeats what may be a secret.
"""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from faxdrop.config.settings import (
    DocumentSettings,
    HeartbeatSettings,
    HookSettings,
    InboxSettings,
    NotifySettings,
    ReportSettings,
    RetentionSettings,
    SendingSettings,
    Settings,
    SipgateSettings,
    WitnessSettings,
)
from faxdrop.fax.recipient import AddressEntry
from faxdrop.names.redaction import IN_SETTINGS, redacted, spellings
from faxdrop.words import N_, _

MISSING = N_("(missing)")
EMPTY = N_("(empty)")
NOT_SHOWN = N_("(not shown)")
CLOSED = N_("(you may not read it)")

_SHOWN = 80  # characters of a value
ENTRY_REMEDY = N_(
    'a number such as "+492111234567", or { number = "+492111234567", faxline = "f1" }'
)
_TABLES: dict[str, type[BaseModel]] = {
    "": Settings,
    "sipgate": SipgateSettings,
    "inbox": InboxSettings,
    "documents": DocumentSettings,
    "sending": SendingSettings,
    "retention": RetentionSettings,
    "report": ReportSettings,
    "notify": NotifySettings,
    "hook": HookSettings,
    "heartbeat": HeartbeatSettings,
    "witness": WitnessSettings,
}

_HARMLESS = 8  # characters: a duration, a word; no token is so short
_SECRET_KEY = re.compile(r"tok|secret|pass|pwd|auth|cred|key|\bpin\b", re.IGNORECASE)

Loc = tuple[int | str, ...]
"""Where in the table a setting stands."""


class Problem(NamedTuple):
    """One thing that is wrong with what the administrator set."""

    key: str  # dotted, as in TOML; the variable's name for a secret
    value: str  # as in TOML; never a secret
    remedy: str  # what would be right, in the current language

    @property
    def setting(self) -> str:
        """The key and its value, as in TOML, or in the current language where there is none."""
        value = _(self.value) if self.value.startswith("(") else self.value
        return f"{self.key} = {value}"

    def __str__(self) -> str:
        return f"{self.setting}: {self.remedy}"


class ConfigError(Exception):
    """The settings are wrong; ``problems`` lists everything at once."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


class NoConfigError(ConfigError):
    """There is no config, or none that we may read. It is then the only problem."""

    def __str__(self) -> str:
        return self.problems[0].remedy


def of_pydantic(loc: Loc, kind: str, value: Any, origin: Mapping[Loc, str]) -> Problem:
    """Turn a pydantic error into our words: what would be right, not which rule is broken."""
    key = origin.get(loc) or dotted(loc)
    if kind == "extra_forbidden":
        return _unknown(loc, key, value)
    if loc[0] == "notify" and not _is_plain(value):
        return Problem(key, NOT_SHOWN, _remedy(loc))  # it may be an address
    return Problem(key, MISSING if kind == "missing" else toml(value), _remedy(loc))


def _remedy(loc: Loc) -> str:
    """Return what would be right at a place, from the setting's description."""
    if loc[0] == "recipients" and len(loc) > 1:
        field = (
            AddressEntry.model_fields[str(loc[2])]
            if len(loc) > len(("recipients", "name"))
            else None
        )
        return _((field and field.description) or ENTRY_REMEDY)
    if loc[0] == "notify" and len(loc) > len(("notify", "name")):
        return _(str(NotifySettings.model_fields[str(loc[2])].description))
    table = _TABLES.get(str(loc[0]), Settings) if len(loc) > 1 and loc[0] != "notify" else Settings
    setting = table.model_fields[str(loc[1] if table is not Settings else loc[0])]
    words = _(str(setting.description))
    return words.format(example=setting.examples[0]) if setting.examples else words


def _unknown(loc: Loc, key: str, value: Any) -> Problem:
    """Return what an unknown key may mean, without repeating what may be a secret."""
    *way, name = (str(step) for step in loc)
    secret = _SECRET_KEY.search(name)
    table = AddressEntry if way[:1] == ["recipients"] else _TABLES[way[0] if way else ""]
    homes = [section for section, model in _TABLES.items() if name in model.model_fields]
    if likely := difflib.get_close_matches(name, table.model_fields, n=1):
        remedy = _("no such setting; did you mean {name}?").format(name=likely[0])
    elif homes:
        home = "notify.NAME" if homes[0] == "notify" else homes[0]
        remedy = (
            _("put it into [{table}]").format(table=home)
            if home
            else _("put it above all [tables]")
        )
    elif table is NotifySettings:
        remedy = _(
            "no such setting; possible here: {names} (the address is a secret: {secret}, beside "
            "TOKEN)"
        ).format(names=", ".join(table.model_fields), secret=f"NOTIFY_{str(loc[1]).upper()}")
    elif secret:
        remedy = _(
            "secrets are never in this file: set TOKEN_ID and TOKEN in the environment, as "
            "systemd credentials, or in the .env beside it"
        )
    else:
        remedy = _("no such setting; possible here: {names}").format(
            names=", ".join(table.model_fields)
        )
    if table is AddressEntry and not secret:  # Dr.Mueller = "..." is a table Dr to TOML
        remedy += " " + _("(a name with dots needs quotes: {name})").format(
            name=toml(".".join(map(str, loc[1:])))
        )
    return Problem(key, toml(value) if _is_plain(value) and not secret else NOT_SHOWN, remedy)


def _is_plain(value: Any) -> bool:
    """Return whether a value is too short to be a secret, or of a type that no secret has."""
    return isinstance(value, int | float | dict) or (
        isinstance(value, str) and len(value) <= _HARMLESS
    )


def dotted(loc: Loc) -> str:
    """Return a place as TOML writes it: names joined by dots, in quotes where they need them."""
    steps = (str(step) for step in loc if not isinstance(step, int))
    return ".".join(
        step if re.fullmatch("[A-Za-z0-9_-]+", step) else json.dumps(step, ensure_ascii=False)
        for step in steps
    )


def toml(value: Any) -> str:
    """Return a value as TOML writes it; for tables and nested lists, only what they are."""
    if isinstance(value, dict):
        return N_("(a table)")
    if isinstance(value, list):
        flat = not any(isinstance(each, list | dict) for each in value)
        return f"[{', '.join(map(toml, value))}]" if flat else N_("(a list of lists)")
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    try:
        return str(value)
    except ValueError:  # Python refuses to write more than 4300 digits
        return N_("(a huge number)")


def presentable(problem: Problem, secrets: Collection[str]) -> Problem:
    """Return a problem without secrets, its value cut to a readable length."""
    key, value, remedy = (redacted(text, spellings(secrets), IN_SETTINGS) for text in problem)
    return Problem(key, value if len(value) <= _SHOWN else f"{value[: _SHOWN - 3]}...", remedy)
