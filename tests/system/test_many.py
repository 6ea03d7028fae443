"""Thousands of files and a thousand recipients at once, and the daemon stays small."""

import hashlib
import resource
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from tests.kit import pdfs
from tests.kit.processes import Office, Simulated

pytestmark = pytest.mark.long

PATIENCE = 900.0  # seconds
MOST_GROWTH = 100_000_000  # bytes of memory: some 2 kB a job, and the history of all that was sent
DEAREST_STATUS = 5.0  # seconds of processor time: how busy the machine is does not count
SLOW_LETTER = 5.0  # seconds until a letter is sent, whatever else there is
SLOWEST_LETTER = 20.0  # the same for one of them: a machine may stand still for a moment


class Gauge:
    """Looks at a daemon while it works: its memory, and what ``faxdrop status`` costs."""

    def __init__(self, office: Office) -> None:
        assert office.program is not None
        self._office = office
        self._daemon = psutil.Process(office.program.pid)
        self.before = self.memory
        self.most = self.before
        self.status: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    @property
    def memory(self) -> int:
        """The daemon's resident memory now, in bytes."""
        resident: int = self._daemon.memory_info().rss
        return resident

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self.most = max(self.most, self.memory)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = self._office.command("status")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
            self.status.append(took)
            assert done.returncode == 0, done.stderr

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    """Start a simulator."""
    with Simulated("--pace", "0") as simulated:
        yield simulated


def drop_all(office: Office, numbers: list[str], each: int) -> dict[str, list[str]]:
    """Put files into all folders in turn; return the hashes of each number's, the oldest first."""
    dropped = defaultdict(list)
    for letter in range(each):
        for number in numbers:
            content = pdfs.good(1, f"{letter} to {number}")
            office.drop(number, f"{letter:04}.pdf", content)
            dropped[number].append(hashlib.sha256(content).hexdigest())
    return dropped


@pytest.mark.parametrize(
    ("recipients", "each"), [(50, 100), (1000, 2)], ids=["files", "recipients"]
)
def test_very_many_documents_at_once(
    tmp_path: Path, simulated: Simulated, recipients: int, each: int
) -> None:
    """All are found and sent once, each recipient's in order, with little memory and a status."""
    numbers = [f"+4930{1_000_000 + at}" for at in range(recipients)]
    documents = recipients * each
    with Office(tmp_path, simulated.base_url, recipients={}) as office:
        office.start()
        office.drop(numbers[0], "first.pdf", pdfs.good(1, "first"))
        office.await_filed(1)
        with Gauge(office) as gauge:
            began = time.monotonic()
            dropped = drop_all(office, numbers, each)
            dropped_in = time.monotonic() - began
            office.await_event("fax.claimed", count=1 + documents, seconds=PATIENCE)
            claimed_in = time.monotonic() - began
            office.await_filed(1 + documents, PATIENCE)
            sent_in = time.monotonic() - began
        grown = gauge.most - gauge.before
        print(  # noqa: T201 - what a person wants to see of it (pytest -rP)
            f"{documents} files for {recipients} recipients, dropped in {dropped_in:.0f} s, all"
            f" claimed after {claimed_in:.0f} s, all sent after {sent_in:.0f} s;"
            f" memory {gauge.before >> 20} MiB, at most {gauge.most >> 20} MiB;"
            f" status cost at most {max(gauge.status):.1f} s ({len(gauge.status)} times)"
        )
        assert len(office.filed("sent")) == 1 + documents
    taken = defaultdict(list)
    for fax in simulated.taken[1:]:
        taken[fax["number"]].append(fax["sha256"])
    assert taken == dropped
    assert grown < MOST_GROWTH
    assert max(gauge.status) < DEAREST_STATUS


@pytest.mark.parametrize("when", ["before the start", "meanwhile"])
def test_thousands_of_folders_of_junk(tmp_path: Path, simulated: Simulated, when: str) -> None:
    """Letters beside 3,000 folders of junk are sent as if the junk were not there."""
    settings = {"settle": "3s", "patience": "300s"}
    with Office(tmp_path, simulated.base_url, inbox_settings=settings) as office:
        if when == "before the start":
            scatter(office, 3_000)
        office.start()
        scattering = threading.Thread(target=scatter, args=(office, 3_000))
        if when == "meanwhile":
            scattering.start()
        waits, seen = list[float](), set[object]()
        until = time.monotonic() + 30.0  # seconds: a start, a look at everything, all due once
        latest = until + PATIENCE  # on a slow machine the look at everything takes longer
        while (
            time.monotonic() < until
            or scattering.is_alive()
            or (seen == {True} and time.monotonic() < latest)
        ):
            number = len(waits)
            office.drop("Amt", f"{number}.pdf", pdfs.good(1, f"letter {number}"))
            began = time.monotonic()
            office.await_event("fax.sent", count=number + 1)
            waits.append(time.monotonic() - began)
            seen.add(office.status()["scanning"] is not None)
        *others, slowest = sorted(waits)
        print(f"{len(waits)} letters, the slowest sent after {slowest:.1f} s")  # noqa: T201 - -rP
        assert max(others) < SLOW_LETTER
        assert slowest < SLOWEST_LETTER
        assert when == "meanwhile" or seen == {True, False}
        assert office.events("loop.failed") == []
        assert office.status()["holds"] == []
        office.until(lambda: office.status()["inbox"] == 21_000, "all junk seen")


def scatter(office: Office, folders: int) -> None:
    """Put seven files that are no PDFs into each of so many folders."""
    for folder in range(folders):
        path = office.inbox / f"junk {folder:05}"
        path.mkdir(parents=True)
        for name in range(7):
            (path / f"{name}.docx").write_bytes(b"PK, and no PDF")
