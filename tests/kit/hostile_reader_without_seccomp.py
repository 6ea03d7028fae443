"""The hostile reader, as it would be on a machine without Seccomp."""

from faxdrop.documents import sandbox
from faxdrop.documents.reader import run
from tests.kit.hostile_reader import read


def _no_filter() -> bytes | None:
    return None


if __name__ == "__main__":
    sandbox.make_filter = _no_filter
    run(read)
