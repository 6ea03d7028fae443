"""From the name of a recipient folder to the fax number it means.

A letter that reaches a stranger cannot be taken back, so a name counts as a number only if it can
be read in one way: with the country code after ``+`` (or the international prefix), or exactly as
it is dialled in the configured region. A lenient reader would take ``2024-03-15`` for a number in
Wuppertal; here it is not one, since it lacks the leading 0. Nor is ``02.11.2024``, which is both a
date and a number in Düsseldorf.
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber, PhoneNumberFormat, PhoneNumberType
from pydantic import Field, StringConstraints

from faxdrop.fax import dates, emergency
from faxdrop.fax.job import Reason, Record
from faxdrop.fax.reasons import ReasonCode
from faxdrop.names.mac import as_the_mac_shows
from faxdrop.names.printable import shown
from faxdrop.words import N_, _

REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""The region codes that national numbers can be read in."""

Faxline = Annotated[str, StringConstraints(strict=True, pattern="^f(0|[1-9][0-9]*)$")]
"""A fax line's id at sipgate."""

FAXLINE_REMEDY = N_(
    'the id of a fax line, such as "f0" (the end of the address of its page at sipgate)'
)

# A number as people write it: digits, and between them what sets groups apart. No letters: neither
# vanity numbers nor extensions can be faxed to.
_WRITTEN = re.compile(r"\(?(?:\+ ?)?\(?[0-9][0-9 ./()-]*")
# What systems append to the name of a copied folder: Windows "(2)", macOS " 2". Read as digits of
# the number, it would reach somebody else.
_COPY = re.compile(r"(?: ?\([0-9]+\)| -?[0-9])\Z")
_NAMED = re.compile(r"(.*?)(\(?\+ ?\(?[0-9][^+]*)", re.DOTALL)
_ANOTHER = re.compile(r"\+ ?\(?[0-9][0-9 ./()-]{5,}")
_ANOTHER_NATIONAL = re.compile(r"(?<![0-9])\(?0[0-9 ./()-]{4,}[0-9]")
_GERMANY = 49
_SHOWN = 120  # characters of a name that a message repeats

_ADVICE = N_(
    "Name the folder after an address book entry or a fax number, for instance +49 211 1234567, "
    "then put the document into it again."
)


class AddressEntry(Record):
    """One line of the address book: who is reached where, and by which of our fax lines."""

    number: Annotated[
        str, Field(strict=True, description=N_('a fax number, such as "+492111234567"'))
    ]
    faxline: Annotated[Faxline | None, Field(description=FAXLINE_REMEDY)] = None


