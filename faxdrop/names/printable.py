r"""File names as they can be shown and stored.

A name comes from whoever dropped the file. It may hold what steers a terminal or turns the rest of
a line around: control characters, line and paragraph separators, bidirectional overrides and
isolates, letters of no width, and bytes that are no text at all. What people read shows them as
what they are (``\x1b``, ``\u202e``, ``\xff``); what programs read keeps them.
"""

import json
import os


def shown(text: str, *, lines: bool = False) -> str:
    r"""Return a name, or words with names in them, fit to be printed anywhere.

    What is not printable becomes an escape: ``\n``, ``\x1b``, ``\u202e``; stray bytes ``\xff``.
    ``lines``: the text has lines of its own, and they stay.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or (lines and char == "\n") else repr(char)[1:-1]
        for char in stored(text)
    )


def json_shown(text: str) -> str:
    r"""Return JSON fit to be printed: what is not printable becomes JSON's own ``\u202e``."""
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    )


def stored(name: str) -> str:
    r"""Return a name that any JSON or UTF-8 file can hold: only stray bytes become ``\xff``."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # no file system has such a name
        return name.encode("utf-8", "backslashreplace").decode()
