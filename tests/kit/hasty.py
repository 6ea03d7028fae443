"""Runs faxdrop in a hurry: pauses of minutes take a second, so that a test need not wait.

``python -m tests.kit.hasty python -m faxdrop ...`` is ``python -m faxdrop ...``, except that it
gathers news, pauses and retries with shorter times.
"""

import sys
from datetime import timedelta

from faxdrop.cli.main import main
from faxdrop.followers import decisions, seat
from faxdrop.followers.notices import Notices

Notices.gathers = 0.2
decisions.GATHER = timedelta(seconds=0.2)  # type: ignore[misc]
decisions.PAUSE = timedelta(seconds=0.5)  # type: ignore[misc]
seat._FIRST, seat._LONGEST = 0.2, 1.0  # noqa: SLF001 - what nobody else needs to set

if __name__ == "__main__":
    del sys.argv[1:4]
    main()
