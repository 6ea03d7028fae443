"""Which fax number the name of a recipient folder means, if any."""

import unicodedata

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.recipient import (
    REGIONS,
    AddressBook,
    AddressEntry,
    Recipient,
    RecipientError,
    name_key,
    normalise,
    number,
)

BOOK = AddressBook(
    {
        "Dr. Müller": AddressEntry(number="+49 30 23125 001", faxline="f1"),
        "☎ Straße": AddressEntry(number="040/66969002"),
    },
    "DE",
    allow_premium=False,
)
EMPTY = AddressBook({}, "DE", allow_premium=False)


def refused(folder: str, book: AddressBook = EMPTY) -> ReasonCode:
    """Return why a folder name is refused."""
    with pytest.raises(RecipientError) as error:
        book.resolve(folder)
    assert error.value.reason.message
    assert error.value.reason.advice
    return error.value.reason.code


@pytest.mark.parametrize(
    "folder",
    [
        "Dr. Müller",
        unicodedata.normalize("NFD", "Dr. Müller"),
        "DR. MÜLLER",
        " Dr. \N{NO-BREAK SPACE}Müller ",
    ],
)
def test_a_name_is_found_however_it_is_spelled(folder: str) -> None:
    """Unicode form, case and the width of blanks do not hide an address book entry."""
    assert BOOK.resolve(folder) == Recipient("+493023125001", "f1")


def test_a_name_is_found_as_windows_writes_it() -> None:
    """Windows takes dots and blanks off the end of a name, and Samba shows it another one."""
    book = AddressBook(
        {"Maier & Co.": AddressEntry(number="+493023125001")}, "DE", allow_premium=False
    )
    for folder in ("Maier & Co", "Maier & Co.", "Maier & Co\uf029"):
        assert book.resolve(folder).number == "+493023125001"


def test_an_entry_without_a_fax_line_leaves_the_choice_to_the_config() -> None:
    """An entry that names only a number gives no fax line."""
    assert BOOK.resolve("☎ STRASSE") == Recipient("+494066969002", None)


def test_the_address_book_goes_before_the_look_of_a_name() -> None:
    """A name in the address book means its entry, also when it looks like a number."""
    book = AddressBook({"112": AddressEntry(number="+493023125001")}, "DE", allow_premium=False)
    assert book.resolve("112").number == "+493023125001"


@pytest.mark.parametrize(
    "folder",
    [
        "+49 211 1234567",
        "+492111234567",
        "0211-1234567",
        "0211/1234567",
        "(0211) 123 45-67",
        "0049 211 1234567",
        "+49 (0)211 1234567",
        "(+49) 211.1234567",
        "0211\N{EN DASH}123\N{NARROW NO-BREAK SPACE}4567",
        "\N{LEFT-TO-RIGHT EMBEDDING}+49 211 1234567\N{POP DIRECTIONAL FORMATTING}",
        "Labor Nord +492111234567",
        "Labor Nord (+49 211 1234567)",
        "C+ Labor +49 211 1234567",
        "-rf 'Labor' \"Süd\"\n\N{FAX MACHINE} +49 211 1234567",
        "\udcff\udcfe +49 211 1234567",
    ],
)
def test_a_number_is_read_as_people_write_it(folder: str) -> None:
    """All usual ways of writing a number give the same E.164 number, alone or after a name."""
    assert EMPTY.resolve(folder).number == "+492111234567"


@pytest.mark.parametrize(
    "folder",
    [
        "",
        " ",
        "Steuer",
        "Labor 0211 1234567",
        "+49 211 1234567 Labor",
        "Labor +49 211 1234567 - Kopie",
        "0211 FAXFAX1",
        "0211 1234567 ext 5",
        "0211 1234567#5",
        "0211 12345\N{SUPERSCRIPT TWO}",
        "\udcff",
        "x" * 255,
    ],
)
def test_a_name_without_a_number_is_unknown(folder: str) -> None:
    """A folder that is neither in the address book nor a number has an unknown recipient."""
    assert refused(folder) is ReasonCode.RECIPIENT_UNKNOWN


