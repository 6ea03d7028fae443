"""``faxdrop init`` sets everything up, asks for what it is not told, and overwrites nothing."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from faxdrop.cli.main import main
from faxdrop.config import place
from faxdrop.config.load import load
from faxdrop.setup import init
from faxdrop.simulator import Simulator
from faxdrop.spool.sharing import share
from tests.kit.users import let_in
from tests.kit.world import TOKEN

ACCOUNT = "https://app.sipgate.com"
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


pytestmark = pytest.mark.usefixtures("reader_runs")


@pytest.fixture(name="simulator", scope="module")
def _simulator() -> Iterator[Simulator]:
    with Simulator(faxlines=("f0", "f1")) as simulator:
        simulator.account.faxlines[0].can_send = False
        yield simulator


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN_ID", "TOKEN", "FAXLINE_ID", "BASE_URL", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


class Place:
    """Where something is set up."""

    def __init__(self, folder: Path, simulator: Simulator) -> None:
        self.config = folder / "etc" / "config.toml"
        self.root = folder / "fax"
        self.dotenv = self.config.parent / ".env"
        self.simulator = simulator

    def run(self, *arguments: str, code: int = 0, **more: Any) -> Result:
        """Run init with these arguments only."""
        command = ["--config", str(self.config), "init", "--base-url", self.simulator.base_url]
        result = CliRunner().invoke(main, [*command, *arguments], **more)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert result.exit_code == code, result.output
        return result

    def told(self, *arguments: str, code: int = 0, token: str = TOKEN) -> Result:
        """Run init as a script does: everything is said, nothing is asked."""
        said = ["--root", str(self.root), "--recipient", "Dr. Müller", "--number", "0211 1234567"]
        said += ["--faxline", "f1", "--token-id", "token-FAXSIM"]
        said += ["--owner", "root"] if os.geteuid() == 0 else []
        return self.run(*said, *arguments, code=code, env={"TOKEN": token}, input="")

    def modes(self) -> dict[str, str]:
        """Return the mode of everything that there is, by its path."""
        top = self.config.parent.parent
        return {
            str(path.relative_to(top)): f"{stat.S_IMODE(path.stat().st_mode):o}"
            for path in sorted(top.rglob("*"))
        }


@pytest.fixture(name="place")
def _place(tmp_path: Path, simulator: Simulator) -> Place:
    return Place(tmp_path, simulator)


def has_access_list(folder: Path) -> bool:
    """Tell whether what is made in a folder is open to its group, whatever the umask."""
    return "system.posix_acl_default" in os.listxattr(folder)


def test_for_scripts(place: Place) -> None:
    """With all options given, nothing is asked: the config works, and the check says so."""
    before = os.umask(0o077)
    try:
        result = place.told()
    finally:
        os.umask(before)
    assert place.modes() == {
        "etc": "2750",
        "etc/.env": "600",
        "etc/config.toml": "640",
        "fax": "2750",
        "fax/.faxdrop": "700",
        "fax/failed": "2770",
        "fax/inbox": "2770",
        "fax/inbox/Dr. Müller": "2770",
        "fax/sent": "2770",
    }
    for name in ("inbox", "inbox/Dr. Müller", "sent", "failed"):
        assert has_access_list(place.root / name) == has_access_list(place.root / "inbox")
    assert has_access_list(place.root / "inbox") == share(place.config.parent)
    assert not has_access_list(place.root / ".faxdrop")
    for path in place.modes():
        assert f"Created {place.config.parent.parent / path}" in result.output
    config = load(place.config, {})
    assert config.root == place.root
    assert config.recipients["Dr. Müller"].number == "0211 1234567"
    assert (config.sipgate.faxline, config.secrets.token_id) == ("f1", "token-FAXSIM")
    assert config.secrets.token.get_secret_value() == TOKEN
    assert config.warnings == ()
    assert "This machine would fax" in result.output
    assert "You will be asked for" not in result.output
    assert f"faxdrop --config {place.config} check" in place.config.read_text()


def test_the_dialogue(place: Place) -> None:
    """Missing answers are asked for, wrong numbers again, and the existing fax lines are shown."""
    answers = [
        "token-FAXSIM",
        TOKEN,
        "/",
        str(place.root),
        "a/b",
        "Amt",
        "Germany",
        "at",
        "AT",
        "112",
        "x",
        "+493023125030",
        "fax",
        "f0",
        "",
    ]
    result = place.run(input="\n".join(answers) + "\n")
    assert result.output.splitlines()[0] == (
        "You will be asked for the id of a sipgate token, the token, a folder, a first recipient, "
        "their fax number and the fax line that sends. Create a token at "
        f"{ACCOUNT}/personal-access-token; "
        f"`faxdrop --config {place.config} run --simulate` needs none."
    )
    for asked_again in (
        "It must be a folder of its own",
        "It must be a name without /",
        "It must be a country in two capital letters",
        "There is no fax line fax: f0, f1.",
        "f0 may not send",
    ):
        assert f"Error: {asked_again}" in result.output
    assert '"112" is an emergency number; faxdrop never faxes to one.' in result.output
    assert '"x" is not a fax number.' in result.output
    assert "f0  Simulated fax (may not send)" in result.output
    assert "Fax line [f1]: " in result.output
    assert "Token: \n" in result.output, "the token is typed unseen"
    config = load(place.config, {})
    assert (config.sipgate.faxline, config.region) == ("f1", "AT")
    assert config.recipients["Amt"].number == "+493023125030"


def test_a_wrong_token_is_asked_for_again(place: Place) -> None:
    """Each half of a token is looked at when it is typed, and sipgate is asked about both."""
    asked = ["YOUR_SIPGATE_TOKEN_ID", "token:FAXSIM", "token-FAXSIM", "5f0fa5ed", "token-FAXSIM"]
    rest = [TOKEN, str(place.root), "Amt", "", "+493023125030", ""]
    result = place.run(input="\n".join([*asked, *rest]) + "\n")
    assert "Error: That does not work: replace the placeholder" in result.output
    assert "Error: That does not work: write only the id" in result.output
    assert "Error: sipgate refused the token (401)" in result.output
    assert load(place.config, {}).secrets.token.get_secret_value() == TOKEN


def test_the_fax_lines_cannot_be_listed(place: Place) -> None:
    """Where sipgate does not answer, the dialogue goes on, and the check at its end says so."""
    place.simulator.trouble = 500
    try:
        answers = ["token-FAXSIM", TOKEN, str(place.root), "Amt", "", "+493023125030", "f1"]
        result = place.run(input="\n".join(answers) + "\n", code=1)
    finally:
        place.simulator.trouble = None
    assert "(sipgate could not be asked: " in result.output
    assert "This machine would not fax" in result.output
    assert place.config.is_file()


def test_a_dialogue_that_is_broken_off(place: Place) -> None:
    """Breaking off the dialogue leaves nothing behind."""
    result = place.run(input=f"token-FAXSIM\n{TOKEN}\n", code=1)
    assert "Aborted!" in result.output
    assert place.modes() == {}


def test_the_token_from_a_file(place: Place, tmp_path: Path) -> None:
    """The token may come from a file, so it is in no argument."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    place.told("--token-file", str(tmp_path / "token"), token="wrong")  # noqa: S106 - a simulated one
    assert load(place.config, {}).secrets.token.get_secret_value() == TOKEN


