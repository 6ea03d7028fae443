"""The PDF reader in a separate process: nothing that happens there hurts the daemon."""

import errno
import gc
import hashlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import psutil
import pytest

from faxdrop.documents.checker import SEATS, Checker, CheckerError, Limits
from faxdrop.fax.reasons import ReasonCode
from tests.kit import pdfs
from tests.kit.readers import HOSTILE, TIGHT, are_waiting, check, opened
from tests.kit.waiting import PATIENCE, until

LIMITS = Limits(max_bytes=10_000_000, max_pages=30)
SHORT = replace(TIGHT, seconds=1.0)


def empty() -> int:
    """Return a new file, open for reading and writing."""
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Watched:
    """A document on which the hostile reader notes who looks at it."""

    def __init__(self, order: bytes) -> None:
        self.order = order
        self.fd = opened(order, os.O_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    @property
    def looks(self) -> list[int]:
        """The process ids of those who have looked."""
        return [int(line) for line in os.pread(self.fd, 1000, 0).splitlines()[1:] if line != b"go"]

    def kill_when_looked_at(self, times: int) -> None:
        """Kill the reader, as who runs out of memory does, when it looks for the nth time."""
        until(lambda: len(self.looks) == times)
        os.kill(self.looks[-1], signal.SIGKILL)

    def go(self) -> None:
        """Let a reader that lingers end."""
        os.pwrite(self.fd, b"\ngo", os.fstat(self.fd).st_size)


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    """Return a running checker."""
    with Checker(LIMITS) as running:
        yield running


@pytest.fixture
def hostile() -> Iterator[Checker]:
    """Return a checker whose reader does what the document says."""
    with Checker(TIGHT, reader=HOSTILE) as running:
        yield running


@pytest.fixture
def hasty(hostile: Checker) -> Checker:
    """Return the same, with little time for a document, and its server at work."""
    assert check(hostile, b"fine").whole
    hostile.limits = SHORT
    return hostile


# -- the way it should be --------------------------------------------------------------------


def test_check(checker: Checker) -> None:
    """A document's verdict arrives as it was given."""
    verdict = check(checker, pdfs.good(2))
    assert verdict.facts is not None
    assert (verdict.pages, verdict.clean) == (2, True)
    assert verdict.sha256 == hashlib.sha256(pdfs.good(2)).hexdigest()


@pytest.mark.parametrize(
    "data",
    [pdfs.form(), pdfs.owner_locked(), pdfs.repairable()],
    ids=["form", "AES-256", "no cross-reference table"],
)
def test_prepare(checker: Checker, data: bytes) -> None:
    """The copy is in the file that was given for it, also from a confined reader."""
    source, output = opened(data), empty()
    verdict = checker.prepare(source, output)
    copy = os.pread(output, 1 << 20, 0)
    assert verdict.copy_sha256 == hashlib.sha256(copy).hexdigest()
    assert check(checker, copy).clean
    os.close(source)
    os.close(output)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ReasonCode.NOT_A_PDF),
        (pdfs.encrypted(), ReasonCode.ENCRYPTED_PDF),
        (pdfs.truncated(), ReasonCode.DAMAGED_PDF),
        (pdfs.good(31), ReasonCode.TOO_MANY_PAGES),
        (pdfs.of_size(11_000_000), ReasonCode.TOO_LARGE),
        (pdfs.zip_bomb(), ReasonCode.DAMAGED_PDF),
        (pdfs.page_bomb(), ReasonCode.TOO_MANY_PAGES),
        (pdfs.deep_nesting(), ReasonCode.DAMAGED_PDF),
    ],
    ids=["empty", "encrypted", "cut", "long", "large", "zip bomb", "page bomb", "deep"],
)
def test_refusals(checker: Checker, data: bytes, code: ReasonCode) -> None:
    """A refusal comes with its reason, size and hash."""
    verdict = check(checker, data)
    assert verdict.reason is not None
    assert verdict.reason.code is code
    assert verdict.sha256 == hashlib.sha256(data).hexdigest()
    assert verdict.bytes == len(data)


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended, reaped or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_one_server(checker: Checker) -> None:
    """One server serves all documents, many threads at once, and keeps no dead children."""
    check(checker, pdfs.good())
    pid = checker.pid
    assert pid is not None
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda pages: check(checker, pdfs.good(pages)), range(1, 25)))
    assert [verdict.pages for verdict in verdicts] == list(range(1, 25))
    assert checker.pid == pid
    until(lambda: are_waiting(pid))


