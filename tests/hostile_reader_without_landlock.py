"""The hostile reader, as it would be on a machine without Landlock."""

from faxdrop import sandbox
from faxdrop.reader import run
from tests.hostile_reader import read

if __name__ == "__main__":
    sandbox.landlock_version = lambda: 0
    run(read)
