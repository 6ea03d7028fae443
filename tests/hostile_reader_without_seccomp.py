"""The hostile reader, as it would be on a machine without Seccomp."""

from faxdrop import sandbox
from faxdrop.reader import run
from tests.hostile_reader import read


def _no_filter() -> bytes | None:
    return None


if __name__ == "__main__":
    sandbox.make_filter = _no_filter
    run(read)
