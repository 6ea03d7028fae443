"""The command that lists what was faxed. It changes nothing and needs no daemon."""

import json
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from faxdrop.cli.place import takes_place
from faxdrop.cli.terminal import show
from faxdrop.config.load import load_what_is_right
from faxdrop.fax import receipt as receipt_
from faxdrop.fax.reasons import ReasonCode
from faxdrop.fax.sentences import in_short
from faxdrop.followers import tables
from faxdrop.journal import history
from faxdrop.journal.chain import months_of
from faxdrop.journal.history import Filter, part
from faxdrop.names.printable import shown
from faxdrop.spool.home import journal_of
from faxdrop.words import N_, _, short_moment

_T = TypeVar("_T")
_HEADINGS = (N_("Finished"), N_("Result"), N_("Document"), N_("Recipient"), N_("Pages"))
_TOTALS = {"month": N_("Month"), "recipient": N_("Recipient"), "outcome": N_("Outcome")}
_FOLDED = 500  # documents: a longer list is not fitted to the terminal
_DAY = click.DateTime(["%Y-%m-%d", "%d.%m.%Y"])

ROOT = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Use this root instead of the config's, such as a copy of it. Needs no config.",
)


def root_of(config_path: Path, root: Path | None) -> Path:
    """Return the root that a command is for."""
    return root if root is not None else load_what_is_right(config_path)[0].root


@takes_place
@click.command(short_help="What was faxed, to whom, when, and how did it end?")
@click.option(
    "--since", type=_DAY, metavar="DAY", help="From that day on: 2026-11-01 or 01.11.2026."
)
@click.option("--until", type=_DAY, metavar="DAY", help="Up to and including that day.")
@click.option(
    "--to", default="", metavar="TEXT", help="Only recipients whose name or number contains TEXT."
)
@click.option("--status", type=click.Choice(["sent", "failed"]), help="Only faxes that ended so.")
@click.option(
    "--reason",
    type=click.Choice([code.value for code in ReasonCode]),
    metavar="CODE",
    help="Only faxes that failed for this reason, such as outcome_unknown.",
)
@click.option("--summary", is_flag=True, help="Print totals by month, recipient and outcome.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@ROOT
@click.pass_obj
def receipts(  # noqa: PLR0913 - one for each option
    config_path: Path,
    *,
    root: Path | None,
    since: datetime | None,
    until: datetime | None,
    to: str,
    status: str | None,
    reason: str | None,
    summary: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List what was faxed, to whom, when and how it ended, the oldest first.

    Days begin and end at this machine's midnight. If you may not read the journal, the list is made
    from the receipts.
    """
    if as_csv and (as_json or summary):
        raise click.UsageError(_("--csv cannot be combined with --json or --summary."))
    wanted = Filter(_day(since), _day(until), to, status or "", reason or "")
    root = root_of(config_path, root)
    if summary:
        totals = _ends(root, wanted, history.summary)
        if as_json:
            click.echo(json.dumps(totals, ensure_ascii=False, indent=2))
        else:
            show(_totals(totals))
        return
    if as_csv:
        click.echo(_ends(root, wanted, tables.for_reading), nl=False)
    elif as_json:
        for content in _ends(root, wanted, list):
            click.echo(json.dumps(content, ensure_ascii=True))
    else:
        rows = _ends(root, wanted, lambda found: list(map(_row, found)))
        if len(rows) > _FOLDED:
            click.echo(_aligned(rows))
        else:
            show(_listed(rows))


@click.command()
def receipt_schema() -> None:
    """Print the JSON Schema of the receipts."""
    click.echo(json.dumps(receipt_.schema(), indent=2))


def _day(at: datetime | None) -> date | None:
    return at.date() if at else None


def _ends(root: Path, wanted: Filter, take: Callable[[Iterable[dict[str, Any]]], _T]) -> _T:
    """Return what ``take`` makes of the wanted ends, the oldest first."""
    journal = journal_of(root)
    try:
        if months_of(journal):
            return take(history.ends(journal, wanted))
    except PermissionError:
        pass  # a member of the group may read the receipts instead
    found = history.ends_of_receipts((root / "sent", root / "failed"), wanted)
    return take(sorted(found, key=lambda content: str(content.get("finished_at"))))


def _row(content: dict[str, Any]) -> tuple[str, ...]:
    document, recipient = part(content, "document"), part(content, "recipient")
    to = " ".join(str(recipient[key]) for key in ("folder", "number") if recipient.get(key))
    status = str(content.get("status", content.get("event")))
    result = (
        _("sent")
        if status == "sent"
        else _("failed: {reason}").format(reason=in_short(history.reason_of(content)))
    )
    name, pages = str(document.get("name")), str(document.get("pages") or "")
    return _when(content.get("finished_at")), shown(result), shown(name), shown(to), pages


def _when(at: Any) -> str:
    try:
        return short_moment(datetime.fromisoformat(at))
    except (TypeError, ValueError, OverflowError):
        return ""


def _listed(rows: list[tuple[str, ...]]) -> RenderableType:
    if not rows:
        return Text(_("No fax matches."))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in _HEADINGS:
        table.add_column(_(heading), overflow="fold", no_wrap=heading in ("Finished", "Pages"))
    for when, result, *rest in rows:
        table.add_row(when, Text(result, "" if result == _("sent") else "red"), *rest)
    return Group(table, "", Text(_in_all(rows)))


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Return the rows without colours and folding, which would take longer than reading all."""
    lines = [tuple(map(_, _HEADINGS)), *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    padded = (
        "  ".join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in lines
    )
    return "\n".join([*padded, "", _in_all(rows)])


def _in_all(rows: list[tuple[str, ...]]) -> str:
    return _("{count} in all.").format(count=len(rows))


def _totals(found: dict[str, dict[str, dict[str, int]]]) -> RenderableType:
    parts: list[RenderableType] = []
    for name, rows in found.items():
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(_(_TOTALS[name]), overflow="fold")
        for heading in (_("Sent"), _("Failed"), _("Pages sent")):
            table.add_column(heading, justify="right")
        for row, counts in sorted(rows.items()):
            table.add_row(
                shown(_outcome(row) if name == "outcome" else row),
                *(str(counts[of]) for of in ("sent", "failed", "pages")),
            )
        parts += [table, ""]
    return Group(*parts[:-1])


def _outcome(found: str) -> str:
    return _("sent") if found == "sent" else in_short(found)
