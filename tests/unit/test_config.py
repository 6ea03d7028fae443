"""The settings: read whole, refused whole, and never with a secret in a message."""

import grp
import itertools
import os
import pwd
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from faxdrop.config import credentials, place
from faxdrop.config import load as config
from faxdrop.config.load import load
from faxdrop.config.problems import ConfigError, NoConfigError, Problem
from faxdrop.config.settings import (
    BYTES_LIMIT,
    Config,
    DocumentSettings,
    HeartbeatSettings,
    HookSettings,
    InboxSettings,
    Secrets,
    SendingSettings,
    Settings,
    SipgateSettings,
    format_duration,
    parse_duration,
)
from faxdrop.config.simulated import SIMULATED
from faxdrop.fax.recipient import AddressEntry
from faxdrop.setup.check import report_of_config
from tests.kit.users import let_in

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
TOKEN = "5a0b9f6e-8d3c-4b7e-9a51-0c6f2e7d1b34"  # noqa: S105 - nobody's
TOKEN_ID = "token-ABC123"  # noqa: S105 - nobody's
ENVIRON = {"TOKEN_ID": TOKEN_ID, "TOKEN": TOKEN}
MINIMAL = 'root = "share"\nsipgate.faxline = "f0"\n'


def write(folder: Path, text: str, *, name: str = "config.toml", mode: int = 0o640) -> Path:
    """Write a file that only its owner and group can read."""
    path = folder / name
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def problems(path: Path, environ: dict[str, str] | None = None) -> dict[str, Problem]:
    """Load a config that is wrong, and return its problems by key."""
    with pytest.raises(ConfigError) as error:
        load(path, ENVIRON if environ is None else environ)
    found = error.value.problems
    assert len(str(error.value).splitlines()) == len(found)
    assert error.value.__cause__ is None
    assert all(all(part for part in problem) for problem in found)
    everything = f"{error.value} {error.value!r} {found}"
    assert TOKEN not in everything
    assert len({problem.key for problem in found}) == len(found)
    return {problem.key: problem for problem in found}


def wrong(folder: Path, text: str, environ: dict[str, str] | None = None) -> dict[str, Problem]:
    """Load a config of this text, and return its problems by key."""
    return problems(write(folder, text), environ)


def credentials_of(loaded: Config) -> tuple[str, str]:
    """Return the token id and the token of a config."""
    return loaded.secrets.token_id, loaded.secrets.token.get_secret_value()


def test_a_minimal_config_brings_the_defaults(tmp_path: Path) -> None:
    """Root, fax line and token are all that must be set."""
    loaded = load(write(tmp_path, MINIMAL), ENVIRON)
    assert loaded == Config(
        root=tmp_path / "share",
        sipgate=SipgateSettings(faxline="f0"),
        secrets=Secrets(token_id=TOKEN_ID, token=SecretStr(TOKEN)),
    )
    assert loaded.inbox == InboxSettings(settle=3.0, patience=300.0, rescan=60.0)
    assert loaded.documents.max_bytes == 10_000_000
    assert loaded.sending.delays == (300.0, 900.0)
    assert loaded.warnings == ()


