"""What faxdrop costs, as ratios: ``python -m tests.benchmark [name ...]`` prints a line a figure.

Each figure stands beside a yardstick that runs in the same call, against the same simulator, since
machines are noisy. Nothing here is a test: nothing fails for being slow. What cannot be measured
says so, the others go on, and the exit status is 1.
"""

import argparse
import base64
import contextlib
import io
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import psutil
import requests

from faxdrop.clock import Clock
from faxdrop.daemon.loop import STEPS
from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits
from faxdrop.fax.job import Attempt, Facts, Job, State
from faxdrop.fax.receipt import to_bytes
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import EndLine, LineAttempt, LineDocument, LineRecipient
from faxdrop.spool.root import Spool
from tests.kit.pdfs import form, good, of_size
from tests.kit.world import TOKEN, TOKEN_ID

SYNCS = 8  # fsyncs that faxdrop makes a document, the first to its number; a test counts them

CONFIG = """
root = {root}
[sipgate]
faxline = "f0"
base_url = {base_url}
[inbox]
settle = "1s"
[documents]
max_megabytes = 20
max_pages = 1000
[sending]
poll_interval = {poll}
[report]
pdf = {reports}
"""


@dataclass
class Row:
    """One line of the output."""

    what: str
    figure: str
    yardstick: str
    ratio: str
    aim: str

    def __str__(self) -> str:
        cells = f"{self.what:52} {self.figure:>10}  {self.yardstick:32} {self.ratio:>12}"
        return f"{cells}  {self.aim}"


@dataclass
class Running:
    """A daemon under measurement: its process and its log events."""

    process: subprocess.Popen[str]
    events: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # of events, by their names
    changed: threading.Condition = field(default_factory=threading.Condition)

    def note(self, at: float, event: dict[str, Any]) -> None:
        """Take an event of the log, or of our own."""
        with self.changed:
            self.events.append((at, event))
            self.counts[event["event"]] += 1
            self.changed.notify_all()

    def listen(self) -> None:
        """Read the log until it ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with contextlib.suppress(ValueError):
                self.note(time.monotonic(), json.loads(line))
        self.process.wait()
        with self.changed:
            self.changed.notify_all()

    def count(self, name: str) -> int:
        """Return how many events of a name there were."""
        return self.counts[name]

    def wait_for(self, name: str, number: int = 1, timeout: float = 300.0) -> float:
        """Wait for so many events of a name; return the instant of the last."""

        def is_over() -> bool:
            return self.count(name) >= number or self.process.poll() is not None

        with self.changed:
            if not self.changed.wait_for(is_over, timeout) or self.count(name) < number:
                raise TimeoutError(f"{self.count(name)} of {number} {name}: {self.events[-3:]}")
        return [at for at, event in self.events if event["event"] == name][number - 1]


class Bench:
    """A simulator in a process of its own, and a folder for everything."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._roots = 0

    @contextmanager
    def simulator(self, pace: float = 0.0) -> Iterator[tuple[str, str]]:
        """Run a simulator; yield its base URL and its control URL."""
        ours, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_simulate, args=(theirs, pace), daemon=True)
        process.start()
        theirs.close()  # so that a simulator that dies is heard of
        try:
            yield ours.recv()
        finally:
            process.terminate()
            process.join()

    def root(self) -> Path:
        """Return a new root."""
        self._roots += 1
        root = self.folder / f"root{self._roots}"
        root.mkdir()
        return root

    @contextmanager
    def daemon(
        self,
        root: Path,
        base_url: str,
        poll: str = "500ms",
        program: Sequence[str] = ("-m", "faxdrop"),
        reports: str = "none",
    ) -> Iterator[Running]:
        """Run a daemon that is ready."""
        config = root.with_suffix(".toml")
        config.write_text(
            CONFIG.format(
                root=json.dumps(str(root)),
                base_url=json.dumps(base_url),
                poll=json.dumps(poll),
                reports=json.dumps(reports),
            )
        )
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *program, "--config", str(config), "run"],
            env={**os.environ, "TOKEN_ID": TOKEN_ID, "TOKEN": TOKEN},
            stderr=subprocess.PIPE,
            text=True,
        )
        running = Running(process)
        running.note(started, {"event": "bench.started"})
        thread = threading.Thread(target=running.listen)
        thread.start()
        try:
            running.wait_for("daemon.ready")
            yield running
        finally:
            process.terminate()
            process.wait()
            thread.join()
            assert process.stderr is not None
            process.stderr.close()