@pytest.mark.parametrize(
    "folder",
    ["0", "12", "+49", "+49 999", "0211 12", "+999 12345678", "1" * 255, "Team + 5", "+1 911 9"],
)
def test_a_number_that_nobody_can_have_is_invalid(folder: str) -> None:
    """A number that is too short, too long or in no range is refused."""
    assert refused(folder) is ReasonCode.NUMBER_INVALID


@pytest.mark.parametrize(
    "folder", ["2024-03-15", "20240315", "211 1234567", "49 211 1234567", "392030"]
)
def test_a_number_that_is_not_written_as_it_is_dialled_is_invalid(folder: str) -> None:
    """A date or a local number, which could be read as a stranger's number, is never dialled."""
    assert refused(folder) is ReasonCode.NUMBER_INVALID


@pytest.mark.parametrize(
    ("region", "folder"),
    [
        ("DE", "02.11.2024"),
        ("DE", "02:11:2024"),
        ("DE", "030530"),
        ("DE", "Labor +49 30 1234 02.11.2024"),
        ("AT", "01.2030"),
        ("DK", "24.12.2026"),
    ],
)
def test_a_date_dials_nobody(region: str, folder: str) -> None:
    """A folder that is named by a day is no number, although a number with these digits exists."""
    book = AddressBook({}, region, allow_premium=False)
    with pytest.raises(RecipientError, match="date"):
        book.resolve(folder)


@pytest.mark.parametrize("folder", ["0211 2024", "+49 211 2024", "0049 2112024"])
def test_a_number_may_contain_what_looks_like_a_year(folder: str) -> None:
    """What is grouped like a number, and not like a date, is dialled."""
    assert EMPTY.resolve(folder).number == "+492112024"


@pytest.mark.parametrize(
    "folder",
    [
        "+49 211 1234567 (2)",
        "0211-1234567 2",
        "Labor +49 211 123456 (12)",
        "0211-1234567(3)",
        "0211 1234567 -2",
    ],
)
def test_the_copy_of_a_folder_dials_nobody(folder: str) -> None:
    """What Windows and macOS append to a copied folder's name is not read as digits."""
    assert refused(folder) is ReasonCode.NUMBER_INVALID


def test_a_name_with_two_numbers_is_invalid() -> None:
    """A name with two numbers is refused; neither is chosen."""
    assert refused("Labor +49 211 1234567 or +49 211 1234568") is ReasonCode.NUMBER_INVALID
    assert refused("Labor +49 211 1234567, +49 211 1234568") is ReasonCode.NUMBER_INVALID
    assert refused("0211 1234568 +49 211 1234567") is ReasonCode.NUMBER_INVALID
    assert refused("Labor (0211) 1234568, +49 211 1234567") is ReasonCode.NUMBER_INVALID
    assert refused("Labor 0049 211 1234568 / +49 211 1234567") is ReasonCode.NUMBER_INVALID


@pytest.mark.parametrize(
    "name", ["Labor 0211 1234567", "Kunde 0012345", "Labor 01.02.2024", "02.11.2024", "24/7"]
)
def test_other_digits_of_a_name_are_no_second_number(name: str) -> None:
    """The same number written twice, a customer's number and a date do not hide the number."""
    assert EMPTY.resolve(f"{name} +49 211 1234567").number == "+492111234567"


@pytest.mark.parametrize("allow_premium", [False, True])
@pytest.mark.parametrize(
    "folder", ["110", "112", "+49 112", "0112", "+1 911", "+44 999", "115", "116117", "11833"]
)
def test_emergency_and_short_numbers_are_always_blocked(
    folder: str, *, allow_premium: bool
) -> None:
    """No setting makes faxdrop call the police, the fire brigade or a service hot line."""
    book = AddressBook({}, "DE", allow_premium=allow_premium)
    assert refused(folder, book) is ReasonCode.NUMBER_BLOCKED


