"""``python -m faxdrop``."""

from faxdrop.cli.main import main

main()