def _simulate(pipe: Any, pace: float) -> None:
    from faxdrop.simulator import Simulator  # noqa: PLC0415  (in the simulator's process only)

    with Simulator(pace=pace) as simulator:
        pipe.send((simulator.base_url, simulator.control_url))
        threading.Event().wait()


def numbers(count: int) -> list[str]:
    """Return so many different fax numbers, none of them one of the simulator's magic ones."""
    return [f"+493023{126000 + number}" for number in range(count)]


def documents(count: int) -> list[bytes]:
    """Return so many different PDFs of one page."""
    return [good(1, f"Letter {number}") for number in range(count)]


def yardstick_loop(base_url: str, folder: Path, pdfs: list[bytes], syncs: int = 0) -> float:
    """Send PDFs in a bare loop, with so many fsyncs for each; return its seconds."""
    sent = folder / "yardstick"
    sent.mkdir(parents=True)
    for number, pdf in enumerate(pdfs):
        (folder / f"{number}.pdf").write_bytes(pdf)
    started = time.monotonic()
    http = requests.Session()
    http.auth = (TOKEN_ID, TOKEN)
    for number, target in enumerate(numbers(len(pdfs))):
        source = folder / f"{number}.pdf"
        content = base64.b64encode(source.read_bytes()).decode()
        body = {
            "faxlineId": "f0",
            "recipient": target,
            "filename": source.name,
            "base64Content": content,
        }
        answer = http.post(f"{base_url}/sessions/fax", json=body, timeout=30)
        session_id = answer.json()["sessionId"]
        status = http.get(f"{base_url}/history/{session_id}", timeout=30).json()["faxStatusType"]
        (sent / f"{number}.pdf.json").write_text(json.dumps({"id": session_id, "status": status}))
        source.rename(sent / source.name)
        sync_some(sent, syncs)
    seconds = time.monotonic() - started
    http.close()
    return seconds


def sync_some(folder: Path, count: int) -> None:
    """Make so many fsyncs, as records cost them: of a new file, and of its folder by turns."""
    for number in range(count):
        new = folder / "record.tmp"
        flags = os.O_RDONLY if number % 2 else os.O_WRONLY | os.O_CREAT
        fd = os.open(folder if number % 2 else new, flags)
        if not number % 2:
            os.write(fd, b"x" * 1000)
        os.fsync(fd)
        os.close(fd)
        if not number % 2:
            new.rename(folder / "record")


ONE_SHOT = """
import base64, sys, time
import requests
url, path, recipient = sys.argv[1:4]
auth = (sys.argv[4], sys.argv[5])
with open(path, "rb") as file:
    content = base64.b64encode(file.read()).decode()
body = {"faxlineId": "f0", "recipient": recipient, "filename": "fax.pdf", "base64Content": content}
session = requests.post(url + "/sessions/fax", json=body, auth=auth).json()["sessionId"]
status = "STARTING"
while status in ("STARTING", "PENDING", "SENDING"):
    status = requests.get(url + "/history/" + session, auth=auth).json()["faxStatusType"]
    time.sleep(5)
"""