@pytest.mark.parametrize(
    "folder",
    [
        "+49 30 112",
        "0211 110",
        "0211/110",
        "0049 (0)30 112",
        "Notruf +49 30 112",
        "0711 19222",
        "+49 551 19240",
        "030 115",
        "+49 30 116117",
        "+49 115",
        "+49 170 112",
        "+43 512 144",
        "+43 1 133",
        "+43 5574 140",
        "+41 44 144",
        "+41 44 1414",
        "+44 20 999",
        "+33 1 15",
        "+33 1 112",
        "+39 06 118",
        "+48 22 112",
        "+1 212 911",
        "+81 3 119",
        "0211 110-0",
        "030 1120",
        "+49 89 112345",
        "089 19222-0",
        "0800 1110111",
        "+49 800 1110222",
        "+43 512 1450",
        "+43 662 120",
        "+39 02 1530",
        "030\uf022112",
    ],
)
def test_emergency_numbers_behind_an_area_code_are_blocked(folder: str) -> None:
    """Behind a country or area code, a short number is the same emergency number."""
    assert refused(folder) is ReasonCode.NUMBER_BLOCKED


@pytest.mark.parametrize(
    ("region", "folder"),
    [
        ("GB", "020 999"),
        ("GB", "0161 112"),
        ("CH", "044 117"),
        ("FR", "01 17"),
        ("BE", "02 112"),
        ("AT", "01 144"),
        ("US", "1 212 911"),
        ("US", "1 911"),
        ("IT", "06 118"),
    ],
)
def test_emergency_numbers_as_each_country_dials_its_area_codes_are_blocked(
    region: str, folder: str
) -> None:
    """A prefix before an area code does not make an emergency number another number."""
    book = AddressBook({}, region, allow_premium=False)
    assert refused(folder, book) is ReasonCode.NUMBER_BLOCKED


@pytest.mark.parametrize(
    "folder",
    [
        "+49 211 4567112",
        "+49 30 23125110",
        "+49 30 23125 115",
        "+49 711 2319222",
        "+49 30 210110",
        "+49 800 1123456",
        "+43 59133 2200",
        "+43 512 560144",
        "+43 1 4064133",
        "+44 20 7946 0999",
        "+1 212 555 0911",
        "+41 44 668 18 00",
    ],
)
def test_a_subscribers_number_may_end_like_an_emergency_number(folder: str) -> None:
    """A number that merely ends in an emergency number's digits is dialled."""
    assert EMPTY.resolve(folder).number.startswith("+")


@pytest.mark.parametrize(
    "folder",
    [
        "030:23125001",
        "030:23125-001",
        "030\uf02223125-001",
        "+49 30 23125001\uf028",
        "+49 30 23125001\uf029",
        "Amt \uf020Mitte\uf020 +49 30 23125001",
        "Dr\uf029 Müller",
        "DR. MU\N{COMBINING DIAERESIS}LLER\uf028",
    ],
)
def test_a_name_means_what_the_mac_shows(folder: str) -> None:
    """Characters that a Mac writes otherwise on a share mean what its user typed."""
    assert BOOK.resolve(folder).number == "+493023125001"


def test_an_entry_with_a_colon_is_the_folder_that_a_mac_makes() -> None:
    """A Mac's slash is a colon on the disk, or a letter of private use."""
    book = AddressBook(
        {"Amt:Nord": AddressEntry(number="+493023125001")}, "DE", allow_premium=False
    )
    for folder in ("Amt:Nord", "Amt\uf022Nord"):
        assert book.resolve(folder).number == "+493023125001"


@pytest.mark.parametrize(
    "folder",
    [
        "0900 1 123456",
        "0137 1 123456",
        "0137 7 123456",
        "+41 900 123456",
        "+870 773 111 632",
        "+979 123 456 789",
    ],
)
def test_premium_numbers_are_blocked_unless_allowed(folder: str) -> None:
    """Premium-rate and satellite numbers are refused, and taken where the config allows them."""
    assert refused(folder) is ReasonCode.NUMBER_BLOCKED
    assert AddressBook({}, "DE", allow_premium=True).resolve(folder).number.startswith("+")


@pytest.mark.parametrize("folder", ["118 33", "030 11833", "+49 171 11880", "+43 1 118877"])
def test_directory_enquiries_are_blocked_behind_area_codes_too(folder: str) -> None:
    """A switch may pass such a call on to the short number, which costs euros a minute."""
    assert refused(folder) is ReasonCode.NUMBER_BLOCKED


