"""What tests build once and keep between runs: a system, downloaded wheels.

It lies in FAXDROP_TEST_CACHE, or in faxdrop-tests below /var/cache (root) or the user's own cache.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path


def cache() -> Path:
    """Return the folder that is kept between runs."""
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    path = Path(os.environ.get("FAXDROP_TEST_CACHE", home / "faxdrop-tests"))
    path.mkdir(parents=True, exist_ok=True)
    return path


def kept(name: str, fill: Callable[[Path], None]) -> Path:
    """Return a folder of the cache; if it is not there, ``fill`` is given an empty one to fill.

    It gets its name once it is filled, so a half-made build is never used. Of two callers
    at once, one waits for the other.
    """
    folder = cache() / name
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            unfinished = cache() / f"{name}.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o755)
            fill(unfinished)
            unfinished.rename(folder)
    return folder
