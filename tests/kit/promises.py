"""The promises, compared with what is on disk and what the simulator really took.

``violations`` is the judge of all tests that break things. It says in sentences what was lost, sent
twice, or reported wrongly; an empty list means that every promise was kept. Call it whenever no
daemon runs on the root: after a crash as well as at the end.

The judge knows more than the daemon: each submission carries the job's id as its file name, which
sipgate's history never shows.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from faxdrop.fax.job import Job
from faxdrop.fax.receipt import Receipt, ReceiptAttempt
from faxdrop.journal import history
from faxdrop.journal.history import Filter
from faxdrop.journal.verify import verify
from faxdrop.names.passed_over import is_passed_over
from faxdrop.simulator import TakenFax
from faxdrop.spool import record
from tests.kit.reports import is_report, pages_and_receipt

_TAKEN_ONCE = {"SENT", "FAILED", "no_final_status"}  # outcomes of attempts that sipgate accepted


@dataclass(frozen=True)
class Filed:
    """A document in sent/ or failed/, and its receipt."""

    path: Path
    sha256: str
    receipt: Receipt


def violations(
    root: Path,
    taken: Iterable[TakenFax],
    dropped: Iterable[str],
    *,
    ended: bool = True,
    resends: bool = False,
) -> list[str]:
    """Return every broken promise.

    ``dropped`` are the SHA-256 of all documents that were ever dropped, once for each drop.
    ``ended``: there was time enough, so nothing may still be on its way. ``resends``: the config
    has ``resend_if_absent``.
    """
    by_api = [fax for fax in taken if not fax.by_hand]
    wrong: list[str] = []
    filed = list(_filed(root, wrong))
    spooled = list(_spooled(root, wrong))
    wrong += _misplaced(root, Counter(dropped), ended=ended)
    wrong += _ids(filed, spooled)
    attempts_of = {job.job_id: len(job.attempts) for job in spooled}
    attempts_of |= {one.receipt.job_id: len(one.receipt.attempts) for one in filed}
    faxes: dict[str, list[TakenFax]] = {}
    for fax in by_api:
        faxes.setdefault(fax.filename.removesuffix(".pdf"), []).append(fax)
    for job_id, its in faxes.items():
        if job_id not in attempts_of:
            wrong.append(f"{job_id} was faxed {len(its)} times, and nothing on disk knows of it")
        elif len(its) > attempts_of[job_id]:
            wrong.append(
                f"{job_id} was faxed {len(its)} times, {attempts_of[job_id]} attempts are written"
            )
    for one in filed:
        wrong += _untrue(one, faxes.get(one.receipt.job_id, []), resends=resends)
    in_hand = {path.name for path in (root / ".faxdrop" / "jobs").glob("*")}
    wrong += _unproved(root, filed, in_hand, ended=ended)
    if ended and spooled:
        wrong.append(f"still in the spool: {[(job.job_id, job.state) for job in spooled]}")
    return wrong


def _unproved(
    root: Path, filed: Sequence[Filed], in_hand: Collection[str], *, ended: bool
) -> Iterator[str]:
    """Yield where the journal lacks its one line for a document that has left the spool."""
    journal = root / ".faxdrop" / "journal"
    for found in verify(root, journal).findings if ended else ():  # a crash may leave half a line
        if found.kind.startswith(("line", "receipt_altered", "document_altered")):
            yield f"the journal: {found}"
    ends = Counter(content["job_id"] for content in history.ends(journal, Filter()))
    for one in filed:
        job_id = one.receipt.job_id
        if ends[job_id] > 1 or (not ends[job_id] and job_id not in in_hand):
            yield f"{job_id} has {ends[job_id]} lines in the journal"


def tally(root: Path, taken: Iterable[TakenFax]) -> dict[str, int]:
    """Return the figures of a run, for people: documents, faxes, and how they ended."""
    filed = list(_filed(root, []))
    figures = Counter(
        one.receipt.reason.code.value if one.receipt.reason else "sent" for one in filed
    )
    attempts = [attempt for one in filed for attempt in one.receipt.attempts]
    return {
        "documents": len(filed),
        "faxes": sum(not fax.by_hand for fax in taken),
        "found": sum(attempt.found_in_history for attempt in attempts),
        **dict(sorted(figures.items())),
    }


def sha256(content: bytes) -> str:
    """Return the hash by which tests know a document."""
    return hashlib.sha256(content).hexdigest()


# -- where the documents are -------------------------------------------------------------------


def _misplaced(root: Path, dropped: Counter[str], *, ended: bool) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for path in _documents(root):
        found.setdefault(sha256(path.read_bytes()), []).append(str(path.relative_to(root)))
    for digest, times in dropped.items():
        places = found.pop(digest, [])
        if len(places) < times:
            yield f"LOST: {digest[:12]}, dropped {times} times, is in {places}"
        elif len(places) > times:
            yield f"in more than one place: {digest[:12]}: {places}"
        elif ended and any(not place.startswith(("sent/", "failed/")) for place in places):
            yield f"not answered: {places}"
    for digest, places in found.items():
        yield f"nobody dropped {digest[:12]}: {places}"


def _documents(root: Path) -> Iterator[Path]:
    yield from _files(root / "inbox")
    yield from sorted((root / ".faxdrop" / "jobs").glob("*/document.pdf"))
    yield from sorted((root / ".faxdrop" / "corrupt").glob("*/document.pdf"))
    for status in ("sent", "failed"):
        yield from (
            path for path in _files(root / status) if not (_is_receipt(path) or is_report(path))
        )


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and not is_passed_over(path.name):
            yield path


def _is_receipt(path: Path) -> bool:
    """Return whether a file is a receipt, even one whose document has not come yet."""
    if path.suffix != ".json":
        return False
    try:
        Receipt.model_validate_json(path.read_bytes())
    except ValidationError:
        return path.with_suffix("").exists()
    return True


# -- what the records and receipts say -----------------------------------------------------------


def _filed(root: Path, wrong: list[str]) -> Iterator[Filed]:
    for status in ("sent", "failed"):
        for path in _files(root / status):
            if _is_receipt(path) or is_report(path):
                continue
            try:
                content = path.with_name(path.name + ".json").read_bytes()
                receipt = Receipt.model_validate_json(content)
            except (OSError, ValidationError) as error:
                wrong.append(f"{path.relative_to(root)} has no receipt: {error}")
                continue
            if receipt.status != status:
                wrong.append(f"{path.relative_to(root)}: its receipt says {receipt.status}")
            if receipt.report is not None and path.with_name(receipt.report).exists():
                pages, attached = pages_and_receipt(path.with_name(receipt.report))
                if not pages or attached != content:
                    wrong.append(f"{path.relative_to(root)}: its report has another receipt")
            yield Filed(path, sha256(path.read_bytes()), receipt)


def _spooled(root: Path, wrong: list[str]) -> Iterator[Job]:
    """Yield the jobs of the spool that have a document: it is claimed, and not filed yet."""
    for folder in sorted((root / ".faxdrop" / "jobs").glob("*")):
        try:
            job = record.read((folder / "job.json").read_bytes())
        except (OSError, ValueError) as error:
            if (folder / "document.pdf").exists():
                wrong.append(f"the record of {folder.name} cannot be read: {error}")
            continue
        if (folder / "document.pdf").exists():
            yield job


def _ids(filed: Sequence[Filed], spooled: Sequence[Job]) -> Iterator[str]:
    ids = Counter([one.receipt.job_id for one in filed] + [job.job_id for job in spooled])
    for job_id, times in ids.items():
        if times > 1:
            yield f"{job_id} stands for {times} documents"
    sessions = Counter(
        attempt.session_id
        for one in filed
        for attempt in one.receipt.attempts
        if attempt.session_id and attempt.outcome != "unknown"
    )
    for session_id, times in sessions.items():
        if times > 1:
            yield f"{times} attempts claim to be the fax {session_id}"


def _untrue(one: Filed, faxes: Sequence[TakenFax], *, resends: bool) -> Iterator[str]:
    """Compare a receipt with the faxes that were taken."""
    receipt, name = one.receipt, f"{one.path.name} ({one.receipt.job_id})"
    if receipt.document.sha256 not in (one.sha256, None):
        yield f"{name}: the receipt is another document's"
    certain = sum(attempt.outcome in _TAKEN_ONCE for attempt in receipt.attempts)
    possible = sum(attempt.outcome in {*_TAKEN_ONCE, "unknown"} for attempt in receipt.attempts)
    if not certain <= len(faxes) <= possible:
        outcomes = [attempt.outcome for attempt in receipt.attempts]
        yield f"{name}: faxed {len(faxes)} times, the receipt says {outcomes}"
    its = {fax.session_id for fax in faxes}
    for attempt in receipt.attempts:
        if attempt.outcome in _TAKEN_ONCE and attempt.session_id not in its:
            yield f"{name}: the fax {attempt.session_id} is not this document (of {sorted(its)})"
    for fax in faxes:
        if not receipt.document.changes and fax.sha256 != one.sha256:
            yield f"{name}: something else was faxed than what was dropped"
        if fax.pages != receipt.document.pages:
            yield f"{name}: {fax.pages} pages were faxed of {receipt.document.pages}"
    yield from (f"{name}: {flaw}" for flaw in _untrue_of_attempts(receipt, faxes))
    yield from (f"{name}: {flaw}" for flaw in _illogical(receipt.attempts, resends=resends))
    last = receipt.attempts[-1].outcome if receipt.attempts else None
    if (receipt.status == "sent") != (last == "SENT") or (receipt.status == "failed") != bool(
        receipt.reason
    ):
        yield f"{name}: {receipt.status} for {receipt.reason} after {last}"


def _untrue_of_attempts(receipt: Receipt, faxes: Sequence[TakenFax]) -> Iterator[str]:
    """Compare numbers, fax lines, contents and times of attempts with what was taken."""
    attempts = {attempt.session_id: attempt for attempt in receipt.attempts}
    for fax in faxes:
        mine = attempts.get(fax.session_id)
        said = [mine] if mine else receipt.attempts
        if (fax.number, fax.faxline) not in {(one.number_dialled, one.faxline) for one in said}:
            yield f"faxed to {fax.number} by {fax.faxline}, the receipt says {said}"
        if mine is not None and mine is receipt.attempts[-1]:
            faxed = receipt.faxed
            if faxed is None or faxed.sha256 != fax.sha256 or faxed.pages not in (fax.pages, None):
                yield f"{fax.sha256} with {fax.pages} pages was faxed, the receipt says {faxed}"
    instants = [receipt.claimed_at]
    for attempt in receipt.attempts:
        instants += [attempt.submitted_at, *(seen.at for seen in attempt.statuses)]
    instants.append(receipt.finished_at)
    if instants != sorted(instants):
        yield f"its times run backwards: {instants}"


def _illogical(attempts: Sequence[ReceiptAttempt], *, resends: bool) -> Iterator[str]:
    repeatable = {"FAILED", "unknown"} if resends else {"FAILED"}
    for number, attempt in enumerate(attempts, 1):
        if attempt.number != number:
            yield f"attempt {number} calls itself {attempt.number}"
        if attempt.outcome is None:
            yield f"attempt {number} has no end"
        if number < len(attempts) and attempt.outcome not in repeatable:
            yield f"sent again after {attempt.outcome}"
