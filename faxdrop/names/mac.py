r"""Names as Macs write them to a share, and as they show them.

A Mac shows ``/`` where the disk has ``:``. It also allows characters that no other system does:
``"*<>?\|``, control characters, and blanks or dots at the end. On a share these become letters of
Unicode's private use area, by a table of Microsoft's that Apple kept (Samba's vfs_fruit uses it):
``030:123456-0`` and ``030\uf022123456-0`` are both ``030/123456-0`` to the person at the Mac.
"""

_PRIVATE = '"*:<>?\\| .'  # U+F020 to U+F029
_SHOWN = {0xF020 + at: char for at, char in enumerate(_PRIVATE)}
_SHOWN |= {0xF000 + code: chr(code) for code in range(0x01, 0x20)}
_SHOWN[0xF022] = _SHOWN[ord(":")] = "/"


def as_the_mac_shows(name: str) -> str:
    """Return a name as its writer sees it. Names from other systems change only in their colons."""
    return name.translate(_SHOWN)
