"""The hook: a program of the administrator's that runs at the end of every document.

Its standard input is the receipt, as it was filed. If the receipt is gone or was changed (a person
took it away, or had the document faxed again), it is the journal's line instead; ``format`` tells
which. The environment is a clean one, with

    FAXDROP_STATUS      sent or failed
    FAXDROP_DOCUMENT    the document, as it was filed; "": it was gone before that
    FAXDROP_RECEIPT     the receipt beside it
    FAXDROP_REPORT      the transmission report beside it; "": there is none
    FAXDROP_RUN         for the end of what it started (see ``program``)

It runs at least once for each document, in order, one at a time. Its exit status is logged and
changes nothing. Only a program that cannot be started at all is tried again.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import structlog
from pydantic_core import from_json

from faxdrop.followers.cursor import Line
from faxdrop.followers.follower import FollowerError, LineFollower
from faxdrop.followers.program import Program, StoppedError
from faxdrop.journal.history import receipt_as_filed
from faxdrop.journal.lines import path_text
from faxdrop.spool.places import receipt_of, report_in
from faxdrop.words import _, of_system

log = structlog.stdlib.get_logger(__name__)

_LEFT: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR")
"""What a hook sees of the daemon's environment, beside LC_*: everything else may be a secret."""


class Hook(LineFollower):
    """Runs the hook of a config."""

    name = "hook"
    behind = "reports"  # so that the report is there by then

    def __init__(
        self,
        root: Path,
        command: Sequence[str],
        seconds: float,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._root = root
        self._command = command
        self._program = Program(command, seconds)
        self._environ = {
            name: value
            for name, value in environ.items()
            if name in _LEFT or name.startswith("LC_")
        }

    def take(self, line: Line) -> None:
        """Run the hook for the end of one document."""
        told, more = self._told(line.content)
        begun = time.monotonic()
        try:
            ran = self._program.run(told, {**self._environ, **more})
        except StoppedError:
            raise FollowerError(_("It was ended because faxdrop is stopping.")) from None
        except OSError as error:
            words = _("{program} cannot be started ({why}).").format(
                program=self._command[0], why=of_system(error)
            )
            raise FollowerError(words) from None
        facts = {
            "job": line.content.get("job_id"),
            "status": ran.status,
            "seconds": round(time.monotonic() - begun, 1),
            "output": ran.output.strip() or None,
        }
        if not ran.in_time:
            log.warning("hook.took_too_long", **facts)
        elif ran.status:
            log.warning("hook.failed", **facts)
        else:
            log.info("hook.ran", **facts)

    def stop(self) -> None:
        """End the program that runs; it runs again after the next start."""
        self._program.stop()

    def _told(self, content: Mapping[str, Any]) -> tuple[bytes, dict[str, str]]:
        """Return standard input and environment for the end in a line."""
        path, document, receipt, report = content.get("path"), "", "", ""
        told = json.dumps(content, ensure_ascii=False).encode() + b"\n"
        if path is not None:
            document = str(self._root / path_text(path))
            receipt = receipt_of(document)
            filed = receipt_as_filed(Path(document), content)
            if filed is not None:
                told = filed
                name = report_in(from_json(filed), Path(document).name)
                report = str(Path(document).with_name(name)) if name else ""
        return told, {
            "FAXDROP_STATUS": str(content.get("event")),
            "FAXDROP_DOCUMENT": document,
            "FAXDROP_RECEIPT": receipt,
            "FAXDROP_REPORT": report,
        }
