"""From the config file and the secrets to one Config, or to every problem at once.

The config holds no secrets (``credentials`` finds those). ``settings`` says what may be set; this
module checks what concerns the file itself or more than one setting. No text that leaves this
module contains a secret, even if somebody wrote one in a wrong place.
"""

import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr, ValidationError

from faxdrop import words
from faxdrop.config import consistency, credentials, notify
from faxdrop.config.place import DEFAULT_PATH, command, instances, notify_files, secret_files
from faxdrop.config.problems import (
    CLOSED,
    MISSING,
    ConfigError,
    Loc,
    NoConfigError,
    Problem,
    dotted,
    of_pydantic,
    presentable,
    toml,
)
from faxdrop.config.settings import (
    Config,
    FromFile,
    Secrets,
    Settings,
)
from faxdrop.config.simulated import SIMULATED
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.recipient import RecipientError, name_key, number, number_in
from faxdrop.names.passed_over import is_passed_over
from faxdrop.words import N_, _, of_system

_SECRETS = ("TOKEN", "TOKEN_ID", "HEARTBEAT_URL")
_LINE = re.compile(r"\(at line (\d+)")
_LONGEST_NAME = 255  # bytes, on every usual file system
_NUMBER_REMEDIES = {
    ReasonCode.NUMBER_BLOCKED: N_(
        "a number that may be faxed to; premium-rate numbers only with "
        "allow_premium = true in [sending], emergency and short numbers never"
    ),
    ReasonCode.NUMBER_INVALID: N_(
        'a fax number that exists, with its country code, such as "+492111234567"'
    ),
}


class MendedConfig(NamedTuple):
    """A config with defaults in place of what was wrong, and the problems."""

    config: Config
    problems: tuple[Problem, ...]


def load(path: Path | None, environ: Mapping[str, str], *, simulate: bool = False) -> Config:
    """Read and check the config at ``path`` (DEFAULT_PATH) and the secrets.

    With ``simulate``, no secrets are looked for, so that no real token ever reaches a rehearsal:
    those of the simulator are used, and its fax line ``f0`` unless the config names another.

    Sets the language, so that the config's own problems are already in it. Raises ConfigError.
    """
    path = (path or DEFAULT_PATH).absolute()
    _there(path)
    of_file: list[Problem] = []
    table = _read(path, of_file)
    dotenv = path.parent / ".env"
    files = secret_files(path)
    found = (
        credentials.find(environ, dotenv, files)
        if not simulate
        else credentials.Found(SIMULATED, ())
    )
    problems = list(found.problems)
    for name in ("TOKEN_ID", "TOKEN"):
        problems += found.missing(name, dotenv)
    settings: Settings | None = None
    problems += of_file
    if table is not None:
        origin = _add_found(table, found, simulate=simulate)
        settings = _settings(table, path.parent, origin, problems, set())
    addresses: dict[str, str] = {}
    if settings is not None and not simulate:
        addresses = notify.find(path, environ, settings, problems, is_closed=found.closed)
    if problems and all(problem.value == CLOSED for problem in problems):
        raise NoConfigError(tuple(problems))
    if problems or settings is None:
        hidden = [] if simulate else [found.values.get(name, "") for name in _SECRETS]
        hidden += addresses.values()
        raise ConfigError(tuple(presentable(problem, hidden) for problem in problems))
    warnings = list(_open(path, credentials.permitting(path, settings.root, secret=False)))
    faults = list(consistency.not_ready(settings))
    if not simulate:
        faults += _open(dotenv, credentials.permitting(dotenv, settings.root, secret=True))
        for file in (*files.values(), *notify_files(path, settings.notify).values()):
            faults += _open(file, f"chmod 600 {shlex.quote(str(file))}")
    url = found.values.get("HEARTBEAT_URL")
    secrets = Secrets(
        token_id=found.values["TOKEN_ID"],
        token=SecretStr(found.values["TOKEN"]),
        heartbeat_url=None if url is None else SecretStr(url),
        notify={name: SecretStr(address) for name, address in addresses.items()},
    )
    return Config.model_validate(
        {
            **dict(settings),
            "secrets": secrets,
            "warnings": (*warnings, *consistency.unwise(settings)),
            "faults": tuple(faults),
        }
    )