def test_every_setting_can_be_set(tmp_path: Path) -> None:
    """Each setting of the file arrives in the config, durations as seconds."""
    text = """
        root = "/srv/fax"
        region = "AT"
        [sipgate]
        base_url = "http://127.0.0.1:8099/v2/"
        faxline = "f12"
        timeout = "1.5m"
        [recipients]
        "Dr. Müller" = "+49 30 23125 001"
        Labor = { number = "01 58858", faxline = "f3" }
        [inbox]
        settle = "250ms"
        patience = "1h"
        rescan = "5s"
        [documents]
        max_megabytes = 2.5
        max_pages = 3
        forms = "reject"
        [sending]
        attempts = 5
        delays = ["1m"]
        poll_interval = "2s"
        give_up_after = "2h"
        reconcile_for = "20m"
        resend_if_absent = true
        allow_premium = true
        [hook]
        command = ["/bin/true", "--and", ""]
        timeout = "5m"
        [heartbeat]
        metrics_file = "/srv/faxdrop.prom"
    """
    environ = {**ENVIRON, "HEARTBEAT_URL": "https://hc.example.com/5ecret"}
    assert load(write(tmp_path, text), environ) == Config(
        root=Path("/srv/fax"),
        region="AT",
        sipgate=SipgateSettings(base_url="http://127.0.0.1:8099/v2", faxline="f12", timeout=90.0),
        recipients={
            "Dr. Müller": AddressEntry(number="+49 30 23125 001"),
            "Labor": AddressEntry(number="01 58858", faxline="f3"),
        },
        inbox=InboxSettings(settle=0.25, patience=3600.0, rescan=5.0),
        documents=DocumentSettings(max_megabytes=2.5, max_pages=3, forms="reject"),
        sending=SendingSettings(
            attempts=5,
            delays=(60.0,),
            poll_interval=2.0,
            give_up_after=7200.0,
            reconcile_for=1200.0,
            resend_if_absent=True,
            allow_premium=True,
        ),
        hook=HookSettings(command=("/bin/true", "--and", ""), timeout=300.0),
        heartbeat=HeartbeatSettings(metrics_file="/srv/faxdrop.prom"),
        secrets=Secrets(
            token_id=TOKEN_ID,
            token=SecretStr(TOKEN),
            heartbeat_url=SecretStr("https://hc.example.com/5ecret"),
        ),
    )


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Wrong values, unknown keys, contradictions, the address book and secrets come in one list."""
    found = wrong(
        tmp_path,
        """
        region = "Germany"
        colour = "blue"
        [sipgate]
        base_url = "http://api.sipgate.com/v2"
        timeout = 100
        [recipients]
        Police = "+49 110"
        Nobody = { number = "+49 1", faxline = "x" }
        "two words" = 5
        Empty = {}
        [inbox]
        settle = "3 s"
        patiance = "5m"
        attempts = 3
        [documents]
        max_megabytes = 22
        max_pages = "30"
        forms = "flat"
        [sending]
        attempts = 0
        delays = ["5m", 15]
        give_up_after = "1s"
        allow_premium = "yes"
        """,
        {},
    )
    assert {key: problem.value for key, problem in found.items()} == {
        "TOKEN_ID": "(missing)",
        "TOKEN": "(missing)",
        "root": "(missing)",
        "region": '"Germany"',
        "colour": '"blue"',
        "sipgate.faxline": "(missing)",
        "sipgate.base_url": '"http://api.sipgate.com/v2"',
        "sipgate.timeout": "100",
        "recipients.Police": '"+49 110"',
        "recipients.Nobody.faxline": '"x"',
        "recipients.Nobody.number": '"+49 1"',
        'recipients."two words"': "5",
        "recipients.Empty.number": "(missing)",
        "inbox.settle": '"3 s"',
        "inbox.patiance": '"5m"',
        "inbox.attempts": "3",
        "documents.max_megabytes": "22",
        "documents.max_pages": '"30"',
        "documents.forms": '"flat"',
        "sending.attempts": "0",
        "sending.delays": "15",
        "sending.give_up_after": '"1s"',
        "sending.allow_premium": '"yes"',
    }
    assert "did you mean patience?" in found["inbox.patiance"].remedy
    assert "[sending]" in found["inbox.attempts"].remedy
    assert '"100s"' in found["sipgate.timeout"].remedy
    assert "sending.poll_interval" in found["sending.give_up_after"].remedy
    assert "LoadCredential" in found["TOKEN"].remedy
    assert str(tmp_path / ".env") in found["TOKEN"].remedy


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('sipgate = "f0"', "sipgate"),
        ("inbox = []", "inbox"),
        ('recipients = ["+49"]', "recipients"),
        ("inbox.settle = 3", "inbox.settle"),
        ('inbox.settle = "3"', "inbox.settle"),
        ('inbox.settle = "0s"', "inbox.settle"),
        ('inbox.settle = "-3s"', "inbox.settle"),
        ('inbox.settle = "0.1ms"', "inbox.settle"),
        ('inbox.settle = "99999h"', "inbox.settle"),
        ('inbox.settle = "³s"', "inbox.settle"),
        ('inbox = { settle = "10m", patience = "5m" }', "inbox.patience"),
        ("documents.max_megabytes = 0", "documents.max_megabytes"),
        ("documents.max_megabytes = nan", "documents.max_megabytes"),
        ("documents.max_megabytes = true", "documents.max_megabytes"),
        ("documents.max_megabytes = 0x1" + "0" * 400, "documents.max_megabytes"),
        ("documents.max_megabytes = 21.2476", "documents.max_megabytes"),
        ("documents.max_pages = 0", "documents.max_pages"),
        ("documents.max_pages = 1.0", "documents.max_pages"),
        ("documents.max_pages = 0x1" + "0" * 5000, "documents.max_pages"),
        ("sending.attempts = true", "sending.attempts"),
        ("sending.attempts = 1000", "sending.attempts"),
        ("sending.delays = []", "sending.delays"),
        ('sending.delays = "5m"', "sending.delays"),
        ("sending.delays = [[1]]", "sending.delays"),
        ('sending.reconcile_for = "1s"', "sending.reconcile_for"),
        ('region = "de"', "region"),
        ('region = "001"', "region"),
        ("region = 2024-03-15", "region"),
        ('recipients."112" = "112"', "recipients.112"),
        ('recipients.Hotline = "0900 1 123456"', "recipients.Hotline"),
        ('recipients.A = { number = "+49 30 23125 001", fax = "f1" }', "recipients.A.fax"),
        ('recipients.A = { number = "+49 30 1", faxline = "f1" }', "recipients.A.number"),
        ('recipients."" = "+49 30 23125 001"', 'recipients.""'),
        ('recipients."a/b" = "+49 30 23125 001"', 'recipients."a/b"'),
        ('recipients.".." = "+49 30 23125 001"', 'recipients.".."'),
        ('recipients." a" = "+49 30 23125 001"', 'recipients." a"'),
        ('recipients."a.part" = "+49 30 23125 001"', 'recipients."a.part"'),
        ('recipients."lost+found" = "+49 30 23125 001"', 'recipients."lost+found"'),
        ('recipients."a\\u0000" = "+49 30 23125 001"', 'recipients."a\\u0000"'),
        (f'recipients."{"ü" * 128}" = "+49 30 23125 001"', f'recipients."{"ü" * 128}"'),
        ('recipients."+49 30 23125 001" = "+49 30 23125 002"', 'recipients."+49 30 23125 001"'),
        ('recipients = { a = "+493023125001", A = "+493023125001" }', "recipients.A"),
        (
            'recipients = { "\\u00fc" = "+493023125001", "u\\u0308" = "+493023125001" }',
            'recipients."u\u0308"',
        ),
    ],
)
def test_one_wrong_setting_is_one_problem(tmp_path: Path, text: str, key: str) -> None:
    """Each mistake is reported once, under its own key, and nothing else is blamed."""
    root = 'root = "share"\n'
    line = "" if text.startswith("sipgate") else 'sipgate.faxline = "f0"\n'
    assert list(wrong(tmp_path, root + line + text)) == [key]


@pytest.mark.parametrize("root", ['""', '" "', '"/"', '"a\\u0000"', "7", "[]"])
def test_the_root_is_a_folder_of_its_own(tmp_path: Path, root: str) -> None:
    """A root that is not a folder, or is a folder such as /tmp, is refused."""
    assert list(wrong(tmp_path, f'root = {root}\nsipgate.faxline = "f0"')) == ["root"]


def test_a_relative_path_starts_at_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative root belongs to the config's folder, wherever the daemon was started."""
    path = write(tmp_path, MINIMAL)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(path, ENVIRON).root == tmp_path / "share"
    assert load(Path("../config.toml"), ENVIRON).root.resolve() == tmp_path / "share"


