"""The ways in which documents reach an inbox, whatever carries them there.

A `Client` is anything that writes files: smbclient, an FTP client, a program on this machine. Each
of `WAYS` writes documents through it as some scanner or person does, and declares the fate of each:
written whole, so it must be faxed once, or overwritten, deleted or never finished. `deliver` runs
all ways at once against one daemon. It judges each document from outside: at the simulator, in
sent/ and failed/, and in the daemon's log. `Carried` is what must hold for every carrier.
"""

import hashlib
import itertools
import os
import random
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol

import pikepdf
import pytest

from tests.kit import pdfs
from tests.kit.processes import Office, Simulated
from tests.kit.servers import Site

SETTLE, PATIENCE = 1.0, 20.0  # seconds, of the daemon under test: no carrier is so slow
LONG_PAUSE = 1.8 * SETTLE  # of a scanner: longer than a file takes to settle
CHUNK = 65536  # bytes: smbclient writes no less at once
LATE = SETTLE + 1.0  # seconds from a document's last change to its claim, at most
ROUNDS = 3  # how often each way is taken


class Client(Protocol):
    """Writes into the inbox. Names are ``folder/file``."""

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """Open a file, write piece by piece, close it."""

    def resume(self, name: str, content: bytes) -> None:
        """Open an existing file and append the part of the content that it lacks."""

    def cut(self, name: str, pieces: Iterable[bytes]) -> None:
        """Do the same, but the connection breaks where the file should be closed."""

    def rename(self, name: str, new: str) -> bool:
        """Rename a file; return whether it was there."""

    def delete(self, name: str) -> bool:
        """Delete a file; return whether it was there."""

    def set_time(self, name: str, at: float) -> bool:
        """Set a file's time (seconds since 1970); return whether it was there."""


class LocalClient:
    """A program on this machine that writes into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `Client`."""
        with self._path(name).open("wb", buffering=0) as file:
            file.writelines(pieces)

    def resume(self, name: str, content: bytes) -> None:
        """See `Client`."""
        with self._path(name).open("ab", buffering=0) as file:
            file.write(content[file.tell() :])

    def cut(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `Client`: the kernel closes the files of a killed program, too."""
        self.put(name, pieces)

    def rename(self, name: str, new: str) -> bool:
        """See `Client`."""
        return _found(lambda: self._path(name).rename(self._path(new)))

    def delete(self, name: str) -> bool:
        """See `Client`."""
        return _found(self._path(name).unlink)

    def set_time(self, name: str, at: float) -> bool:
        """See `Client`."""
        return _found(lambda: os.utime(self._path(name), (at, at)))

    def _path(self, name: str) -> Path:
        return self._folder / name


def _found(change: Callable[[], object]) -> bool:
    try:
        change()
    except FileNotFoundError:
        return False
    return True


class Fate(Enum):
    """What may happen to a document."""

    FAXED = auto()  # written whole: faxed once
    REPLACED = auto()  # written whole, but somebody overwrote or deleted it: faxed at most once
    TORN = auto()  # never written whole: never faxed


@dataclass
class Document:
    """A document that a way has written, whole or not."""

    way: str
    sha256: str
    fate: Fate
    written_at: float  # seconds since 1970: when its writer was done with it


class Desk:
    """Gives a way its documents, and records what the way did with them."""

    def __init__(self, way: str, client: Client, folder: str, seed: int) -> None:
        self.client = client
        self.documents: list[Document] = []
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self._way = way
        self._folder = folder
        self._count = itertools.count(1)

    def name(self, suffix: str = "pdf") -> str:
        """Return a file name that is new."""
        return f"{self._folder}/scan {next(self._count)}.{suffix}"

    def new(self, chunks: int = 0) -> bytes:
        """Return a unique PDF of at least so many chunks."""
        text = f"{self._way} {self.random.getrandbits(64):x}"
        return pdfs.good(1, text) if not chunks else scanned(text, chunks)

    def was(self, content: bytes, fate: Fate) -> None:
        """Record the fate of a document; call it as soon as it is settled."""
        digest = hashlib.sha256(content).hexdigest()
        self.documents.append(Document(self._way, digest, fate, time.time()))


_GREYS = bytes(range(0, 256, 32)) * 32  # few greys, so that compression finds something


def scanned(text: str, chunks: int) -> bytes:
    """Return a scan: a page that is an image. Its compression breaks if a part is another's."""
    noise = random.Random(text).randbytes(3 * chunks * CHUNK)  # noqa: S311 - no secret
    noise = noise.translate(_GREYS)
    with pikepdf.new() as pdf:
        image = pikepdf.Stream(
            pdf,
            zlib.compress(noise),
            Type=pikepdf.Name.XObject,
            Subtype=pikepdf.Name.Image,
            Width=256,
            Height=len(noise) // 256,
            ColorSpace=pikepdf.Name.DeviceGray,
            BitsPerComponent=8,
            Filter=pikepdf.Name.FlateDecode,
        )
        page = pdf.add_blank_page(page_size=(595, 842))
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Scan=image))
        page.Contents = pikepdf.Stream(pdf, b"595 0 0 842 0 0 cm /Scan Do")
        return pdfs.saved(pdf)


