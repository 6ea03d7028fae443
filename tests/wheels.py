"""Builds what is published, and gathers what it needs, for the tests that install it."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from tests.kept import kept

PROJECT = Path(__file__).parent.parent


class Built(NamedTuple):
    """The two files that a release consists of."""

    wheel: Path
    sdist: Path


def build(folder: Path) -> Built:
    """Build the sdist, and the wheel from the sdist, into an empty folder."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run(
        [*command, str(PROJECT)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    return Built(wheel, sdist)


def requirements(wheel: Path) -> list[str]:
    """Return what a wheel says that it needs, without its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return [
        line.removeprefix("Requires-Dist: ")
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    ]


def download(wheel: Path, python: str) -> Path:
    """Return a folder with the wheels that another wheel needs on a Python such as ``"3.11"``."""
    needs = sorted(requirements(wheel))
    key = hashlib.sha256(f"{python} {needs}".encode()).hexdigest()[:12]

    def fill(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
        command += ["--only-binary=:all:", "--python-version", python]
        subprocess.run([*command, *needs], check=True, timeout=600)

    return kept(f"wheels-{key}", fill)
