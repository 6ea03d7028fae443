"""Text without secrets: known secrets are replaced, and so is whatever looks like one.

What looks like a secret depends on where the text comes from; each source has its patterns here.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

REDACTED: Final = "[redacted]"

Telltales = tuple[tuple[re.Pattern[str], str], ...]
"""What looks like a secret, and what stands in its place."""

_WORTH_HIDING = 4  # characters: hiding every "x" hides nothing but the message

IN_EVENTS: Final[Telltales] = (
    (re.compile(r"\b(Basic|Bearer)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # An address may itself be the key to a report: only what is no more than a server stays.
    (
        re.compile(
            r"\b(https?://)(?![^/\s\"'@?#]+(?:/v2|/simulator)?/?(?:[\s\"'),]|$))[^\s\"'<>]+"
        ),
        rf"\1{REDACTED}",
    ),
)
"""In an event of the log."""

IN_SETTINGS: Final[Telltales] = (
    # Tokens are UUIDs; a name and a query in an address may carry secrets too.
    (re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}"), REDACTED),
    (re.compile(r"//[^/\s\"]*@"), f"//{REDACTED}@"),
    (re.compile(r"(://[^\s?#\"]*[?#])[^\s\"]+"), rf"\1{REDACTED}"),
)
"""In a setting that is wrong: it may be a secret in the wrong place."""

IN_ANSWERS: Final[Telltales] = ((re.compile(r"https?://\S+|[A-Za-z0-9+/=_-]{60,}"), REDACTED),)
"""In a server's own words: it may repeat what it was sent."""


def spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return each secret as it may be written: plain, in an address, in JSON.

    The longest comes first, since one secret may be part of another.
    """
    known = {secret for secret in secrets if len(secret) >= _WORTH_HIDING}
    known |= {quote(secret, safe="") for secret in known} | {
        json.dumps(secret)[1:-1] for secret in known
    }
    return tuple(sorted(known, key=len, reverse=True))


def redacted(text: str, known: Sequence[str], telltales: Telltales) -> str:
    """Return a text without what ``spellings`` returned, and without what looks like a secret."""
    for secret in known:
        text = text.replace(secret, REDACTED)
    for pattern, instead in telltales:
        text = pattern.sub(instead, text)
    return text
