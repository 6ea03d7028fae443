"""A module for `faxdrop.apart`: reports on its process, and is as loud or broken as it is asked."""

import ctypes
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

from faxdrop.apart import answer

_PR_GET_DUMPABLE = 3  # prctl(2)


def told(question: Any) -> Iterator[Any]:
    """Yield the facts of this process, then do what the question says."""
    print("noise on standard output")  # noqa: T201 - the point
    print("noise on standard error", file=sys.stderr)  # noqa: T201 - the point
    yield {
        "dumpable": ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0),
        "memory": resource.getrlimit(resource.RLIMIT_AS)[0],
    }
    if question == "hang":
        time.sleep(600)
    if question == "eat":
        bytearray(2 << 30)
    yield question


if __name__ == "__main__":
    answer(told)
