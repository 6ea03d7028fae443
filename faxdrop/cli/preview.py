"""The command that shows what the other side will see: preview."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import click

from faxdrop.cli.terminal import name_of_file
from faxdrop.config.load import load_what_is_right
from faxdrop.config.problems import ConfigError
from faxdrop.config.settings import DocumentSettings
from faxdrop.documents import preview as preview_
from faxdrop.documents.assess import limits_of
from faxdrop.documents.preview import Preview, UndrawnError
from faxdrop.documents.verdict import Limits
from faxdrop.spool.disk import open_ordinary
from faxdrop.words import _, ngettext


@click.command(short_help="Show what the recipient will see of a PDF.")
@click.argument(
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A PDF.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the pictures go (new, or empty).  [default: NAME.preview, here]",
)
@click.pass_obj
def preview(config_path: Path, *, file: Path, out: Path | None) -> None:
    """Show what the recipient will see of a PDF, page by page, without faxing it.

    Writes two pictures (PNG) of each page, at the two resolutions of fax machines: fine (204 x 196
    dots per inch) and standard (half as many lines). Says how the copy that is faxed differs from
    the PDF, and which pages are blank, mostly black, or of a size that a fax shrinks. Needs no
    config and no daemon; if there is a config, its limits apply.
    """
    name = name_of_file(file)
    where: list[Path] = []

    def folder() -> Path:
        where.append(_new(Path(f"{file.stem}.preview")) if out is None else _empty(out))
        return where[0]

    try:
        with open_ordinary(file) as document:
            made = preview_.make(document, folder, _limits(config_path))
    except UndrawnError:
        click.echo(
            _(
                "faxdrop: {name} can be faxed, but its pages cannot be drawn on this machine."
            ).format(name=name),
            err=True,
        )
        raise SystemExit(1) from None
    reason = made.verdict.reason
    if reason is not None:
        click.echo(
            _("faxdrop: {name} is not faxed: {message} {advice}").format(
                name=name, message=reason.message, advice=reason.advice
            ),
            err=True,
        )
        raise SystemExit(1)
    for line in _said(name, made):
        click.echo(line)
    click.echo(_("The pictures are in {folder}").format(folder=f"{name_of_file(where[0])}{os.sep}"))


def _limits(config_path: Path) -> Limits:
    """Return the limits of the config, or the defaults without one."""
    try:
        config, _ = load_what_is_right(config_path)
    except (ConfigError, OSError):
        documents = DocumentSettings()
        return Limits(documents.max_bytes, documents.max_pages, documents.forms)
    return limits_of(config)


def _empty(folder: Path) -> Path:
    """Make a folder that was named; an existing one must be empty."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise click.UsageError(_("{folder} is not empty.").format(folder=name_of_file(folder)))
    return folder


def _new(wanted: Path) -> Path:
    """Make a folder; if the name is taken, add a number to it."""
    for number in itertools.count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name} ({number})")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError


def _said(name: str, made: Preview) -> Iterator[str]:
    facts = made.verdict.facts
    changes = facts.changes if facts is not None else ()
    count = len(made.sheets)
    pages = ngettext("{count} page", "{count} pages", count).format(count=count)
    how = (
        _("faxed as a copy: {changes}").format(changes=", ".join(_(each) for each in changes))
        if changes
        else _("faxed as it is")
    )
    yield f"{name}: {pages}, {how}"
    if made.verdict.unjudged:
        yield "  " + _("The copy could not be compared with the original: look at it closely.")
    for number, sheet in enumerate(made.sheets, 1):
        words = preview_.remarks(sheet)
        if words:
            yield "  " + _("page {number}: {words}").format(number=number, words=words)