@pytest.mark.parametrize(
    "url",
    [
        "https://user:5a0b9f6e-8d3c-4b7e-9a51-0c6f2e7d1b34@api.sipgate.com/v2",
        "https://token-ABC123:hunter22@api.sipgate.com/v2",
        "https://api.sipgate.com/v2?token=hunter22",
        "https://api.sipgate.com/v2#hunter22",
        "http://api.sipgate.com/v2",
        "http://127.0.0.1.example.com/v2",
        "http://localhost.example.com/v2",
        "ftp://127.0.0.1/v2",
        "api.sipgate.com/v2",
        "https://",
        "https://api.sipgate.com:port/v2",
        "https://[::1/v2",
        "https://api.sipgate.com/v2 x",
        "https://äpi.sipgate.com/v2",
        "",
    ],
)
@pytest.mark.parametrize("place", ["config", "environment"])
def test_the_token_travels_only_encrypted(tmp_path: Path, url: str, place: str) -> None:
    """An address without encryption, or with a secret in it, is refused and not shown."""
    if place == "config":
        found = wrong(tmp_path, f'{MINIMAL}sipgate.base_url = "{url}"')
        (problem,) = found.values()
    elif url and " " not in url and url.isascii():
        (problem,) = wrong(tmp_path, MINIMAL, {**ENVIRON, "BASE_URL": url}).values()
    else:
        return
    assert problem.key == ("sipgate.base_url" if place == "config" else "BASE_URL")
    assert "hunter22" not in str(problem)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8099/v2", "http://[::1]:80", "http://localhost/v2/", "https://a.b/v2"]
)
def test_a_rehearsal_on_this_machine_needs_no_encryption(tmp_path: Path, url: str) -> None:
    """Plain http is allowed to loopback, and a slash at the end is forgiven."""
    loaded = load(write(tmp_path, MINIMAL), {**ENVIRON, "BASE_URL": url})
    assert loaded.sipgate.base_url == url.rstrip("/")


def test_secrets_come_from_the_first_place_that_has_them(tmp_path: Path) -> None:
    """The environment goes before systemd's credentials, and those before the .env file."""
    given_by_systemd = tmp_path / "credentials"
    given_by_systemd.mkdir()
    path = write(tmp_path, 'root = "share"\nsipgate.faxline = "f9"')
    write(
        tmp_path,
        "TOKEN_ID=\"id-3\"\nexport TOKEN='token-$3'\nFAXLINE_ID=f3\n"
        "BASE_URL=https://three.example/v2 # a comment\nHTTP_PROXY=x\n",
        name=".env",
    )
    environ = {"CREDENTIALS_DIRECTORY": str(given_by_systemd), "TOKEN": "", "HOME": "/"}
    third = load(path, environ)
    assert credentials_of(third) == ("id-3", "token-$3")
    assert third.sipgate.faxline == "f3"
    assert third.sipgate.base_url == "https://three.example/v2"

    write(given_by_systemd, "id-2\n", name="token_id")
    write(given_by_systemd, "token-2\n", name="TOKEN")
    second = load(path, environ)
    assert credentials_of(second) == ("id-2", "token-2")

    first = load(path, {**environ, "TOKEN_ID": "id-1", "TOKEN": "token-1"})
    assert credentials_of(first) == ("id-1", "token-1")
    assert os.environ.get("HTTP_PROXY") != "x"


