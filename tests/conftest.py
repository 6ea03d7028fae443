"""What holds for every test."""

import contextlib
import gc
import os
import sqlite3
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import hatch_build
from faxdrop import words
from faxdrop.config import addresses
from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits
from faxdrop.report import order, reports
from tests.kit.archive import Archive, authority
from tests.kit.waiting import PATIENCE

# Sentences that were changed since the installation; and commands speak English, wherever we are.
hatch_build.compile_beside()
for _variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
    os.environ.pop(_variable, None)
os.environ["LANGUAGE"] = "en"

# A machine that stands still for seconds makes no process of faxdrop's own too late.
order.SECONDS = reports.FETCH_SECONDS = addresses._SECONDS = PATIENCE  # noqa: SLF001

# The same examples in every run: a test that fails does so again. The runs that look for more bring
# seeds of their own, and print them.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # it is the machine
)
settings.load_profile("repeatable")

QUICK = "not long and not root"  # as pyproject.toml has it


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Run more quick tests at once than there are processors: half their time they wait.

    What takes longer counts seconds or boots machines, and has a processor for each.
    """
    if config.option.markexpr == QUICK:
        return (os.cpu_count() or 1) * 3 // 2
    return None


def pytest_collection_finish() -> None:
    """Have garbage looked for in what the tests make, and not in the thousands of tests, too."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, trylast=True)  # before what was measured is put together
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Leave out half a file of coverage: tests kill programs, also while they write theirs."""
    done = yield
    if session.config.getoption("cov_source", None) and not hasattr(session.config, "workerinput"):
        for path in session.config.rootpath.glob(".coverage.*"):
            if not _is_whole(path):
                path.unlink(missing_ok=True)
    return done


def _is_whole(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as file:
        try:
            checked = file.execute("PRAGMA quick_check").fetchall()
            file.execute("SELECT 1 FROM coverage_schema")
        except sqlite3.DatabaseError:
            return False
        return checked == [("ok",)]


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    """Whatever language a test or its commands set, the next test finds English."""
    yield
    words.use(words.SOURCE)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine's stands between the tests and loopback."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session", name="reader")
def _reader() -> Iterator[Checker]:
    """Run a reader of documents, for all tests that start none of their own."""
    with Checker(Limits(max_bytes=1_000_000, max_pages=30)) as running:
        yield running


@pytest.fixture
def reader_runs(reader: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have ``faxdrop check`` ask a reader that runs: starting one takes most of its time."""

    def kept(limits: Limits) -> contextlib.nullcontext[Checker]:
        reader.limits = limits
        return contextlib.nullcontext(reader)

    monkeypatch.setattr("faxdrop.setup.check.Checker", kept)


@pytest.fixture(name="archive")
def _archive(tmp_path: Path) -> Archive:
    """Return what faxdrop left: documents, receipts and their journal."""
    return Archive(tmp_path / "root")


@pytest.fixture(name="authority")
def _authority(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run a real time stamp authority; yield its address and its certificate."""
    with authority(tmp_path) as running:
        yield running
