"""What another user of the machine can come to."""

from pathlib import Path


def let_in(path: Path) -> None:
    """Let everybody come as far as a folder: it and those above may be passed and listed.

    A folder that everybody can pass already, as the machine's own, stays as it is.
    """
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode & 0o7777
        if not mode & 0o001 or folder == path:
            folder.chmod(mode | 0o055)