def test_the_fax_line_may_stand_beside_the_token(tmp_path: Path) -> None:
    """FAXLINE_ID stands for a fax line that the config does not name; a wrong one is blamed."""
    path = write(tmp_path, 'root = "share"')
    assert load(path, {**ENVIRON, "FAXLINE_ID": "f7"}).sipgate.faxline == "f7"
    assert list(problems(path, {**ENVIRON, "FAXLINE_ID": "fax"})) == ["FAXLINE_ID"]


def test_sipgates_placeholders_are_no_secrets(tmp_path: Path) -> None:
    """The .env of sipgate's example, not filled in, is told apart from a missing one."""
    write(
        tmp_path,
        'TOKEN_ID="YOUR_SIPGATE_TOKEN_ID"\nTOKEN="YOUR_SIPGATE_TOKEN"\n'
        'FAXLINE_ID="YOUR_SIPGATE_FAXLINE_EXTENSION"\n',
        name=".env",
    )
    found = wrong(tmp_path, MINIMAL, {})
    assert list(found) == ["TOKEN_ID", "TOKEN", "FAXLINE_ID"]
    assert all("placeholder" in problem.remedy for problem in found.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOKEN", "hunter 22"), ("TOKEN", "hünter22"), ("TOKEN_ID", "token-A:hunter22")],
)
def test_a_secret_that_cannot_be_sent_is_not_shown(tmp_path: Path, name: str, value: str) -> None:
    """A secret that does not fit into a request is a problem that keeps it secret."""
    found = wrong(tmp_path, MINIMAL, {**ENVIRON, name: value})
    assert list(found) == [name]
    assert "22" not in str(found)


def test_files_of_secrets_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    """A .env that is no list of names, and a credential that is a folder, are reported."""
    path = write(tmp_path, MINIMAL)
    (tmp_path / ".env").write_bytes(b"TOKEN=\xff\n")
    (tmp_path / "TOKEN").mkdir()
    found = problems(path, {"TOKEN_ID": "x", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert list(found) == ["TOKEN", str(tmp_path / ".env")]
    write(tmp_path, f'TOKEN_ID="x"\nTOKEN="{TOKEN}",\n', name=".env")
    found = problems(path, {})
    assert "line 2" in found[str(tmp_path / ".env")].remedy
    assert "TOKEN" in found


@pytest.mark.parametrize(
    "content", [b"root = ", b"\xff\xfe", b"a = 1\na = 2", b"a = " + b"[" * 5000, b"a = 1" * 5000]
)
def test_a_file_that_is_no_config_is_told_with_what_else_is_wrong(
    tmp_path: Path, content: bytes
) -> None:
    """A config that is not TOML is one problem, and a missing token is told beside it."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    assert list(problems(path, {"TOKEN_ID": "x"})) == ["TOKEN", str(path)]


def test_a_config_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --config the usual place is used, and the error says what is there instead."""
    for module in (config, place):
        monkeypatch.setattr(module, "DEFAULT_PATH", tmp_path / "config.toml")
    with pytest.raises(ConfigError) as error:
        load(None, {})
    assert str(error.value) == (
        f"There is no {tmp_path}/config.toml yet: `faxdrop init` writes one; --config names another"
    )
    monkeypatch.setattr(place, "ETC", tmp_path)
    for name in ("bonn.toml", "berlin.toml", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=r"there are instances: --instance berlin\|bonn$"):
        load(None, {})
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        load(None, ENVIRON)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[recipients]\nDr. Müller = "1"', 'umlauts need quotes: "Dr. Müller" = ...'),
        ('[recipients]\nAmt Nord = "1"', "Names with blanks, dots or umlauts need quotes"),
        (
            '[recipients]\nAmt = "1"\n"Amt" = "2"',
            "each name and each [table] only once; the last line ",
        ),
        ("[inbox]\n[inbox]", "each name and each [table] only once; line 2 repeats one"),
        ("a = {b = 1, b = 2}", "each name and each [table] only once; line 1 repeats one"),
    ],
)
def test_what_people_get_wrong_in_toml_is_told(tmp_path: Path, text: str, words: str) -> None:
    """Names without quotes, and names that are there twice, are reported as that."""
    path = write(tmp_path, text)
    assert words in problems(path)[str(path)].remedy


