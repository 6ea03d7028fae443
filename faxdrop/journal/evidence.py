"""Evidence: all that proves one fax, in one ZIP file that anybody can check by hand.

    fax/letter.pdf              the document
    fax/letter.pdf.json         its receipt
    fax/letter.report.pdf       its transmission report, if there is one
    journal/line-000012.json    its line of the journal, and some lines before and after it
    SHA256SUMS                  for ``sha256sum --check``
    READ-ME.txt                 what proves what, and how to check it

The same fax and journal give the same bytes. A name that some programs cannot unpack, or that could
control a terminal, is simplified; the receipt has the original name.
"""

import hashlib
import io
import re
import zipfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from faxdrop.fax.receipt import Receipt
from faxdrop.journal import history
from faxdrop.journal.history import ENDS, StoredLine
from faxdrop.journal.lines import Head, hash_of, path_text
from faxdrop.names.printable import stored
from faxdrop.spool.places import report_of
from faxdrop.words import _

AROUND = 3  # lines before and behind the one that tells of the fax
_NOT_PLAIN = re.compile(r"[^\w .,()+=@-]")  # in names that every system can unpack
_STEADY = (1980, 1, 1, 0, 0, 0)  # the time of each file in the ZIP file


class NoEvidenceError(Exception):
    """There is no evidence; says why, for people."""


@dataclass(frozen=True)
class Extract:
    """The lines around the one that says how a job ended."""

    lines: list[StoredLine]
    own: StoredLine
    head: Head  # the end of the journal
    reported: StoredLine | None = None  # the one that tells of the report


def extract(journal: Path, job_id: str) -> Extract:
    """Find a job's end in the journal. Raises NoEvidenceError, and OSError."""
    before: deque[StoredLine] = deque(maxlen=AROUND)
    found: list[StoredLine] = []
    own: StoredLine | None = None
    reported: StoredLine | None = None
    head = Head()
    for line in history.lines(journal):
        content = line.content or {}
        head = Head(seq=content.get("seq", head.seq + 1), hash=hash_of(line.raw))
        if content.get("event") in ENDS and content.get("job_id") == job_id:
            own, found, reported = line, [*before, line], None
        elif own is not None and len(found) < found.index(own) + 1 + AROUND:
            found.append(line)
        is_report = content.get("event") == "reported" and content.get("sha256") is not None
        if is_report and content.get("job_id") == job_id:
            reported = line
        before.append(line)
    if own is None:
        raise NoEvidenceError(_("The journal has no job {job_id}.").format(job_id=job_id))
    return Extract(found, own, head, reported)


def path_of(found: Extract) -> str:
    """Return where a document was filed, below the root. Raises NoEvidenceError."""
    path = (found.own.content or {}).get("path")
    if path is None:
        raise NoEvidenceError(_("Somebody removed the document before it was filed."))
    return path_text(path)


def job_of(receipt: bytes) -> str:
    """Return the id of the job whose receipt it is. Raises NoEvidenceError."""
    try:
        return Receipt.model_validate_json(receipt).job_id
    except ValidationError:
        raise NoEvidenceError(
            _("The receipt beside the document was not written by faxdrop.")
        ) from None


def bundle(
    document: bytes, name: str, receipt: bytes, found: Extract, report: bytes | None = None
) -> bytes:
    """Return the ZIP file. ``name`` is the document's, as it is filed.

    A report that does not agree with its line is left out. Raises NoEvidenceError if document or
    receipt do not agree with theirs.
    """
    content = found.own.content or {}
    facts = content.get("document")
    sha256 = facts.get("sha256") if isinstance(facts, dict) else None
    if hash_of(receipt) != content.get("receipt_sha256"):
        raise NoEvidenceError(_("The receipt is not the one that faxdrop wrote: it was altered."))
    if sha256 is not None and hash_of(document) != sha256:
        raise NoEvidenceError(_("The document is not the one that was faxed: it was altered."))
    report_name = _inside(report_of(name))
    name = _inside(name)
    files = {name: document, f"{name}.json": receipt}
    more = ""
    told = found.reported
    if report is not None and told and (told.content or {}).get("sha256") == hash_of(report):
        files |= {report_name: report, _name_of(told): told.raw}
        more = _of_report(report_name, told)
    files |= {_name_of(line): line.raw for line in found.lines}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in files.items())
    files["SHA256SUMS"] = sums.encode()
    files["READ-ME.txt"] = (_explained(name, found, is_known=sha256 is not None) + more).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, _STEADY)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return packed.getvalue()


def _inside(name: str) -> str:
    return f"fax/{_NOT_PLAIN.sub('_', stored(name))}"


def _of_report(name: str, told: StoredLine) -> str:
    words = _("The transmission report is the one that faxdrop made:")
    stands_in = _("is {key} in {file}").format(key='"sha256"', file=_name_of(told))
    return f'\n{words}\n   sha256sum "{name}"\n     {stands_in}\n'


def _name_of(line: StoredLine) -> str:
    seq = line.content["seq"] if line.content else 0
    return f"journal/line-{seq:06}.json"


def _explained(name: str, found: Extract, *, is_known: bool) -> str:
    own = _name_of(found.own)
    stands_in = _("is {key} in {file}")
    chained = [
        f"   sha256sum {_name_of(line)}\n     "
        + stands_in.format(key='"previous"', file=_name_of(behind))
        for line, behind in zip(found.lines, found.lines[1:], strict=False)
    ]
    content = found.own.content or {}
    files = _("{one} and in {other}").format(one=f'"{name}.json"', other=own)
    document = f'sha256sum "{name}"\n     ' + stands_in.format(key='"sha256"', file=files)
    if not is_known:
        document = _("(faxdrop could not read it, so its SHA-256 is not known)")
    return _(
        """\
This proves what faxdrop faxed, when, to whom, and how it ended.

1. The document is the one that was dropped:
   {document}

2. The receipt is the one that faxdrop wrote:
   {receipt}

3. Each line of the journal holds the SHA-256 of the line before it, so no line can be altered
   without all that came later:
{chained}

4. When this was made, the journal ended with line {seq}, whose SHA-256 is
   {hash}
   Whoever noted that line's hash, or that of any later line, elsewhere (a notary, a mail, a
   printout) proves that everything up to it existed then and was not altered since.

All files at once:
   sha256sum --check SHA256SUMS

Job: {job}
Ended: {event} at {at}
"""
    ).format(
        document=document,
        receipt=f'sha256sum "{name}.json"\n     '
        + stands_in.format(key='"receipt_sha256"', file=own),
        chained="\n".join(chained) or "   " + _("(there is no other line yet)"),
        seq=found.head.seq,
        hash=found.head.hash,
        job=content.get("job_id"),
        event=_("sent") if content.get("event") == "sent" else _("failed"),
        at=content.get("finished_at"),
    )
