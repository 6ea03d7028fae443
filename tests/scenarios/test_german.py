"""An office whose faxdrop speaks German reads German, however a fax ends."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from faxdrop import words
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.receipt import Receipt
from faxdrop.followers.tables import table
from faxdrop.journal import history
from faxdrop.report.content import compose
from tests.kit import pdfs
from tests.kit.breaking import LIMITS, Reader, Stage, stage

if TYPE_CHECKING:
    from tests.kit.world import Filed

ENGLISH = re.compile(
    r"\b(the|of|to|is|are|not|no|it|its|and|or|for|with|cannot|could|be|by|has|on|at|than|this|that|"
    r"there|here|from|again|more|all|fax line|failed|sent|pages?|number|recipient|attempts?|file|"
    r"folder|document|unknown|answer|finished|result|reason)\b",
    re.IGNORECASE,
)
GERMAN = re.compile(r"\b(der|die|das|ist|nicht|und|wurde|Sie|Fax|kein|keine|eine|an)\b")
OURS = re.compile(
    r"`[^`]*`|\b(sent|failed|inbox)/|outcome_unknown|allow_premium|sending\.\w+|\(\d{3}\): [^.]*"
)
"""Names of commands, folders, settings and codes stay, and so do sipgate's own words."""
MAGIC = "+4930231250"
OUTCOMES = [f"{MAGIC}{last:02}" for last in (0, 1, 2, 4, 5, 6, 8, 10, 12, 18)]


@pytest.fixture(name="staged")
def _staged(tmp_path: Path) -> Iterator[Stage]:
    words.use("de")
    with stage(tmp_path / "root", attempts=1, reconcile_for=120.0, give_up_after=900.0) as staged:
        limits = replace(LIMITS, max_bytes=100_000, max_pages=3, language="de")
        staged.world.checker = Reader(limits)
        yield staged


def filed(staged: Stage) -> "list[Filed]":
    """Return all that has come to its end."""
    return [*staged.world.sent, *staged.world.failed]


def english(text: str) -> list[str]:
    """Return the English words of a text."""
    return [found[0] for found in ENGLISH.finditer(OURS.sub("", text))]


def assert_german(receipt: Receipt) -> None:
    """Assert that what people read of a receipt is German, in it and in its report."""
    assert receipt.language == "de"
    if receipt.reason is not None:
        said = f"{receipt.reason.message} {receipt.reason.advice}"
        assert not english(said), said
        assert GERMAN.search(said), said
    content = compose(receipt).model_dump(exclude={"language", "footer"})
    content["facts"] = [row for row in content["facts"] if row["value"] != receipt.document.name]
    for text in texts(content):
        assert not english(text), text


def texts(value: object) -> Iterator[str]:
    """Yield all texts of something."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def test_every_reason_is_german(staged: Stage) -> None:
    """Whatever the reason why a document is not faxed, its receipt and report are German."""
    world = staged.world
    world.start()
    good = f"{MAGIC}00"
    staged.drop(good, "brief.pdf", pdfs.good(text="Brief"))
    for name, content in {
        "text.pdf": b"Guten Tag",
        "halb.pdf": pdfs.truncated(),
        "geheim.pdf": pdfs.encrypted(),
        "lang.pdf": pdfs.good(pages=4),
        "dick.pdf": pdfs.of_size(200_000),
        "leer.pdf": b"",
    }.items():
        staged.drop(good, name, content)
    for number, folder in enumerate(
        ("Niemand", "+49 1", "110", f"{MAGIC}02", f"{MAGIC}04", f"{MAGIC}05", f"{MAGIC}06")
    ):
        staged.drop(folder, f"{number}.pdf", pdfs.good(text=f"Nummer {number}"))
    staged.drop(f"{MAGIC}12", "verloren.pdf", pdfs.good(text="verloren"))
    os.link(staged.drop(good, "eins.pdf", pdfs.good(text="eins")), world.root / "zwei.pdf")
    staged.drop(good, "noch einmal.pdf", pdfs.good(text="Brief"))
    late = staged.drop(f"{MAGIC}02", "abbrechen.pdf", pdfs.good(text="abbrechen"))
    world.until(lambda: not late.exists())
    assert world.spool is not None
    job = next(job for job in world.spool.jobs.all() if job.name == late.name)
    world.spool.notes.ask_to_cancel(job.job_id)
    world.until_done(hours=2.0)
    seen = [each.receipt for each in filed(staged)]
    assert {each.reason.code for each in seen if each.reason} == set(ReasonCode)
    for receipt in seen:
        assert_german(receipt)


def test_every_outcome_is_german(staged: Stage) -> None:
    """Whatever sipgate does to a fax, its receipt, its report and the month's table are German."""
    staged.world.start()
    for number, folder in enumerate(OUTCOMES):
        staged.drop(folder, f"{number}.pdf", pdfs.good(text=f"Nummer {number}"))
    staged.world.until_done(hours=2.0)
    seen = [each.receipt for each in filed(staged)]
    assert len(seen) == len(OUTCOMES)
    for receipt in seen:
        assert_german(receipt)
    ends = history.ends(staged.world.root / ".faxdrop" / "journal", history.Filter())
    heading, *rows = table(ends, ";").decode("utf-8-sig").splitlines()
    assert not english(heading)
    assert heading.startswith("Beendet;Ergebnis;Grund;Dokument;Seiten;Empfänger;Nummer;Faxleitung")
    assert {row.split(";")[1] for row in rows} == {"gesendet", "fehlgeschlagen"}
