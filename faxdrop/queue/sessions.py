"""Which faxes of sipgate's history are ours: the session ids of all jobs."""

from collections.abc import Iterable

from faxdrop.fax.job import Job


class Sessions:
    """The session ids of all attempts of all jobs, including those filed long ago.

    Changed in the loop's thread; ``in`` may be asked in any.
    """

    def __init__(self) -> None:
        self._owned: set[str] = set()

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._owned

    def own(self, job: Job) -> None:
        """Take the session ids of a job."""
        self._owned.update(a.session_id for a in job.attempts if a.session_id)

    def recall(self, owned: set[str]) -> None:
        """Take the session ids of jobs that have left the spool."""
        self._owned |= owned

    def keep(self, owned: set[str], jobs: Iterable[Job]) -> None:
        """Forget all but those that are still remembered, and those of the jobs in the spool."""
        kept = set(owned)
        kept.update(a.session_id for job in jobs for a in job.attempts if a.session_id)
        self._owned = kept

    def all(self) -> frozenset[str]:
        """Return them as they are now, for a step in another thread."""
        return frozenset(self._owned)
