"""The words for people, in the language that is set: one catalogue for everything that they read.

Every sentence for people goes through ``_`` or ``ngettext`` where it is written; codes, keys, log
events and file formats are the same in every language. A sentence has named places that are filled
after translation: ``_("{name} is no PDF.").format(name=name)``. A sentence in a constant is marked
by ``N_`` and goes through ``_`` when it is shown.

A catalogue is ``<language>/LC_MESSAGES/faxdrop.po``; ``hatch_build.py`` beside pyproject.toml
brings it up to date with the source, and the build compiles it.
"""

import gettext as _gettext
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

Language = Literal["en", "de"]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
SOURCE: Final[Language] = "en"  # what the sentences in the source are written in

_CATALOGUES: Final = Path(__file__).parent
_DOMAIN: Final = "faxdrop"
_REGIONS: Final = {"en": "en_GB"}  # whose way of writing dates; else the language's own
_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")  # in the order of gettext(3)


class _Words:
    """The language that is set, and its catalogue."""

    language: Language = SOURCE
    catalogue: _gettext.NullTranslations = _gettext.NullTranslations()


@cache
def _catalogue(language: Language) -> _gettext.NullTranslations:
    if language == SOURCE:
        return _gettext.NullTranslations()
    return _gettext.translation(_DOMAIN, _CATALOGUES, languages=[language])


def use(language: Language) -> None:
    """Set the language for this process.

    Raises OSError if its catalogue is not compiled; installing faxdrop does that.
    """
    _Words.catalogue = _catalogue(language)
    _Words.language = language


def language() -> Language:
    """Return the language that is set."""
    return _Words.language


def of_environment(environ: Mapping[str, str]) -> Language:
    """Return the language that an environment asks for: the first that it names and we speak."""
    named = next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    for each in named.split(":"):
        for language in LANGUAGES:
            if each.replace("_", ".").replace("@", ".").split(".")[0] == language:
                return language
    return SOURCE


def load_all() -> None:
    """Read all catalogues, for a process that can open no files when it needs one."""
    for each in LANGUAGES:
        _catalogue(each)
        _decimal(0.5, "0.0", each)


def _(message: str) -> str:
    """Return the sentence in the language that is set."""
    return _Words.catalogue.gettext(message) if message else ""  # of "", gettext has its header


def ngettext(one: str, many: str, number: int) -> str:
    """Return the sentence for that many, in the language that is set."""
    return _Words.catalogue.ngettext(one, many, number)


def N_(message: str) -> str:  # noqa: N802 -- gettext's own name for it
    """Mark a sentence that goes through ``_`` when it is shown."""
    return message


def moment(at: datetime) -> str:
    """Return an instant for a sentence or a report: this machine's time, with its zone."""
    from babel.dates import format_datetime, get_timezone  # noqa: PLC0415 - few commands need it

    return format_datetime(at, "long", tzinfo=get_timezone(), locale=_region(language()))


def short_moment(at: datetime) -> str:
    """Return an instant for a table: this machine's time, to the minute."""
    # Translators: strftime(3); digits only.
    return at.astimezone().strftime(_("%Y-%m-%d %H:%M"))


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them: a, b and c."""
    *first, last = names
    return _("{first} and {last}").format(first=", ".join(first), last=last) if first else last


def number(value: float, digits: int | None = None) -> str:
    """Return a number with the points and commas of the language.

    ``digits`` stand behind the decimal point; None: as many as it needs, and three at most.
    """
    pattern = "#,##0.###" if digits is None else f"#,##0.{digits * '0'}".rstrip(".")
    return _decimal(value, pattern, language())


def of_system(error: OSError) -> str:
    """Return the system's words for an error, without the file that it names."""
    return _(error.strerror) if error.strerror else str(error)


def _decimal(value: float, pattern: str, language: Language) -> str:
    from babel.numbers import format_decimal  # noqa: PLC0415 - few commands need it

    return format_decimal(value, pattern, locale=_region(language))


def _region(language: Language) -> str:
    return _REGIONS.get(language, language)


_OF_THE_SYSTEM = (  # what strerror(3) says of what people meet; the rest stays English
    N_("Address already in use"),
    N_("Cannot allocate memory"),
    N_("Connection refused"),
    N_("Connection reset by peer"),
    N_("Directory not empty"),
    N_("Disk quota exceeded"),
    N_("File exists"),
    N_("File name too long"),
    N_("Host is down"),
    N_("Input/output error"),
    N_("Invalid cross-device link"),
    N_("Is a directory"),
    N_("Network is unreachable"),
    N_("No route to host"),
    N_("No space left on device"),
    N_("No such file or directory"),
    N_("Not a directory"),
    N_("Operation not permitted"),
    N_("Permission denied"),
    N_("Read-only file system"),
    N_("Resource temporarily unavailable"),
    N_("Stale file handle"),
    N_("Too many levels of symbolic links"),
    N_("Too many open files"),
    N_("Transport endpoint is not connected"),
    N_("no thread can be started"),  # of ``workers``
)