def drop_all(root: Path, pdfs: list[bytes]) -> float:
    """Drop one PDF for each number at once, by moving; return when it began.

    The folders are there before, as they are in an office. What comes together with its folder has
    to rest for ``settle``, since nobody can tell how it came: that is a wait, and no throughput.
    """
    staging = root / "staging"
    staging.mkdir()
    for number, pdf in enumerate(pdfs):
        (staging / f"{number}.pdf").write_bytes(pdf)
    targets = [root / "inbox" / target for target in numbers(len(pdfs))]
    for target in targets:
        target.mkdir(exist_ok=True)
    time.sleep(2)  # until they are watched
    started = time.monotonic()
    for number, target in enumerate(targets):
        (staging / f"{number}.pdf").rename(target / f"{number}.pdf")
    return started


WITHOUT_JOURNAL = """
from faxdrop.cli.main import main
from faxdrop.journal.chain import Journal
Journal.note = lambda self, filed: None
main()
"""


def _sent_by(
    bench: Bench, base_url: str, pdfs: list[bytes], program: Sequence[str]
) -> tuple[float, float]:
    """Have a daemon send PDFs; return the seconds it took, and those of the processor."""
    root = bench.root()
    with bench.daemon(root, base_url, program=program) as daemon:
        process = psutil.Process(daemon.process.pid)
        first = root / "inbox" / numbers(len(pdfs) + 1)[-1] / "first.pdf"
        first.parent.mkdir()
        first.write_bytes(good())
        daemon.wait_for("fax.sent")
        before = _cpu_of_all(process)
        started = drop_all(root, pdfs)
        took = daemon.wait_for("fax.sent", 1 + len(pdfs)) - started
        return took, _cpu_of_all(process) - before


def throughput(bench: Bench) -> list[Row]:
    """500 one-page PDFs to 500 numbers, until all have their receipts.

    One was sent before: what a start costs, of the reader too, is no throughput (see ``start``).
    """
    pdfs = documents(500)
    ours, untold, cpu = list[float](), list[float](), list[float]()
    bare, synced = list[float](), list[float]()
    for turn in range(3):
        for seconds, syncs in ((bare, 0), (synced, SYNCS)):
            with bench.simulator() as (base_url, _):
                folder = bench.folder / f"yardstick{turn}-{syncs}"
                seconds.append(yardstick_loop(base_url, folder, pdfs, syncs))
        for seconds, program in ((ours, ("-m", "faxdrop")), (untold, ("-c", WITHOUT_JOURNAL))):
            with bench.simulator() as (base_url, _):
                took, used = _sent_by(bench, base_url, pdfs, program)
                seconds.append(took)
                if seconds is ours:
                    cpu.append(used)
    our = statistics.median(ours)
    figure = f"{our:.2f} s"
    return [
        Row(
            "throughput: 500 PDFs to 500 numbers",
            figure,
            f"{words} {statistics.median(their):.2f} s",
            f"{our / statistics.median(their):.2f} x",
            aim,
        )
        for words, their, aim in (
            ("bare loop", bare, "<= 3 x"),
            (f"the same with {SYNCS} fsyncs each", synced, "<= 1.5 x"),
            ("without the journal", untold, "<= 1.05 x"),
        )
    ] + [
        Row(
            "processor time a document, reader included",
            f"{statistics.median(cpu) / len(pdfs) * 1000:.1f} ms",
            "",
            "",
            "",
        )
    ]