def test_a_name_with_a_dot_and_no_quotes_is_told(tmp_path: Path) -> None:
    """TOML reads a name with dots as a table, so the error says how to write it."""
    found = wrong(tmp_path, MINIMAL + 'recipients.Dr.Mueller = "+492111234567"')
    assert '(a name with dots needs quotes: "Dr.Mueller")' in found["recipients.Dr.Mueller"].remedy


@pytest.mark.parametrize(
    "text",
    [
        'root = "share"\n[inbox]\nsettle = "soon"\npatience = "7m"',
        'root = "share"\ninbox.patience = "7m"\n[recipients]\nDr. Müller = "1"',
        'root = "share"\ninbox.patience = "7m"\n[sending]\ndelays = [',
        'root = "share"\ninbox.patience = "7m"\n[inbox]',
    ],
)
def test_what_is_right_is_used_where_the_root_is_known(tmp_path: Path, text: str) -> None:
    """For commands that need little, wrong settings are reported and replaced by defaults."""
    mended = config.load_what_is_right(write(tmp_path, text))
    assert mended.config.root == tmp_path / "share"
    assert mended.config.inbox == InboxSettings(settle=3.0, patience=420.0)
    assert len(mended.problems) == 1


@pytest.mark.parametrize("text", ["root = 3", "", 'root = "share', "\0", '[inbox]\nroot = "share"'])
def test_without_the_root_nothing_is_right(tmp_path: Path, text: str) -> None:
    """A config without a usable root is an error, also for commands that need nothing else."""
    with pytest.raises(ConfigError):
        config.load_what_is_right(write(tmp_path, text))


def test_commands_name_the_config_where_they_must() -> None:
    """A command in an advice works for the config that it is about."""
    assert place.command("check", None) == "faxdrop check"
    assert place.command("check", place.DEFAULT_PATH) == "faxdrop check"
    assert place.command("check", Path("a b")) == "faxdrop --config 'a b' check"


def test_a_config_from_windows_is_read(tmp_path: Path) -> None:
    """A byte order mark and other line ends do no harm."""
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert load(path, ENVIRON).sipgate.faxline == "f0"


def test_a_rehearsal_needs_no_secrets_and_takes_none(tmp_path: Path) -> None:
    """With simulate, the simulator's credentials hold, whatever else could be found."""
    path = write(tmp_path, 'root = "share"')
    write(tmp_path, "TOKEN=YOUR_SIPGATE_TOKEN\nFAXLINE_ID=oops\n", name=".env")
    loaded = load(path, ENVIRON, simulate=True)
    assert credentials_of(loaded) == tuple(SIMULATED.values())
    assert loaded.sipgate.faxline == "f0"
    assert (
        load(write(tmp_path, MINIMAL.replace("f0", "f4")), {}, simulate=True).sipgate.faxline
        == "f4"
    )


@pytest.mark.parametrize(
    "text",
    [
        f'token = "{TOKEN}"',
        'TOKEN = "hunter22hunter22"',
        'sipgate.password = "hunter22"',
        'sipgate.tokn = "hunter22"',
        'sipgate.login = "hunter22hunter22"',
        'sipgate.login = ["hunter22"]',
        f'region = "{TOKEN}"',
        f'recipients."{TOKEN}" = "{TOKEN}"',
        f'sending.forms = "x{TOKEN.replace("-", "")}"',
        f'inbox.settle = "{"x" * 70}{TOKEN}"',
        f'inbox.settle = "{"x" * 70}token-ABC123"',
    ],
)
def test_a_secret_in_a_wrong_place_is_not_repeated(tmp_path: Path, text: str) -> None:
    """Where an administrator wrote a token into the config, no message shows it."""
    found = str(wrong(tmp_path, MINIMAL + text))
    for secret in ("hunter22", TOKEN, TOKEN[:18], TOKEN.replace("-", ""), "token-AB"):
        assert secret not in found


@pytest.mark.parametrize("table", ["retention", "report", "witness"])
def test_an_unknown_key_in_every_table(tmp_path: Path, table: str) -> None:
    """An unknown setting is a problem like every other, with the settings that are possible."""
    found = wrong(tmp_path, f"{MINIMAL}[{table}]\nnosuch = 1\n")
    assert "possible here: " in found[f"{table}.nosuch"].remedy


def test_a_token_in_the_config_is_sent_where_it_belongs(tmp_path: Path) -> None:
    """The remedy for a token in the config names the places for it."""
    found = wrong(tmp_path, f'{MINIMAL}token = "{TOKEN}"')
    assert ".env" in found["token"].remedy