class RecipientError(Exception):
    """No fax can go there; ``reason`` says why (recipient_unknown, number_invalid, ...blocked)."""

    def __init__(self, code: ReasonCode, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.reason = Reason.said(code, message, advice or _(_ADVICE))


@dataclass(frozen=True)
class Recipient:
    """Where a fax goes."""

    number: str  # E.164
    faxline: str | None = None  # the address book's choice; None: the usual one


class AddressBook:
    """The names that stand for numbers, and the reading of folder names.

    ``region`` is where numbers without a country code are at home (``DE``). The numbers of the
    entries are checked at once: raises RecipientError for the first that cannot be faxed to.
    """

    def __init__(
        self, entries: Mapping[str, AddressEntry], region: str, *, allow_premium: bool
    ) -> None:
        self._region = region
        self._allow_premium = allow_premium
        self._spelt = {name_key(name): name for name in entries}
        self._recipients = {
            name_key(name): Recipient(self._number(entry.number), entry.faxline)
            for name, entry in entries.items()
        }

    def resolve(self, folder: str) -> Recipient:
        """Return whom a folder of this name means; raise RecipientError where it means nobody.

        An entry of the address book comes first, whatever its name looks like; then a number; then
        a name that ends in an international number. Any name that a file system holds may be
        asked for.
        """
        if known := self._recipients.get(name_key(folder)):
            return known
        written = number_in(folder)
        if written is None:
            raise RecipientError(
                ReasonCode.RECIPIENT_UNKNOWN,
                _(
                    "The folder {quoted} names no recipient: it is not in the address book, is "
                    "not a fax number, and does not end in an international number."
                ).format(quoted=_quoted(folder))
                + self._meant(folder),
            )
        found = self._number(written)
        others = _ANOTHER_NATIONAL.findall(_plain(folder).removesuffix(written))
        if not {self._number_if_any(other) for other in others} <= {None, found}:
            raise _two_numbers(folder)
        return Recipient(found)

    def _meant(self, folder: str) -> str:
        """Return a question if an entry has nearly the same name; a guess is never used."""
        near = difflib.get_close_matches(name_key(folder), self._spelt, n=1, cutoff=0.8)
        return (
            _(" Did you mean {quoted}?").format(quoted=_quoted(self._spelt[near[0]]))
            if near
            else ""
        )

    def _number(self, written: str) -> str:
        return number(written, self._region, allow_premium=self._allow_premium)

    def _number_if_any(self, written: str) -> str | None:
        try:
            return self._number(written)
        except RecipientError:
            return None


def name_key(name: str) -> str:
    """Return a key that all spellings of one name share.

    It ignores case, the Unicode form (macOS writes umlauts as two code points), what a Mac writes
    for characters that a share does not take, the width of blanks, and dots at the end, which
    Windows takes off (``Müller & Co.``): to people these are one name.
    """
    plain = unicodedata.normalize("NFC", as_the_mac_shows(name))
    return unicodedata.normalize("NFC", " ".join(plain.split()).rstrip(". ").casefold())


def number_in(folder: str) -> str | None:
    """Return the part of a folder name that is written as a number; None where there is none.

    Raises RecipientError where there are two.
    """
    plain = _plain(folder)
    if _WRITTEN.fullmatch(plain):
        return plain
    named = _NAMED.fullmatch(plain)
    if named is None or not _WRITTEN.fullmatch(named[2]):
        return None
    if _ANOTHER.search(named[1]):
        raise _two_numbers(folder)
    return named[2]


@lru_cache(maxsize=4096)
def number(written: str, region: str, *, allow_premium: bool) -> str:
    """Return a written fax number in E.164; raise RecipientError where none can be faxed to.

    Always blocked: emergency numbers, also behind an area code, and the short numbers of services
    (115, 118xx), where people answer and never fax machines. Blocked unless ``allow_premium``:
    premium-rate numbers (in Germany 0900 and 0137) and networks that belong to no country, mostly
    satellite telephones (+870, +881, +979 ...), since a call can cost many euros a minute.
    Shared-cost numbers (0180) are not premium numbers: their price is capped, and insurers have
    fax machines there.
    """
    plain = _plain(written)
    if not _WRITTEN.fullmatch(plain):
        raise _invalid(written, _("is not a fax number"))
    try:
        parsed = phonenumbers.parse(plain, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        raise _invalid(written, _("is not a fax number")) from None
    _refuse_emergency(written, plain, parsed, region)
    if _COPY.search(plain):
        # Comes before the check of validity: with its last digit the number may be somebody's.
        raise _invalid(
            written,
            _("looks like the copy of a folder, so its last digits may not belong to the number"),
            _(
                "If they do belong to it, write the number without blanks and brackets before "
                "these digits."
            ),
        )
    if phonenumbers.is_valid_short_number(parsed) or emergency.is_enquiry_behind_an_area_code(
        parsed
    ):
        raise _blocked(written, _("is a short service number, never a fax machine"))
    if not phonenumbers.is_valid_number(parsed):
        raise _invalid(written, _("is not a number that exists"))
    _refuse_ambiguous(written, plain, parsed)
    if emergency.begins_behind_its_area_code(parsed):
        raise _emergency(written)
    _refuse_date(written, plain, parsed)
    if not allow_premium and _is_premium(parsed):
        raise _blocked(
            written,
            _("is a premium-rate or satellite number"),
            _(
                "Faxes there are expensive and not allowed here (setting sending.allow_premium). "
                "Ask your administrator."
            ),
        )
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


@lru_cache(maxsize=8192)
def normalise(written: str, region: str) -> str | None:
    """Return a number that sipgate shows in E.164, for comparing; None where it is no number.

    Lenient, where ``number`` is strict: what is in the history has been dialled already. But the
    number must be complete: nobody can tell which one is masked (``+4930231***``).
    """
    if not _WRITTEN.fullmatch(_plain(written)):
        return None
    try:
        parsed = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _refuse_emergency(written: str, plain: str, parsed: PhoneNumber, region: str) -> None:
    dialled = _digits(plain)
    if (
        emergency.is_behind_an_area_code(parsed)
        or emergency.is_emergency(dialled, region)
        or emergency.is_emergency(dialled.lstrip("0"), region)
    ):
        raise _emergency(written)


def _refuse_ambiguous(written: str, plain: str, parsed: PhoneNumber) -> None:
    """Refuse a number that is not written as it is dialled, and so may mean another."""
    source = parsed.country_code_source
    if source in (
        CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN,
        CountryCodeSource.FROM_NUMBER_WITH_IDD,
    ):
        return
    if source == CountryCodeSource.FROM_DEFAULT_COUNTRY:
        national = phonenumbers.national_significant_number(parsed)
        region = _home(parsed)
        prefix = phonenumbers.ndd_prefix_for_region(region, True) or ""  # noqa: FBT003 - theirs
        usual = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
        as_dialled = {prefix + national}
        # What phonenumbers leaves in one piece, it may leave without the prefix that is dialled.
        if usual != national or not _is_usual(prefix, parsed):
            as_dialled.add(_digits(usual))
        if _digits(plain) in as_dialled:
            return
    raise _invalid(written, _("could mean more than one number"), _write_in_full(parsed))


def _refuse_date(written: str, plain: str, parsed: PhoneNumber) -> None:
    if dates.ends_in_date(plain):
        raise _invalid(written, _("ends in a date, whose digits do not belong to a number"))
    is_national = parsed.country_code_source == CountryCodeSource.FROM_DEFAULT_COUNTRY
    if is_national and dates.could_be_date(plain):
        raise _invalid(written, _("could be a date"), _write_in_full(parsed))


def _write_in_full(parsed: PhoneNumber) -> str:
    """Return the advice to write a number as it can mean nothing else."""
    return _(
        "If you mean {e164}, write it like that, then put the document into the folder again."
    ).format(e164=phonenumbers.format_number(parsed, PhoneNumberFormat.E164))


def _is_usual(prefix: str, parsed: PhoneNumber) -> bool:
    """Return whether numbers of this number's kind are usually written with a prefix."""
    example = phonenumbers.example_number_for_type(_home(parsed), phonenumbers.number_type(parsed))
    if example is None:
        return False
    usual = phonenumbers.format_number(example, PhoneNumberFormat.NATIONAL)
    return _digits(usual) == prefix + phonenumbers.national_significant_number(example)


def _home(parsed: PhoneNumber) -> str:
    """Return the main region of a number's country code."""
    return phonenumbers.region_code_for_country_code(parsed.country_code or 0)


def _is_premium(parsed: PhoneNumber) -> bool:
    # Votes and prize draws: phonenumbers takes the cheaper half of them for shared-cost numbers.
    if parsed.country_code == _GERMANY and str(parsed.national_number).startswith("137"):
        return True
    kind = phonenumbers.number_type(parsed)
    nowhere = (
        phonenumbers.region_code_for_number(parsed) == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY
    )
    return kind == PhoneNumberType.PREMIUM_RATE or (nowhere and kind != PhoneNumberType.TOLL_FREE)


def _plain(name: str) -> str:
    """Return a name as its writer sees it, with the keyboard's blanks and dashes.

    Numbers copied from web pages and contacts bring no-break blanks, long dashes and invisible
    marks for the direction of writing.
    """
    kinds = ((unicodedata.category(char), char) for char in as_the_mac_shows(name))
    plain = (
        (" " if kind == "Zs" else "-" if kind == "Pd" else char)
        for kind, char in kinds
        if kind != "Cf"
    )
    return " ".join("".join(plain).split(" ")).strip(" ")


def _digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)


def _quoted(name: str) -> str:
    """Return a name in quotes, safe to print on a terminal and cut if it is long."""
    text = shown(name)
    return f'"{text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."}"'


def _invalid(written: str, why: str, advice: str = "") -> RecipientError:
    return RecipientError(ReasonCode.NUMBER_INVALID, f"{_quoted(written)} {why}.", advice)


def _two_numbers(folder: str) -> RecipientError:
    return _invalid(folder, _("contains more than one number"))


def _emergency(written: str) -> RecipientError:
    return _blocked(written, _("is an emergency number; faxdrop never faxes to one"))


def _blocked(written: str, why: str, advice: str = "") -> RecipientError:
    return RecipientError(ReasonCode.NUMBER_BLOCKED, f"{_quoted(written)} {why}.", advice)