@pytest.mark.parametrize("token", ["plain-token_1", "a'b", 'a"b', "$HOME", "a\\b", "a#b", "a\\'b"])
def test_tokens_survive_the_way_into_the_file(place: Place, token: str) -> None:
    """A token is read as it was written, whatever characters it has."""
    place.told(token=token, code=0 if token == TOKEN else 1)
    assert load(place.config, {}).secrets.token.get_secret_value() == token


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--number", "112"], "recipients"),
        (["--faxline", "fax"], "sipgate.faxline"),
        (["--region", "Germany"], "region"),
        (["--recipient", "a/b"], "recipients"),
        (["--root", "/"], "root"),
        (["--token-id", "YOUR_SIPGATE_TOKEN_ID"], "TOKEN_ID"),
    ],
)
def test_what_would_be_a_wrong_config(place: Place, arguments: list[str], key: str) -> None:
    """Answers that would make a wrong config are refused before anything is created."""
    result = place.told(*arguments, code=78)
    assert f"\n  {key}" in result.stderr
    assert place.modes() == {}


# -- faxdrop overwrites nothing -------------------------------------------------------------


def test_a_config_that_is_there(place: Place) -> None:
    """An existing config stays as it is, and nothing is asked."""
    place.config.parent.mkdir()
    place.config.write_text("mine")
    result = place.run(code=1)
    assert "faxdrop overwrites nothing" in result.stderr
    assert f"faxdrop --config {place.config} check" in result.stderr
    assert place.config.read_text() == "mine"
    assert sorted(place.modes()) == ["etc", "etc/config.toml"]


def test_folders_that_are_there(place: Place) -> None:
    """Folders that are there are used with the rights they have."""
    (place.root / "inbox" / "Dr. Müller").mkdir(parents=True)
    letter = place.root / "inbox" / "Dr. Müller" / "letter.pdf"
    letter.touch()
    for folder in (place.root, place.root / "inbox"):
        folder.chmod(0o700)
    place.told()
    assert place.modes()["fax"] == place.modes()["fax/inbox"] == "700"
    assert letter.is_file()


