"""Opens folders to other users of the machine."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def open_to_all() -> Iterator[Path]:
    """Yield a folder that every user can come to, wherever pytest has its own."""
    with tempfile.TemporaryDirectory(
        dir="/var/tmp", prefix="faxdrop-", ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def let_in(path: Path) -> None:
    """Let everybody enter and list a folder and all folders above it.

    A folder that everybody can enter already, such as the machine's own, stays as it is.
    """
    for folder in (path, *path.parents):
        mode = folder.stat().st_mode & 0o7777
        if not mode & 0o001 or folder == path:
            folder.chmod(mode | 0o055)
