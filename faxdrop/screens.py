"""How reports look on a terminal: tables for rich, made of data alone. Nothing is printed here.

Names come from whoever dropped a file, so they are shown and never obeyed: no markup of rich's and
no control character of theirs takes effect.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from faxdrop.check import Finding, Level, Report
from faxdrop.demo import Row
from faxdrop.names import shown
from faxdrop.overview import INBOX, Document, Overview

FIRST = 20  # documents that are listed unless all are wanted
_STATE_WORDS = {
    INBOX: "in the inbox",
    "queued": "waiting",
    "submitting": "being handed over",
    "accepted": "with sipgate",
    "unknown": "answer lost, being looked up",
    "sent": "sent, being filed",
    "failed": "failed, being filed",
}


def status(overview: Overview, now: datetime, *, everything: bool) -> RenderableType:
    """Return the screen of ``faxdrop status``."""
    parts: list[RenderableType] = [_running(overview, now), *_in_the_way(overview, now)]
    documents = overview.documents
    if not documents:
        where = "in the inbox or " if overview.inbox_is_there else ""
        return Group(*parts, Text(f"Nothing is {where}on its way."))
    counts = [
        f"{number} {_STATE_WORDS[state]}" for state, number in overview.counts.items() if number
    ]
    parts.append(Text(f"{_many(len(documents), 'document')}: {', '.join(counts)}"))
    listed = documents if everything else documents[:FIRST]
    parts += ["", _documents(listed, now)]
    if len(listed) < len(documents):
        left = len(documents) - len(listed)
        parts.append(Text(f"... and {_many(left, 'document')} more: faxdrop status --all"))
    return Group(*parts)


_MARKS = {
    Level.OK: ("ok", "green"),
    Level.NOTE: ("note", "bold yellow"),
    Level.WRONG: ("WRONG", "bold red"),
}


def check(report: Report) -> RenderableType:
    """Return the screen of ``faxdrop check``."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    topic = ""
    for finding in report.findings:
        mark, style = _MARKS[finding.level]
        name = finding.topic if finding.topic != topic else ""
        table.add_row(name, Text(mark, style), _finding(finding))
        topic = finding.topic
    return Group(table, "", _verdict(report))


def _finding(finding: Finding) -> Text:
    text = Text(shown(finding.words))
    if finding.advice:
        text.append(f"\n-> {shown(finding.advice)}", "bold")
    return text


def _verdict(report: Report) -> Text:
    if report.would_fax:
        whom = "the simulator" if report.simulated else "sipgate"
        return Text(f"This machine would fax, as {report.user} and by {whom}.", "bold green")
    wrong = sum(finding.level is Level.WRONG for finding in report.findings)
    verb = "is" if wrong == 1 else "are"
    return Text(f"This machine would not fax: {_many(wrong, 'thing')} {verb} wrong.", "bold red")


def _running(overview: Overview, now: datetime) -> Text:
    if not overview.running:
        return Text.assemble(
            ("faxdrop is not running", "bold red"),
            f" on {shown(overview.root)}: start it (systemctl start faxdrop, or faxdrop run).",
        )
    since = f", since {clock(overview.started_at, now)}" if overview.started_at else ""
    pid = f" (pid {overview.pid}{since})" if overview.pid else ""
    deaf = "" if overview.watching else " No events arrive from the inbox: it is read every few s."
    far = overview.scanning
    reading = f" The inbox is being read: {far.folders} of {far.of} folders." if far else ""
    return Text.assemble(
        ("faxdrop is running", "bold green"),
        f" on {shown(overview.root)}{pid}.{deaf}{reading}",
    )


def _in_the_way(overview: Overview, now: datetime) -> Iterable[Text]:
    told: dict[tuple[str, str], datetime] = {}
    for hold in overview.holds:
        since = told.get((hold.words, hold.advice), hold.since)
        told[hold.words, hold.advice] = min(since, hold.since)
    for (words, advice), since in told.items():
        yield Text.assemble(
            ("HELD", "bold red"),
            f" since {clock(since, now)}: {shown(words)}. {shown(advice)}".rstrip()
            + " It is tried again by itself; no document is lost or fails for it.",
        )
    for wrong in overview.problems:
        yield Text.assemble(("LOOK", "bold yellow"), f" {shown(wrong.path)} {shown(wrong.problem)}")
    if overview.corrupt:
        yield Text.assemble(
            ("LOOK", "bold yellow"),
            f" {_many(overview.corrupt, 'record')} could not be read: see "
            f"{shown(overview.corrupt_folder)}. Each has its document.pdf; whether it was faxed, "
            "the sipgate account tells.",
        )


def _documents(documents: Sequence[Document], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Document, recipient", overflow="fold")
    table.add_column("State", overflow="fold")
    table.add_column("Job, sipgate's id", no_wrap=True)
    for one in documents:
        to = shown(one.folder) if one.folder is not None else "(no recipient folder)"
        if one.number is not None and one.number not in to.replace(" ", ""):
            to += f" {one.number}"
        state = Text(shown(one.words))
        if one.next_attempt_at is not None:
            state.append(f" at {clock(one.next_attempt_at, now)}")
        notes = [f"since {clock(one.since, now)}"] if one.since else []
        if one.attempts:
            notes.append(f"attempt {one.attempts}")
        table.add_row(
            Text.assemble(shown(one.name), "\n", (to, "dim")),
            Text.assemble(state, "\n", (", ".join(notes), "dim")),
            Text.assemble(one.job or "", "\n", (shown(one.session_id or ""), "dim")),
        )
    return table


def clock(at: datetime, now: datetime) -> str:
    """Return an instant as people here write it: the time, and the day if it is not today."""
    local, today = _local(at), _local(now).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def _local(at: datetime) -> datetime:
    try:
        return at.astimezone()
    except (OSError, OverflowError, ValueError):  # beyond what the C library knows
        return at.astimezone(UTC)


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_FILED_STYLES = {None: "", "sent": "green", "failed": "red"}


def demo(rows: Iterable[Row], elapsed: float) -> RenderableType:
    """Return the demo at one moment, ``elapsed`` seconds after its beginning."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Recipient", overflow="fold")
    table.add_column("Document", overflow="fold")
    table.add_column(f"after {elapsed:.0f} s", overflow="fold")
    for row in rows:
        words = Text(shown(row.words), _FILED_STYLES[row.status])
        table.add_row(shown(row.drop.folder), shown(row.drop.name), words)
    return table


def demo_change(row: Row, elapsed: float) -> Text:
    """Return a line that says what has changed, for where there is no terminal."""
    return Text(f"{elapsed:4.1f} s  {shown(f'{row.drop.folder}/{row.drop.name}: {row.words}')}")


def tree(root: Path, tops: Iterable[Path]) -> RenderableType:
    """Return the tree of some folders below a root."""
    whole = Tree(shown(f"{root}/"))
    for top in tops:
        _branch(whole, top)
    return whole


def _branch(tree: Tree, path: Path) -> None:
    if path.is_dir():
        branch = tree.add(Text(shown(f"{path.name}/"), "bold"))
        for inner in sorted(path.iterdir()):
            _branch(branch, inner)
    else:
        tree.add(Text(shown(path.name), "dim" if path.suffix == ".json" else ""))
