"""The judge of the promises sees what is wrong: each promise is broken for it."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from faxdrop.documents.checker import Checker
from faxdrop.documents.verdict import Limits
from faxdrop.simulator import Simulator, TakenFax
from tests.kit import letters
from tests.kit.promises import sha256, tally, violations
from tests.kit.world import Time, World

SENT, BUSY = "+493023125022", "+493023125002"


class Case(NamedTuple):
    """An office in which all is well, so far."""

    root: Path
    taken: list[TakenFax]
    dropped: list[str]

    def path(self, status: str) -> Path:
        """Return the one document in sent/ or failed/."""
        (path,) = (self.root / status).glob("*/*.pdf")
        return path

    def edit_receipt(self, status: str, edit: Callable[[dict[str, object]], None]) -> None:
        """Change what a receipt says."""
        path = Path(f"{self.path(status)}.json")
        receipt = json.loads(path.read_bytes())
        edit(receipt)
        path.write_text(json.dumps(receipt))


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    """Give the reader."""
    with Checker(Limits(max_bytes=1_000_000, max_pages=30)) as one:
        yield one


@pytest.fixture
def case(tmp_path: Path, checker: Checker) -> Case:
    """Give an office that has sent one letter, and failed with another after three attempts."""
    time = Time()

    def now() -> float:
        return time.wall.timestamp()

    with Simulator(pace=0, clock=now) as simulator:
        world = World(tmp_path / "root", simulator, checker, time)
        world.start()
        contents = [letters.letter("one"), letters.letter("two")]
        world.drop(SENT, "one.pdf", contents[0])
        world.drop(BUSY, "two.pdf", contents[1])
        world.until_done()
        world.crash()
        case = Case(world.root, list(simulator.taken), [sha256(each) for each in contents])
    assert not violations(*case)
    return case


def test_the_figures_are_counted(case: Case) -> None:
    """Documents, faxes and ends are counted from receipts and from what was taken."""
    figures = tally(case.root, case.taken)
    assert figures["documents"] == 2
    assert figures["faxes"] == 4
    assert figures["sent"] == figures["transmission_failed"] == 1


def delete(case: Case) -> Case:
    """Lose a document."""
    case.path("sent").unlink()
    return case


def copy(case: Case) -> Case:
    """Have a document in two places."""
    shutil.copy(case.path("sent"), case.root / "inbox" / "again.pdf")
    return case


def change(case: Case) -> Case:
    """Change a document."""
    case.path("sent").write_bytes(b"%PDF-another")
    return case


def hide_receipt(case: Case) -> Case:
    """Lose a receipt."""
    Path(f"{case.path('failed')}.json").unlink()
    return case


def leave(case: Case) -> Case:
    """Leave a document unanswered."""
    content = letters.letter("three")
    (case.root / "inbox" / SENT / "three.pdf").write_bytes(content)
    return case._replace(dropped=[*case.dropped, sha256(content)])


def fax_again(case: Case) -> Case:
    """Fax once more than told."""
    return case._replace(taken=[*case.taken, replace(case.taken[0], session_id="another")])


def fax_strange(case: Case) -> Case:
    """Fax what nobody knows of."""
    strange = replace(case.taken[0], session_id="another", filename="strange.pdf")
    return case._replace(taken=[*case.taken, strange])


def fax_less(case: Case) -> Case:
    """Tell of a fax that never was."""
    return case._replace(taken=case.taken[:-1])


def fax_elsewhere(case: Case) -> Case:
    """Fax to another number."""
    return case._replace(taken=[replace(fax, number="+491") for fax in case.taken])


def fax_other(case: Case) -> Case:
    """Fax another document."""
    return case._replace(taken=[replace(fax, sha256="0" * 64) for fax in case.taken])


def claim_stranger(case: Case) -> Case:
    """Take another's fax for one's own."""
    case.edit_receipt("sent", lambda it: it["attempts"][0].update(session_id="x"))  # type: ignore[index]  # a list
    return case


def repeat_sent(case: Case) -> Case:
    """Repeat what was not known to have failed."""
    case.edit_receipt("failed", lambda it: it["attempts"][0].update(outcome="SENT"))  # type: ignore[index]  # a list
    return case


def tell_otherwise(case: Case) -> Case:
    """Say that a fax failed that was sent."""
    case.edit_receipt("sent", lambda it: it.update(status="failed"))
    return case


def journal_of(case: Case) -> Path:
    """Return the one month of the journal."""
    (path,) = (case.root / ".faxdrop" / "journal").glob("*.jsonl")
    return path


def tell_no_end(case: Case) -> Case:
    """Leave out the last line of the journal."""
    path = journal_of(case)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    return case


def tell_an_end_twice(case: Case) -> Case:
    """Have a line of the journal twice."""
    path = journal_of(case)
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[-1])
    return case


def break_the_chain(case: Case) -> Case:
    """Alter a line that has others behind it."""
    path = journal_of(case)
    path.write_bytes(path.read_bytes().replace(b'"f0"', b'"f9"', 1))
    return case


@pytest.mark.parametrize(
    "breach",
    [
        delete,
        copy,
        change,
        hide_receipt,
        leave,
        fax_again,
        fax_strange,
        fax_less,
        fax_elsewhere,
        fax_other,
        claim_stranger,
        repeat_sent,
        tell_otherwise,
        tell_no_end,
        tell_an_end_twice,
        break_the_chain,
    ],
    ids=lambda breach: str(breach.__name__),
)
def test_each_breach_is_seen(case: Case, breach: Callable[[Case], Case]) -> None:
    """Whatever promise is broken, the judge names it."""
    assert violations(*breach(case))