def test_a_config_shows_no_secret(tmp_path: Path) -> None:
    """Neither the text nor the dump of a config has the token or its id in it."""
    loaded = load(write(tmp_path, MINIMAL), ENVIRON)
    for text in (repr(loaded), str(loaded), repr(loaded.secrets), f"{loaded.secrets}"):
        assert TOKEN not in text
        assert TOKEN_ID not in text
    assert TOKEN not in loaded.model_dump_json()
    assert TOKEN not in repr(credentials.find(ENVIRON, tmp_path / ".env"))


def test_a_config_cannot_be_changed(tmp_path: Path) -> None:
    """A config cannot be changed after its check."""
    loaded = load(write(tmp_path, MINIMAL), ENVIRON)
    with pytest.raises(ValidationError):
        loaded.region = "AT"  # type: ignore[misc]  # the point
    with pytest.raises(ValidationError):
        loaded.sending.attempts = 4  # type: ignore[misc]  # the point


def test_files_that_everybody_can_read_are_a_warning(tmp_path: Path) -> None:
    """A config that is open to others is unwise, a file with secrets a fault; neither hinders."""
    path = write(tmp_path, MINIMAL, mode=0o644)
    dotenv = write(tmp_path, "", name=".env", mode=0o604)
    token = write(tmp_path, "x", name="token", mode=0o644)
    (tmp_path / "share").mkdir()
    user, group = (tmp_path / "share").owner(), (tmp_path / "share").group()
    let_in(tmp_path)
    everybody = "everybody on this machine can read"
    loaded = load(path, ENVIRON)
    assert loaded.warnings == (f"{everybody} {path}: chgrp {group} {path} && chmod 640 {path}",)
    assert loaded.faults == (
        f"{everybody} {dotenv}: chown {user} {dotenv} && chmod 600 {dotenv}",
        f"{everybody} {token}: chmod 600 {token}",
    )


def test_a_folder_that_keeps_others_out_is_enough(tmp_path: Path) -> None:
    """There is no warning about a file in a folder that keeps others out, whatever its mode."""
    path = write(tmp_path, MINIMAL, mode=0o644)
    tmp_path.chmod(0o750)
    assert load(path, ENVIRON).warnings == ()


@pytest.mark.parametrize("there", [True, False])
def test_the_advice_without_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    """Before there are folders, the service's user is named if there is one, and else oneself."""
    monkeypatch.setattr(credentials, "SERVICE_USER", "nobody" if there else "nosuchuser")
    group = grp.getgrgid(pwd.getpwnam("nobody").pw_gid if there else os.getegid()).gr_name
    advice = credentials.permitting(tmp_path / "a b", tmp_path / "gone", secret=False)
    assert advice == f"chgrp {group} '{tmp_path}/a b' && chmod 640 '{tmp_path}/a b'"


def test_the_files_of_the_service(tmp_path: Path) -> None:
    """What the unit loads is found beside the config, after the environment, before a .env."""
    path = write(tmp_path, MINIMAL)
    write(tmp_path, "TOKEN_ID=token-OTHER\nTOKEN=other\n", name=".env")
    write(tmp_path, "token-FILE\n", name="token_id")
    write(tmp_path, "from-the-file\n", name="token")
    secrets = load(path, {}).secrets
    assert (secrets.token_id, secrets.token.get_secret_value()) == ("token-FILE", "from-the-file")
    secrets = load(path, {"TOKEN": "first"}).secrets
    assert (secrets.token_id, secrets.token.get_secret_value()) == ("token-FILE", "first")
    berlin = tmp_path / "berlin.toml"
    berlin.write_text(MINIMAL)
    write(tmp_path, "berlins", name="berlin.token")
    assert load(berlin, {}).secrets.token.get_secret_value() == "berlins"


def test_an_empty_file_of_the_service(tmp_path: Path) -> None:
    """A token file that is there and empty is called empty, and not missing."""
    path = write(tmp_path, MINIMAL)
    write(tmp_path, "", name="token")
    found = problems(path, {"TOKEN_ID": "token-A"})["TOKEN"]
    assert found.value == "(empty)"
    assert found.remedy == f"write it into {tmp_path}/token, which is empty"


def test_what_stands_for_a_value_is_in_the_language_set(tmp_path: Path) -> None:
    """On the screen and in the report of ``check`` alike, also where a file is empty."""
    path = write(tmp_path, 'language = "de"\n' + MINIMAL)
    write(tmp_path, "", name="token")
    with pytest.raises(ConfigError) as error:
        load(path, {})
    said = {each.key: each.setting for each in error.value.problems}
    report = report_of_config(error.value)
    assert said == {"TOKEN": "TOKEN = (leer)", "TOKEN_ID": "TOKEN_ID = (fehlt)"}
    assert {each.words for each in report.findings} == set(said.values())