def test_nothing_is_left_over(checker: Checker) -> None:
    """Checks leave no open files, threads or memory behind in the daemon."""
    document = opened(pdfs.good())

    def used() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    checker.check(document)
    gc.collect()  # what other tests left
    before = used()
    me = psutil.Process()
    memory = me.memory_info().rss
    for _ in range(100):
        checker.check(document)
    assert all(now <= then for now, then in zip(used(), before, strict=True))
    assert me.memory_info().rss - memory < 2_000_000
    os.close(document)


def test_a_flawed_document_takes_its_reader_along() -> None:
    """A reader that read anything but a flawless document reads no other one."""
    with Checker(Limits(max_bytes=10_000_000, max_pages=30)) as checker:
        for _ in range(SEATS):
            check(checker, pdfs.good())
        until(lambda: are_waiting(checker.pid))
        server = psutil.Process(checker.pid)
        before = {child.pid for child in server.children()}
        for _ in range(SEATS):
            check(checker, pdfs.good())
        assert {child.pid for child in server.children()} == before
        check(checker, b"no PDF")
        # The first reader, and the one that read it again.
        until(lambda: len(before - {child.pid for child in server.children()}) == 2)


# -- readers that were taken over, and hide it -----------------------------------------------


def taken_over_by(checker: Checker, order: bytes) -> list[int]:
    """Have documents take over all readers; return their process ids."""
    readers = []
    for _ in range(SEATS):
        with Watched(order) as document:
            assert checker.check(document.fd).is_flawless
            readers += document.looks
    return readers


@pytest.mark.parametrize("order", [b"take-over", b"take-over-and-praise"])
def test_a_reader_speaks_for_no_other_document(hostile: Checker, order: bytes) -> None:
    """A reader that was taken over cannot have the next document refused or mistaken."""
    taken_over = taken_over_by(hostile, order)
    for _ in range(SEATS):
        with Watched(b"plain") as document:
            verdict = hostile.check(document.fd)
            liar, honest = document.looks
        assert (liar in taken_over, honest in taken_over) == (True, False)
        assert verdict.is_flawless
        assert verdict.sha256 == hashlib.sha256(b"plain").hexdigest()
    until(lambda: all(has_ended(reader) for reader in taken_over))


def test_a_reader_writes_no_other_copy(hostile: Checker) -> None:
    """The copy that is faxed is written by a reader that has read nothing else."""
    taken_over = taken_over_by(hostile, b"take-over")
    for _ in range(SEATS):
        with Watched(b"plain") as document:
            output = empty()
            assert hostile.prepare(document.fd, output).whole
            assert os.pread(output, 100, 0) == b"copy"
            assert not set(document.looks) & set(taken_over)
            os.close(output)
    until(lambda: all(has_ended(reader) for reader in taken_over))


def test_a_reader_hears_of_no_other_document(hostile: Checker) -> None:
    """A reader has one socket of its own, and receives only its questions there."""
    assert check(hostile, b"sockets").pages == 1
    with Watched(b"overhear") as document, ThreadPoolExecutor(5) as threads:
        overhearing = threads.submit(hostile.check, document.fd)
        until(lambda: len(document.looks) == 1)
        for verdict in threads.map(lambda _: check(hostile, b"plain"), range(40)):
            assert verdict.is_flawless
        document.go()
        assert overhearing.result().pages == 0


def test_idle_costs_nothing(checker: Checker) -> None:
    """Between documents the server waits without using the processor."""
    check(checker, pdfs.good())
    server = psutil.Process(checker.pid)
    until(lambda: are_waiting(checker.pid) and server.status() == psutil.STATUS_SLEEPING)

    def rests() -> bool:
        before = server.num_ctx_switches(), server.cpu_times()
        threading.Event().wait(0.2)  # an interval to be watched, not one to be waited for
        return (server.num_ctx_switches(), server.cpu_times()) == before

    until(rests, what="a server that has come to rest")


