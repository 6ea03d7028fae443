"""Which addresses of notices can be used: apprise is asked, in a process of its own.

The addresses are secrets, and apprise logs what it is given: nothing of that leaves the process.
"""

import logging
from collections.abc import Mapping
from typing import Any

from faxdrop.apart import Apart, ApartError, answer

_SECONDS = 10.0  # a reload waits for it; half a second is usual


def unusable(addresses: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the addresses that apprise cannot send to.

    None if apprise cannot be asked: the first notice will show it.
    """
    if not addresses:
        return frozenset()
    try:
        return frozenset(Apart(__name__).ask(dict(addresses), _SECONDS))
    except ApartError:
        return frozenset()


def _unusable(addresses: Any) -> Any:
    import apprise  # noqa: PLC0415 - 45 MB, for this process alone

    logging.disable()
    return [name for name, url in addresses.items() if not _is_known(apprise, url)]


def _is_known(apprise: Any, url: str) -> bool:
    try:
        return apprise.Apprise.instantiate(url, suppress_exceptions=True) is not None
    except Exception:  # noqa: BLE001 - a plugin's bug: it could not send either
        return False


if __name__ == "__main__":
    answer(_unusable)
