"""Emergency numbers and crisis lines, where a fax takes the time of people who answer emergencies.

They can also be reached behind an area code (0211 110, +49 30 112): a switch may pass such a call
on to the short number. So a number is an emergency number if nothing but the short number follows
its country code or its area code, also where a subscriber could have it (in Austria some have only
three digits): nobody can tell whom a switch will call. A number that only ends in those digits is a
subscriber's. In Germany, where no subscriber's number begins with a short number, what begins with
one is one, too (0211 110-0): a switch may call it before it hears the rest.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber

# Numbers that phonenumbers does not list, or not as emergency numbers.
_LACKING = {
    "DE": {
        "115",  # the authorities
        "19222",  # ambulance transport, in each area
        "19240",  # poison control, in each area
        # crisis lines
        "8000116016",
        "8001110111",
        "8001110222",
        "8001110333",
        "8001110550",
    },
    "AT": {
        "120",  # breakdowns
        "123",  # breakdowns
        "128",  # gas leaks
        "140",  # mountain rescue
        "141",  # doctors on call
        "142",  # crisis line
        "147",  # crisis line for children
        "1450",  # nurses on call
    },
    "CH": {
        "143",  # crisis line
        "145",  # poison control
        "147",  # crisis line for children
        "1414",  # air rescue
        "1415",  # air rescue in the Valais
    },
    "GB": {"101", "111"},  # police, doctors on call
    "FR": {"114", "115", "119", "191", "196"},  # for the deaf, shelter, children, air and sea
    "IT": {"114", "117", "1515", "1522", "1530"},  # children, police, woods, women, sea
}
_OF_EUROPE = re.compile(r"11(?:2|6[0-9]{3})")  # missing children, crisis lines, doctors on call
_ENQUIRY = re.compile(r"118[0-9]{2,3}")  # directory enquiries, at a euro a minute and more
_ENQUIRY_REGIONS = {"DE", "AT"}  # where no subscriber's number begins with 1
_EUROPE = ("3", "4")  # what its country codes begin with

# To find out how long an area code is where the whole is no number that exists: what a subscriber's
# number behind it could be.
_SUBSCRIBERS = tuple(
    f"{first}23456789"[:length] for length in (9, 8, 7, 6, 5, 4) for first in range(1, 10)
)
_LONGEST = 6  # digits of a short number


@lru_cache(maxsize=4096)
def is_emergency(digits: str, region: str) -> bool:
    """Return whether digits are a short number of a region that is never faxed to."""
    if digits in _LACKING.get(region, ()):
        return True
    code = phonenumbers.country_code_for_region(region)
    if str(code).startswith(_EUROPE) and _OF_EUROPE.fullmatch(digits):
        return True
    return phonenumbers.is_emergency_number(digits, region)


def is_behind_an_area_code(number: PhoneNumber) -> bool:
    """Return whether a number is a short number behind its country code, or an area code."""
    national = phonenumbers.national_significant_number(number)
    home = phonenumbers.region_code_for_country_code(number.country_code or 0)
    regions = {home, phonenumbers.region_code_for_number(number) or home}
    for area, local in _divided(national):
        if any(is_emergency(local, region) for region in regions) and (
            area.strip("0") == "" or _is_area_code(area, number)
        ):
            return True
    return False


def begins_behind_its_area_code(number: PhoneNumber) -> bool:
    """Return whether what follows a German area code begins with a short number."""
    area = phonenumbers.length_of_geographical_area_code(number)
    if phonenumbers.region_code_for_country_code(number.country_code or 0) != "DE" or not area:
        return False
    local = phonenumbers.national_significant_number(number)[area:]
    return any(is_emergency(local[:length], "DE") for length in range(1, _LONGEST + 1))


def is_enquiry_behind_an_area_code(number: PhoneNumber) -> bool:
    """Return whether a number is that of a directory enquiry behind an area code (030 11833)."""
    if phonenumbers.region_code_for_country_code(number.country_code or 0) not in _ENQUIRY_REGIONS:
        return False
    national = phonenumbers.national_significant_number(number)
    return any(
        _ENQUIRY.fullmatch(local) and _is_area_code(area, number)
        for area, local in _divided(national)
        if area
    )


def _divided(national: str) -> Iterator[tuple[str, str]]:
    yield "", national
    for length in range(1, min(_LONGEST, len(national)) + 1):
        yield national[:-length], national[-length:]


def _is_area_code(area: str, number: PhoneNumber) -> bool:
    """Return whether a number's first digits are an area code, or a mobile network's."""
    if phonenumbers.is_valid_number(number):
        return len(area) in _lengths(number)
    # phonenumbers takes a prefix off (0, in the USA 1) only where a number is left.
    home = phonenumbers.region_code_for_country_code(number.country_code or 0)
    prefix = phonenumbers.ndd_prefix_for_region(home, True) or ""  # noqa: FBT003 - theirs
    area = area.removeprefix(prefix)
    if not area:
        return True
    for subscriber in _SUBSCRIBERS:
        try:
            whole = phonenumbers.parse(f"+{number.country_code}{area}{subscriber}")
        except NumberParseException:
            continue
        if len(area) in _lengths(whole):
            return True
    return False


def _lengths(number: PhoneNumber) -> tuple[int, int]:
    return (
        phonenumbers.length_of_geographical_area_code(number),
        phonenumbers.length_of_national_destination_code(number),
    )
