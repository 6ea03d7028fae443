r"""Which names in the inbox are passed over: one rule for scans, events, config and check.

Such a file is left alone however long it lies there, and such a folder with everything below it:
hidden and temporary files, and what systems, NAS devices, Macs and scanners put beside a document.
Nobody waits for an answer to any of these.

There is no closed list of temporary names, so this list says nothing about whether a file is
complete: a file whose name does not end in ``.pdf`` must be at rest first, see ``looks``.
"""

from faxdrop.names.mac import as_the_mac_shows

_BEGINS = (
    ".",  # hidden
    "~$",  # Office's marks beside an open document
    "thumbs.db",  # and its stream, thumbs.db:encryptable
    "ehthumbs.db",
)
_ENDS = (
    # temporary
    "~",
    ".tmp",
    ".temp",
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".filepart",
    ".opdownload",
    ".swp",
    # streams and attributes that became files
    "zone.identifier",  # letter.pdf:Zone.Identifier, where Windows notes what came by mail
    "@synoeastream",
    "@synoresource",
)
_JOB_TICKETS = (".xml", ".xst")  # what scanners write beside the scan
_NAMES = frozenset(
    {
        "desktop.ini",
        "icon\r",  # a Mac folder's own picture
        "aquota.user",
        "aquota.group",
        # folders of Windows, NAS devices, Macs and file systems
        "$recycle.bin",
        "recycler",
        "system volume information",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@sharebin",
        "@tmp",
        "#recycle",
        "#snapshot",
        "~snapshot",
        "lost+found",
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
    }
)


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder of this name is left alone."""
    plain = as_the_mac_shows(name).casefold()
    return plain.startswith(_BEGINS) or plain.endswith((*_ENDS, *_JOB_TICKETS)) or plain in _NAMES


def is_job_ticket(name: str) -> bool:
    """Return whether a name is that of a scanner's side file: of these, people are told."""
    return name.casefold().endswith(_JOB_TICKETS)
