"""How reports look on a terminal: tables for rich, made of data alone. Nothing is printed here.

Names come from whoever dropped a file, so they are shown and never obeyed: no markup of rich's and
no control character of theirs takes effect.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from faxdrop.cli.demo import DemoRow
from faxdrop.cli.terminal import Hanging
from faxdrop.names.printable import shown
from faxdrop.setup.check import CheckReport, Finding, Level
from faxdrop.status.overview import INBOX, Document, Overview
from faxdrop.status.shared import Shared

FIRST = 20  # documents that are listed unless all are wanted
_LOOK = Text("LOOK  ", "bold yellow")
_STATE_WORDS = {
    INBOX: "in the inbox",
    "queued": "waiting",
    "submitting": "being handed over",
    "accepted": "with sipgate",
    "unknown": "answer lost, being looked up",
    "sent": "sent, being filed",
    "failed": "failed, being filed",
}


def status(
    overview: Overview, now: datetime, *, everything: bool, start: str = "faxdrop run"
) -> RenderableType:
    """Return the screen of ``faxdrop status``; ``start`` is the command that starts the daemon."""
    parts: list[RenderableType] = [_running(overview, now, start), *_in_the_way(overview, now)]
    documents = overview.documents
    if not documents:
        where = "in the inbox or " if overview.inbox_is_there else ""
        lost = overview.unreadable or overview.corrupt
        parts.append(Hanging(f"Nothing {'else ' if lost else ''}is {where}on its way."))
        return Group(*parts)
    counts = [
        f"{number} {_STATE_WORDS[state]}" for state, number in overview.counts.items() if number
    ]
    parts.append(Hanging(f"{_many(len(documents), 'document')}: {', '.join(counts)}"))
    listed = documents if everything else documents[:FIRST]
    parts.append("")
    for one in listed:
        parts += _document(one, now)
    if len(listed) < len(documents):
        left = len(documents) - len(listed)
        parts += [Hanging(f"... and {_many(left, 'document')} more: faxdrop status --all")]
    return Group(*parts)


def shared(found: Shared, now: datetime, whole: str) -> RenderableType:
    """Return the screen for a member of the group; ``whole`` is the command that shows all."""
    parts: list[RenderableType] = [
        Hanging(
            f"In {shown(found.root)}: {_many(len(found.inbox), 'document')} in inbox/, "
            f"{found.sent} in sent/, {found.failed} in failed/."
        )
    ]
    for title, lying, number in (
        ("In the inbox:", found.inbox, len(found.inbox)),
        ("Failed last:", found.latest_failed, found.failed),
    ):
        if lying:
            parts += ["", Hanging(title)]
        for one in lying[:FIRST]:
            to = f"  to {shown(one.folder)}" if one.folder is not None else ""
            since = f" ({clock(one.since, now)})" if one.since else ""
            parts.append(
                Hanging(Text.assemble((shown(one.name), "bold"), to, (since, "dim")), "  ")
            )
            parts.append(Hanging(shown(one.words), "    "))
        if lying and number > len(lying[:FIRST]):
            parts.append(Hanging(f"... and {number - len(lying[:FIRST])} more", "  "))
    parts += ["", Hanging(f"What is on its way, and whether faxdrop runs: {whole}")]
    return Group(*parts)


_MARKS = {
    Level.OK: ("ok", "green"),
    Level.NOTE: ("note", "bold yellow"),
    Level.FAULT: ("FAULT", "bold red"),
    Level.WRONG: ("WRONG", "bold red"),
}


def check(report: CheckReport) -> RenderableType:
    """Return the screen of ``faxdrop check``."""
    lines: list[RenderableType] = []
    topic = ""
    for finding in report.findings:
        mark, style = _MARKS[finding.level]
        name = finding.topic if finding.topic != topic else ""
        label = Text.assemble(f"{name:<12}", (f"{mark:<7}", style))
        lines.append(Hanging(_finding(finding), label))
        topic = finding.topic
    return Group(*lines, "", Hanging(_verdict(report)))


def _finding(finding: Finding) -> Text:
    text = Text(shown(finding.words))
    if finding.advice:
        lines = "\n   ".join(shown(line) for line in finding.advice.split("\n"))
        text.append(f"\n-> {lines}", "bold")
    return text


def _verdict(report: CheckReport) -> Text:
    faults = sum(finding.level is Level.FAULT for finding in report.findings)
    if report.would_fax:
        whom = "the simulator" if report.simulated else "sipgate"
        words = f"This machine would fax, as {report.user} and by {whom}."
        if faults:
            words = f"{words[:-1]}; {_many(faults, 'fault')} to mend all the same."
        return Text(words, "bold yellow" if faults else "bold green")
    wrong = sum(finding.level is Level.WRONG for finding in report.findings)
    verb = "is" if wrong == 1 else "are"
    return Text(f"This machine would not fax: {_many(wrong, 'thing')} {verb} wrong.", "bold red")


def _running(overview: Overview, now: datetime, start: str) -> RenderableType:
    if not overview.running:
        return Hanging(
            Text.assemble(
                ("faxdrop is not running", "bold red"),
                f" on {shown(overview.root)}. Start it: {shown(start)}",
            )
        )
    since = f", since {clock(overview.started_at, now)}" if overview.started_at else ""
    pid = f" (pid {overview.pid}{since})" if overview.pid else ""
    deaf = "" if overview.watching else " No events arrive from the inbox: it is read every few s."
    far = overview.scanning
    reading = f" The inbox is being read: {far.folders} of {far.of} folders." if far else ""
    return Hanging(
        Text.assemble(
            ("faxdrop is running", "bold green"),
            f" on {shown(overview.root)}{pid}.{deaf}{reading}",
        )
    )


def _in_the_way(overview: Overview, now: datetime) -> Iterable[RenderableType]:
    told: dict[tuple[str, str], datetime] = {}
    for hold in overview.holds:
        since = told.get((hold.words, hold.advice), hold.since)
        told[hold.words, hold.advice] = min(since, hold.since)
    for (words, advice), since in told.items():
        yield Hanging(
            f"since {clock(since, now)}: {shown(words)}. {shown(advice)}".rstrip()
            + " It is tried again by itself; no document is lost or fails for it.",
            Text("HELD  ", "bold red"),
        )
    for wrong in overview.problems:
        yield Hanging(f"{shown(wrong.path)} {shown(wrong.problem)}", _LOOK)
    if overview.corrupt:
        yield Hanging(
            f"{_many(overview.corrupt, 'record')} could not be read: see "
            f"{shown(overview.corrupt_folder)}. Each has its document.pdf; whether it was faxed, "
            "the sipgate account tells.",
            _LOOK,
        )


def _document(one: Document, now: datetime) -> Iterable[RenderableType]:
    """Return the lines of a document, which stay together at any width."""
    to = shown(one.folder) if one.folder is not None else "(no recipient folder)"
    if one.number is not None and one.number not in to.replace(" ", ""):
        to += f" {one.number}"
    yield Hanging(Text.assemble((shown(one.name), "bold"), f"  to {to}"))
    state = shown(one.words)
    if one.next_attempt_at is not None:
        state += f" at {clock(one.next_attempt_at, now)}"
    notes = [f"since {clock(one.since, now)}"] if one.since else []
    if one.attempts:
        notes.append(f"attempt {one.attempts}")
    yield Hanging(Text.assemble(state, (f" ({', '.join(notes)})" if notes else "", "dim")), "  ")
    ids = [f"job {one.job}"] if one.job else []
    if one.session_id:
        ids.append(f"sipgate's id {shown(one.session_id)}")
    if ids:
        yield Hanging(Text(", ".join(ids), "dim"), "  ")


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


def demo(rows: Iterable[DemoRow], elapsed: float) -> RenderableType:
    """Return the demo at one moment, ``elapsed`` seconds after its beginning."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("Recipient", overflow="fold")
    table.add_column("Document", overflow="fold")
    table.add_column(f"after {elapsed:.0f} s", overflow="fold")
    for row in rows:
        words = Text(shown(row.words), _FILED_STYLES[row.status])
        table.add_row(shown(row.drop.folder), shown(row.drop.name), words)
    return table


def demo_change(row: DemoRow, elapsed: float) -> Text:
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
