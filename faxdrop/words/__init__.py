"""The words for people, in the language that is set: one catalogue for everything that they read.

Every sentence for people goes through ``_`` or ``ngettext``, where it is written; codes, keys, log
events and file formats are the same in every language. A sentence has named places, filled after it
was translated: ``_("{name} is no PDF.").format(name=name)``. What stands in a constant is marked by
``N_`` and goes through ``_`` when it is shown.
"""

import gettext as _gettext
from pathlib import Path
from typing import Final, Literal

Language = Literal["en", "de"]

_CATALOGUES: Final = Path(__file__).parent
_DOMAIN: Final = "faxdrop"


class _Words:
    """The language that is set, and its catalogue."""

    language: Language = "en"
    catalogue: _gettext.NullTranslations = _gettext.NullTranslations()


def use(language: Language) -> None:
    """Set the language for this process."""
    _Words.catalogue = _gettext.translation(
        _DOMAIN, _CATALOGUES, languages=[language], fallback=True
    )
    _Words.language = language


def language() -> Language:
    """Return the language that is set."""
    return _Words.language


def _(message: str) -> str:
    """Return the sentence in the language that is set."""
    return _Words.catalogue.gettext(message)


def ngettext(one: str, many: str, number: int) -> str:
    """Return the sentence for that many, in the language that is set."""
    return _Words.catalogue.ngettext(one, many, number)


def N_(message: str) -> str:  # noqa: N802 -- gettext's own name for it
    """Mark a sentence that goes through ``_`` when it is shown."""
    return message
