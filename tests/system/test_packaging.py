"""What is published: the sdist and the wheel, what they hold, and that the wheel works installed.

The installed wheel is tried on every Python of FAXDROP_TEST_PYTHONS (paths, separated by colons);
without it, on 3.11 and on the newest that is found on PATH or among pyenv's versions.
"""

import json
import os
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import faxdrop
from tests.kit.waiting import PATIENCE
from tests.kit.wheels import PROJECT, Built, build

pytestmark = pytest.mark.long

OLDEST = (3, 11)
SHIPPED = {  # where a wheel's files go below the prefix it is installed to
    "config.example.toml": "share/faxdrop/config.example.toml",
    "faxdrop/followers/faxdrop.rules.yml": "share/faxdrop/prometheus/faxdrop.rules.yml",
    "systemd/faxdrop.service": "lib/systemd/system/faxdrop.service",
    "systemd/faxdrop@.service": "lib/systemd/system/faxdrop@.service",
    "systemd/faxdrop.sysusers.conf": "lib/sysusers.d/faxdrop.conf",
    "systemd/faxdrop.tmpfiles.conf": "lib/tmpfiles.d/faxdrop.conf",
}
TOP = f"faxdrop-{faxdrop.__version__}"
LEFTOVERS = re.compile(
    r"__pycache__|\.pyc$|\.mo$|\.so$|\.env$|\.egg-info|/\.(?!gitignore$)|~$|\.orig$"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build both files once."""
    return build(tmp_path_factory.mktemp("dist"))


def _files(folder: str) -> set[str]:
    """Return the files of the project that are source below one of its folders."""
    found = (path for path in (PROJECT / folder).rglob("*") if path.is_file())
    names = (str(path.relative_to(PROJECT)) for path in found)
    return {name for name in names if not LEFTOVERS.search(name)}


def test_the_wheel_holds_what_it_should(built: Built) -> None:
    """The package, the units, the example config and the licence are in it, and nothing else."""
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
        about = archive.read(f"{TOP}.dist-info/METADATA").decode()
        shipped = {
            source: archive.read(f"{TOP}.data/data/{place}").decode()
            for source, place in SHIPPED.items()
        }
    meta = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert names == (
        _files("faxdrop")
        | {name.replace(".po", ".mo") for name in _files("faxdrop/words") if name.endswith(".po")}
        | {f"{TOP}.dist-info/{name}" for name in meta}
        | {f"{TOP}.data/data/{place}" for place in SHIPPED.values()}
    )
    assert shipped == {source: (PROJECT / source).read_text() for source in SHIPPED}
    assert built.wheel.name == f"{TOP}-py3-none-any.whl"
    assert f"Requires-Python: >={OLDEST[0]}.{OLDEST[1]}\n" in about
    assert (PROJECT / "README.md").read_text().strip() in about


def test_the_sdist_holds_what_it_should(built: Built) -> None:
    """The sdist has everything to build, test and change faxdrop."""
    with tarfile.open(built.sdist) as archive:
        members = archive.getmembers()
    names = {member.name.removeprefix(f"{TOP}/") for member in members if member.isfile()}
    assert all(member.isfile() and member.name.startswith(f"{TOP}/") for member in members)
    assert names == (
        _files("faxdrop")
        | _files(".github")
        | _files("systemd")
        | _files("tests")
        | {
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "LICENSE",
            "PKG-INFO",
            "README.md",
            "config.example.toml",
        }
        | {".gitignore", "hatch_build.py", "pyproject.toml"}
    )
    assert [name for name in names if LEFTOVERS.search(name)] == []


def _version(python: Path) -> tuple[int, int] | None:
    """Return which Python a program is; None if it is none (or only pretends, as shims do)."""
    ask = "import sys; print(sys.version_info[0], sys.version_info[1])"
    done = subprocess.run(
        [python, "-Ic", ask], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode != 0:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)


def _pythons() -> dict[tuple[int, int], Path]:
    """Return the Pythons to try, by version."""
    if chosen := os.environ.get("FAXDROP_TEST_PYTHONS"):
        paths = [Path(path) for path in chosen.split(os.pathsep)]
        found = {_version(path): path for path in paths}
        return {version: path for version, path in found.items() if version is not None}
    folders = [Path(folder) for folder in os.get_exec_path()]
    if root := os.environ.get("PYENV_ROOT"):
        folders += sorted(Path(root, "versions").glob("*/bin"))
    found = {}
    for folder in folders:
        for path in folder.glob("python3.[0-9]*"):
            if re.fullmatch(r"python3\.\d+", path.name) and (version := _version(path)):
                found.setdefault(version, path)
    usable = {version: path for version, path in found.items() if version and version >= OLDEST}
    return {version: usable[version] for version in {OLDEST, max(usable)} & usable.keys()}


def test_the_installed_wheel_works_away_from_the_source(
    built: Built, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """A fresh environment with nothing but the wheel runs the demo, on old and new Python."""
    pythons = _pythons()
    assert OLDEST in pythons, f"no Python {OLDEST[0]}.{OLDEST[1]} among {pythons}"
    for version, python in sorted(pythons.items()):
        name = ".".join(map(str, version))
        with subtests.test(python=name):
            _try(python, tmp_path / name, built.wheel)


def _try(python: Path, place: Path, wheel: Path) -> None:
    away = place / "away"
    away.mkdir(parents=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=away, env=own, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    installed = place / "faxdrop"
    run(python, "-m", "venv", installed)
    run(installed / "bin/pip", "install", "--quiet", wheel)
    where = run(installed / "bin/python", "-c", "import faxdrop; print(faxdrop.__file__)")
    assert Path(where).is_relative_to(installed)
    for source, shipped in SHIPPED.items():
        assert (installed / shipped).read_text() == (PROJECT / source).read_text()
    assert faxdrop.__version__ in run(installed / "bin/faxdrop", "--version")
    run(installed / "bin/pip", "check")

    kept = away / "kept"
    run(installed / "bin/faxdrop", "demo", "--keep", kept)
    receipts = list(kept.rglob("sent/*/*.json")) + list(kept.rglob("failed/*/*.json"))
    statuses = {json.loads(path.read_text())["status"] for path in receipts}
    assert statuses == {"sent", "failed"}
