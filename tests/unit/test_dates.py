"""Which numbers could be dates, as people write them in the names of folders."""

import pytest

from faxdrop.fax.dates import could_be_date, ends_in_date


@pytest.mark.parametrize(
    "written",
    [
        "02.11.2024",
        "02-11-2024",
        "02/11/2024",
        "02 11 2024",
        "02112024",
        "03.05.30",
        "030530",
        "09-27-2030",  # as Americans write it
        "24.12.2026",
        "04.10. - 12.03.",
        "04.10.30-12.03.24",
        "02.03.2024 12345",
        "02.03.2024 10.30",
        "01.2030",
    ],
)
def test_a_date_is_known(written: str) -> None:
    """A day, a day and its time, two days, and a month are dates, however they are written."""
    assert could_be_date(written)


@pytest.mark.parametrize(
    "written",
    [
        "0211 2024",  # a number that ends like a year
        "030 2023",
        "0211/11 12 24",
        "0049 2112024",
        "24 12 20 26",  # a number in Denmark, where none begins with 0
        "241220",
        "24122026",
        "13.2030",  # no month
        "02.32.2024",  # no day
        "02.11.1824",
    ],
)
def test_a_number_is_no_date(written: str) -> None:
    """What is grouped like a number, or is no day, is not taken for a date."""
    assert not could_be_date(written)


@pytest.mark.parametrize(
    "written", ["+49 30 1234 02.11.2024", "030 1234 02-11-2024", "+49 30 1234 2024-03-15"]
)
def test_a_date_behind_a_number_is_known(written: str) -> None:
    """A date behind a number is told from its last digits."""
    assert ends_in_date(written)


@pytest.mark.parametrize(
    "written", ["02.11.2024", "+49 30 02.11/2024", "+49 30 02.11.20245", "+49 2112 024"]
)
def test_the_last_digits_of_a_number_are_no_date(written: str) -> None:
    """Digits that are not grouped as a whole date belong to the number."""
    assert not ends_in_date(written)
