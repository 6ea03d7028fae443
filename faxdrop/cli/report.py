"""The command that makes a transmission report, again or for an old fax: report."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
from pydantic import ValidationError

from faxdrop.cli.orders import OrderError, document_of
from faxdrop.cli.place import takes_place
from faxdrop.cli.terminal import name_of_file
from faxdrop.config.load import load_what_is_right
from faxdrop.config.problems import ConfigError
from faxdrop.config.settings import Config
from faxdrop.documents.checker import Checker
from faxdrop.fax.receipt import Receipt
from faxdrop.report import order
from faxdrop.report.content import compose
from faxdrop.report.order import UnmadeError
from faxdrop.report.recipients import number_of
from faxdrop.spool.disk import Folder, opened_file, opened_folder, read_file, sha256_of
from faxdrop.spool.places import LONGEST_RECEIPT, receipt_of, report_of
from faxdrop.words import _


@takes_place
@click.command(short_help="Make the transmission report of a fax.")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A document in sent/ or failed/, or its receipt.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PDF",
    help="Where the report goes (a new file).  [default: NAME.report.pdf, here]",
)
@click.pass_obj
def report(config_path: Path, *, file: Path, out: Path | None) -> None:
    """Make the transmission report of a fax from its document and its receipt.

    The report is one page: the result, every attempt, number and pages compared, and the first
    page in small; the receipt is attached. This works for old faxes, too, and in an archive.
    Nothing is overwritten. If there is a config, its sender and address book are shown.
    """
    document = document_of(file)
    place = out or Path(report_of(document.name))
    made = _made(config_path, document)
    with _new_file(place) as target:
        target.write(made)
    click.echo(_("The report is in {file}").format(file=name_of_file(place)))


def _made(config_path: Path, document: Path) -> bytes:
    """Return the report as a PDF. Raises OrderError, and OSError."""
    config = _config(config_path)  # first, because it sets the language
    with opened_folder(document.parent.resolve()) as folder:
        content = read_file(folder, receipt_of(document.name), LONGEST_RECEIPT)
        receipt = _receipt_in(content or b"")
        if content is None or receipt is None:
            raise OrderError(
                _("There is no receipt by faxdrop beside {file}.").format(
                    file=name_of_file(document)
                )
            )
        words = compose(
            receipt,
            sender=config.report.sender if config is not None else "",
            book_number=number_of(receipt.recipient.folder, config.recipients, config.region)
            if config is not None
            else None,
        )
        with (
            _ordinary(folder, document.name) as source,
            Checker(order.limits(), reader=order.MAKER) as maker,
        ):
            _same(source, receipt, document)
            try:
                return order.report(maker, words, content, source)
            except UnmadeError:
                raise OrderError(
                    _("The report of {file} could not be made.").format(file=name_of_file(document))
                ) from None


def _receipt_in(content: bytes) -> Receipt | None:
    try:
        return Receipt.model_validate_json(content)
    except ValidationError:
        return None


@contextlib.contextmanager
def _ordinary(folder: Folder, name: str) -> Iterator[BinaryIO | None]:
    """Open a document; of what faxdrop refused, such as a link, nothing is read or drawn."""
    with opened_file(folder, name) as fd:
        if fd is None:
            yield None
            return
        with os.fdopen(fd, "rb", closefd=False) as file:
            yield file


def _same(source: BinaryIO | None, receipt: Receipt, document: Path) -> None:
    """Raise OrderError if a document is not the one of its receipt."""
    wanted = receipt.document.sha256  # None: it was refused unread
    found = None if source is None else sha256_of(source.fileno())
    if wanted not in (None, found):
        raise OrderError(
            _("{file} is not the document of its receipt: it was altered.").format(
                file=name_of_file(document)
            )
        )


def _config(path: Path) -> Config | None:
    try:
        config, _problems = load_what_is_right(path)
    except (ConfigError, OSError):
        return None
    return config


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file; it is removed if it cannot be written."""
    try:
        file = path.open("xb")
    except FileExistsError:
        raise OrderError(
            _("{file} exists already: move it away, or name another file with --out.").format(
                file=name_of_file(path)
            )
        ) from None
    try:
        with file:
            yield file
    except BaseException:
        path.unlink()
        raise