@pytest.mark.parametrize(
    "folder", ["01806 123456", "0800 1234567", "+800 12345678", "032 212345678"]
)
def test_numbers_of_capped_price_are_no_premium_numbers(folder: str) -> None:
    """Shared-cost, free and place-independent numbers may be faxed to."""
    assert EMPTY.resolve(folder).number.startswith("+")


@pytest.mark.parametrize(
    "range_of_fiction",
    ["+49 30 23125", "+49 40 66969", "+49 69 90009", "+49 89 99998", "+49 221 4710"],
)
def test_the_simulators_numbers_can_be_written_as_folders(range_of_fiction: str) -> None:
    """All numbers that are reserved for fiction, and so reach nobody, count as fax numbers."""
    for last in range(0, 1000, 37):
        assert EMPTY.resolve(f"{range_of_fiction} {last:03}").number.endswith(f"{last:03}")


@pytest.mark.parametrize("region", sorted(REGIONS))
def test_every_countrys_way_of_writing_is_understood(region: str) -> None:
    """Land line and mobile numbers are read back from each country's usual notations."""
    for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE, PhoneNumberType.VOIP):
        example = phonenumbers.example_number_for_type(region, kind)
        if example is None:
            continue
        e164 = phonenumbers.format_number(example, PhoneNumberFormat.E164)
        for form in (
            PhoneNumberFormat.E164,
            PhoneNumberFormat.INTERNATIONAL,
            PhoneNumberFormat.NATIONAL,
        ):
            written = phonenumbers.format_number(example, form)
            assert number(written, region, allow_premium=False) == e164


def test_the_address_book_refuses_an_entry_that_cannot_be_faxed_to() -> None:
    """A wrong number in the address book is found when the book is made."""
    with pytest.raises(RecipientError) as error:
        AddressBook({"Police": AddressEntry(number="110")}, "DE", allow_premium=True)
    assert error.value.reason.code is ReasonCode.NUMBER_BLOCKED


def test_a_message_plays_no_tricks_on_a_terminal() -> None:
    """Control characters, marks of direction and stray bytes of a name are shown, not sent."""
    with pytest.raises(RecipientError) as error:
        EMPTY.resolve("a\x1b[2J\n\N{RIGHT-TO-LEFT OVERRIDE}\udcff" + "b" * 200)
    message = error.value.reason.message
    assert message.isprintable()
    assert r"a\x1b[2J\n\u202e\xffbbb" in message
    assert "b" * 150 not in message


@pytest.mark.parametrize(
    ("written", "e164"),
    [
        ("+492111234567", "+492111234567"),
        ("01579-9912345", "+4915799912345"),
        ("0211 / 1234567", "+492111234567"),
        ("anonymous", None),
        ("", None),
    ],
)
def test_what_the_history_shows_can_be_compared(written: str, e164: str | None) -> None:
    """Numbers of sipgate's history become E.164, and what is no number becomes nothing."""
    assert normalise(written, "DE") == e164


@given(st.text(alphabet=st.characters() | st.sampled_from("+0123456789 -()./\udcff"), max_size=60))
def test_any_name_gives_a_recipient_or_a_reason(folder: str) -> None:
    """No folder name does anything but name a number or say why not."""
    try:
        found = BOOK.resolve(folder).number
    except RecipientError:
        return
    assert found == number(found, "DE", allow_premium=False)
    assert found == normalise(found, "DE")


@given(st.text(max_size=60))
def test_the_forms_of_a_name_share_one_key(name: str) -> None:
    """Both Unicode normal forms of a name are one name to the address book."""
    forms = {name_key(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")}
    assert len(forms) == 1


@pytest.mark.parametrize("folder", ["Dr Müller", "Dr. Mueller", "dr. müler"])
def test_a_name_that_is_nearly_known_is_asked_about(folder: str) -> None:
    """A slip in a name is refused, with the name that was probably meant."""
    with pytest.raises(RecipientError, match=r"Did you mean .Dr\. Müller.\?"):
        BOOK.resolve(folder)
