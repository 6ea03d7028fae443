"""Opens folders to other users of the machine."""

from pathlib import Path


def let_in(path: Path) -> None:
    """Let everybody enter and list a folder and all folders above it.

    A folder that everybody can enter already, such as the machine's own, stays as it is.
    """
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode & 0o7777
        if not mode & 0o001 or folder == path:
            folder.chmod(mode | 0o055)