def journal(bench: Bench) -> list[Row]:
    """Lines of the journal by 12 threads, beside bare fsyncs; and reading 100,000 of them."""
    with (bench.folder / "bare").open("wb", buffering=0) as file:

        def write(_: int) -> None:
            file.write(b"x" * 1000)
            os.fsync(file.fileno())

        bare = _by_twelve(write, 1200)
    folder = bench.folder / ".faxdrop" / "journal"
    folder.mkdir(parents=True)
    chain = Journal(folder, lambda: datetime.now(UTC))
    lines = [_line(number) for number in range(100_000)]
    ours = _by_twelve(lambda number: chain.append(lines[number]), 1200)
    chain.append_all(lines[1200:])
    ask = [sys.executable, "-m", "faxdrop", "receipts", "--root", str(bench.folder)]
    started = time.monotonic()
    found = subprocess.run([*ask, "--status", "failed"], capture_output=True, check=True)
    asked = time.monotonic() - started
    assert b"10000 in all." in found.stdout
    started = time.monotonic()
    subprocess.run([*ask, "--summary"], capture_output=True, check=True)
    summed = time.monotonic() - started
    return [
        Row(
            "journal: 1,200 lines by 12 threads",
            f"{ours:.2f} s",
            f"bare write and fsync each {bare:.2f} s",
            f"{ours / bare:.2f} x",
            "<= 1 x: threads share an fsync",
        ),
        Row("journal: `receipts --summary` of 100,000", f"{summed:.2f} s", "", "", "<= 1 s"),
        Row("journal: `receipts --status failed`, 10,000", f"{asked:.2f} s", "", "", "<= 1 s"),
    ]


def _by_twelve(write: Callable[[int], object], count: int) -> float:
    """Have 12 threads do something so many times; return its seconds."""
    with ThreadPoolExecutor(STEPS) as pool:
        started = time.monotonic()
        list(pool.map(write, range(count)))
        return time.monotonic() - started


def _line(number: int) -> EndLine:
    """Return the end of a fax; each tenth has failed."""
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * number)
    is_sent = number % 10 > 0
    return EndLine(
        event="sent" if is_sent else "failed",
        job_id=f"{at:%Y%m%d-%H%M%S}-{number:08x}",
        document=LineDocument(name="letter.pdf", sha256="ab" * 32, bytes=1000, pages=2),
        recipient=LineRecipient(folder=f"Praxis {number % 50}", number="+492111234567"),
        faxline="f0",
        attempts=(LineAttempt(number=1, submitted_at=at, session_id=str(number), outcome="SENT"),),
        reason=None if is_sent else "transmission_failed",
        claimed_at=at,
        finished_at=at,
        path="sent/letter.pdf",
        receipt_sha256="cd" * 32,
    )


def one_shot(bench: Bench) -> list[Row]:
    """20 PDFs against one Python process a document that asks every 5 s."""
    pdfs = documents(20)
    with bench.simulator() as (base_url, _):
        folder = bench.folder / "oneshot"
        folder.mkdir()
        started = time.monotonic()
        for number, target in enumerate(numbers(len(pdfs))):
            path = folder / f"{number}.pdf"
            path.write_bytes(pdfs[number])
            subprocess.run(
                [sys.executable, "-c", ONE_SHOT, base_url, str(path), target, TOKEN_ID, TOKEN],
                check=True,
            )
        their = time.monotonic() - started
        root = bench.root()
        with bench.daemon(root, base_url) as daemon:
            started = drop_all(root, pdfs)
            our = daemon.wait_for("fax.sent", len(pdfs)) - started
    return [
        Row(
            "against the one-shot script: 20 PDFs",
            f"{our:.2f} s",
            f"script {their:.1f} s",
            f"{their / our:.0f} x faster",
            ">= 20 x",
        )
    ]


def latency(bench: Bench) -> list[Row]:
    """From the closing, or the moving in, of a file to the arrival of its POST; 200 drops."""
    p50, p99 = _delays(bench, "none")
    return [
        Row("latency, closed to POST, p50 of 200", f"{p50:.0f} ms", "", "", "50 ms"),
        Row("latency, closed to POST, p99 of 200", f"{p99:.0f} ms", "", "", "250 ms"),
    ]


