"""Builds what is published, and gathers what it needs, for the tests that install it."""

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.kit.kept import kept

PROJECT = Path(__file__).parents[2]


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


def download(python: str) -> Path:
    """Return a folder with the wheels that faxdrop needs, and its build, on a Python ``"3.11"``."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    needs = sorted([*project["project"]["dependencies"], *project["build-system"]["requires"]])
    key = hashlib.sha256(f"{python} {needs}".encode()).hexdigest()[:12]

    def fill(folder: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
        command += ["--only-binary=:all:", "--python-version", python]
        subprocess.run([*command, *needs], check=True, timeout=600)

    return kept(f"wheels-{key}", fill)
