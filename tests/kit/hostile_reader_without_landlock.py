"""The hostile reader, as it would be on a machine without Landlock."""

from faxdrop.documents import sandbox
from faxdrop.documents.reader import run
from tests.kit.hostile_reader import read

if __name__ == "__main__":
    sandbox.landlock_version = lambda: 0
    run(read)
