"""How a job's record lies on disk: its latest state counts, and the earlier ones stand before it.

A record is one JSON object in a file of whole blocks; newlines fill the last one. Each state is a
line with all that a job's record says: the next one takes the place of the closing brace, so the
last value of a key is the one that counts, as for every common reader (RFC 8259, section 4):

    {"job_id":"...","state":"queued",...,"format":"faxdrop-job/2",
    "job_id":"...","state":"submitting",...,"format":"faxdrop-job/2"}

So a new state is one write within a file that keeps its size and its blocks: there is no file to
make, no folder to be synced, and no room that could be missing (but on file systems that write
every block anew). What a power cut tears is known by its line: it lacks its begin or its end, since
a line has no newline within. The state before it counts then, which is true: nothing that a state
allows is done before it is on disk. A file that was cut is no such case: its size tells.

Earlier versions wrote each state as a file of its own; what they wrote is read, too.
"""

import json
from typing import NamedTuple

from faxdrop.fax.job import RECORD_FORMAT, Job

_BLOCK = 4096  # bytes
_BEGIN, _END = b'"job_id":', f',"format":"{RECORD_FORMAT}"'.encode()


class Extent(NamedTuple):
    """How much of a record's file is taken."""

    end: int  # bytes before the closing brace
    size: int  # bytes of the file, a multiple of the block's


def anew(job: Job) -> tuple[bytes, Extent]:
    """Return the content of a new record, with room for a second state of that length."""
    state = b"{" + _line(job)
    size = -(-2 * len(state) // _BLOCK) * _BLOCK
    return (state + b"}").ljust(size, b"\n"), Extent(len(state), size)


def appended(job: Job, to: Extent) -> tuple[bytes, Extent] | None:
    """Return what is written over a record's end (at ``to.end``); None: it has no room for it."""
    state = b",\n" + _line(job)
    end = to.end + len(state)
    return (state + b"}", Extent(end, to.size)) if end < to.size else None


def read(content: bytes) -> Job:
    """Return a job as its record says. Raises ValueError if that is none of ours."""
    if not _is_new(content):
        return Job.model_validate_json(content)
    if is_cut(content):
        raise ValueError("a record of which something is missing")
    for line in reversed(content[1:].split(b"\n")):
        state = line[:-1]  # without the comma before the next one, or the brace
        if state.startswith(_BEGIN) and state.endswith(_END):
            return Job.model_validate_json(b"{" + state + b"}")
    raise ValueError("a record without a whole state")


def is_cut(content: bytes) -> bool:
    """Return whether a part of a record is missing."""
    if _is_new(content):
        return len(content) % _BLOCK > 0 or b"\0" in content
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return True
    return False


def _is_new(content: bytes) -> bool:
    return content.startswith(b"{" + _BEGIN)


def _line(job: Job) -> bytes:
    state = job.model_dump_json(exclude={"format"}).encode()
    return state[1:-1] + _END
