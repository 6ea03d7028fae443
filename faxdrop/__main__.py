"""``python -m faxdrop``."""

from faxdrop.cli import main

main()