def pieces(content: bytes, count: int, pause: float = 0.0) -> Iterator[bytes]:
    """Yield a document in so many pieces, with pauses between them, as a slow scanner writes."""
    size = -(-len(content) // count)
    for start in range(0, len(content), size):
        if start:
            time.sleep(pause)  # nothing is waited for: it is the scanner that is slow
        yield content[start : start + size]


# -- the ways -------------------------------------------------------------------------------


def whole(desk: Desk) -> None:
    """In one go."""
    content = desk.new()
    desk.client.put(desk.name(), [content])
    desk.was(content, Fate.FAXED)


def whole_and_large(desk: Desk) -> None:
    """In one go, but a large one."""
    content = desk.new(chunks=64)
    desk.client.put(desk.name(), [content])
    desk.was(content, Fate.FAXED)


def slow(desk: Desk) -> None:
    """In pieces, with short pauses."""
    content = desk.new(chunks=5)
    desk.client.put(desk.name(), pieces(content, 5, SETTLE / 5))
    desk.was(content, Fate.FAXED)


def slower_than_settle(desk: Desk) -> None:
    """In pieces, with pauses so long that it looks done."""
    content = desk.new(chunks=3)
    desk.client.put(desk.name(), pieces(content, 3, LONG_PAUSE))
    desk.was(content, Fate.FAXED)


def temporary_name(desk: Desk) -> None:
    """Under a temporary name, which is changed at the end."""
    for suffix in ("pd~", "tmp", "filepart"):
        content = desk.new(chunks=3)
        name = desk.name()
        desk.client.put(f"{name}.{suffix}", pieces(content, 3, SETTLE / 3))
        assert desk.client.rename(f"{name}.{suffix}", name)
        desk.was(content, Fate.FAXED)


def reopened(desk: Desk) -> None:
    """In one file that is opened and closed for each page, with pauses of both kinds."""
    for pause in (SETTLE / 5, LONG_PAUSE):
        content = desk.new(chunks=3)
        name = desk.name()
        desk.client.put(name, [])
        there = 0
        for piece in pieces(content, 3, pause):
            there += len(piece)
            desk.client.resume(name, content[:there])
        desk.was(content, Fate.FAXED)


def empty_first(desk: Desk) -> None:
    """Made empty, and filled later."""
    for pause in (SETTLE / 5, LONG_PAUSE):
        content = desk.new()
        name = desk.name()
        desk.client.put(name, [])
        time.sleep(pause)  # the scanner's
        desk.client.put(name, [content])
        desk.was(content, Fate.FAXED)


def broken_and_repeated(desk: Desk) -> None:
    """Broken off half-way, and sent again from the start."""
    content = desk.new(chunks=4)
    name = desk.name()
    desk.client.cut(name, [content[: 2 * CHUNK]])
    time.sleep(desk.random.choice([0.0, LONG_PAUSE]))  # until the scanner's next try
    desk.client.put(name, [content])
    desk.was(content, Fate.FAXED)


def broken_and_resumed(desk: Desk) -> None:
    """Broken off half-way, and resumed where it broke."""
    content = desk.new(chunks=4)
    name = desk.name()
    desk.client.cut(name, [content[: 2 * CHUNK]])
    time.sleep(desk.random.choice([0.1, LONG_PAUSE]))  # until the scanner's next try
    desk.client.resume(name, content)
    desk.was(content, Fate.FAXED)


def broken_for_good(desk: Desk) -> None:
    """Broken off half-way, and never seen again."""
    content = desk.new(chunks=4)
    desk.client.cut(desk.name(), [content[: 2 * CHUNK]])
    desk.was(content, Fate.TORN)


def two_at_once(desk: Desk) -> None:
    """Two under one name at the same time: at best one of them is whole in the end."""
    name = desk.name()
    first, second = desk.new(chunks=4), desk.new(chunks=3)
    with ThreadPoolExecutor(2) as both:
        one = both.submit(_may_fail, desk, name, pieces(first, 4, SETTLE / 5))
        two = both.submit(_may_fail, desk, name, pieces(second, 3, SETTLE / 3))
        done = [one.result(), two.result()]
    for content in (first, second):
        desk.was(content, Fate.REPLACED)
    assert any(done), "neither was let in"


def _may_fail(desk: Desk, name: str, content: Iterable[bytes]) -> bool:
    try:
        desk.client.put(name, content)
    except OSError:
        return False
    return True


def onto_an_existing_name(desk: Desk) -> None:
    """Onto the name of an older one: at once, later, and while that one is looked at."""
    for pause in (0.0, 0.02, SETTLE, LONG_PAUSE):
        name = desk.name()
        first, second = desk.new(), desk.new(chunks=1)
        desk.client.put(name, [first])
        desk.was(first, Fate.REPLACED)
        time.sleep(pause)  # the second writer's own pace
        desk.client.put(name, [second])
        desk.was(second, Fate.FAXED)


def renamed_by_people(desk: Desk) -> None:
    """In one go; then somebody renames it, if it is still there."""
    for pause in (0.0, 0.02, SETTLE / 2):
        content = desk.new()
        name = desk.name()
        desk.client.put(name, [content])
        desk.was(content, Fate.FAXED)
        time.sleep(pause)  # the person's
        desk.client.rename(name, desk.name())


def deleted_by_people(desk: Desk) -> None:
    """In one go; then somebody deletes it, unless it is already on its way."""
    for pause in (0.0, 0.02, SETTLE / 2):
        content = desk.new()
        name = desk.name()
        desk.client.put(name, [content])
        time.sleep(pause)  # the person's
        desk.was(content, Fate.REPLACED if desk.client.delete(name) else Fate.FAXED)


def clock_hours_off(desk: Desk) -> None:
    """With a time of yesterday or tomorrow, set when it is closed or somewhat later."""
    for hours, pause in ((-26, 0.0), (26, 0.0), (-26, SETTLE / 2), (26, SETTLE / 2)):
        content = desk.new()
        name = desk.name()
        desk.client.put(name, [content])
        time.sleep(pause)  # the program's
        desk.client.set_time(name, time.time() + hours * 3600)
        desk.was(content, Fate.FAXED)


WAYS: tuple[Callable[[Desk], None], ...] = (
    whole,
    whole_and_large,
    slow,
    slower_than_settle,
    temporary_name,
    reopened,
    empty_first,
    broken_and_repeated,
    broken_and_resumed,
    broken_for_good,
    two_at_once,
    onto_an_existing_name,
    renamed_by_people,
    deleted_by_people,
    clock_hours_off,
)


class Row(NamedTuple):
    """The results of one way."""

    way: str
    documents: int
    replaced: int  # of these, overwritten or deleted by their people before they were taken
    torn: int  # of these, never whole
    faxed: int
    late: int
    lost: int
    doubled: int
    after: float | None  # seconds from the last change to the claim: the median


@dataclass
class Delivery:
    """The results of all ways through one carrier."""

    carrier: str
    tells_of_writers: bool  # a lease on a file is granted to the daemon, or refused
    rows: dict[str, Row] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)  # faxed, but never written by anybody
    wrongly_failed: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)  # faxed, but sent/ has another content

    def table(self) -> str:
        """Return the rows as text."""
        head = ("way", "documents", "replaced", "torn", "faxed", "late", "lost", "doubled", "after")
        lines = [f"\n{self.carrier}", ("{:24}" + "{:>10}" * 8).format(*head)]
        for row in self.rows.values():
            after = "-" if row.after is None else f"{row.after:.2f} s"
            lines.append(("{:24}" + "{:>10}" * 8).format(*row[:-1], after))
        lines.append(f"never written, yet faxed: {len(self.strange)}")
        lines.append(f"faxed, and changed by its writer since: {len(self.changed)}")
        return "\n".join(lines)


