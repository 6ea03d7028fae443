"""Hooks in a daemon at work: the README's examples, and one that hangs."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from faxdrop.config.settings import HookSettings
from tests.kit import pdfs
from tests.kit.breaking import Stage, stage
from tests.kit.processes import Office, Simulated

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
EXAMPLES = {  # the scripts by their names, which are in their second lines
    name: text
    for text in re.findall(r"^```bash\n(#!.*?)^```", README, re.MULTILINE | re.DOTALL)
    for name in re.findall(r"^# /usr/local/bin/([a-z-]+)$", text, re.MULTILINE)
}
NUMBER = "+493023125100"


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Stage]:
    """Give an office whose daemon is not started yet."""
    with stage(tmp_path / "root") as one:
        yield one


def fax(staged: Stage, name: str, place: str, instead: str, tmp_path: Path) -> None:
    """Send a document and fail another with an example of the README as the hook."""
    program = tmp_path / name
    text = EXAMPLES[name]
    assert place in text
    program.write_text(text.replace(place, instead))
    program.chmod(0o755)
    world = staged.world
    hook = HookSettings(command=(str(program),), timeout=60.0)
    world.config = world.config.model_copy(update={"hook": hook})
    world.start()
    world.turn()
    staged.drop(NUMBER, "Brief an Müller.pdf", pdfs.good())
    staged.drop("Frau Niemand", "failed.pdf", pdfs.good(2))
    world.until_done()
    world.live(5.0)
    assert len(world.sent) == len(world.failed) == 1


def test_the_readme_has_three_examples() -> None:
    """Each is tried below."""
    assert EXAMPLES.keys() == {"fax-to-dms", "fax-to-paperless", "fax-to-webhook"}


def test_the_example_for_a_dms_copies_what_was_sent(staged: Stage, tmp_path: Path) -> None:
    """Document and receipt, below the recipient's name."""
    to = tmp_path / "dms"
    fax(staged, "fax-to-dms", "/srv/dms/fax", str(to), tmp_path)
    copied = sorted(to.rglob("*.*"))
    assert [path.relative_to(to).as_posix() for path in copied] == [
        f"{NUMBER}/Brief an Müller.pdf",
        f"{NUMBER}/Brief an Müller.pdf.json",
    ]
    assert copied[0].read_bytes() == staged.world.sent[0].content


def test_the_example_for_paperless_leaves_one_whole_file(staged: Stage, tmp_path: Path) -> None:
    """The example copies the document under its name, and never leaves half a file."""
    consume = tmp_path / "consume"
    consume.mkdir()
    fax(staged, "fax-to-paperless", "/srv/paperless/consume", str(consume), tmp_path)
    [path] = consume.iterdir()
    assert path.name == "Fax Brief an Müller.pdf"
    assert path.read_bytes() == staged.world.sent[0].content


class _Webhook(BaseHTTPRequestHandler):
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_example_for_a_webhook_posts_the_receipts(staged: Stage, tmp_path: Path) -> None:
    """The example runs for what was sent and for what failed."""
    _Webhook.bodies = []
    with HTTPServer(("127.0.0.1", 0), _Webhook) as server:
        thread = threading.Thread(target=partial(server.serve_forever, 0.05))
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/fax"
        fax(staged, "fax-to-webhook", "https://hooks.example.com/fax", url, tmp_path)
        server.shutdown()
        thread.join()
    told = [json.loads(body) for body in _Webhook.bodies]
    assert sorted(one["status"] for one in told) == ["failed", "sent"]
    assert all(one["format"].startswith("faxdrop-receipt/") for one in told)


def test_a_hook_that_hangs_holds_up_neither_faxes_nor_a_stop(tmp_path: Path) -> None:
    """A hook that hangs is ended at the stop, and runs again after the next start."""
    runs = tmp_path / "runs"
    hook = tmp_path / "hook"
    hook.write_text(f'#!/bin/sh\necho "$$ $FAXDROP_DOCUMENT" >>{runs}\nsleep 600 & wait\n')
    hook.chmod(0o755)
    with Simulated("--pace", "0") as simulated, Office(tmp_path, simulated.base_url) as office:
        with office.config.open("a") as config:
            config.write(f'[hook]\ncommand = ["{hook}"]\ntimeout = "10m"\n')
        for lives in (1, 2):
            office.start()
            if lives == 1:
                for name in ("1.pdf", "2.pdf"):
                    office.drop(NUMBER, name, pdfs.good(len(name)))
                office.await_filed(2)
            office.until(partial(_has, runs, lives), "a hook")
            begun = time.monotonic()
            assert office.stop() == 0
            assert time.monotonic() - begun < 60.0  # the hook has ten minutes
    told = [line.partition(" ") for line in _lines(runs)]
    assert told[0][2] == told[1][2]
    for pid, _, _ in told:
        with suppress(FileNotFoundError, ProcessLookupError):  # else it is another's number now
            assert str(hook).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def _has(path: Path, lines: int) -> bool:
    return len(_lines(path)) == lines


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
