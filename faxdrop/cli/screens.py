"""How answers look on a terminal: tables for rich, made from data alone. Nothing is printed here.

Names come from whoever dropped a file, so they are shown and never obeyed: no rich markup and no
control character in them takes effect.
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
from faxdrop.setup.check import CheckReport
from faxdrop.setup.findings import Finding, Level
from faxdrop.status.overview import INBOX, Document, Overview
from faxdrop.status.shared import Shared
from faxdrop.words import N_, _, ngettext, number, short_moment

FIRST = 20  # documents listed unless all are wanted
_STATE_WORDS = {
    INBOX: N_("in the inbox"),
    "queued": N_("waiting"),
    "submitting": N_("being handed over"),
    "accepted": N_("at sipgate"),
    "unknown": N_("answer lost; looking it up"),
    "sent": N_("sent, being filed"),
    "failed": N_("failed, being filed"),
}


def status(
    overview: Overview, now: datetime, *, everything: bool, start: str = "faxdrop run"
) -> RenderableType:
    """Return the screen of ``faxdrop status``; ``start`` is the command that starts the daemon."""
    parts: list[RenderableType] = [_running(overview, now, start), *_in_the_way(overview, now)]
    if overview.failed.number or overview.sent_today.number:
        words = _("In failed/: {failed}; sent today: {sent}.")
        failed, sent = number(overview.failed.number), number(overview.sent_today.number)
        parts.append(Hanging(words.format(failed=failed, sent=sent)))
    documents = overview.documents
    if not documents:
        lost = overview.unreadable or overview.corrupt
        parts.append(Hanging(_nothing(is_inbox_there=overview.inbox_is_there, is_all=not lost)))
        return Group(*parts)
    counts = [
        f"{count} {_(_STATE_WORDS[state])}" for state, count in overview.counts.items() if count
    ]
    parts.append(Hanging(f"{_documents(len(documents))}: {', '.join(counts)}"))
    listed = documents if everything else documents[:FIRST]
    parts.append("")
    for one in listed:
        parts += _document(one, now)
    if len(listed) < len(documents):
        left = len(documents) - len(listed)
        parts += [
            Hanging(
                ngettext(
                    "... and {count} document more: faxdrop status --all",
                    "... and {count} documents more: faxdrop status --all",
                    left,
                ).format(count=left)
            )
        ]
    return Group(*parts)


def shared(found: Shared, now: datetime, whole: str) -> RenderableType:
    """Return the screen for a member of the group; ``whole`` is the command that shows all."""
    parts: list[RenderableType] = [
        Hanging(
            _("In {root}: {documents} in inbox/, {sent} in sent/, {failed} in failed/.").format(
                root=shown(found.root),
                documents=_documents(len(found.inbox)),
                sent=found.sent,
                failed=found.failed,
            )
        )
    ]
    for title, lying, count in (
        (_("In the inbox:"), found.inbox, len(found.inbox)),
        (_("Failed last:"), found.latest_failed, found.failed),
    ):
        if lying:
            parts += ["", Hanging(title)]
        for one in lying[:FIRST]:
            to = (
                "  " + _("to {folder}").format(folder=shown(one.folder))
                if one.folder is not None
                else ""
            )
            since = f" ({clock(one.since, now)})" if one.since else ""
            parts.append(
                Hanging(Text.assemble((shown(one.name), "bold"), to, (since, "dim")), "  ")
            )
            parts.append(Hanging(shown(one.words), "    "))
        if lying and count > len(lying[:FIRST]):
            parts.append(
                Hanging(_("... and {count} more").format(count=count - len(lying[:FIRST])), "  ")
            )
    parts += [
        "",
        Hanging(
            _("What is on its way, and whether faxdrop is running: {whole}").format(whole=whole)
        ),
    ]
    return Group(*parts)


_TOPICS = (  # the words of check's first column; in JSON they are the same in every language
    N_("config"),
    N_("root"),
    N_("folders"),
    N_("records"),
    N_("space"),
    N_("events"),
    N_("daemon"),
    N_("documents"),
    N_("sandbox"),
    N_("recipients"),
    N_("clock"),
    N_("faxline"),
    N_("balance"),
    N_("unit"),
    N_("token"),
    N_("notify"),
)
_MARKS = {
    Level.OK: (N_("ok"), "green"),
    Level.NOTE: (N_("note"), "bold yellow"),
    Level.FAULT: (N_("FAULT"), "bold red"),
    Level.WRONG: (N_("WRONG"), "bold red"),
}


def check(report: CheckReport) -> RenderableType:
    """Return the screen of ``faxdrop check``."""
    lines: list[RenderableType] = []
    topic = ""
    for finding in report.findings:
        mark, style = _MARKS[finding.level]
        name = finding.topic if finding.topic != topic else ""
        label = Text.assemble(f"{_(name):<12}", (f"{_(mark):<7}", style))
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
        whom = _("the simulator") if report.simulated else "sipgate"
        words = _("This machine would fax, as {user}, through {whom}.").format(
            user=report.user, whom=whom
        )
        if faults:
            words = ngettext(
                "This machine would fax, as {user}, through {whom}; but {count} fault needs to "
                "be corrected.",
                "This machine would fax, as {user}, through {whom}; but {count} faults need to "
                "be corrected.",
                faults,
            ).format(user=report.user, whom=whom, count=faults)
        return Text(words, "bold yellow" if faults else "bold green")
    wrong = sum(finding.level is Level.WRONG for finding in report.findings)
    words = ngettext(
        "This machine would not fax: {count} thing is wrong.",
        "This machine would not fax: {count} things are wrong.",
        wrong,
    )
    return Text(words.format(count=wrong), "bold red")


def _running(overview: Overview, now: datetime, start: str) -> RenderableType:
    if not overview.running:
        return Hanging(
            Text.assemble(
                (_("faxdrop is not running"), "bold red"),
                " "
                + _("on {root}. Start it: {start}").format(
                    root=shown(overview.root), start=shown(start)
                ),
            )
        )
    which = [f"pid {overview.pid}"] if overview.pid else []
    if overview.pid and overview.started_at:
        which.append(_("since {time}").format(time=clock(overview.started_at, now)))
    words = [_("on {root}").format(root=shown(overview.root))]
    words[0] += f" ({', '.join(which)})." if which else "."
    if not overview.watching:
        words.append(
            _("No events come from the inbox: faxdrop reads it every few seconds instead.")
        )
    if far := overview.scanning:
        words.append(
            _("The inbox is being read: {folders} of {of} folders.").format(
                folders=far.folders, of=far.of
            )
        )
    return Hanging(Text.assemble((_("faxdrop is running"), "bold green"), f" {' '.join(words)}"))


def _in_the_way(overview: Overview, now: datetime) -> Iterable[RenderableType]:
    for hold in overview.causes:
        yield Hanging(
            _("since {time}: {words}. {advice}")
            .format(time=clock(hold.since, now), words=shown(hold.words), advice=shown(hold.advice))
            .rstrip()
            + " "
            + _("faxdrop tries again by itself; no document is lost or fails because of it."),
            Text(_("HELD") + "  ", "bold red"),
        )
    for wrong in overview.problems:
        yield Hanging(f"{shown(wrong.path)} {shown(wrong.problem)}", _look())
    if overview.corrupt:
        yield Hanging(
            ngettext(
                "{count} record could not be read: see {folder}. Its document.pdf is beside it; "
                "the sipgate account shows whether it was faxed.",
                "{count} records could not be read: see {folder}. Each has its document.pdf "
                "beside it; the sipgate account shows whether it was faxed.",
                overview.corrupt,
            ).format(count=overview.corrupt, folder=shown(overview.corrupt_folder)),
            _look(),
        )


def _document(one: Document, now: datetime) -> Iterable[RenderableType]:
    """Return the lines of a document, which stay together at any width."""
    to = shown(one.folder) if one.folder is not None else _("(no recipient folder)")
    if one.number is not None and one.number not in to.replace(" ", ""):
        to += f" {one.number}"
    yield Hanging(
        Text.assemble((shown(one.name), "bold"), "  ", _("to {folder}").format(folder=to))
    )
    state = shown(one.words)
    if one.attempts and one.next_attempt_at is not None:  # else nothing leads to the time
        state = _("{state} at {time}").format(state=state, time=clock(one.next_attempt_at, now))
    notes = [_("since {time}").format(time=clock(one.since, now))] if one.since else []
    if one.attempts:
        notes.append(_("attempt {number}").format(number=one.attempts))
    yield Hanging(Text.assemble(state, (f" ({', '.join(notes)})" if notes else "", "dim")), "  ")
    ids = [_("job {job}").format(job=one.job)] if one.job else []
    if one.session_id:
        ids.append(_("sipgate's id {id}").format(id=shown(one.session_id)))
    if ids:
        yield Hanging(Text(", ".join(ids), "dim"), "  ")


def clock(at: datetime, now: datetime) -> str:
    """Return an instant as people write it: the time, and the day if it is not today."""
    local, today = _local(at), _local(now).date()
    return f"{local:%H:%M:%S}" if local.date() == today else short_moment(local)


def _local(at: datetime) -> datetime:
    try:
        return at.astimezone()
    except (OSError, OverflowError, ValueError):  # beyond what the C library supports
        return at.astimezone(UTC)


def _documents(count: int) -> str:
    return ngettext("{count} document", "{count} documents", count).format(count=count)


def _nothing(*, is_inbox_there: bool, is_all: bool) -> str:
    if is_inbox_there:
        if is_all:
            return _("Nothing is in the inbox or on its way.")
        return _("Nothing else is in the inbox or on its way.")
    return _("Nothing is on its way.") if is_all else _("Nothing else is on its way.")


def _look() -> Text:
    return Text(_("LOOK") + "  ", "bold yellow")


_FILED_STYLES = {None: "", "sent": "green", "failed": "red"}


def demo(rows: Iterable[DemoRow], elapsed: float) -> RenderableType:
    """Return the screen of the demo, ``elapsed`` seconds after its beginning."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(_("Recipient"), overflow="fold")
    table.add_column(_("Document"), overflow="fold")
    table.add_column(_("after {seconds} s").format(seconds=number(elapsed, 0)), overflow="fold")
    for row in rows:
        words = Text(shown(row.words), _FILED_STYLES[row.status])
        table.add_row(shown(row.drop.folder), shown(row.drop.name), words)
    return table


def demo_change(row: DemoRow, elapsed: float) -> Text:
    """Return a line that says what has changed, for output that is no terminal."""
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