@pytest.mark.skipif(os.geteuid() != 0, reason="to be somebody else needs root")
def test_what_lies_there_is_not_missing(tmp_path: Path) -> None:
    """A file that only another user may read is reported with how to read it, and nothing more."""
    path = write(tmp_path, MINIMAL, mode=0o644)
    tokens = [write(tmp_path, "x", name=name, mode=0o600) for name in ("token_id", "token")]
    load(path, {})  # Python reads of itself what nobody may not
    let_in(tmp_path)

    def seen() -> str:
        os.seteuid(65534)
        try:
            with pytest.raises(NoConfigError) as error:
                load(path, {})
        finally:
            os.seteuid(0)
        return str(error.value)

    sudo = "exists, but nobody may not read it: put sudo before the command"
    assert seen() == f"{tmp_path}/token_id {sudo}"
    for token in tokens:
        token.unlink()
    write(tmp_path, "TOKEN_ID=a\nTOKEN=b\n", name=".env", mode=0o600)
    assert seen() == f"{tmp_path}/.env {sudo}"
    path.chmod(0o600)
    assert seen() == f"{path} {sudo}"
    tmp_path.chmod(0o700)
    assert seen() == f"nobody may not look into {tmp_path}: put sudo before the command"


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("documents.max_megabytes = 11", "10 MB"),
        ("documents.max_pages = 31", "30 pages"),
        ("sending.attempts = 2\nsending.delays = ['5m', '15m']", "sending.delays"),
        ("sending.resend_if_absent = true\nsending.reconcile_for = '1m'", "twice"),
        ("recipients.'Who?' = '+493023125001'", "Windows"),
        ("recipients.'Müller jun.' = '+493023125001'", "Windows"),
    ],
)
def test_what_is_unwise_is_a_warning(tmp_path: Path, text: str, about: str) -> None:
    """A setting that is allowed but seldom meant makes a warning."""
    (warning,) = load(write(tmp_path, MINIMAL + text), ENVIRON).warnings
    assert about in warning


def test_numbers_are_not_blamed_for_a_wrong_region(tmp_path: Path) -> None:
    """Where the region is wrong, only numbers with a country code can be judged."""
    text = 'region = "Germany"\nrecipients = { a = "0211 1234567", b = "+49 1" }\n'
    assert list(wrong(tmp_path, text + MINIMAL)) == ["region", "recipients.b"]


def test_a_name_may_end_in_a_number_that_cannot_be_dialled(tmp_path: Path) -> None:
    """A name in the address book that looks like a wrong number may stand for any number."""
    text = f'{MINIMAL}recipients."Room +49 1" = "+49 30 23125 001"'
    assert list(load(write(tmp_path, text), ENVIRON).recipients) == ["Room +49 1"]


def test_one_attempt_needs_no_delays(tmp_path: Path) -> None:
    """A single attempt goes with the usual delays as well as with none."""
    for text in ("sending.attempts = 1", "sending = { attempts = 1, delays = [] }"):
        assert load(write(tmp_path, MINIMAL + text), ENVIRON).warnings == ()


def test_the_last_delay_repeats() -> None:
    """Attempts beyond the list of delays wait as long as the last one says."""
    sending = SendingSettings(attempts=5, delays=(1.0, 2.0))
    assert [sending.delay(attempt) for attempt in (1, 2, 3, 4)] == [1.0, 2.0, 2.0, 2.0]


def test_the_largest_document_fits_into_a_request(tmp_path: Path) -> None:
    """The most that may be configured is what sipgate takes in base64."""
    loaded = load(write(tmp_path, f"{MINIMAL}documents.max_megabytes = 21.2475"), ENVIRON)
    assert loaded.documents.max_bytes == BYTES_LIMIT == 21_247_500
    assert (BYTES_LIMIT + 2) // 3 * 4 == 28_330_000


def test_the_programs_own_durations_are_seconds() -> None:
    """Settings made in code take seconds, and refuse a value that is not a time."""
    assert InboxSettings(settle=1).settle == 1.0
    for value in (0, -1.0, float("nan"), float("inf"), True, None):
        with pytest.raises(ValidationError):
            InboxSettings(settle=value)  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("5s", 5.0), ("1.5h", 5400.0), ("24h", 86400.0)]
)
def test_durations_are_read_and_written(text: str, seconds: float) -> None:
    """A duration is a number with its unit, and is written in its largest whole unit."""
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(1, 366 * 24 * 3600 * 1000))
def test_every_duration_survives_being_written(milliseconds: int) -> None:
    """What is written as a duration is read as the same, to the millisecond."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


KEYS = st.sampled_from(
    ["root", "region", "sipgate", "recipients", "inbox", "sending", "documents", "faxline", "x"]
) | st.text(max_size=4)
TABLES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.sampled_from(["5s", "f0", "DE", "/srv", TOKEN, "+493023125001", "flatten"])
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(table=st.dictionaries(KEYS, TABLES, max_size=6))
def test_no_config_does_anything_but_load_or_tell(table: dict[str, Any]) -> None:
    """Whatever a file contains, the result is a config, or a list of problems without secrets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "_read", lambda _path, _problems: table)
        try:
            loaded = load(Path("/nowhere/config.toml"), ENVIRON)
        except ConfigError as error:
            shown = str(error)
        else:
            shown = repr(loaded)
    assert TOKEN not in shown