def reports(bench: Bench) -> list[Row]:
    """Fax 100 documents with and without reports; the latency beside them."""
    pdfs = documents(100)
    sent, cpu, made = dict[str, float](), dict[str, float](), 0.0
    for wanted in ("none", "all"):
        with bench.simulator() as (base_url, _):
            root = bench.root()
            with bench.daemon(root, base_url, reports=wanted) as daemon:
                process = psutil.Process(daemon.process.pid)
                before = _cpu_of_all(process)
                started = drop_all(root, pdfs)
                sent[wanted] = daemon.wait_for("fax.sent", len(pdfs)) - started
                if wanted == "all":
                    made = daemon.wait_for("report.made", len(pdfs)) - started
                cpu[wanted] = _cpu_of_all(process) - before
    each = (cpu["all"] - cpu["none"]) / len(pdfs) * 1000
    ratio = sent["all"] / sent["none"]
    without, beside = _delays(bench, "none"), _delays(bench, "all")
    return [
        Row(
            "reports: 100 PDFs, until all are sent",
            f"{sent['all']:.2f} s",
            f"without reports {sent['none']:.2f} s",
            f"{ratio:.2f} x",
            "",
        ),
        Row("reports: the same, until all are made", f"{made:.2f} s", "", "", ""),
        Row("processor time a report", f"{each:.1f} ms", "", "", ""),
        Row(
            "latency, closed to POST, p50, with reports",
            f"{beside[0]:.0f} ms",
            f"without reports {without[0]:.0f} ms",
            f"{beside[0] / without[0]:.2f} x",
            "50 ms",
        ),
    ]


def _delays(bench: Bench, wanted: str) -> tuple[float, float]:
    """Return p50 and p99 of 200 drops, in milliseconds, with the reports that are wanted."""
    pdfs = documents(200)
    delays = []
    closed: dict[str, float] = {}
    with bench.simulator() as (base_url, control_url):
        root = bench.root()
        staging = bench.folder / "latency.pdf"
        for target in numbers(len(pdfs)):
            (root / "inbox" / target).mkdir(parents=True)
        with bench.daemon(root, base_url, reports=wanted) as daemon:
            for number, target in enumerate(numbers(len(pdfs))):
                path = root / "inbox" / target / f"{number}.pdf"
                if number % 2:
                    staging.write_bytes(pdfs[number])
                    staging.rename(path)
                else:
                    path.write_bytes(pdfs[number])
                closed[target] = time.time()
                daemon.wait_for("fax.submitted", number + 1)
        taken = requests.get(f"{control_url}/taken", timeout=30).json()
    delays = sorted((one["arrived"] - closed[one["number"]]) * 1000 for one in taken)
    return statistics.median(delays), delays[int(len(delays) * 0.99)]


def fill_spool(root: Path, count: int) -> None:
    """Leave so many jobs on their way in a spool, as a daemon that was stopped would."""
    spool = Spool(root)
    spool.open()
    now = Clock().now()
    for number in range(count):
        job = Job(
            job_id=f"20260101-000000-{number:08x}",
            state=State.ACCEPTED,
            name=f"{number}.pdf",
            folder=numbers(count)[0],
            claimed_at=now,
            number=numbers(1)[0],
            faxline="f0",
            document=Facts(sha256="0" * 64, bytes=10, pages=1),
            attempts=(
                Attempt(number=1, submitted_at=now, answered_at=now, session_id=f"{number}"),
            ),
        )
        folder = spool.jobs.document(job).parent
        folder.mkdir()
        spool.jobs.document(job).write_bytes(b"%PDF-1.4\n")
        (folder / "job.json").write_bytes(to_bytes(job))
    spool.close()


def start(bench: Bench) -> list[Row]:
    """From start to READY with 2,000 jobs on their way."""
    root = bench.root()
    fill_spool(root, 2000)
    with bench.simulator() as (base_url, _), bench.daemon(root, base_url) as daemon:
        ours = daemon.wait_for("daemon.ready") - daemon.wait_for("bench.started")
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "faxdrop", "--version"], check=True, capture_output=True)
    theirs = time.monotonic() - started
    return [
        Row(
            "start to READY, 2,000 jobs on their way",
            f"{ours:.2f} s",
            f"faxdrop --version {theirs:.2f} s",
            f"{ours / theirs:.1f} x",
            "3 s",
        )
    ]


