"""Names of files are shown, and never obeyed: whatever a name holds, no output steers anything."""

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import click.testing
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faxdrop import logs
from faxdrop.cli.main import main
from faxdrop.fax.receipt import Receipt, make_receipt, to_bytes
from faxdrop.journal.lines import Head, ended, line_of
from faxdrop.names.printable import json_shown, shown, stored
from faxdrop.spool.root import Spool
from tests.kit.jobs import failed, job

STEERING = (
    "\x00\x07\x08\n\r\t\x1b\x7f"  # controls
    "\x80\x85\x90\x9b\x9d\x9f"  # C1: the same, in one character
    "\u2028\u2029"  # line and paragraph separators
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # directions
    "\u00ad\u200b\u200c\u200d\u2060\ufeff\ufff9\U000e0001\U000e0041"  # of no width
    "\ud800\udc80\udcff"  # halves of characters, and bytes that are not UTF-8
)
SAFE = "letter ÄÖ\u4e2d\U0001f4e0-'\"\\[bold]{}"

NAMES = (
    st.text(st.sampled_from(STEERING + SAFE) | st.characters(), min_size=1, max_size=40)
    .map(lambda text: text.replace("/", "").replace("\0", ""))
    .map(lambda text: text.encode("utf-8", "surrogatepass"))
    .map(lambda data: os.fsdecode(data[:100]))
    .filter(lambda name: name not in ("", ".", ".."))
)


def is_fit(text: str) -> bool:
    """Tell whether text has lines, and nothing else that is not seen."""
    return all(char == "\n" or char.isprintable() for char in text)


@pytest.mark.parametrize("char", STEERING, ids=lambda char: f"U+{ord(char):04X}")
def test_what_steers_is_shown(char: str) -> None:
    """Each kind of control character becomes an escape that shows which one it was."""
    text = shown(f"a{char}b")
    assert is_fit(text)
    assert "\n" not in text
    assert text.startswith("a\\")
    assert text.endswith("b")
    assert shown(text) == text, "shown twice is shown once"


def test_what_is_seen_stays() -> None:
    """Letters of all scripts, accents of their own and pictures stay what they are."""
    for text in (SAFE, "Gro\u0308\u00dfe.pdf", "\u0645\u0631\u062d\u0628\u0627.pdf"):
        assert shown(text) == stored(text) == text
    assert shown("two\nlines\r", lines=True) == "two\nlines\\r"


@given(st.text(st.sampled_from(STEERING + SAFE) | st.characters()))
def test_any_text_is_fit_to_be_shown(text: str) -> None:
    """Nothing of any text is left that is not printable; JSON says the same as before."""
    assert shown(text).isprintable()
    assert is_fit(json_shown(json.dumps(stored(text), ensure_ascii=False)))
    assert json.loads(json_shown(json.dumps(stored(text), ensure_ascii=False))) == stored(text)
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in shown(text)}


def test_receipts_and_the_journal_can_be_looked_at_in_a_terminal() -> None:
    """They say the same names as ever, with escapes for what is not seen."""
    name = "".join(STEERING.replace("\0", "").partition("\ud800")[0]) + "letter.pdf"
    receipt = make_receipt(failed(job(name, f"Amt {name}")))
    data = to_bytes(receipt)
    line = line_of(ended(receipt, data, f"failed/{name}"), Head(), "2026-03-02T08:00:00Z")
    for text in (data.decode(), line.decode()):
        assert is_fit(text)
    assert json.loads(data)["document"]["name"] == name
    assert json.loads(line)["document"]["name"] == name


Run = Callable[..., str]


@pytest.fixture(name="faxdrop")
def _faxdrop(tmp_path: Path) -> Run:
    """Return what runs a command on a root, and returns all that it printed."""
    config = tmp_path / "config.toml"
    config.write_text(f'root = "{tmp_path}/root"\nsipgate.faxline = "f0"\n')

    def run(*arguments: str | Path) -> str:
        result = click.testing.CliRunner().invoke(
            main, ["--config", str(config), *map(str, arguments)], catch_exceptions=False
        )
        structlog.reset_defaults()
        return result.output

    return run


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, folder=NAMES)
def test_no_command_prints_what_steers(
    name: str, folder: str, tmp_path: Path, faxdrop: Run
) -> None:
    """Whatever files and folders are called, and whatever is typed, all output is fit to print."""
    root = tmp_path / "root"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    spool = Spool(root)
    spool.open()
    filed = _filed(spool, name, folder)
    waiting = job(name, folder, number=2)
    _claimed(spool, name, folder, 2)
    (spool.inbox / folder / name).write_bytes(b"%PDF-")
    spool.close()
    said = [
        faxdrop("status"),
        seen := faxdrop("status", "--json"),
        faxdrop("retry", filed),  # its name is taken in the inbox
        faxdrop("retry", filed.with_name(f"{filed.name}x")),
        faxdrop("retry", spool.inbox / folder / name),
    ]
    (spool.inbox / folder / name).unlink()
    filed.with_name(f"{filed.name}.json").unlink()
    said += [
        faxdrop("retry", filed),  # perhaps it was sent
        faxdrop("retry", "--even-if-sent", filed),
        faxdrop("cancel", "--", stored(name)),
        faxdrop("cancel", waiting.job_id),
        faxdrop("status", f"--{stored(name)}"),
        faxdrop(stored(name)),
    ]
    for text in said:
        assert text
        assert is_fit(text), text
    assert shown(name) in {one["name"] for one in json.loads(seen)["documents"]}


def _claimed(spool: Spool, name: str, folder: str, number: int) -> None:
    path = spool.inbox / folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"%PDF-")
    spool.jobs.claim(path, None, job(name, folder, number))


def _filed(spool: Spool, name: str, folder: str) -> Path:
    _claimed(spool, name, folder, 1)
    filed = spool.filing.file_away(failed(job(name, folder)))
    assert filed is not None
    receipt = Receipt.model_validate_json(filed.with_name(f"{filed.name}.json").read_bytes())
    assert receipt.document.name == stored(name), "what programs read is the name itself"
    return filed


@settings(max_examples=50)
@given(name=NAMES)
def test_the_log_holds_nothing_that_steers(name: str) -> None:
    """Whatever is logged about a file, each event is one line, and fit to be seen."""
    stream = StringIO()
    logs.configure(stream)
    try:
        structlog.get_logger().warning("test.event", file=name, why=f"{name} is there")
    finally:
        structlog.reset_defaults()
    assert stream.getvalue().removesuffix("\n").isprintable()
    assert json.loads(stream.getvalue())["file"] == shown(name)
