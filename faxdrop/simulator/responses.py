"""The simulator's answers: sipgate's errors, and answers that are wrong on purpose.

Pure functions from the right answer to the one that is sent. Error bodies come in sipgate's three
forms: JSON with name and message, plain text, nothing.
"""

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import cache

from faxdrop.simulator.http import Manner, Response

_WORDS = {
    400: "bad request",
    403: "no permission to use the specified fax extension",
    404: "not found",
    405: "method not allowed",
    407: "invalid recipient fax number",
    413: "request entity too large",
    415: "unsupported media type",
}
_PLAIN = {402: "Insufficient funds", 429: "Too many requests", 500: "Internal Server Error"}
_PORTAL = b"<!doctype html><title>Welcome</title><p>Please accept the terms of use.</p>"
_BAD_GATEWAY = b"<html><head><title>502 Bad Gateway</title></head></html>"
_WRONG_TYPES = {"sessionId": {"id": []}, "items": "none", "totalCount": "many", "id": [], "sub": 7}


@dataclass(frozen=True, slots=True)
class Temper:
    """How long misbehaviour takes."""

    slow: float  # seconds of real time that a slow answer takes
    late: float  # seconds after which a late entry shows
    retry_after: float  # seconds that a 429 or 503 asks for


def good(body: object) -> Response:
    """Answer 200 with JSON."""
    return Response(200, json.dumps(body, separators=(",", ":")).encode())


def error(status: int, message: str = "") -> Response:
    """Answer an error in one of the forms that sipgate's have."""
    if status == 401:  # noqa: PLR2004 - the status is its own name
        return Response(status, headers=(("WWW-Authenticate", 'Basic realm="sipgate"'),))
    if status == 502:  # noqa: PLR2004 - likewise
        return Response(status, _BAD_GATEWAY, "text/html")
    if status in _WORDS:
        words = message or _WORDS[status]
        name = _WORDS[status].upper().replace(" ", "_")
        return replace(good({"name": name, "message": words}), status=status)
    return Response(status, _PLAIN.get(status, "").encode(), "text/plain")


def report(name: str) -> bytes:
    """Return a transmission report of one page: a PDF that every reader can read."""
    text = f"BT /F 12 Tf 60 780 Td (Simulated transmission report {name}) Tj ET".encode()
    parts = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources 5 0 R>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(text), text),
        b"<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>> >> >>",
    )
    made = bytearray(b"%PDF-1.4\n")
    places = []
    for number, part in enumerate(parts, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%b\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(parts) + 1, len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table)
    return bytes(made) + b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (size, start)


def wrong(behaviour: str, right: Response, temper: Temper, now: float, elsewhere: str) -> Response:
    """Return what is sent under a behaviour in place of the right answer.

    ``elsewhere`` is the address of another host, where a redirect leads.
    """
    if behaviour in _MANNERS:
        return replace(right, manner=_MANNERS[behaviour])
    if behaviour in _BODIES:
        return _BODIES[behaviour](right)
    if behaviour == "slow":
        return replace(right, delay=temper.slow)
    if behaviour == "redirect":
        return Response(307, headers=(("Location", elsewhere),))
    answer = error(int(behaviour[:3]))
    when = {
        "429": f"{max(1, round(temper.retry_after))}",
        "503": f"{max(1, round(temper.retry_after))}",
        "429-date": formatdate(now + temper.retry_after, usegmt=True),
    }.get(behaviour)
    return replace(answer, headers=(("Retry-After", when),)) if when else answer


def _number_id(right: Response) -> Response:
    body = json.loads(right.body)
    for key in ("sessionId", "id"):
        if isinstance(body, dict) and key in body:
            body[key] = int(body[key])
    return good(body)


def _gzip_bomb(_: Response) -> Response:
    return Response(200, _bomb(), headers=(("Content-Encoding", "gzip"),))


@cache
def _bomb() -> bytes:
    return gzip.compress(b"[" * (1 << 24), 9) * 64


_MANNERS = {
    "lose-before": Manner.RESET,
    "lose-after": Manner.RESET,
    "cut": Manner.RESET,
    "close-before": Manner.CLOSED,
    "close-after": Manner.CLOSED,
    "stale": Manner.STALE,
    "drip": Manner.DRIP,
    "drip-head": Manner.DRIP_HEAD,
    "huge": Manner.ENDLESS,
}
_BODIES: dict[str, Callable[[Response], Response]] = {
    "number-id": _number_id,
    "garbage": lambda right: replace(right, body=right.body[:-2] + b"\xff"),
    "empty": lambda _: good({}),
    "wrong-types": lambda _: good(_WRONG_TYPES),
    "html": lambda _: Response(200, _PORTAL, "text/html"),
    "gzip-bomb": _gzip_bomb,
}
