"""Who hears of it: the tables [notify.NAME], and their addresses, which are secrets."""

import os
import re
from pathlib import Path

import pytest

from faxdrop.config.addresses import unusable
from faxdrop.config.load import load
from faxdrop.config.problems import ConfigError
from tests.kit.users import let_in

ENVIRON = {"TOKEN_ID": "token-ABC123", "TOKEN": "5a0b9f6e-8d3c-4b7e-9a51-0c6f2e7d1b34"}
MINIMAL = 'root = "share"\nsipgate.faxline = "f0"\n'
SECRET = "pa55word-of-the-office"  # noqa: S105 - nobody's
ADDRESS = f"mailtos://fax:{SECRET}@mail.office.example?to=anna@office.example"
OFFICE = f"{MINIMAL}[notify.office]\n"


def write(folder: Path, text: str) -> Path:
    """Write a config."""
    path = folder / "config.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str, environ: dict[str, str] | None = None) -> dict[str, str]:
    """Load what is wrong; return the remedies by key. No address is in any of it."""
    with pytest.raises(ConfigError) as error:
        load(write(folder, text), {**ENVIRON, **(environ or {})})
    said = f"{error.value} {error.value!r} {error.value.__context__!r}"
    for secret in (SECRET, "office.example", "hook-path"):
        assert secret not in said
    return {key: remedy for key, _, remedy in error.value.problems}


def test_who_is_told_and_of_what(tmp_path: Path) -> None:
    """Failures, holds and what is stuck go to the address; all of it can be chosen."""
    text = f"""{OFFICE}[notify.Doctors]
on = ["sent", "failed"]
recipients = ["Dr. *"]
digest = "18:00"
"""
    hook = "json://127.0.0.1:9/hook-path"
    config = load(
        write(tmp_path, text), {**ENVIRON, "NOTIFY_OFFICE": ADDRESS, "NOTIFY_DOCTORS": hook}
    )
    office, doctors = config.notify["office"], config.notify["Doctors"]
    assert (office.on, office.recipients, office.digest) == (("failed", "held", "stuck"), (), "")
    assert (doctors.on, doctors.digest) == (("sent", "failed"), "18:00")
    assert config.secrets.notify["office"].get_secret_value() == ADDRESS
    assert set(config.secrets.values()) == {ENVIRON["TOKEN"], ADDRESS, hook}
    for shown in (repr(config), config.model_dump_json()):
        assert SECRET not in shown


@pytest.mark.parametrize("place", ["credentials", "beside", ".env"])
def test_where_addresses_are_found(tmp_path: Path, place: str) -> None:
    """Addresses come from the same places as the token: credentials, files or a .env."""
    environ = dict(ENVIRON)
    if place == "credentials":
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "notify_office").write_text(f"{ADDRESS}\n")
        environ["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
    elif place == "beside":
        (tmp_path / "notify_office").write_text(f"{ADDRESS}\n")
    else:
        (tmp_path / ".env").write_text(f"NOTIFY_OFFICE={ADDRESS}\n")
    config = load(write(tmp_path, OFFICE), environ)
    assert config.secrets.notify["office"].get_secret_value() == ADDRESS


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        (None, "set NOTIFY_OFFICE in the environment"),
        (f"nosuch://{SECRET}@office.example", "apprise knows"),
        (SECRET, "apprise knows"),
        ("mailtos://?to=office.example", "apprise knows"),
        (f"{ADDRESS} and more", "without blanks"),
        ("YOUR_ADDRESS", "placeholder"),
    ],
)
def test_an_address_that_is_wrong(tmp_path: Path, address: str | None, remedy: str) -> None:
    """A missing address, or one unknown to apprise, is reported with what would be right."""
    found = problems(tmp_path, OFFICE, {} if address is None else {"NOTIFY_OFFICE": address})
    assert found.keys() == {"NOTIFY_OFFICE"}
    assert remedy in found["NOTIFY_OFFICE"]


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        (f'{MINIMAL}notify.office = "{ADDRESS}"', "notify.office", "[notify.office]"),
        (f'{MINIMAL}notify = "{ADDRESS}"', "notify", "[notify.office]"),
        (f'{OFFICE}address = "{ADDRESS}"', "notify.office.address", "NOTIFY_OFFICE"),
        (f'{OFFICE}on = ["{ADDRESS}"]', "notify.office.on", '"failed"'),
        (f'{OFFICE}on = "json://x/hook-path"', "notify.office.on", '"failed"'),
        (f'{OFFICE}digest = "json://x/hook-path"', "notify.office.digest", '"18:00"'),
        (f'{OFFICE}digest = "24:00"', "notify.office.digest", '"18:00"'),
        (f'{OFFICE}recipients = [""]', "notify.office.recipients", '"Dr. *"'),
        (f'{OFFICE}digests = "18:00"', "notify.office.digests", "did you mean digest"),
        (f'digest = "18:00"\n{OFFICE}', "digest", "[notify.NAME]"),
        (f'{MINIMAL}[notify."a b"]', 'notify."a b"', "letters, digits and _"),
        (f"{OFFICE}[notify.Office]", "notify.Office", "differs"),
    ],
)
def test_a_table_that_is_wrong(tmp_path: Path, text: str, key: str, remedy: str) -> None:
    """Each mistake has its remedy, and an address in the wrong place is not repeated."""
    assert remedy in problems(tmp_path, text)[key]


def test_the_addresses_of_the_readme() -> None:
    """Each kind of address that the README names is one that apprise knows."""
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    section = readme[readme.index("## Who hears of it") :].split("\n## ", 1)[0]
    addresses = re.findall(r"`([a-z]+://[^`]+)`", section)
    assert len(addresses) == 3
    assert unusable({address: address for address in addresses}) == set()
    assert unusable({"x": "nosuch://x"}) == {"x"}


def test_a_rehearsal_tells_nobody(tmp_path: Path) -> None:
    """A rehearsal looks for no address, as it looks for no token."""
    config = load(write(tmp_path, OFFICE), {"NOTIFY_OFFICE": ADDRESS}, simulate=True)
    assert config.secrets.notify == {}


def test_a_file_with_an_address_that_everybody_can_read(tmp_path: Path) -> None:
    """A file with an address that everybody can read is a fault, as with the token."""
    file = tmp_path / "notify_office"
    file.write_text(ADDRESS)
    file.chmod(0o644)
    let_in(tmp_path)
    assert f"chmod 600 {file}" in str(load(write(tmp_path, OFFICE), ENVIRON).faults)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="another user's rights need root")
def test_an_address_that_the_unit_was_not_told_to_load(tmp_path: Path) -> None:
    """A service that may not read root's file says which line the unit needs."""
    let_in(tmp_path)
    file = tmp_path / "notify_office"
    file.write_text(ADDRESS)
    file.chmod(0o600)
    config = write(tmp_path, OFFICE)
    config.chmod(0o644)
    loaded = tmp_path / "credentials"
    loaded.mkdir()
    loaded.chmod(0o755)
    environ = {**ENVIRON, "CREDENTIALS_DIRECTORY": str(loaded)}
    load(config, environ)  # root may read it; and everything that Python needs is loaded
    os.seteuid(65534)
    try:
        with pytest.raises(ConfigError) as error:
            load(config, environ)
    finally:
        os.seteuid(0)
    [(key, _, remedy)] = error.value.problems
    assert key == "NOTIFY_OFFICE"
    assert f"LoadCredential=NOTIFY_OFFICE:{file}" in remedy