def test_daemon_does_not_load_the_reader() -> None:
    """A daemon that checks documents has never loaded the PDF reader."""
    code = (
        "import sys, os\n"
        "from faxdrop.documents.checker import Checker, Limits\n"
        "with Checker(Limits(10000, 30)) as checker:\n"
        "    print(checker.check(os.open(sys.argv[1], os.O_RDONLY)).pages)\n"
        "print([name for name in sys.modules if 'pikepdf' in name or 'lxml' in name])\n"
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(pdfs.good(2))
        file.flush()
        seen = subprocess.run(
            [sys.executable, "-c", code, file.name], capture_output=True, text=True, check=True
        )
    assert seen.stdout.splitlines() == ["2", "[]"]


# -- the way it goes wrong -------------------------------------------------------------------


def test_crash(hostile: Checker) -> None:
    """A document on which the reader crashes is refused with hash and size, at the second crash."""
    data = b"crash"
    with Watched(data) as document:
        verdict = hostile.check(document.fd)
        assert len(document.looks) == 2
    assert not verdict.whole
    assert not verdict.killed
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.DAMAGED_PDF
    assert "crash" in verdict.reason.message
    assert (verdict.sha256, verdict.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert check(hostile, b"fine").whole


def test_a_crash_that_is_not_believed(hostile: Checker) -> None:
    """A reader that crashes once may have been led astray by an earlier one: it is tried again."""
    with Watched(b"crash-once") as document:
        output = empty()
        assert hostile.prepare(document.fd, output).whole
        assert os.pread(output, 100, 0) == b"copy"
        os.close(output)


# -- killed from outside ---------------------------------------------------------------------


def test_killed_once(hostile: Checker) -> None:
    """A reader that is killed from outside says nothing of its document, which is read again."""
    with Watched(b"hang-once") as document, ThreadPoolExecutor(1) as threads:
        output = empty()
        prepared = threads.submit(hostile.prepare, document.fd, output)
        document.kill_when_looked_at(1)
        assert prepared.result().whole
        assert os.pread(output, 100, 0) == b"copy"
        assert len(document.looks) == 2
        os.close(output)


def test_killed_each_time(hostile: Checker) -> None:
    """A document whose reader is killed each time is not called damaged."""
    with Watched(b"hang") as document, ThreadPoolExecutor(1) as threads:
        checked = threads.submit(hostile.check, document.fd)
        for times in (1, 2, 3):
            document.kill_when_looked_at(times)
        verdict = checked.result()
        assert len(document.looks) == 3
    assert verdict.killed
    assert not verdict.whole
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.TOO_LARGE
    assert "was killed 3 times" in verdict.reason.message
    assert verdict.sha256 == hashlib.sha256(b"hang").hexdigest()
    assert check(hostile, b"fine").whole


def test_killed_at_once_each_time(hostile: Checker) -> None:
    """If a reader is killed before it sees a document, the trouble is the machine's memory."""
    with Watched(b"storage-hangs") as document, ThreadPoolExecutor(1) as threads:
        checked = threads.submit(hostile.check, document.fd)
        for times in (1, 2, 3):
            document.kill_when_looked_at(times)
        with pytest.raises(CheckerError, match="killed repeatedly") as raised:
            checked.result()
    assert raised.value.errno == errno.ENOMEM


def test_who_was_killed_is_read_again_alone(hostile: Checker) -> None:
    """When memory is short, one document is read alone."""
    with (
        Watched(b"linger") as before,
        Watched(b"hang-once") as killed,
        Watched(b"fine") as after,
        ThreadPoolExecutor(3) as threads,
    ):
        lingering = threads.submit(hostile.check, before.fd)
        until(lambda: len(before.looks) == 1)
        checked = threads.submit(hostile.check, killed.fd)
        killed.kill_when_looked_at(1)
        until(lambda: hostile.wait_to_be_alone == 1)
        late = threads.submit(hostile.check, after.fd)
        assert len(killed.looks) == 1
        assert after.looks == []
        before.go()
        assert lingering.result().whole
        assert checked.result().whole
        assert late.result().whole
        assert (len(killed.looks), len(after.looks)) == (2, 1)


def test_the_server_is_killed_while_it_reads(hostile: Checker) -> None:
    """When the server itself is killed, with its children, the document is read again."""
    with Watched(b"hang-once") as document, ThreadPoolExecutor(1) as threads:
        checked = threads.submit(hostile.check, document.fd)
        until(lambda: len(document.looks) == 1)
        assert hostile.pid is not None
        os.kill(hostile.pid, signal.SIGKILL)
        assert checked.result().whole
    with Watched(b"hang") as document, ThreadPoolExecutor(1) as threads:
        checked = threads.submit(hostile.check, document.fd)
        for _ in range(3):
            until(lambda: len(document.looks) > 0)
            os.ftruncate(document.fd, len(document.order))
            assert hostile.pid is not None
            os.kill(hostile.pid, signal.SIGKILL)
        assert checked.result().killed


def _is_removed(group: Path) -> bool:
    with suppress(OSError):  # somebody is still in it
        group.rmdir()
    return not group.exists()


@contextmanager
def little_memory(most: int) -> Iterator[Path]:
    """Make a control group with so many bytes of memory; yield where a process joins it."""
    v1 = Path("/sys/fs/cgroup/memory")
    group = (v1 if v1.is_dir() else v1.parent) / f"faxdrop-test-{secrets.token_hex(6)}"
    try:
        group.mkdir()
        limit = group / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")
        limit.write_text(str(most))
    except OSError as error:
        pytest.skip(f"no control group for memory: {error}")
    for swap, none in (("memory.memsw.limit_in_bytes", most), ("memory.swap.max", 0)):
        if (group / swap).exists():
            (group / swap).write_text(str(none))
    try:
        yield group / "cgroup.procs"
    finally:
        until(lambda: _is_removed(group), what="the end of all in the group")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="control groups need root")
def test_the_kernel_kills_a_reader_that_takes_all_memory() -> None:
    """Out of memory, the kernel kills the reader and not the daemon, and the reason says so."""
    code = (
        "import os, sys\n"
        "from tests.unit.test_checker import HOSTILE, TIGHT, Checker, check\n"
        "open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "with Checker(TIGHT, reader=HOSTILE) as checker:\n"
        "    pid = checker.pid\n"
        "    verdict = check(checker, b'feast')\n"
        "    print(verdict.killed, verdict.reason.code, checker.pid == pid)\n"
        "    print(check(checker, b'fine').whole)\n"
    )
    with little_memory(150 << 20) as group:
        seen = subprocess.run(
            [sys.executable, "-c", code, str(group)], capture_output=True, text=True, check=False
        )
    assert seen.stdout.splitlines() == ["True too_large True", "True"], seen.stderr


def test_our_own_limits_are_no_killing(hasty: Checker) -> None:
    """A document that takes too long is read once, and the reason says so."""
    for way in (b"hang", b"spin"):
        with Watched(way) as document:
            verdict = hasty.check(document.fd)
            assert len(document.looks) == 1
        assert not verdict.killed
        assert verdict.reason is not None
        assert "within 1 seconds" in verdict.reason.message


def test_a_reader_is_the_first_to_be_killed(hostile: Checker) -> None:
    """If memory runs out, the kernel kills a reader and not the daemon."""
    check(hostile, b"fine")
    until(lambda: are_waiting(hostile.pid))
    mine = int(Path("/proc/self/oom_score_adj").read_text())
    for child in psutil.Process(hostile.pid).children():
        assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) > mine