def _open(file: Path, remedy: str) -> Iterator[str]:
    if credentials.open_to_others(file):
        yield _("everybody on this machine can read {file}: {remedy}").format(
            file=file, remedy=remedy
        )


def load_what_is_right(path: Path | None) -> MendedConfig:
    """Read the config for a command that looks at the folders: it needs the root, but no secrets.

    A problem is no obstacle: the daemon may run well with an earlier config. Sets the language.
    Raises ConfigError only if the root is not known.
    """
    path = (path or DEFAULT_PATH).absolute()
    _there(path)
    problems: list[Problem] = []
    table = _read(path, problems)
    if table is None:
        table = _beginning(path)
        _speak(table)
    simulated = credentials.Found(SIMULATED, ())
    wrong: set[Loc] = set()
    origin = _add_found(table, simulated, simulate=True)
    more: list[Problem] = []
    settings = _settings(table, path.parent, origin, more, wrong)
    problems += more if not problems else ()  # of half a file, no more is said
    found = tuple(presentable(problem, ()) for problem in problems)
    if "root" not in table or ("root",) in wrong:
        raise ConfigError(found)
    secrets = Secrets(token_id=SIMULATED["TOKEN_ID"], token=SecretStr(SIMULATED["TOKEN"]))
    return MendedConfig(Config.model_validate({**dict(settings), "secrets": secrets}), found)


