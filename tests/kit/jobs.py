"""Jobs as tests need them: claimed, on their way or ended, alone or in a spool."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faxdrop.fax.job import Attempt, Facts, Faxed, Job, Reason, State, StatusSeen
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.receipt import to_bytes
from faxdrop.spool.root import Spool

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
NOW = datetime(2026, 3, 2, 8, 0, 0, 123456, tzinfo=UTC)
FACTS = Facts(sha256="ab" * 32, bytes=48213, pages=2, changes=("decrypted", "flattened"))
REASON = Reason(code=ReasonCode.NOT_A_PDF, message="It is none.", advice="Print it to a PDF.")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
EARLIER = NOON - timedelta(minutes=10)
FEW_FACTS = Facts(sha256="0" * 64, bytes=1000, pages=1)


def job(
    name: str = "letter.pdf", folder: str | None = "Labor", number: int = 1, **more: object
) -> Job:
    """Return a job that was just claimed; ``more`` overrides its fields."""
    fields: dict[str, object] = {
        "job_id": f"20260302-080000-{number:08x}",
        "state": State.QUEUED,
        "name": name,
        "folder": folder,
        "claimed_at": NOW,
    }
    return Job.model_validate(fields | more)


def failed(one: Job) -> Job:
    """Return the job, failed."""
    return one.model_copy(
        update={"state": State.FAILED, "reason": REASON, "finished_at": NOW, "document": FACTS}
    )


def sent(one: Job) -> Job:
    """Return the job, sent after two attempts."""
    began = {1: NOW + timedelta(minutes=1), 2: NOW + timedelta(minutes=3)}
    attempts = tuple(
        Attempt(
            number=number,
            number_dialled="+493023125100",
            faxline="f0",
            faxed=Faxed(sha256="cd" * 32, bytes=47000, pages=2, changes=FACTS.changes),
            submitted_at=began[number],
            clock_offset=-0.5,
            answered_at=began[number] + timedelta(seconds=2),
            session_id=f"177243840{number}",
            found=number == 2,
            outcome=outcome,
            statuses=(
                StatusSeen(status="PENDING", at=began[number] + timedelta(seconds=5)),
                StatusSeen(status=outcome, at=began[number] + timedelta(seconds=65)),
            ),
            waited=70.0,
        )
        for number, outcome in ((1, "FAILED"), (2, "SENT"))
    )
    return one.model_copy(
        update={
            "state": State.SENT,
            "number": "+493023125100",
            "faxline": "f0",
            "document": FACTS,
            "attempts": attempts,
            "finished_at": NOW + timedelta(minutes=5),
        }
    )


def golden_jobs() -> dict[str, Job]:
    """Return the jobs of the golden files: records and receipts as they were once written."""
    return {
        "claimed": job(os.fsdecode(b"B\xfcrgeramt.pdf"), None),
        "sent": sent(job("Größe.pdf", "Dr. Müller")),
        "failed": failed(job()),
    }


def job_in(state: State, **more: object) -> Job:
    """Return a job in a state, claimed ten minutes before NOON; ``more`` are further fields."""
    fields: dict[str, object] = {
        "job_id": "20260302-115000-00000001",
        "folder": "Dr. Müller",
        "claimed_at": EARLIER,
        "number": "+493023125030",
        "faxline": "f0",
        "document": FEW_FACTS,
        "state": state,
    }
    return Job.model_validate(job().model_dump() | fields | more)


def attempt(*statuses: str, **more: object) -> Attempt:
    """Return an attempt that sipgate accepted, with its statuses in order."""
    seen = tuple(StatusSeen(status=status, at=NOON - timedelta(minutes=1)) for status in statuses)
    fields: dict[str, object] = {
        "number": 1,
        "submitted_at": EARLIER + timedelta(minutes=1),
        "session_id": "4711",
        "statuses": seen,
    }
    return Attempt.model_validate(fields | more)


def in_spool(root: Path, *jobs: Job) -> Spool:
    """Return a spool that holds jobs, each with a document."""
    spool = Spool(root)
    spool.open()
    spool.close()
    for one in jobs:
        folder = root / ".faxdrop" / "jobs" / one.job_id
        folder.mkdir()
        (folder / "document.pdf").write_bytes(b"%PDF-")
        (folder / "job.json").write_bytes(to_bytes(one))
    return spool


def failed_document(
    root: Path, reason: str = "transmission_failed", name: str = "letter.pdf"
) -> Path:
    """Return a document in failed/, with its receipt."""
    in_spool(root)
    folder = root / "failed" / "Amt"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(b"%PDF-")
    receipt = {"job_id": "j1", "reason": {"code": reason}}
    path.with_name(f"{name}.json").write_text(json.dumps(receipt))
    return path