@pytest.mark.parametrize("way", ["hang", "spin"])
def test_hang(hasty: Checker, way: str) -> None:
    """A document on which the reader hangs is refused in time, and the reader is gone."""
    started = time.monotonic()
    verdict = check(hasty, way.encode())
    assert time.monotonic() - started < PATIENCE  # the reader hangs for ever
    assert not verdict.whole
    assert verdict.reason is not None
    assert "1 seconds" in verdict.reason.message
    assert hasty.pid is not None
    until(lambda: are_waiting(hasty.pid))


def test_others_go_on_beside_a_hang(hasty: Checker) -> None:
    """While one document hangs, others are checked."""
    with ThreadPoolExecutor(2) as threads, Watched(b"hang") as document:
        hanging = threads.submit(hasty.check, document.fd)
        until(lambda: len(document.looks) == 1)
        hasty.limits = TIGHT  # the others have time, however slow the machine is
        while not hanging.done():
            assert check(hasty, b"fine").whole
        assert not hanging.result().whole


def test_memory(hostile: Checker) -> None:
    """A document cannot take more memory than is allowed."""
    assert check(hostile, b"memory").pages == 1


def test_open_files(hostile: Checker) -> None:
    """A document's reader can open no more than a few files."""
    with pytest.raises(OSError, match="Too many") as raised:
        check(hostile, b"files")
    assert raised.value.errno == errno.EMFILE


def test_storage_fails(hostile: Checker) -> None:
    """A file that cannot be read raises the storage's error, and is not blamed on the document."""
    with pytest.raises(OSError, match="Input/output") as raised:
        check(hostile, b"io")
    assert raised.value.errno == errno.EIO
    hostile.limits = SHORT
    with pytest.raises(TimeoutError):
        check(hostile, b"storage-hangs")


def test_full_disk(checker: Checker) -> None:
    """A copy that cannot be written raises, and says nothing about the document."""
    source = opened(pdfs.form())
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space") as raised:
        checker.prepare(source, full)
    assert raised.value.errno == errno.ENOSPC


