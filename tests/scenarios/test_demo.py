"""The demo shows the real thing, quickly, and leaves what goes on working."""

import hashlib
import io
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise, takewhile
from pathlib import Path
from typing import NamedTuple

import jsonschema
import pikepdf
import pytest
from click.testing import CliRunner
from rich.console import Console

from faxdrop.cli import demo, screens
from faxdrop.cli.demo import DROPS, DemoRow
from faxdrop.cli.main import main
from faxdrop.cli.terminal import called
from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits
from faxdrop.fax import receipt
from faxdrop.setup import specimen
from tests.kit.processes import FAXDROP, PROJECT
from tests.kit.waiting import PATIENCE

QUICK = {'patience = "5s"': 'patience = "1s"', '"3s"': '"300ms"', '"300ms"': '"100ms"'}


def _quick() -> str:
    """Return the demo's config with shorter pauses than people like."""
    quick = demo.CONFIG
    for long, short in QUICK.items():
        assert long in quick
        quick = quick.replace(long, short)
    return quick


def _hurry(patch: pytest.MonkeyPatch) -> None:
    """Run the demo with shorter pauses, and more time for what a busy machine takes long for."""
    patch.setattr(demo, "CONFIG", _quick())
    patch.setattr(demo, "_PACE", 0.2)
    for limit in (
        "cli.demo._STOP_WITHIN",
        "cli.setup._DEMO_WITHIN",
        "cli.setup._PAGE_WITHIN",
        "cli.setup._REPORTS_WITHIN",
        "daemon.loop.STOP_WITHIN",
        "daemon.loop._FOLLOWERS_WITHIN",
    ):
        patch.setattr(f"faxdrop.{limit}", 2 * PATIENCE)


class Shown(NamedTuple):
    """A demo that was run: what it printed, and the folder that it kept."""

    text: str
    folder: Path


@pytest.fixture(name="shown", scope="module")
def _shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Run the demo once, with shorter pauses than people like."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        _hurry(patch)
        result = CliRunner().invoke(main, ["demo", "--keep", str(folder)])
    assert result.exit_code == 0, result.output
    return Shown(result.output, folder)


def test_where_everything_ends(shown: Shown) -> None:
    """The good ones end in sent/, the others in failed/, each as dropped and with its receipt.

    The month's table and the status page, for people, lie beside them.
    """
    share = shown.folder / "share"
    found = {
        str(path.relative_to(share)): path
        for path in share.rglob("*")
        if path.is_file() and ".faxdrop" not in path.parts
    }
    table = found.pop(next(name for name in found if name.startswith("journal/")))
    assert table.suffix == ".csv"
    del found["STATUS.html"]
    reports = [name for name in found if name.endswith(".report.pdf")]
    for name in reports:
        del found[name]
    assert len(reports) == len(DROPS)
    assert sorted(name for name in found if not name.endswith(".json")) == [
        "failed/+49 30 23125 005/invoice.pdf",
        "failed/Dr. Müller/half a scan.pdf",
        "sent/Dr. Müller/letter.pdf",
        "sent/Finanzamt/tax return.pdf",
        "sent/Labor Nord +493023125030/form.pdf",
    ]
    contents = {f"{one.folder}/{one.name}": one.content for one in DROPS}
    for name, path in found.items():
        if not name.endswith(".json"):
            assert path.read_bytes() == contents[name.partition("/")[2]]
            told = json.loads(found[f"{name}.json"].read_bytes())
            jsonschema.validate(told, receipt.schema())
            assert told["document"]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_it_tells(shown: Shown) -> None:
    """Without a terminal, the demo prints each event as a line, then the tree and a receipt."""
    lines = [line.split(" s  ", 1)[1] for line in shown.text.splitlines() if " s  " in line]
    for line in (
        "Dr. Müller/half a scan.pdf: in the inbox",
        "Dr. Müller/letter.pdf: sent",
        "Labor Nord +493023125030/form.pdf: sent, as a flattened copy",
        "Finanzamt/tax return.pdf: sent, at the second attempt",
        "Dr. Müller/half a scan.pdf: failed: The PDF is not complete: its end is missing.",
    ):
        assert line in lines, shown.text
    assert any(line.startswith("+49 30 23125 005/invoice.pdf: failed: sipgate") for line in lines)
    for one in DROPS:
        told = [line for line in lines if line.startswith(f"{one.folder}/{one.name}: ")]
        assert all(line != after for line, after in pairwise(told)), "nothing is told twice"
        assert f"  {one.folder}/{one.name}: {one.tells}\n" in shown.text
        assert shown.text.count(f"── {one.name}\n") == 1
        assert shown.text.count(f"── {one.name}.json\n") == 1
    assert not re.search("\x1b", shown.text)