def recipients() -> dict[str, str]:
    """Return an address book with a folder and a number for each way."""
    return {way.__name__: f"+493023125{30 + at:03}" for at, way in enumerate(WAYS)}


SETTINGS = {"settle": f"{SETTLE:g}s", "patience": f"{PATIENCE:g}s", "rescan": "60s"}


@contextmanager
def served() -> Iterator[tuple[Site, Office, Simulated]]:
    """Start a daemon on a machine whose servers do not run yet."""
    with (
        Site() as site,
        Simulated("--pace", "0") as simulated,
        Office(
            site.folder,
            simulated.base_url,
            recipients(),
            SETTINGS,
            root=site.root,
            user=site.faxdrop,
        ) as office,
    ):
        office.start()
        yield site, office, simulated


def deliver(
    carrier: str,
    connect: Callable[[], Client],
    office: Office,
    simulated: Simulated,
    *,
    seed: int,
    tells_of_writers: bool,
) -> Delivery:
    """Take all ways at once, let the daemon finish, and judge."""
    desks = [Desk(way.__name__, connect(), way.__name__, seed + at) for at, way in enumerate(WAYS)]
    all_there = threading.Barrier(len(WAYS))

    def go(way: Callable[[Desk], None], desk: Desk) -> None:
        all_there.wait()
        for _ in range(ROUNDS):
            way(desk)

    with ThreadPoolExecutor(len(WAYS)) as scanners:
        for done in [scanners.submit(go, *one) for one in zip(WAYS, desks, strict=True)]:
            done.result()
    office.until(lambda: not office.waiting(), f"all documents of {carrier} filed", 180.0)
    delivery = Delivery(carrier, tells_of_writers)
    judge(delivery, desks, office, simulated)
    print(delivery.table())  # noqa: T201 - what a person wants to see of it (pytest -rP)
    return delivery


