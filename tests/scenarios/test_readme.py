"""The README is true: its commands run, its tables are complete, its example is valid."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest

from faxdrop.cli.main import main
from faxdrop.fax import receipt
from faxdrop.fax.reasons import ReasonCode
from faxdrop.names.passed_over import is_passed_over
from tests.kit import installed

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
CI = (PROJECT / ".ci" / "run").read_text()

DEMO, TESTS = re.findall(r"^python3 -m venv \.venv && .*$", README, re.MULTILINE)
LINT = ".venv/bin/ruff check && .venv/bin/ruff format --check && .venv/bin/mypy"


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_every_command_is_run_somewhere() -> None:
    """Every command in a shell block is run by a test or a CI step."""
    run = {DEMO}  # below
    # In real Debians: test_fresh_machine.
    run |= {*installed.INSTALL, installed.JOIN, installed.CHECK, installed.STATUS}
    run |= {*installed.UPGRADE, *installed.RENEW, *installed.UNINSTALL}
    assert "--editable '.\\[test\\]'" in CI  # which runs this very line
    run.add(TESTS)
    assert all(part in CI for part in LINT.split(" && "))
    run.add(LINT)
    commands = {line for block in blocks("sh") for line in block.splitlines() if line}
    assert commands - run == set()


def test_the_example_is_a_receipt() -> None:
    """The receipt that is shown has the published shape, and every field is explained."""
    (example,) = blocks("json")
    shown = json.loads(example)
    jsonschema.validate(shown, receipt.schema())
    read = receipt.Receipt.model_validate(shown)
    assert json.loads(receipt.to_bytes(read)) == shown
    assert shown.keys() == receipt.Receipt.model_fields.keys()


def test_its_pictures_are_there() -> None:
    """Each picture that it shows is a file beside it, with words for those who do not see it."""
    pictures = re.findall(r"!\[(.+?)\]\((.+?)\)", README)
    assert len(pictures) == 2
    assert all((PROJECT / path).is_file() for _, path in pictures)


def test_the_servers_configs_are_those_of_the_tests() -> None:
    """What the README has Samba and vsftpd do is what the tests of them did."""
    for name in ("smb.conf", "vsftpd.conf", "faxdrop-ftp.pam"):
        assert (PROJECT / "tests" / "data" / name).read_text() in README


def test_what_is_left_alone_is_what_is_passed_over() -> None:
    """Each name that the README says is left alone is passed over, and the others are not."""
    table = re.search(
        r"^\| name \| what becomes of it \|\n(.*?)\n\n", README, re.MULTILINE | re.DOTALL
    )
    assert table is not None
    for row in table[1].splitlines()[1:]:
        what, becomes = row.strip("| ").split(" | ")
        names = [one.replace("*", "x").replace("\\r", "\r") for one in re.findall("`(.*?)`", what)]
        is_left_alone = becomes.startswith("left alone")
        assert {name for name in names if is_passed_over(name) != is_left_alone} == set()


def test_every_reason_is_explained() -> None:
    """The table of reasons has all of them, and no other."""
    table = README[README.index("| reason | what it means") :].split("\n\n", 1)[0]
    codes = re.findall(r"`([a-z_]+)`", "\n".join(row.split("|")[1] for row in table.splitlines()))
    assert sorted(codes) == sorted(ReasonCode)


def test_every_command_is_listed() -> None:
    """The table of commands has all of them, and no other."""
    listed = re.findall(r"^\| `faxdrop ([a-z-]+)", README, re.MULTILINE)
    assert sorted(listed) == sorted(main.list_commands(click.Context(main)))


def test_named_events_exist() -> None:
    """Every log event that the README names is one that the code logs."""
    section = README[README.index("## When things go wrong") :].split("\n## ", 2)[0]
    named = set(re.findall(r"`([a-z]+\.[a-z_]+)`", section))
    logged = "".join(path.read_text() for path in (PROJECT / "faxdrop").rglob("*.py"))
    assert {event for event in named if f'"{event}"' not in logged} == set()
    assert named


def test_named_tests_exist() -> None:
    """A test that the README names is there; its map of modules is compared in test_house."""
    tests = set(re.findall(r"`(test_[a-z_]+)(?:\.py)?`", README))
    there = {path.stem for path in (PROJECT / "tests").rglob("test_*.py")}
    assert tests - there == set()
    assert tests


def test_links_lead_somewhere() -> None:
    """Every link within the page has its heading."""
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    anchors = {
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }
    assert set(re.findall(r"\]\(#([^)]*)\)", README)) - anchors == set()


@pytest.mark.long
def test_the_first_command_faxes(tmp_path: Path) -> None:
    """The first set-up command, in a fresh folder, ends with faxes in sent/ and failed/."""
    fresh = _fresh(tmp_path)
    ran = _run(DEMO, fresh)
    assert "sent/" in ran
    assert "failed/" in ran
    assert '"format": "faxdrop-receipt/2"' in ran


def _fresh(folder: Path) -> Path:
    """Return a copy of what a clone would hold."""
    fresh = folder / "faxdrop"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).is_file():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, fresh / name)
    return fresh


def _run(command: str, folder: Path) -> str:
    """Run a line as a person pastes it, with the Python of these tests as python3."""
    python = folder.parent / "bin"
    python.mkdir()
    (python / "python3").symlink_to(Path(sys.executable).resolve())
    ran = subprocess.run(
        ["bash", "-euc", f'PATH="{python}:$PATH"; {command}'],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
