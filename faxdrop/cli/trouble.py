"""What the commands say when they fail. Loaded only then, since it imports from all rooms."""

import errno
import os
import sys

import click

from faxdrop.cli.orders import OrderError
from faxdrop.config.problems import ConfigError, NoConfigError
from faxdrop.journal.chain import JournalError
from faxdrop.names.printable import of_file, shown
from faxdrop.setup.init import InitError
from faxdrop.setup.installation import InstallationError
from faxdrop.spool.places import SpoolError
from faxdrop.words import N_, _

EX_CONFIG = 78  # sysexits.h: something was found in an unconfigured or misconfigured state

_NOT_THE_UNITS = N_(
    "The service's unit lets it write to one folder only. As root, `faxdrop check` says what to do."
)


def tell(error: Exception) -> int | None:
    """Print what is wrong; return the exit status, or None if the error is a bug of ours."""
    match error:
        case NoConfigError():
            click.echo(shown(f"faxdrop: {error}", lines=True), err=True)
            return EX_CONFIG
        case ConfigError():
            click.echo(_("faxdrop: the settings are wrong:"), err=True)
            for line in str(error).splitlines():
                click.echo(f"  {shown(line)}", err=True)
            return EX_CONFIG
        case SpoolError() | OrderError() | InitError() | InstallationError() | JournalError():
            click.echo(shown(f"faxdrop: {error}", lines=True), err=True)
        case BrokenPipeError():  # the reader (head, less) has seen enough
            _say_no_more()
        case OSError():
            click.echo(f"faxdrop: {of_file(error)}", err=True)
            if error.errno == errno.EROFS and "INVOCATION_ID" in os.environ:  # systemd.exec(5)
                click.echo(f"faxdrop: {_(_NOT_THE_UNITS)}", err=True)
        case _:
            return None
    return 1


def _say_no_more() -> None:
    """Keep Python from complaining at exit that the rest of the output cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
