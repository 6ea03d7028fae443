"""A share with a status page, filled as a daemon and people fill it."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from faxdrop.followers.cursor import Cursor
from faxdrop.followers.follower import Turn
from faxdrop.followers.status_page import StatusPage
from faxdrop.journal.chain import Journal
from faxdrop.journal.lines import EndLine, LineDocument, LineRecipient
from faxdrop.spool.disk import Disk
from tests.kit.jobs import in_spool

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOSTILE = {
    "tags": "<script>alert(1)<img src=x onerror=alert(1)>.pdf",
    "attribute": '" onmouseover="alert(1)" x=".pdf',
    "template": "{{ 7 * 7 }}{% raw %}.pdf",
    "entity": "&lt;b&gt;&amp;.pdf",
    "beginning of a style": "<style>--><![CDATA[.pdf",
    "right to left": "invoice\u202efdp.exe\u2066.pdf",
    "control characters": "a\x1b[31m\nb\r\x85.pdf",
    "no UTF-8": os.fsdecode(b"B\xfcrgeramt.pdf"),
    "address": "javascript:alert(1)#?%2e%2e.pdf",
    "long": "W" * 246 + ".pdf",
    "arabic": "رسالة إلى المكتب.pdf",
}
"""What names can hold."""


class Share:
    """A root with a journal, and the page that a daemon keeps there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        in_spool(root)
        self.journal = Journal(root / ".faxdrop" / "journal", lambda: NOW)
        self.standing: dict[str, Any] = {"holds": [], "problems": [], "waiting": [], "inbox": 0}
        self.at = NOW
        self.page = self.other()

    @property
    def path(self) -> Path:
        """The path of the page."""
        return self.root / "STATUS.html"

    @property
    def text(self) -> str:
        """The page."""
        return self.path.read_text("utf-8")

    def hold(self, what: str, words: str) -> None:
        """Add a hold."""
        since = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
        hold = {"what": what, "words": words, "advice": "Top it up.", "since": since}
        self.standing["holds"].append(hold)

    def other(self, *, wanted: bool = True) -> StatusPage:
        """Return the page of another daemon, or of another config."""
        return StatusPage(self.root, wanted=wanted)

    def turn(self) -> float | None:
        """Give the page a turn, five minutes after the last."""
        self.at += timedelta(minutes=5)
        return self.page.turn(self.moment())

    def moment(self) -> Turn:
        """Return how things stand."""
        head = self.journal.settled()
        folder = self.root / ".faxdrop" / "followers"
        cursor = Cursor(
            folder / "status_page.json",
            self.journal.folder,
            Disk(),
            from_start=False,
            say=lambda _: None,
        )
        return Turn(cursor, head, {**self.standing}, self.at, self.journal.append)

    def fail(self, name: str, folder: str = "Amt", message: str = "Busy.", **more: object) -> Path:
        """File a document in failed/."""
        return self._file("failed", name, folder, {"message": message, "advice": "Again.", **more})

    def send(self, name: str, folder: str = "Amt") -> Path:
        """File a document in sent/, with its line in the journal."""
        path = self._file("sent", name, folder, None)
        self.journal.append(
            EndLine(
                event="sent",
                job_id="20260302-081500-1f6a02b9",
                document=LineDocument(name=name, sha256=None, bytes=None, pages=None),
                recipient=LineRecipient(folder=folder, number=None),
                faxline=None,
                attempts=(),
                reason=None,
                claimed_at=NOW,
                finished_at=NOW,
                path=str(path.relative_to(self.root)),
                receipt_sha256=None,
            )
        )
        return path

    def _file(self, top: str, name: str, folder: str, reason: object) -> Path:
        path = self.root / top / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%PDF-")
        receipt = {"reason": reason, "finished_at": NOW.isoformat(), "report": "there is one"}
        try:
            path.with_name(f"{name}.json").write_text(json.dumps(receipt))
            path.with_name(name.removesuffix(".pdf") + ".report.pdf").write_bytes(b"%PDF-")
        except OSError:
            assert len(name) > 240
        return path
