"""The commands that prove something: verify, evidence. They change nothing and need no daemon."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.progress import Progress
from rich.text import Text

from faxdrop.cli.orders import document_of
from faxdrop.cli.place import takes_place
from faxdrop.cli.receipts import ROOT, root_of
from faxdrop.cli.terminal import make_console, name_of_file, show
from faxdrop.journal import evidence as evidence_
from faxdrop.journal import verify as verify_
from faxdrop.journal.chain import months_of
from faxdrop.journal.evidence import NoEvidenceError
from faxdrop.journal.files import read_file
from faxdrop.journal.flaws import Verification
from faxdrop.journal.witness import WitnessError, roots_in
from faxdrop.names.printable import shown
from faxdrop.spool.home import journal_of
from faxdrop.spool.places import (
    LONGEST_RECEIPT,
    SpoolError,
    receipt_path,
    report_of,
)
from faxdrop.words import _, ngettext

_LONGEST_DOCUMENT = 1 << 28  # bytes
_HASH = re.compile("[0-9a-fA-F]{8,64}")


@takes_place
@click.command(short_help="Was anything altered since it was faxed?")
@click.argument(
    "archives",
    nargs=-1,
    metavar="[PATH]...",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder to which filed documents were moved.",
)
@click.option(
    "--head",
    is_flag=False,
    flag_value="",
    metavar="[HASH]",
    help="Print the hash of the last line, to note it elsewhere. With a noted HASH: check it.",
)
@click.option(
    "--authority",
    metavar="PEM",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Certificates of the time stamp authorities to trust.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (faxdrop-verified/1).")
@ROOT
@click.pass_obj
def verify(
    config_path: Path,
    *,
    root: Path | None,
    archives: tuple[Path, ...],
    head: str | None,
    authority: Path | None,
    as_json: bool,
) -> None:
    """Compare documents with receipts, receipts with the journal, the journal with itself.

    Names each file that was altered, is missing, or was added by somebody else. If people moved
    filed documents to archives, give these folders as PATHs. The exit status is 0 only if
    everything is as faxdrop left it.
    """
    root = root_of(config_path, root)
    journal = journal_of(root)
    if not months_of(journal):
        raise SpoolError(
            _("There is no readable journal in {journal}.").format(journal=name_of_file(journal))
        )
    if head and not _HASH.fullmatch(head):
        raise click.BadParameter(
            _("A hash is 8 to 64 of the digits 0-9 and a-f."), param_hint="--head"
        )
    try:
        authorities = roots_in(authority) if authority is not None else []
    except (WitnessError, ImportError) as error:
        raise SpoolError(_("Time stamps cannot be checked: {error}.").format(error=error)) from None
    with _progress(is_quiet=as_json or head == "") as tick:
        verified = verify_.verify(
            root, journal, archives, head=head, authorities=authorities, tick=tick
        )
    if head == "":
        click.echo(f"{verified.head_seq} {verified.head_hash}")
        if not verified.is_well:
            words = _("faxdrop: not everything is as faxdrop left it. `faxdrop verify` shows what.")
            click.echo(words, err=True)
    elif as_json:
        click.echo(json.dumps(_as_json(verified), indent=2))
    else:
        show(_verified(verified))
    if not verified.is_well:
        raise SystemExit(1)


@takes_place
@click.command(short_help="Put everything that proves one fax into one file.")
@click.argument(
    "fax", metavar="FILE|JOB", help="A document, its receipt, or the job id in the receipt."
)
@click.option(
    "--out",
    metavar="ZIP",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The ZIP file to write (a new file).",
)
@ROOT
@click.pass_obj
def evidence(config_path: Path, *, root: Path | None, fax: str, out: Path | None) -> None:
    """Put document, receipt and lines of the journal into one ZIP file.

    FILE is the document or its receipt, also in an archive; JOB is the job id in the receipt. The
    READ-ME.txt inside explains how to check everything by hand.
    """
    root = root_of(config_path, root)
    journal = journal_of(root)
    document = document_of(Path(fax))
    try:
        if os.path.lexists(document):
            content, receipt = _pair(document)
            found = evidence_.extract(journal, evidence_.job_of(receipt))
        else:
            found = evidence_.extract(journal, fax)
            document = root / evidence_.path_of(found)
            content, receipt = _pair(document)
        report = read_file(document.with_name(report_of(document.name)), _LONGEST_DOCUMENT)
        packed = evidence_.bundle(content, document.name, receipt, found, report)
    except NoEvidenceError as error:
        raise SpoolError(str(error)) from None
    target = out or Path(f"{document.stem}.evidence.zip")
    with target.open("xb") as made:
        made.write(packed)
    click.echo(_("Written: {target}").format(target=name_of_file(target)))


def _pair(document: Path) -> tuple[bytes, bytes]:
    """Return a document and its receipt. Raises NoEvidenceError."""
    content = read_file(document, _LONGEST_DOCUMENT)
    receipt = read_file(receipt_path(document), LONGEST_RECEIPT)
    if content is None or receipt is None:
        unread = document if content is None else receipt_path(document)
        if os.path.lexists(unread):
            raise NoEvidenceError(
                _(
                    "{file} cannot be read, so it proves nothing: it is a link, a pipe or a "
                    "device, or too large, or you may not read it."
                ).format(file=name_of_file(unread))
            )
        raise NoEvidenceError(
            _(
                "{document} and its receipt are no longer there. If both were moved to an "
                "archive, name the document where it is now."
            ).format(document=name_of_file(document))
        )
    return content, receipt


def _verified(verified: Verification) -> RenderableType:
    parts: list[RenderableType] = [
        Text.assemble((found.kind, "bold red"), f" {shown(found.where)} {shown(found.words)}")
        for found in verified.findings
    ]
    documents = str(verified.documents)
    if verified.moved:
        documents = _("{documents} ({moved} elsewhere than filed)").format(
            documents=documents, moved=verified.moved
        )
    parts.append(
        Text(
            _("Lines of the journal: {lines}. Unaltered documents: {documents}.").format(
                lines=verified.lines, documents=documents
            )
        )
    )
    if verified.unfinished:
        parts.append(
            Text(
                _("Documents being filed at this moment: {count}.").format(
                    count=verified.unfinished
                )
            )
        )
    if verified.unmade:
        words = _("Reports that could not be made: {count}. `faxdrop report` tries again.")
        parts.append(Text(words.format(count=verified.unmade)))
    if verified.stamps:
        parts.append(
            Text(
                _("Valid time stamps: {count}, the last of {when}.").format(
                    count=verified.stamps, when=verified.stamped_at
                )
            )
        )
    if verified.unchecked_stamps:
        words = _(
            "Time stamps not checked: {count}. Checking needs: pip install 'faxdrop[witness]'"
        )
        parts.append(Text(words.format(count=verified.unchecked_stamps)))
    parts.append(
        Text(
            _("The journal ends with line {seq}: {hash}").format(
                seq=verified.head_seq, hash=verified.head_hash
            )
        )
    )
    if verified.is_well:
        parts.append(Text(_("Everything is as faxdrop left it."), "bold green"))
    else:
        wrong = len(verified.findings)
        parts.append(
            Text(
                ngettext(
                    "{count} thing is not as faxdrop left it.",
                    "{count} things are not as faxdrop left them.",
                    wrong,
                ).format(count=wrong),
                "bold red",
            )
        )
    return Group(*parts)


def _as_json(verified: Verification) -> dict[str, Any]:
    return {
        "format": "faxdrop-verified/1",
        "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "is_well": verified.is_well,
        "lines": verified.lines,
        "documents": verified.documents,
        "moved": verified.moved,
        "removed": verified.removed,
        "unfinished": verified.unfinished,
        "stamps": verified.stamps,
        "head": {"seq": verified.head_seq, "hash": verified.head_hash},
        "findings": [found._asdict() for found in verified.findings],
    }


@contextlib.contextmanager
def _progress(*, is_quiet: bool) -> Iterator[Callable[..., None]]:
    console = make_console()
    if is_quiet or not console.is_terminal:
        yield lambda: None
        return
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task(_("Verifying"), total=None)
        yield partial(progress.advance, bar)