def _beginning(path: Path) -> dict[str, Any]:
    """Return what comes before the first fault of a file that is not TOML, or before its tables."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError):
        return {}
    lines = text.split("\n")
    tables = (number for number, line in enumerate(lines) if line.lstrip().startswith("["))
    ends = [next(tables, len(lines))]
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        if at := _LINE.search(str(error)):
            ends.insert(0, int(at[1]) - 1)
    for end in ends:
        try:
            return tomllib.loads("\n".join(lines[:end]))
        except (ValueError, RecursionError):
            continue
    return {}


def _there(path: Path) -> None:
    """Raise NoConfigError if there is none to read: then no other problem matters."""
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        remedy = _("There is no {path} yet: `{command}` writes one; --config names another").format(
            path=path, command=command("init", path)
        )
        if path == DEFAULT_PATH and (names := instances()):
            remedy = _("There is no {path}, but there are instances: --instance {names}").format(
                path=path, names="|".join(names)
            )
        raise NoConfigError((Problem(str(path), MISSING, remedy),)) from None
    except PermissionError as error:
        remedy = credentials.unreadable(path, error)
        raise NoConfigError((Problem(str(path), CLOSED, remedy),)) from None
    except OSError:
        return  # _read reports why


def _syntax(error: Exception) -> str:
    """Return what would be right, for a file that is not TOML."""
    text = str(error)
    if re.match(r"Cannot overwrite|Cannot declare .* twice|Duplicate ", text):
        at = _LINE.search(text)
        where = _("line {number}").format(number=at[1]) if at else _("the last line")
        return _("each name and each [table] only once; {where} repeats one").format(where=where)
    return _(
        "TOML as in config.example.toml: {text}. Names with blanks, dots or umlauts "
        'need quotes: "Dr. Müller" = ...'
    ).format(text=text)


def _read(path: Path, problems: list[Problem]) -> dict[str, Any] | None:
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        remedy = _("a readable file (--config names another): {why}").format(why=of_system(error))
    except UnicodeDecodeError:
        remedy = _("text in UTF-8")
    except (ValueError, RecursionError) as error:
        remedy = _syntax(error)
    else:
        _speak(table)
        return table
    problems.append(Problem(str(path), N_("(not readable as a config)"), remedy))
    return None


def _speak(table: dict[str, Any]) -> None:
    """Set the language of a config; a wrong one changes nothing."""
    language = table.get("language", words.SOURCE)
    if language in words.LANGUAGES:
        words.use(language)


def _add_found(
    table: dict[str, Any], found: credentials.Found, *, simulate: bool
) -> dict[Loc, str]:
    """Let what was found beside the config override it; return which settings that concerns."""
    sipgate = table.setdefault("sipgate", {})
    origin: dict[Loc, str] = {}
    if isinstance(sipgate, dict):
        if simulate:
            sipgate.setdefault("faxline", "f0")
        for name, key in (("FAXLINE_ID", "faxline"), ("BASE_URL", "base_url")):
            if name in found.values:
                sipgate[key] = found.values[name]
                origin["sipgate", key] = name
    return origin


def _settings(
    table: dict[str, Any],
    folder: Path,
    origin: dict[Loc, str],
    problems: list[Problem],
    wrong: set[Loc],
) -> Settings:
    """Validate; wrong settings have their defaults in the result, so the rest can be checked.

    Adds each problem to ``problems``, and its place to ``wrong``.
    """
    context = FromFile(folder)
    try:
        settings = Settings.model_validate(table, context=context)
    except ValidationError as failed:
        for error in failed.errors(include_url=False, include_context=False):
            wrong.add(_present(table, error["loc"]))
            problems.append(of_pydantic(error["loc"], error["type"], error["input"], origin))
        rest = _without(table, wrong)
        rest.setdefault("root", "unknown")
        rest.setdefault("sipgate", {}).setdefault("faxline", "f0")
        settings = Settings.model_validate(rest, context=context)
    problems += _address_book(settings, table, wrong)
    problems += consistency.contradictions(settings)
    problems += notify.wrong_names(settings)
    return settings


def _present(table: dict[str, Any], loc: Loc) -> Loc:
    """Return the part of a place that exists: for a missing key, the table that lacks it."""
    here: Any = table
    for depth, step in enumerate(loc):
        if not isinstance(here, dict) or step not in here:
            return loc[:depth]
        here = here[step]
    return loc


def _without(table: dict[str, Any], wrong: set[Loc], at: Loc = ()) -> dict[str, Any]:
    return {
        key: _without(value, wrong, (*at, key)) if isinstance(value, dict) else value
        for key, value in table.items()
        if (*at, key) not in wrong
    }


def _address_book(settings: Settings, table: dict[str, Any], wrong: set[Loc]) -> Iterator[Problem]:
    """Check the address book: names must be valid folder names, numbers valid fax numbers."""
    seen: dict[str, str] = {}
    for name, entry in settings.recipients.items():
        key = dotted(("recipients", name))
        if remedy := _no_folder_name(name):
            yield Problem(key, toml(name), remedy)
        twin = seen.setdefault(name_key(name), name)
        if twin != name:
            yield Problem(
                key,
                toml(entry.number),
                _("a name that differs from {twin}").format(twin=toml(twin)),
            )
        if ("region",) in wrong and not entry.number.startswith("+"):
            continue  # to read it takes a valid region
        premium = settings.sending.allow_premium or ("sending", "allow_premium") in wrong
        at = ("recipients", name, "number")
        try:
            reached = number(entry.number, settings.region, allow_premium=premium)
        except RecipientError as error:
            remedy = _(_NUMBER_REMEDIES[error.reason.code])
            yield Problem(dotted(_present(table, at)), toml(entry.number), remedy)
        else:
            if _number_of_name(name, settings.region) not in (None, reached):
                remedy = _("the number in the name itself, or a name without a number")
                yield Problem(dotted(_present(table, at)), toml(entry.number), remedy)


def _number_of_name(name: str, region: str) -> str | None:
    """Return the number that a folder of this name would mean if it were not in the book."""
    try:
        written = number_in(name)
        return written and number(written, region, allow_premium=True)
    except RecipientError:
        return None


def _no_folder_name(name: str) -> str | None:
    """Return what a name must be to serve as a folder name; None if it does."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        return _("a name without blanks at its ends and without control characters")
    if name.startswith((".", "~$")) or "/" in name:
        return _(
            "a name without / and without . or ~$ at its start, because it becomes a folder's name"
        )
    if is_passed_over(name):
        return _("another name: files and folders of such a name are temporary or the system's own")
    if len(name.encode()) > _LONGEST_NAME:
        return _("a name of at most {most} bytes, because it becomes a folder's name").format(
            most=_LONGEST_NAME
        )
    return None
