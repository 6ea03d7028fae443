"""Notes between the commands and the daemon.

.faxdrop/cancel/<job id>       a person's wish to cancel, for the daemon to find
.faxdrop/status.json           what the daemon has to say, for ``faxdrop status``
"""

import contextlib
import json
from pathlib import Path


class Notes:
    """The notes of one root. None is durable: after a crash they are worthless, or left again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.cancel_folder = home / "cancel"  # where ``ask_to_cancel`` leaves its notes

    def ask_to_cancel(self, job_id: str) -> None:
        """Leave a note for the daemon."""
        (self.cancel_folder / job_id).touch()

    def cancellations(self) -> list[str]:
        """Return the ids of the jobs that a person wants cancelled."""
        try:
            return sorted(note.name for note in self.cancel_folder.iterdir())
        except OSError:
            return []

    def cancellation_done(self, job_id: str) -> None:
        """Remove the note."""
        (self.cancel_folder / job_id).unlink(missing_ok=True)

    def write_status(self, status: dict[str, object]) -> None:
        """Write what the daemon reports; not durable, since it is worth nothing after a crash."""
        text = json.dumps(status, indent=2) + "\n"
        temporary = self._home / "status.json.tmp"
        try:
            temporary.write_text(text)
            temporary.replace(self._home / "status.json")
        except OSError:  # a full disk has room where the last one stood
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            with (self._home / "status.json").open("r+") as file:
                file.write(text)
                file.truncate()

    def read_status(self) -> dict[str, object]:
        """Return what the daemon said last, {} if nothing."""
        try:
            status = json.loads((self._home / "status.json").read_text())
        except (OSError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}
