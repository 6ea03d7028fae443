"""Fetches sipgate's own transmission report from where its history says that it lies.

That is another host, and the address is itself the key: no token goes there, it is neither logged
nor in any error, and no redirect is followed. What comes is bounded in bytes and in time.
"""

from http import HTTPStatus
from urllib.parse import urlsplit

from faxdrop.names.loopback import is_loopback
from faxdrop.sipgate.transport import NoAnswer, Transport

LONGEST = 8 << 20  # bytes of a report
_TAIL = 1024  # bytes in which readers look for the end of a PDF


def fetch(url: str, seconds: float, *, from_here: bool) -> bytes | None:
    """Return the PDF that lies at an address, None for everything else.

    ``from_here``: this machine, and a connection in the clear, are believed, too: so it is with a
    simulator. ``seconds`` bound everything but the look-up of the host's name.
    """
    if not _may_be_asked(url, from_here=from_here):
        return None
    transport = Transport(url, "", None, seconds)
    try:
        reply = transport.get("", limit=LONGEST + 1)
    except NoAnswer:
        return None
    finally:
        transport.close()
    is_report = (
        reply.status == HTTPStatus.OK
        and reply.body.startswith(b"%PDF-")
        and b"%%EOF" in reply.body[-_TAIL:]  # it did not break off
        and len(reply.body) <= LONGEST
    )
    return reply.body if is_report else None


def _may_be_asked(url: str, *, from_here: bool) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or "@" in parts.netloc:
        return False
    if is_loopback(host):
        return from_here and parts.scheme in {"http", "https"}
    return parts.scheme == "https"
