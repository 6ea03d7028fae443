"""Random tampering with random histories is found, or is on the README's list of what is not."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import HoldLine, ReleaseLine, RemovalLine, RetryLine, hash_of
from faxdrop.journal.verify import verify
from tests.kit.archive import Archive
from tests.kit.processes import PROJECT
from tests.kit.seeds import random_of, seed_of

EVENTS = 25
TAMPERINGS = 60
OURS = ("head.json", "lock")  # faxdrop's own notes: nothing depends on them


class History(Archive):
    """An archive in which more happens than faxes that end."""

    def live(self, draw: random.Random) -> None:
        """Let something happen."""
        happen = draw.choice(
            [self._end, self._end, self._retry, self._remove, self._hold, self._tear, self._wait]
        )
        happen(draw)

    def _end(self, draw: random.Random) -> None:
        name = draw.choice(["letter", "caf\udce9", "Röntgen"])
        self.file(f"{name} {len(self.documents)}.pdf")

    def _left(self, draw: random.Random, status: str) -> tuple[Path, str] | None:
        found = [path for path in self.documents if path.exists() and status in path.parts]
        if not found:
            return None
        path = draw.choice(found)
        receipt = json.loads(path.with_name(f"{path.name}.json").read_bytes())
        return path, receipt["job_id"]

    def _take_away(self, path: Path) -> None:
        path.unlink()
        path.with_name(f"{path.name}.json").unlink()

    def _retry(self, draw: random.Random) -> None:
        if (found := self._left(draw, "failed")) is not None:
            path, job_id = found
            within = str(path.relative_to(self.root))
            sha256 = hash_of(path.read_bytes())
            self._take_away(path)
            event = RetryLine(job_id=job_id, path=within, sha256=sha256, user="anna")
            self.head = self.chain.append(event)

    def _remove(self, draw: random.Random) -> None:
        if (found := self._left(draw, "sent")) is not None:
            path, job_id = found
            self.head = self.chain.append(
                RemovalLine(
                    job_id=job_id,
                    path=str(path.relative_to(self.root)),
                    sha256=hash_of(path.read_bytes()),
                    receipt_sha256=hash_of(path.with_name(f"{path.name}.json").read_bytes()),
                )
            )
            self._take_away(path)

    def _hold(self, _: random.Random) -> None:
        self.chain.append(HoldLine(what="disk", words="full"))
        self.head = self.chain.append(ReleaseLine(what="disk", words="full", since=self.at))

    def _tear(self, draw: random.Random) -> None:
        """Have a power cut leave half a line, or NULs; the next start mends that."""
        last = max(self.journal.glob("*.jsonl"))
        half = last.read_bytes().splitlines(keepends=True)[-1][: draw.randrange(1, 100)]
        with last.open("ab") as file:
            file.write(draw.choice([half, bytes(draw.randrange(1, 5000)), half + bytes(512)]))
        self.chain = Journal(self.journal, lambda: self.at)
        self.head = self.chain.head()

    def _wait(self, _: random.Random) -> None:
        self.at += timedelta(days=31)


def well(root: Path, head: str | None = None) -> bool:
    """Tell whether nothing is found."""
    return verify(root, root / ".faxdrop" / "journal", head=head).is_well


def change_a_file(root: Path, draw: random.Random) -> tuple[str, Path]:
    """Change a file in some way; return what was done, and to which."""
    path = draw.choice(sorted(p for p in root.rglob("*") if p.is_file() and p.name not in OURS))
    data = path.read_bytes()
    at = draw.randrange(len(data))
    match draw.choice(["remove", "flip", "cut", "add", "move line", "drop line"]):
        case "remove":
            path.unlink()
            return "removed", path
        case "flip":
            flipped = data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
            path.write_bytes(flipped)
            return f"a bit at {at}", path
        case "cut":
            path.write_bytes(data[:at])
            return f"cut at {at}", path
        case "add":
            path.write_bytes(data[:at] + b"x" + data[at:])
            return f"added at {at}", path
        case how:
            lines = data.splitlines(keepends=True)
            line = lines.pop(draw.randrange(len(lines)))
            if how == "move line":
                lines.insert(draw.randrange(len(lines) + 1), line)
            changed = b"".join(lines)
            path.write_bytes(changed if changed != data else data + b"\n")
            return how, path


@pytest.mark.parametrize("round_", range(3))
def test_whatever_is_changed_is_found(
    tmp_path: Path, request: pytest.FixtureRequest, round_: int
) -> None:
    """With a head that was noted, any change to any file; without, all but to the last line."""
    draw = random_of(seed_of(request, default=20261127 + round_))
    history = History(tmp_path / "history")
    for _ in range(EVENTS):
        history.live(draw)
        assert well(history.root, history.head.hash)
    last_file = max(path.name for path in history.journal.glob("*.jsonl"))
    *before, _ = (history.journal / last_file).read_bytes().splitlines(keepends=True)
    for _ in range(TAMPERINGS):
        root = tmp_path / "tampered"
        shutil.copytree(history.root, root)
        done, path = change_a_file(root, draw)
        assert not well(root, history.head.hash), f"not found: {done} in {path}"
        if well(root):
            assert path.name == last_file, f"not found without a head: {done} in {path}"
            left = path.read_bytes() if path.exists() else b""
            earlier = b"".join(before)
            assert earlier.startswith(left) or left.startswith(earlier), f"{done} in {path}"
        shutil.rmtree(root)


def _cut_off(archive: Archive) -> None:
    archive.lines(lambda all_: all_[:-1])
    archive.documents[-1].unlink()
    archive.receipt(len(archive.documents) - 1).unlink()


def _written_anew(archive: Archive) -> None:
    previous = ""
    for path in sorted(archive.journal.glob("*.jsonl")):
        made = []
        for raw in path.read_bytes().splitlines():
            content = json.loads(raw)
            content["faxline"] = "f9"
            content["previous"] = previous or content["previous"]
            made.append(json.dumps(content).encode() + b"\n")
            previous = hash_of(made[-1])
        path.write_bytes(b"".join(made))


def _added(archive: Archive) -> None:
    Journal(archive.journal, lambda: archive.at).append(HoldLine(what="disk", words="a lie"))


def _moved(archive: Archive) -> None:
    folder = archive.root / "sent" / "elsewhere"
    folder.mkdir()
    for path in (archive.documents[1], archive.receipt(1)):
        shutil.copy(path, folder)
    for path in (archive.documents[2], archive.receipt(2)):
        path.rename(folder / path.name)


def _around(archive: Archive) -> None:
    (archive.root / "sent" / "empty").mkdir()
    (archive.journal / "head.json").unlink()
    (archive.root / "journal").mkdir()
    (archive.root / "journal" / "2026-11.csv").write_text("mine")
    os.utime(archive.documents[1], (0, 0))
    archive.documents[1].chmod(0o600)


INVISIBLE: dict[str, tuple[Callable[[Archive], None], bool]] = {
    # what the README says: (who does it, whether a head that was noted finds it)
    "the last lines of the journal were cut off, with their documents and receipts": (
        _cut_off,
        True,
    ),
    "the very last line was altered": (
        lambda one: one.lines(lambda all_: [*all_[:-1], all_[-1].replace(b'"f0"', b'"f9"')]),
        True,
    ),
    "the journal was written anew from some line on, each hash made to fit": (_written_anew, True),
    "lines were added behind the end": (_added, False),
    "documents were moved or copied within `sent/` and `failed/`, with their receipts": (
        _moved,
        False,
    ),
    "anything was done to tables, empty folders, times and rights of files, or `head.json`": (
        _around,
        False,
    ),
}


@pytest.mark.parametrize("what", INVISIBLE)
def test_what_is_invisible_is_on_the_list(archive: Archive, what: str) -> None:
    """What the README says cannot be seen cannot; a head finds what it says that it finds."""
    do, is_found_by_head = INVISIBLE[what]
    head = archive.head.hash
    do(archive)
    assert well(archive.root)
    assert well(archive.root, head) is not is_found_by_head


def test_the_list_is_the_readmes() -> None:
    """The README lists what cannot be seen, and nothing else."""
    text = (PROJECT / "README.md").read_text()
    part = text.partition("What the files alone cannot show")[2].partition("### By hand")[0]
    listed = re.findall(r"^\| (.*?) \| (yes|no)\b", part, re.MULTILINE)
    assert dict(listed) == {
        what: "yes" if is_found else "no" for what, (_, is_found) in INVISIBLE.items()
    }
