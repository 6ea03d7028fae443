"""Damaged documents by the thousand: each gets a verdict within its limits, and leaves nothing.

Good PDFs of all kinds are bent by a random list of edits and read by the real reader in its process
of its own. A failure is shrunk to the fewest edits that show it.
"""

import functools
import gc
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import hypothesis
import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits, Verdict
from faxdrop.fax.reasons import ReasonCode
from tests.kit import letters, pdfs
from tests.kit.promises import sha256
from tests.kit.seeds import seed_of, tell

LIMITS = Limits(max_bytes=2_000_000, max_pages=10, seconds=15.0, memory=512 << 20)
REASONS = {
    ReasonCode.NOT_A_PDF,
    ReasonCode.DAMAGED_PDF,
    ReasonCode.ENCRYPTED_PDF,
    ReasonCode.TOO_LARGE,
    ReasonCode.TOO_MANY_PAGES,
}
GRACE = 60.0  # seconds beyond the limit, on a busy machine
ROUNDS = 15
GROWTH = 8 << 20  # bytes by which this process may grow over thousands of documents

MAKERS: tuple[Callable[[], bytes], ...] = (
    functools.partial(pdfs.good, 3),
    functools.partial(letters.letter, "a letter", 2),
    pdfs.form,
    functools.partial(pdfs.form, appearances=True),
    functools.partial(pdfs.scan, 2, 20),
    pdfs.owner_locked,
    pdfs.encrypted,
    pdfs.repairable,
    pdfs.hybrid_xfa,
    pdfs.portfolio,
)


class Edit(NamedTuple):
    """One change to a document; where is told as a share of its length."""

    kind: str
    at: float
    size: int
    content: bytes

    def applied(self, data: bytes) -> bytes:
        """Return the document after the change."""
        start = int(self.at * len(data))
        end = min(len(data), start + self.size)
        before, struck, behind = data[:start], data[start:end], data[end:]
        match self.kind:
            case "cut":
                struck = b""
            case "truncate":
                struck = behind = b""
            case "repeat":
                struck *= 4
            case "blank":
                struck = b"\0" * len(struck)
            case "insert":
                struck = self.content + struck
            case "overwrite":
                struck, behind = self.content, data[start + len(self.content) :]
            case _:  # another number, in place of the next one
                struck, behind = b"", re.sub(rb"\d+", self.content, data[start:], count=1)
        return before + struck + behind


NUMBERS = (b"0", b"1", b"-1", b"4", b"99999999999999999999", b"2147483647", b"4294967296", b"1e9")
WORDS = (b"endobj", b"stream\n", b"endstream", b"/Kids[2 0 R]", b"<<", b">>", b"[", b"\xff\xfe")
PLACES = st.integers(50, 9999).map(lambda at: at / 10_000)  # behind the header
EDITS = st.one_of(
    st.builds(
        Edit,
        st.sampled_from(("cut", "repeat", "truncate", "blank")),
        PLACES,
        st.integers(1, 3000),
        st.just(b""),
    ),
    st.builds(
        Edit,
        st.sampled_from(("overwrite", "insert")),
        PLACES,
        st.just(0),
        st.sampled_from(WORDS) | st.binary(min_size=1, max_size=8),
    ),
    st.builds(Edit, st.just("number"), PLACES, st.just(0), st.sampled_from(NUMBERS)),
)
CASES = st.tuples(st.integers(0, len(MAKERS) - 1), st.lists(EDITS, min_size=1, max_size=6))


class Size(NamedTuple):
    """How large this process and the reader are."""

    rss: int
    fds: int
    threads: int
    reader_rss: int
    readers: int  # children of the reader, which may keep some ready


def size_of(checker: Checker) -> Size:
    """Measure both."""
    me, reader = psutil.Process(), psutil.Process(checker.pid)
    return Size(
        me.memory_info().rss,
        me.num_fds(),
        me.num_threads(),
        reader.memory_info().rss,
        len(reader.children()),
    )


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    """Give the reader."""
    with Checker(LIMITS) as one:
        yield one


def ends_oddly(data: bytes) -> bool:
    """Tell whether a PDF lacks its end mark, or has more than a little behind it."""
    return data.rfind(b"%%EOF") < max(data.rfind(b"startxref"), len(data) - 1024)


def read(checker: Checker, data: bytes) -> Verdict:
    """Have a document read, and its copy made where it needs one; check what is said of it."""
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as copy:
        file.write(data)
        file.flush()
        started = time.monotonic()
        verdict = checker.check(file.fileno())
        assert time.monotonic() - started < LIMITS.seconds + GRACE
        assert verdict.bytes == len(data)
        assert verdict.sha256 in {sha256(data), ""}
        assert (verdict.facts is None) != (verdict.reason is None)
        assert verdict.reason is None or verdict.reason.code in REASONS
        if verdict.facts is not None:
            assert verdict.whole or ends_oddly(data)
            assert verdict.facts.pages in range(1, LIMITS.max_pages + 1)
            if verdict.facts.changes:
                prepared = checker.prepare(file.fileno(), copy.fileno())
                size = os.fstat(copy.fileno()).st_size
                assert prepared.reason is not None or 0 < size <= LIMITS.max_bytes
        return verdict


def attack(checker: Checker, seed: int, examples: int) -> dict[str, int]:
    """Have so many bent documents read; return how they ended."""
    ends: dict[str, int] = {}
    originals = [maker() for maker in MAKERS]

    def one(case: tuple[int, list[Edit]]) -> None:
        original, edits = case
        data = originals[original]
        for edit in edits:
            data = edit.applied(data)
        verdict = read(checker, data)
        end = verdict.reason.code.value if verdict.reason else "accepted"
        ends[end] = ends.get(end, 0) + 1

    run = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )(given(CASES)(one))
    hypothesis.seed(seed)(run)()
    return dict(sorted(ends.items()))


def test_bent_documents_end_in_a_verdict(checker: Checker, request: pytest.FixtureRequest) -> None:
    """Whatever is done to a PDF, its check ends in acceptance or a reason within its limits."""
    ends = attack(checker, seed_of(request), 40)
    tell(request, f"{ends}")


@pytest.mark.long
def test_thousands_of_bent_documents_leave_nothing_behind(
    checker: Checker, request: pytest.FixtureRequest
) -> None:
    """After thousands of them, this process and the reader are as large as after the first few."""
    seed = seed_of(request)
    ends: Counter[str] = Counter()
    sizes: list[Size] = []
    for at in range(ROUNDS):  # each forgets what hypothesis remembers of the last
        ends += Counter(attack(checker, seed + at, 400))
        gc.collect()
        sizes.append(size_of(checker))
    tell(request, f"{dict(ends)}; {sizes[1]} -> {sizes[-1]}")
    assert sizes[-1].rss - sizes[1].rss < GROWTH
    assert sizes[-1].reader_rss - sizes[1].reader_rss < GROWTH
    assert (sizes[-1].fds, sizes[-1].threads) == (sizes[1].fds, sizes[1].threads)
    assert sizes[-1].readers <= sizes[1].readers + 2