def status_requests(bench: Bench) -> list[Row]:
    """Count the requests for one round over 1,000 faxes on their way."""
    count = 1000
    with bench.simulator(pace=3600) as (base_url, control_url):
        root = bench.root()
        with bench.daemon(root, base_url, poll="10m") as daemon:
            drop_all(root, documents(count))
            daemon.wait_for("fax.submitted", count)
        before = requests.get(f"{control_url}/requests", timeout=30).json()
        with bench.daemon(root, base_url, poll="10m"):
            _until(lambda: _asked(control_url) > _sum(before))
            _settled(control_url)
        after = requests.get(f"{control_url}/requests", timeout=30).json()
    asked = _sum(after) - _sum(before)
    return [
        Row(
            "requests for a round over 1,000 faxes",
            f"{asked}",
            f"one a fax {count}",
            f"{asked / count:.3f} x",
            "2",
        )
    ]


def _sum(kinds: dict[str, list[float]]) -> int:
    return sum(len(times) for kind, times in kinds.items() if kind.startswith("GET /history"))


def _asked(control_url: str) -> int:
    return _sum(requests.get(f"{control_url}/requests", timeout=30).json())


def _until(holds: Callable[[], bool], timeout: float = 60.0) -> None:
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def _settled(control_url: str) -> None:
    """Wait until no requests have come for two seconds."""
    last, since = _asked(control_url), time.monotonic()
    while time.monotonic() - since < 2:
        time.sleep(0.1)
        now = _asked(control_url)
        if now != last:
            last, since = now, time.monotonic()


def memory(bench: Bench) -> list[Row]:
    """Peak above idle while four PDFs of 10 MB are submitted at once."""
    with bench.simulator() as (base_url, _):
        root = bench.root()
        with bench.daemon(root, base_url) as daemon:
            process = psutil.Process(daemon.process.pid)
            drop_all(root, documents(8)[4:])
            daemon.wait_for("fax.sent", 4)
            idle = process.memory_info().rss
            peak = [idle]
            done = threading.Event()

            def watch() -> None:
                while not done.wait(0.002) and process.is_running():
                    peak.append(process.memory_info().rss)

            watcher = threading.Thread(target=watch)
            watcher.start()
            for number, target in enumerate(numbers(8)[4:]):
                big = bench.folder / "big.pdf"
                big.write_bytes(of_size(10_000_000 + number))
                (root / "inbox" / target).mkdir(exist_ok=True)
                big.rename(root / "inbox" / target / "big.pdf")
            daemon.wait_for("fax.sent", 8)
            done.set()
            watcher.join()
    rise = (max(peak) - idle) / 1e6
    return [
        Row(
            "memory above idle, four PDFs of 10 MB at once",
            f"{rise:.1f} MB",
            f"the four in base64 {4 * 10 * 4 / 3:.0f} MB",
            f"{rise / (4 * 10 * 4 / 3):.2f} x",
            "30 MB",
        )
    ]


def quiet(bench: Bench) -> list[Row]:
    """CPU time over 30 s with 200 recipient folders and 20,000 receipts, nothing to do."""
    root = bench.root()
    for number, target in enumerate(numbers(200)):
        (root / "inbox" / target).mkdir(parents=True)
        sent = root / "sent" / target
        sent.mkdir(parents=True)
        for receipt in range(100):
            (sent / f"{number}-{receipt}.pdf.json").write_text("{}")
    seconds = 30
    with bench.simulator() as (base_url, _), bench.daemon(root, base_url, "10s") as daemon:
        process = psutil.Process(daemon.process.pid)
        everybody = [process, *process.children(recursive=True)]
        time.sleep(3)  # the start's own work is not what is measured
        before = sum(_cpu(one) for one in everybody)
        time.sleep(seconds)
        used = sum(_cpu(one) for one in everybody) - before
    return [
        Row(
            "quiet: CPU over 30 s, 200 folders, 20,000 receipts",
            f"{used * 1000:.0f} ms",
            "one core 30 s",
            f"{used / seconds:.3%}",
            "< 0.5 %",
        )
    ]