def test_the_receipt_that_it_shows(shown: Shown) -> None:
    """The receipt at the end is the filed one of the fax with two attempts."""
    told = demo.TOLD_IN_FULL
    path = shown.folder / "share" / "sent" / told.folder / f"{told.name}.json"
    assert path.read_text("utf-8") in shown.text
    assert [each["outcome"] for each in json.loads(path.read_bytes())["attempts"]] == [
        "FAILED",
        "SENT",
    ]


def _is_indented(line: str) -> bool:
    return line.startswith("  ")


def test_the_pages_that_it_names(shown: Shown) -> None:
    """The pages for people are named at the end, and exist."""
    named = shown.text.split("To open and to print:\n", 1)[1]
    paths = [Path(line.strip()) for line in takewhile(_is_indented, named.splitlines())]
    assert paths[-1] == shown.folder / "share" / "STATUS.html"
    assert [path.name for path in paths] == ["tax return.report.pdf", "STATUS.html"]
    assert all(path.is_file() for path in paths)


def test_it_opens_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --open the browser gets the page, which shows all documents, and that faxdrop runs."""
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\necho "$1" >{tmp_path}/address\ncp "${{1#file://}}" {tmp_path}\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    _hurry(monkeypatch)
    result = CliRunner().invoke(main, ["demo", "--open"])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "STATUS.html").read_text()
    assert "faxdrop is running." in page
    assert all(one.name in page for one in DROPS)
    opened = Path((tmp_path / "address").read_text().strip().removeprefix("file://"))
    assert "faxdrop is not running" in opened.read_text(), "it is left, and the demo is over"
    assert f"Everything is in {opened.parents[1]}." in result.output


def test_to_go_on(shown: Shown, tmp_path: Path) -> None:
    """The command that it names at its end faxes what is dropped next."""
    # In a copy: the other tests look at what the demo itself left.
    folder = shutil.copytree(shown.folder, tmp_path / "copy")
    config = folder / "config.toml"
    config.write_text(config.read_text().replace(str(shown.folder), str(folder)))
    command = shown.text.splitlines()[-1].replace(str(shown.folder), str(folder)).split()
    assert command[0] == "faxdrop"
    program = subprocess.Popen(
        [*FAXDROP, *command[1:]], cwd=PROJECT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert program.stderr is not None
        for line in program.stderr:
            event = json.loads(line)["event"]
            if event == "daemon.ready":
                inbox = folder / "share" / "inbox" / "Dr. Müller"
                (inbox / "next.pdf").write_bytes(specimen.letter(["Noch etwas"]))
            if event == "fax.sent":
                break
        program.terminate()
        program.communicate(timeout=PATIENCE)
        assert program.returncode == 0
    finally:
        program.kill()
        program.communicate()
    assert (folder / "share" / "sent" / "Dr. Müller" / "next.pdf").is_file()


@pytest.mark.parametrize(
    ("path", "on_the_path", "expected"),
    [
        ("my venv/bin/faxdrop", False, "'my venv/bin/faxdrop'"),
        ("/opt/faxdrop/bin/faxdrop", True, "faxdrop"),
        ("/opt/lib/faxdrop/__main__.py", False, "faxdrop"),
    ],
)
def test_the_command_that_it_names_can_be_pasted(
    path: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, on_the_path: bool
) -> None:
    """Where a shell would not find its name, as in a venv, the command is the path."""
    if on_the_path:
        (tmp_path / "faxdrop").write_text("#!/bin/sh")
        (tmp_path / "faxdrop").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [path, "demo"])
    assert called() == expected


def test_its_log_is_kept_apart(shown: Shown) -> None:
    """The log goes to a file, as JSON lines, and not to the screen."""
    lines = (shown.folder / "faxdrop.log").read_text("utf-8").splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert "daemon.ready" in events
    assert "daemon.stopped" in events
    assert "daemon.ready" not in shown.text


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    """A folder that is not empty is refused and left alone."""
    (tmp_path / "mine").touch()
    result = CliRunner().invoke(main, ["demo", "--keep", str(tmp_path)])
    assert result.exit_code == 1
    assert "is not empty: name a new folder." in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_on_a_terminal() -> None:
    """On a terminal it is a table, which fits into 80 columns and stays as short as it can."""
    filed = Path("/x/failed/letter.pdf")
    rows = [DemoRow(one, "failed: nobody knows why, and " * 3, filed, "failed") for one in DROPS]
    file = StringIO()
    Console(file=file, width=80, force_terminal=True).print(screens.demo(rows, 12.3))
    lines = re.sub("\x1b\\[[0-9;]*m", "", file.getvalue()).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].rstrip().endswith("after 12 s")
    assert len(lines) <= 24, "more than a small terminal shows"


@pytest.mark.long
def test_as_it_is() -> None:
    """As people start it, it costs no more than 20 seconds, and leaves nothing behind."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "faxdrop", "demo"],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of processor time: how busy the machine is does not count.
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 20
    assert (done.returncode, done.stderr) == (0, "")
    tree = re.search(r"^(/\S+)/share/$", done.stdout, re.MULTILINE)
    assert tree
    assert not Path(tree[1]).exists()


