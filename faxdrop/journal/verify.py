"""Verifies: the journal against itself, receipts against the journal, documents against receipts.

It only reads, and trusts nothing that it reads. It finds what leaves a trace: an altered line
breaks the chain after it, an altered document differs from the hash in its receipt, an altered
receipt from the hash in its line. No line follows the last one; a head that was noted elsewhere
(``head``) covers that too.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faxdrop.journal import witness
from faxdrop.journal.check_chain import ChainCheck
from faxdrop.journal.check_files import FilesCheck
from faxdrop.journal.files import sha256_of
from faxdrop.journal.flaws import Discrepancy, Flaw, Verification
from faxdrop.journal.witness import Stamped, WitnessError
from faxdrop.spool.home import jobs_of
from faxdrop.spool.places import REPORT_DRAFT
from faxdrop.words import _

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def verify(
    root: Path,
    journal: Path,
    archives: Sequence[Path] = (),
    *,
    head: str | None = None,
    authorities: Sequence["Certificate"] = (),
    tick: Callable[[], None] = lambda: None,
) -> Verification:
    """Verify a root, its journal, and the archives to which people moved what was filed.

    ``head`` is the hash, or its beginning, that somebody noted when it was the journal's end;
    ``authorities`` are those whose time stamps count; ``tick`` is called for each line and each
    file. Raises OSError if the journal cannot be read.
    """
    verified = Verification()
    stamps = {stamp.seq: stamp for stamp in witness.stamped(journal)}
    chain = ChainCheck(verified, head, tick)
    ends = chain.check(journal, stamps.keys())
    _check_stamps(verified, stamps, chain.hashes, authorities)
    files = FilesCheck(verified, ends, root, tick, jobs_of(root))
    files.look_at([root / "sent", root / "failed", *archives])
    chain.catch_up(journal)
    files.tell(chain.reports, sha256_of(journal.parent / REPORT_DRAFT))
    return verified


def _check_stamps(
    verified: Verification,
    stamps: Mapping[int, Stamped],
    hashes: Mapping[int, str],
    authorities: Sequence["Certificate"],
) -> None:
    """Compare time stamps with their lines."""
    if stamps and not witness.is_installed():
        verified.unchecked_stamps = len(stamps)
        return
    for seq, stamp in stamps.items():
        try:
            verified.stamped_at = witness.check(stamp.answer, hashes.get(seq, ""), authorities)
        except WitnessError as error:
            words = _("is a time stamp of line {seq}: {error}.").format(seq=seq, error=error)
            verified.findings.append(Discrepancy(Flaw.STAMP_WRONG, str(stamp.path), words))
        else:
            verified.stamps += 1
