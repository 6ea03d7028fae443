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
    "/2e",  # hidden, by a file server for old Macs
    "~$",  # Office's marks beside an open document
    "thumbs.db",  # and its stream, thumbs.db:encryptable
    "ehthumbs",
    # folders of Windows and NAS devices, with what these append to a name that is taken
    "$recycle.bin",
    "system volume information",
    "@eadir",
    "@gmt-",  # a snapshot, with its day
    "@quarantine",
    "@recycle",
    "@recently-snapshot",
    "@sharebin",
    "@sharesnap",
    "@synologydrive",
    "#recycle",
    "#snapshot",
    "~snapshot",
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
    ".pdf#",  # Emacs
    ".ffs_tmp",
    ".!sync",
    ".!ut",
    ".!qb",
    ".bts",
    # what programs write beside a file as long as they work on it
    ".lock",
    ".lck",
    ".aria2",
    ".ffs_db",
    ".ffs_lock",
    ".lftp-pget-status",
    # streams and attributes that became files
    "zone.identifier",  # letter.pdf:Zone.Identifier, where Windows notes what came by mail
    "@synoeastream",
    "@synoresource",
    "/afp_afpinfo",
    "/afp_resource",
    "/$data",
)
_STREAM = ".pdf/"  # of a document, with whatever name: letter.pdf:com.apple.quarantine
_JOB_TICKETS = (".xml", ".xst")  # what scanners write beside the scan
_NAMES = frozenset(
    {
        "desktop.ini",
        "icon\r",  # a Mac folder's own picture
        "autorun.inf",
        "aquota.user",
        "aquota.group",
        "quota.user",
        "quota.group",
        # folders of Windows, Macs, sync programs and file systems
        "_gsdata_",
        "@tmp",
        "desktop db",
        "desktop df",
        "dfsrprivate",
        "found.000",
        "lost+found",
        "network trash folder",
        "temporary items",
        "thefindbycontentfolder",
        "thevolumesettingsfolder",
        # where file servers put what people delete
        "papierkorb",
        "recycle bin",
        "recycle.bin",
        "recycled",
        "recycler",
        "trash",
        "trashbox",
    }
)


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder of this name is left alone."""
    plain = as_the_mac_shows(name).casefold()
    return (
        plain.startswith(_BEGINS)
        or plain.endswith((*_ENDS, *_JOB_TICKETS))
        or plain in _NAMES
        or (_STREAM in plain and not plain.endswith(".pdf"))
    )


def is_job_ticket(name: str) -> bool:
    """Return whether a name is that of a scanner's side file: of these, people are told."""
    return name.casefold().endswith(_JOB_TICKETS)
