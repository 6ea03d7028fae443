"""Where the spool of a root lies: its own folder ``.faxdrop``, and what others read in it."""

from pathlib import Path


def home_of(root: Path) -> Path:
    """Return the folder of a root that is the spool's alone (see ``root`` for what is in it)."""
    return root / ".faxdrop"


def jobs_of(root: Path) -> Path:
    """Return the folder that has a folder for each document on its way."""
    return home_of(root) / "jobs"


def journal_of(root: Path) -> Path:
    """Return the folder of a root's journal."""
    return home_of(root) / "journal"
