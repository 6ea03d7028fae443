"""The hostile reader, as it would be on a machine without Seccomp."""

from faxdrop import sandbox
from faxdrop.reader import run
from tests.hostile_reader import read


def _no_filter(pid: int) -> bytes | None:  # noqa: ARG001 - as the one it stands for
    return None


if __name__ == "__main__":
    sandbox.filter_for = _no_filter
    run(read)