# -- the documents ---------------------------------------------------------------------------


@pytest.fixture(name="checker", scope="module")
def _checker() -> Iterator[Checker]:
    with Checker(Limits(max_bytes=1_000_000, max_pages=30)) as checker:
        yield checker


def _verdict(checker: Checker, content: bytes, folder: Path) -> tuple[bool, bool, tuple[str, ...]]:
    path = folder / "x.pdf"
    path.write_bytes(content)
    with path.open("rb") as file:
        verdict = checker.check(file.fileno())
    return verdict.whole, verdict.clean, verdict.facts.changes if verdict.facts else ()


def test_specimens(checker: Checker, tmp_path: Path) -> None:
    """The demo's PDFs are flawless, its form is a form, and its half is half a PDF."""
    letter = specimen.letter(["Grüße (1) \\ €"], ["two"], ["three"])
    assert _verdict(checker, letter, tmp_path) == (True, True, ())
    form = specimen.form(["Antrag"], label="Name (ganz)", value="Jürgen \\ Größe")
    assert _verdict(checker, form, tmp_path) == (True, True, ("flattened",))
    assert _verdict(checker, specimen.half(letter), tmp_path) == (False, False, ())


def test_specimens_to_another_reader() -> None:
    """Another PDF library finds no fault, and the expected pages and text."""
    with pikepdf.open(io.BytesIO(specimen.letter(["Grüße (1)"], ["zwei"]))) as pdf:
        assert pdf.check_pdf_syntax() == []
        assert len(pdf.pages) == 2
        assert r"(Grüße \(1\)) Tj" in pdf.pages[0].Contents.read_bytes().decode("cp1252")
    with pikepdf.open(io.BytesIO(specimen.form(["x"], label="Name", value="Erika"))) as pdf:
        assert pdf.check_pdf_syntax() == []
        assert str(pdf.Root.AcroForm.Fields[0].V) == "Erika"
