"""Readers that the machine kills, for want of memory: no document's fault, and never forgotten."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from faxdrop.documents.verdict import Verdict, killed
from tests.kit import pdfs
from tests.kit.breaking import Reader, assert_all_answered, ends, quiet, stage
from tests.kit.promises import sha256

PLAIN, OTHER = "+493023125130", "+493023125131"


@dataclass
class Scarce(Reader):
    """A reader that is killed on some documents while memory is short."""

    victim: str  # SHA-256
    while_it: str  # checks, or prepares
    times: int  # None of them succeeds

    def __post_init__(self) -> None:
        super().__init__()
        self.killed = 0

    def _is_killed(self, verdict: Verdict, what: str) -> bool:
        if verdict.sha256 != self.victim or what != self.while_it or self.killed >= self.times:
            return False
        self.killed += 1
        return True

    def check(self, fd: int) -> Verdict:
        """Read a document, or be killed."""
        verdict = super().check(fd)
        if self._is_killed(verdict, "checks"):
            return killed(verdict.sha256, verdict.bytes, 3)
        return verdict

    def prepare(self, fd: int, output_fd: int) -> Verdict:
        """Write the copy, or be killed."""
        verdict = super().prepare(fd, output_fd)
        if self._is_killed(verdict, "prepares"):
            return killed(verdict.sha256, verdict.bytes, 3)
        return verdict


@pytest.mark.parametrize(("while_it", "times"), [("checks", 1), ("prepares", 1), ("prepares", 3)])
def test_memory_that_is_short_for_a_while_fails_nothing(
    tmp_path: Path, while_it: str, times: int
) -> None:
    """A document whose reader is killed waits for memory, and is then faxed like any other."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.checker = Scarce(sha256(pdfs.form()), while_it, times)
        world.start()
        staged.drop(PLAIN, "letter.pdf", pdfs.form())
        world.until_done(hours=1.0)
        assert world.checker.killed == times
        assert ends(world) == [("sent", None)]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


@pytest.mark.parametrize("while_it", ["checks", "prepares"])
def test_a_document_that_never_finds_memory_is_told_why(tmp_path: Path, while_it: str) -> None:
    """At its end the receipt says that the reader was killed, not that the PDF is damaged."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.checker = Scarce(sha256(pdfs.form()), while_it, 1000)
        world.start()
        with quiet() as events:
            staged.drop(PLAIN, "letter.pdf", pdfs.form())
            staged.drop(OTHER, "letter.pdf", pdfs.good())
            world.until(lambda: bool(world.sent), hours=0.1)  # the other one waits for nothing
            world.until_done(hours=1.0)
            world.live(70.0)
        [failed] = world.failed
        reason = failed.receipt.reason
        assert reason is not None
        assert reason.code.value == "too_large"
        assert "was killed" in reason.message
        assert "damaged" not in reason.message + reason.advice
        assert world.checker.killed < 20
        assert len(staged.simulator.taken) == 1
        told = [event for event in events if event["event"] == "disk.trouble"]
        assert len(told) == (1 if while_it == "prepares" else 0)
        assert_all_answered(staged)
