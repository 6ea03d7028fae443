"""What the address book says of a recipient folder."""

from collections.abc import Mapping

from faxdrop.fax.recipient import AddressEntry, name_key, normalise


def number_of(folder: str | None, entries: Mapping[str, AddressEntry], region: str) -> str | None:
    """Return the number (E.164) that the address book has for a folder, None if it has none."""
    if folder is None:
        return None
    key = name_key(folder)
    for name, entry in entries.items():
        if name_key(name) == key:
            return normalise(entry.number, region)
    return None