def _uncommented(text: str) -> str:
    return re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Return the content of a file that sets everything to its default; required keys are None."""
    written: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            written[key] = _defaults(field.annotation)
            continue
        value: Any = None if field.is_required() else field.get_default()
        lasting = key in {"timeout", "settle", "patience", "rescan"} or key.endswith(
            ("_interval", "_after", "_for", "_window")
        )
        if key == "delays":
            value = [format_duration(each) for each in field.get_default()]
        value = list(value) if isinstance(value, tuple) else value
        written[key] = format_duration(value) if lasting else value
    return written


def _normal(table: dict[str, Any]) -> dict[str, Any]:
    """Write durations of a table in one way: 60s as 1m."""
    return {
        key: _normal(value)
        if isinstance(value, dict)
        else format_duration(parse_duration(value))
        if isinstance(value, str) and re.fullmatch(r"[0-9]+(ms|s|m|h)", value)
        else value
        for key, value in table.items()
    }


def test_the_example_has_every_setting_with_its_default() -> None:
    """The example, its comments taken off, sets exactly what can be set to what holds anyway."""
    table = tomllib.loads(_uncommented(EXAMPLE.read_text("utf-8")))
    expected = _defaults(Settings)
    expected["root"] = table["root"]
    expected["sipgate"]["faxline"] = table["sipgate"]["faxline"]
    assert _normal(table) == expected


def test_the_example_loads_as_it_is_and_uncommented(tmp_path: Path) -> None:
    """The example is a config that works, also with its address book taken into use."""
    text = EXAMPLE.read_text("utf-8")
    as_it_is = load(write(tmp_path, text), ENVIRON)
    everything = re.sub(r'^# (?=")', "", _uncommented(text), flags=re.MULTILINE)
    used = load(write(tmp_path, everything), ENVIRON)
    assert used.recipients.keys() == {"Dr. Müller", "Labor Nord"}
    assert used.recipients["Labor Nord"].faxline == "f1"
    assert used.model_copy(update={"recipients": {}}) == as_it_is
    assert used.warnings == ()


def test_each_setting_of_the_example_says_why() -> None:
    """Each setting of the example has a line for people above it."""
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"(# )?[a-z_]+ = ", line):
            assert re.match(r"# [A-Z].*[.:)a-z]", above), line
            assert len(line) <= 100


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[hook]\ncommand = ["to-dms"]', "hook.command"),
        ('[hook]\ncommand = ["./to-dms"]', "hook.command"),
        ('[hook]\ncommand = "/usr/bin/env"', "hook.command"),
        ('[hook]\ncommand = ["/bin/sh", "a\\u0000b"]', "hook.command"),
        ('[hook]\ntimeout = "0s"', "hook.timeout"),
        ('[heartbeat]\nmetrics_file = "faxdrop.prom"', "heartbeat.metrics_file"),
        ('[heartbeat]\nmetrics_file = "/srv/faxdrop.txt"', "heartbeat.metrics_file"),
    ],
)
def test_a_hook_or_heartbeat_that_never_works_is_a_problem(
    tmp_path: Path, text: str, key: str
) -> None:
    """Each wrong value is reported with what would be right."""
    [problem] = wrong(tmp_path, f"{MINIMAL}\n{text}").values()
    assert problem.key == key
    assert "whole path" in problem.remedy or "duration" in problem.remedy


@pytest.mark.parametrize(
    "url", ["ftp://example.com", "example.com/ping", "https:///", "http://a/#b"]
)
def test_a_heartbeats_address_that_is_none_is_not_shown(tmp_path: Path, url: str) -> None:
    """A wrong value that may be a secret is not shown."""
    environ = {**ENVIRON, "HEARTBEAT_URL": f"{url}5ecret"}
    [problem] = wrong(tmp_path, MINIMAL, environ).values()
    assert problem.key == "HEARTBEAT_URL"
    assert "5ecret" not in repr(problem)


def test_a_hook_that_is_not_ready_is_a_fault_and_stops_no_fax(tmp_path: Path) -> None:
    """A missing program, a program that cannot be executed and a missing folder are faults."""
    program = tmp_path / "to dms"
    text = f"""{MINIMAL}
        [hook]
        command = ["{program}"]
        [heartbeat]
        metrics_file = "{tmp_path}/none/faxdrop.prom"
    """
    path = write(tmp_path, text)
    gone, folder = load(path, ENVIRON).faults
    assert f"there is no {program}" in gone
    assert f"there is no folder {tmp_path}/none" in folder
    program.touch(mode=0o644)
    assert f"chmod 755 '{program}'" in load(path, ENVIRON).faults[0]
    program.chmod(0o755)
    (tmp_path / "none").mkdir()
    assert load(path, ENVIRON).faults == ()