def judge(delivery: Delivery, desks: Sequence[Desk], office: Office, simulated: Simulated) -> None:
    """Record what happened to the documents; none may be waiting any more."""
    taken = Counter(fax["sha256"] for fax in simulated.taken)
    claimed_at = {
        claimed["job"]: datetime.fromisoformat(claimed["timestamp"]).astimezone(UTC).timestamp()
        for claimed in office.events("fax.claimed")
    }
    when: dict[str, float] = {}
    failed = []
    for status in ("sent", "failed"):
        for filed in office.filed(status):
            digest = hashlib.sha256(filed.path.read_bytes()).hexdigest()
            when[digest] = claimed_at[filed.receipt["job_id"]]
            if status == "failed":
                failed.append(digest)
    fates = {one.sha256: one.fate for desk in desks for one in desk.documents}
    delivery.strange = [d for d in taken if fates.get(d, Fate.TORN) is Fate.TORN]
    delivery.wrongly_failed = [d for d in failed if fates.get(d) is Fate.FAXED]
    delivery.changed = [d for d in taken if d not in when]
    for desk in desks:
        documents = desk.documents
        faxed = [one for one in documents if taken[one.sha256]]
        waits = [max(0.0, when[one.sha256] - one.written_at) for one in faxed if one.sha256 in when]
        due = [one for one in documents if one.fate is Fate.FAXED]
        delivery.rows[documents[0].way] = Row(
            way=documents[0].way,
            documents=len(documents),
            replaced=sum(1 for d in documents if d.fate is Fate.REPLACED and d not in faxed),
            torn=sum(1 for d in documents if d.fate is Fate.TORN),
            faxed=len(faxed),
            late=sum(1 for wait in waits if wait > LATE),
            lost=sum(1 for one in due if one not in faxed),
            doubled=sum(1 for one in documents if taken[one.sha256] > 1),
            after=median(waits) if waits else None,
        )


class Carried:
    """What holds whatever carries the documents. ``delivery`` is a fixture of each carrier."""

    def test_nothing_is_faxed_that_nobody_wrote(self, delivery: Delivery) -> None:
        """Of all that lay there for a while, half-written files and mixtures are never faxed."""
        assert delivery.strange == []

    @pytest.mark.parametrize("way", [way.__name__ for way in WAYS])
    def test_every_document_written_whole_is_faxed_once(self, delivery: Delivery, way: str) -> None:
        """However a scanner or a person writes it, a whole document is faxed, and once."""
        row = delivery.rows[way]
        assert (row.lost, row.doubled) == (0, 0), row

    def test_no_whole_document_is_called_damaged(self, delivery: Delivery) -> None:
        """What is slow to be written, or gone on with later, is not failed meanwhile."""
        assert delivery.wrongly_failed == []

    def test_what_is_in_sent_is_what_was_faxed(self, delivery: Delivery) -> None:
        """Where the kernel tells of writers, nobody can write to a document that was claimed."""
        if delivery.tells_of_writers:
            assert delivery.changed == []