def test_nonsense(hostile: Checker) -> None:
    """Nonsense from a reader that was taken over is ignored."""
    verdict = check(hostile, b"nonsense")
    assert verdict.reason is not None
    assert verdict.reason.code is ReasonCode.DAMAGED_PDF


def test_flood(hostile: Checker) -> None:
    """A reader that is made to talk without end is cut off, and the next document is checked."""
    with pytest.raises(TimeoutError):
        check(hostile, b"flood")
    assert check(hostile, b"fine").whole


def test_server_killed_between(hostile: Checker) -> None:
    """A server that has died is started again at the next document."""
    check(hostile, b"fine")
    pid = hostile.pid
    assert pid is not None
    until(lambda: are_waiting(pid))
    children = psutil.Process(pid).children()
    os.kill(pid, signal.SIGKILL)
    until(lambda: all(has_ended(child.pid) for child in children))
    assert check(hostile, b"fine").whole
    assert hostile.pid != pid


def test_child_of_dead_server() -> None:
    """A child whose server died before it could ask for the kernel's signal ends by itself."""
    orphan = "import os; from faxdrop.documents import reader; reader._die_with(os.getppid() + 1)"
    assert subprocess.run([sys.executable, "-c", orphan], check=False).returncode == 3


def test_a_reader_that_says_nothing(hostile: Checker) -> None:
    """A reader that ends each time without an answer means trouble with the machine."""
    with pytest.raises(CheckerError):
        check(hostile, b"silent")
    assert check(hostile, b"fine").whole


def test_a_machine_without_room_for_a_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is told in the system's words, without a number."""

    def refuse(*_given: object, **_named: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), sys.executable)

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(CheckerError) as found:
        Checker(LIMITS).start()
    assert found.value.strerror == (
        f"the PDF reader cannot be started: {sys.executable}: Cannot allocate memory"
    )


def test_reader_cannot_start() -> None:
    """If a reader cannot be started, the error says exactly that."""
    with Checker(LIMITS, reader="tests.no_such_module") as checker, pytest.raises(CheckerError):
        check(checker, pdfs.good())


def test_environment(hostile: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret of the daemon's is in the reader's environment."""
    monkeypatch.setenv("TOKEN", "secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    hostile.close()
    known = set((check(hostile, b"environment").copy_sha256 or "").split())
    assert known <= {
        "OPENBLAS_NUM_THREADS",
        "COVERAGE_PROCESS_CONFIG",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",  # Python's own doing
        "PATH",
        "PYTHONHOME",
        "PYTHONPATH",
    }


def test_no_files_of_the_daemon(hostile: Checker) -> None:
    """The server has none of the daemon's open files."""
    secret = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(secret, True)  # noqa: FBT003 - that is the function's way
    check(hostile, b"fine")
    until(lambda: are_waiting(hostile.pid))
    links = [str(link.readlink()) for link in Path(f"/proc/{hostile.pid}/fd").iterdir()]
    kinds = Counter(re.sub(r":?\[.*", "", link) for link in links)
    # For documents, for handing them to children, for how these ended, and for their sandbox.
    assert kinds.pop("socket") == 1 + len(psutil.Process(hostile.pid).children())
    assert kinds.pop("pipe") == 1
    assert kinds.keys() <= {"/dev/null", "anon_inode"}
    os.close(secret)


def test_limits_go_along(hostile: Checker) -> None:
    """The limits arrive at the reader."""
    assert check(hostile, b"limits").pages == LIMITS.max_pages


def test_server_ends_with_the_daemon(tmp_path: Path) -> None:
    """However the daemon dies, its server ends."""
    code = (
        "import os, signal, sys\n"
        "from faxdrop.documents.checker import Checker, Limits\n"
        "checker = Checker(Limits(10000, 30))\n"
        "checker.check(os.open(sys.argv[1], os.O_RDONLY))\n"
        "print(checker.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    document = tmp_path / "a.pdf"
    document.write_bytes(pdfs.good())
    seen = subprocess.run(
        [sys.executable, "-c", code, str(document)], capture_output=True, text=True, check=False
    )
    pid = int(seen.stdout)
    until(lambda: has_ended(pid))


def test_close() -> None:
    """A closed checker has no server, and can be used again."""
    checker = Checker(LIMITS)
    checker.start()
    server = psutil.Process(checker.pid)
    checker.close()
    checker.close()
    assert not server.is_running()
    assert checker.pid is None
    assert check(checker, pdfs.good()).clean
    checker.close()
