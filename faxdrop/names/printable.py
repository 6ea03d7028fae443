r"""File names as they can be shown and stored.

A name comes from whoever dropped the file. It may contain characters that control a terminal or
reverse the rest of a line: control characters, line and paragraph separators, bidirectional
overrides and isolates, zero-width characters, and bytes that are not text at all. What people read
shows them as escapes (``\x1b``, ``\u202e``, ``\xff``); what programs read keeps them as they are.
"""

import json
import os

from faxdrop.words import of_system


def shown(text: str, *, lines: bool = False) -> str:
    r"""Return a name, or a sentence with names in it, that is safe to print anywhere.

    What is not printable becomes an escape: ``\n``, ``\x1b``, ``\u202e``; stray bytes ``\xff``.
    With ``lines``, line breaks stay.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or (lines and char == "\n") else repr(char)[1:-1]
        for char in stored(text)
    )


def of_file(error: OSError) -> str:
    """Return the system's words for an error, behind the file that it names; safe to print."""
    words = of_system(error)
    return shown(f"{os.fsdecode(error.filename)}: {words}" if error.filename else words)


def json_shown(text: str) -> str:
    r"""Return JSON that is safe to print: what is not printable becomes a JSON escape."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text
    )


def stored(name: str) -> str:
    r"""Return a name that any JSON or UTF-8 file can hold: stray bytes become ``\xff``."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # no file system has such a name
        return name.encode("utf-8", "backslashreplace").decode()