def _cpu_of_all(process: psutil.Process) -> float:
    """Return the processor time of a process and its children, those that have ended included."""
    everybody = [process, *process.children(recursive=True)]
    ended = sum(
        one.cpu_times().children_user + one.cpu_times().children_system for one in everybody
    )
    return sum(_cpu(one) for one in everybody) + float(ended)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def drawing(bench: Bench) -> list[Row]:
    """Check a plain page, copy a form, make a picture of a page, and let pdfium just draw them."""
    from faxdrop.documents.pdf import copying, pictures, render  # noqa: PLC0415  (not in a daemon's benchmark)
    from faxdrop.documents.pdf.judge import RESOLUTION, Loss  # noqa: PLC0415

    limits = Limits(max_bytes=10_000_000, max_pages=30)
    plain, filled = good(1), form(appearances=True)

    def bare(data: bytes, resolution: render.Resolution) -> float:
        def drawn() -> None:
            with render.Rendered(data) as rendered, rendered.page(0) as page:
                page.drawn(*page.pixels(resolution))

        return _median(drawn)

    with pikepdf.open(
        io.BytesIO(filled), inherit_page_attributes=False, conversion_mode="explicit"
    ) as pdf:
        copy = copying.copied(pdf, limits)
    lost = {0: Loss(ink=True)}
    source, target = bench.folder / "form.pdf", bench.folder / "copy.pdf"
    with Checker(limits) as checker:
        source.write_bytes(plain)
        with source.open("rb") as file:
            checked = _median(lambda: checker.check(file.fileno()))
        source.write_bytes(filled)

        def prepared() -> None:
            with source.open("rb") as file, target.open("wb") as output:
                checker.prepare(file.fileno(), output.fileno())

        made = _median(prepared)
    pictured = _median(lambda: copying.rasterized(filled, copy, lost, limits, lambda: False))
    return [
        Row(what, f"{took * 1000:.1f} ms", f"drawn {size} {drawn * 1000:.1f} ms", ratio, aim)
        for what, took, size, drawn, aim in (
            ("a plain page is checked", checked, "at 100 dpi", bare(plain, RESOLUTION), "3 ms"),
            ("a form is copied and judged", made, "at 100 dpi", bare(filled, RESOLUTION), ""),
            ("a page becomes a picture", pictured, "as a fax", bare(filled, pictures.FINE), ""),
        )
        for ratio in (f"{took / drawn:.1f} x",)
    ]


def _median(call: Callable[[], object], times: int = 25) -> float:
    """Return how many seconds a call takes as a rule."""
    call()
    took = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return statistics.median(took)


ALL: dict[str, Callable[[Bench], list[Row]]] = {
    "throughput": throughput,
    "journal": journal,
    "one-shot": one_shot,
    "latency": latency,
    "reports": reports,
    "status-requests": status_requests,
    "memory": memory,
    "quiet": quiet,
    "drawing": drawing,
    "start": start,
}


def main() -> None:
    """Run what the command line names, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(ALL))
    names = parser.parse_args().names or list(ALL)
    if unknown := set(names) - set(ALL):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    sys.stdout.write(f"{Row('measured', 'faxdrop', 'yardstick', 'ratio', 'aim')}\n")
    failed = 0
    for name in names:
        folder = Path(tempfile.mkdtemp(prefix="faxdrop-benchmark-"))
        try:
            rows = [str(row) for row in ALL[name](Bench(folder))]
        except Exception as error:  # noqa: BLE001  (the others are worth their minutes all the same)
            rows = [f"{name}: not measured: {type(error).__name__}: {error}"]
            failed += 1
        finally:
            shutil.rmtree(folder)
        sys.stdout.write("".join(f"{row}\n" for row in rows))
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
