"""The systemd units, as far as they can be judged without starting them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = ["faxdrop.service", "faxdrop@.service"]
MOST_EXPOSURE = 12  # tenths, as rated by systemd 252

needs_systemd_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def _directives(unit: str) -> list[str]:
    lines = (SYSTEMD / unit).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@needs_systemd_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_against_the_unit(unit: str, tmp_path: Path) -> None:
    """Every section, directive and value is one that systemd knows."""
    copy = tmp_path / unit
    text = (SYSTEMD / unit).read_text()
    copy.write_text(text.replace("/opt/faxdrop/bin/faxdrop", "/bin/true"))  # it must exist
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in (done.stdout + done.stderr).splitlines() if "faxdrop" in line]
    assert (done.returncode, said) == (0, [])


@needs_systemd_analyze
@pytest.mark.parametrize("unit", UNITS)
def test_the_unit_is_hardened(unit: str) -> None:
    """The exposure that systemd rates is 1.2 or better."""
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--no-pager",
            "--offline=yes",
            f"--threshold={MOST_EXPOSURE}",
            str(SYSTEMD / unit),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_directive_is_explained() -> None:
    """Every directive of the unit has a comment above it, or above its group."""
    explained = False
    bare = []
    for line in (SYSTEMD / "faxdrop.service").read_text().splitlines():
        if not line or line.startswith("["):
            explained = line == "[Install]"  # whose one line is what every unit has
        elif line.startswith("#"):
            explained = True
        elif not explained:
            bare.append(line)
    # Directives that every unit needs explain themselves.
    assert [line for line in bare if not line.startswith("Description=")] == []


def test_an_instance_differs_only_in_its_places() -> None:
    """faxdrop@berlin is faxdrop, with a root, a config and credentials of its own."""
    places = {
        "/srv/fax": "/srv/fax/%i",
        "/etc/faxdrop/config.toml": "/etc/faxdrop/%i.toml",
        "/etc/faxdrop/token": "/etc/faxdrop/%i.token",
    }
    pattern = re.compile("|".join(map(re.escape, places)))
    expected = [pattern.sub(lambda match: places[match[0]], line) for line in _directives(UNITS[0])]
    assert _directives(UNITS[1]) == expected


@pytest.mark.parametrize("unit", UNITS)
def test_the_share_is_one_mount(unit: str) -> None:
    """There is exactly one writable path: a file cannot be renamed from one mount to another."""
    writable = [line for line in _directives(unit) if line.startswith("ReadWritePaths=")]
    assert len(writable) == 1
    assert " " not in writable[0]
    binds = ("BindPaths=", "StateDirectory=", "CacheDirectory=", "LogsDirectory=")
    assert [line for line in _directives(unit) if line.startswith(binds)] == []


def test_the_folders_are_where_the_unit_expects_them() -> None:
    """tmpfiles.d makes the share that the unit may write, for the user whom sysusers.d makes."""
    share = "/srv/fax"
    assert f"ReadWritePaths={share}" in _directives("faxdrop.service")
    assert "User=faxdrop" in _directives("faxdrop.service")
    made = [line.split() for line in _directives("faxdrop.tmpfiles.conf")]
    folders = {words[1]: words[2:] for words in made if words[0] == "d"}
    assert folders == {
        "/etc/faxdrop": ["2750", "root", "faxdrop"],
        share: ["2750", "faxdrop", "faxdrop"],
        f"{share}/inbox": ["2770", "faxdrop", "faxdrop"],
        f"{share}/sent": ["2770", "faxdrop", "faxdrop"],
        f"{share}/failed": ["2770", "faxdrop", "faxdrop"],
        f"{share}/.faxdrop": ["0700", "faxdrop", "faxdrop"],
    }
    assert [line.split()[:2] for line in _directives("faxdrop.sysusers.conf")] == [["u", "faxdrop"]]