def test_a_token_that_is_stored(place: Place) -> None:
    """A .env that has the token already is used as it is, and the token is not asked for."""
    place.config.parent.mkdir()
    text = f"# mine\nTOKEN_ID=token-FAXSIM\nTOKEN='{TOKEN}'\nOTHER=1\n"
    place.dotenv.write_text(text)
    place.dotenv.chmod(0o600)
    result = place.told(token="another")  # noqa: S106 - a simulated one
    assert place.dotenv.read_text() == text
    assert str(place.dotenv) not in result.output
    assert load(place.config, {}).secrets.token.get_secret_value() == TOKEN


@pytest.mark.parametrize("text", ["", "TOKEN_ID=token-FAXSIM\n"])
def test_a_file_without_the_token(place: Place, text: str) -> None:
    """A .env without the token is not changed: a person decides."""
    place.config.parent.mkdir()
    place.dotenv.write_text(text)
    result = place.told(code=1)
    assert f"{place.dotenv} exists already" in result.stderr
    assert place.dotenv.read_text() == text
    assert not place.config.exists()


def test_two_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A config that appears meanwhile is not overwritten either."""
    made = init._make_folder  # noqa: SLF001

    def meanwhile(path: Path, *arguments: Any, **more: Any) -> None:
        made(path, *arguments, **more)
        if path == place.config.parent:
            place.config.write_text("mine")

    monkeypatch.setattr(init, "_make_folder", meanwhile)
    result = place.told(code=1)
    assert f"{place.config}: File exists" in result.stderr
    assert place.config.read_text() == "mine"


# -- as root ------------------------------------------------------------


def test_the_unit_loads_what_is_stored() -> None:
    """The names of the files are those that the units load."""
    units = Path(__file__).parents[2] / "systemd"
    for unit, config in (
        ("faxdrop.service", "/etc/faxdrop/config.toml"),
        ("faxdrop@.service", "/etc/faxdrop/%i.toml"),
    ):
        text = (units / unit).read_text()
        for name, path in place.secret_files(Path(config)).items():
            assert f"LoadCredential={name}:{path}\n" in text
    assert f"ReadWritePaths={place.SERVICE_ROOT}\n" in (units / "faxdrop.service").read_text()
    assert f"u {place.SERVICE_USER} " in (units / "faxdrop.sysusers.conf").read_text()


@AS_ROOT
def test_an_owner(place: Place) -> None:
    """Root can make everything for another user: folders and .env are theirs, the config is not."""
    let_in(place.root.parent)
    # The user nobody may be unable to run this Python; another test covers what the check says.
    command = ["--config", str(place.config), "init", "--base-url", place.simulator.base_url]
    said = ["--root", str(place.root), "--recipient", "Amt", "--number", "+493023125030"]
    said += ["--faxline", "f1", "--token-id", "token-FAXSIM", "--owner", "nobody"]
    CliRunner().invoke(main, [*command, *said], env={"TOKEN": TOKEN})
    nobody = pwd.getpwnam("nobody")
    for path in (place.root, *place.root.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (nobody.pw_uid, nobody.pw_gid)
    assert place.modes()["fax/inbox"] == "2770", "the change of owner takes no bit away"
    config = place.config.stat()
    assert (config.st_uid, config.st_gid) == (0, nobody.pw_gid)
    assert place.dotenv.stat().st_uid == nobody.pw_uid


@AS_ROOT
def test_an_owner_who_is_not_there(place: Place) -> None:
    """A missing user is reported before anything is created."""
    assert "no user nosuchuser" in place.run("--owner", "nosuchuser", code=1).stderr
    assert place.modes() == {}


def test_an_owner_without_root(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Only root can give folders to another user; anybody else is told so."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "Only root can" in place.run("--owner", "somebody", code=1).stderr
    assert init.owner_called(None) == init.Owner()


def test_the_service_user_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root makes everything for the service's user where there is one, and else for itself."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(init, "SERVICE_USER", "nobody")
    assert init.owner_called(None).uid == pwd.getpwnam("nobody").pw_uid
    monkeypatch.setattr(init, "SERVICE_USER", "nosuchuser")
    assert init.owner_called(None) == init.Owner()


@pytest.mark.parametrize(
    ("environment", "language", "said"),
    [("de_DE.UTF-8", "de", "Angelegt: "), ("C.UTF-8", "en", "Created ")],
)
def test_the_language_of_the_environment(
    place: Place, monkeypatch: pytest.MonkeyPatch, environment: str, language: str, said: str
) -> None:
    """Setting up in German writes a config with language = "de"."""
    monkeypatch.setenv("LANGUAGE", environment)
    assert said in place.told().output
    config = load(place.config, {"TOKEN_ID": "token-A", "TOKEN": TOKEN})
    assert config.language == language
