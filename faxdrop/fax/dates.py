"""Dates in the names of folders, whose digits may be a stranger's number.

People name folders by days and months. ``02.11.2024`` and ``030530`` are both a date and a number
in a German city, and only the person who wrote them knows which: so they are not dialled.
"""

import re

_DAY, _MONTH, _YEAR = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"

# Groups of digits, with ``-`` between them, whatever the writer put there.
_DAY_AND_MONTH = f"(?:{_DAY}-{_MONTH}|{_MONTH}-{_DAY})"
_DATE = f"{_DAY_AND_MONTH}-(?:{_YEAR}|[0-9]{{2}})"
_FULL_DATE = f"{_DAY_AND_MONTH}-{_YEAR}(?:-.*)?"  # a time may follow, or anything
_TWO_DATES = f"{_DAY_AND_MONTH}-{_DAY_AND_MONTH}|{_DATE}-{_DATE}"
_FULL = re.compile(_FULL_DATE)
_ANY = re.compile(f"{_DATE}|{_TWO_DATES}|{_FULL_DATE}|{_MONTH}-{_YEAR}")
_IN_ONE_PIECE = (6, 8)  # digits

# As people write it behind a number; the marks between its groups are the same.
_AT_END = re.compile(f" (?:{_DAY}([./-]){_MONTH}\\1{_YEAR}|{_YEAR}-{_MONTH}-{_DAY})(?![0-9])")


def could_be_date(written: str) -> bool:
    """Return whether a number without a country code can be read as a date, or as two."""
    groups = re.findall("[0-9]+", written)
    if not groups[0].startswith("0"):  # where six digits, or eight, are all there is to dial
        return _FULL.fullmatch("-".join(groups)) is not None
    if len(groups) == 1 and len(written) in _IN_ONE_PIECE:
        groups = [written[:2], written[2:4], written[4:]]
    return _ANY.fullmatch("-".join(groups)) is not None


def ends_in_date(written: str) -> bool:
    """Return whether a number is followed by a date, whose digits do not belong to it."""
    return _AT_END.search(written) is not None
