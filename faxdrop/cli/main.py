"""The commands. Only this room prints.

A command is loaded when it is used, so a quick question does not wait for what the daemon needs.
"""

import os
import sys
from importlib import import_module
from typing import Any

import click

from faxdrop import __version__, words
from faxdrop.cli import place
from faxdrop.config.place import DEFAULT_PATH
from faxdrop.names.printable import shown

# In the order in which one needs them, which is also that of the help.
_ROOMS = {
    "demo": "setup",
    "init": "init",
    "check": "setup",
    "preview": "preview",
    "run": "run",
    "status": "jobs",
    "retry": "jobs",
    "cancel": "jobs",
    "receipts": "receipts",
    "verify": "audit",
    "evidence": "audit",
    "report": "report",
    "simulate": "setup",
    "receipt-schema": "receipts",
}
"""Which module of this room has a command."""


class _Commands(click.Group):
    """All commands; turns our errors into words and an exit status."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            raise _shown(error) from None
        except (click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            from faxdrop.cli import trouble  # noqa: PLC0415 - loads much, and is seldom needed

            status = trouble.tell(error)
            if status is None:
                raise
        raise click.exceptions.Exit(status)

    def make_context(self, *what: Any, **extra: Any) -> click.Context:
        """Read the command line; an error that quotes it is made safe to print."""
        words.use(words.of_environment(os.environ))  # until a config sets another
        try:
            return super().make_context(*what, **extra)
        except click.ClickException as error:
            raise _shown(error) from None

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the commands in the order in which one needs them."""
        return list(_ROOMS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Load a command."""
        if name not in _ROOMS:
            return None
        room = import_module(f"faxdrop.cli.{_ROOMS[name]}")
        command: click.Command = getattr(room, name.replace("-", "_"))
        return command


def _shown(error: click.ClickException) -> click.ClickException:
    """Return an error that is safe to print, though it quotes what was typed or a file's name."""
    words = error.format_message()
    if (fit := shown(words, lines=True)) == words:
        return error
    if isinstance(error, click.UsageError):
        return click.UsageError(fit, error.ctx)
    return click.ClickException(fit)


_FIRST_STEPS = """\b
To see how it works:           faxdrop demo
To install a service:          sudo faxdrop init --service
To set it up without systemd:  faxdrop init, then faxdrop run
Would it fax now?              faxdrop check
Where is my fax?               faxdrop status
What was faxed?                faxdrop receipts
To rehearse, no account:       faxdrop --config FILE run --simulate

Exit status: 0 success, 1 failure, 2 wrong option, 78 wrong config."""


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_FIRST_STEPS,
)
@click.version_option(__version__, prog_name="faxdrop")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Fax from a folder: never sent twice, never lost, and everyone can see what became of it.

    People drop PDFs into inbox/RECIPIENT/, where RECIPIENT is a name from the address book or a fax
    number. The daemon (run) faxes them through sipgate. Each ends in sent/ or failed/, beside a
    receipt that says what happened and what to do now.
    """
    if "structlog" in sys.modules:  # it may log, and standard output is for the answer
        from faxdrop import logs  # noqa: PLC0415 - loads a lot, and few commands log

        logs.configure(sys.stderr)
    ctx.obj = ctx.obj or DEFAULT_PATH


main.params[:0] = place.options(first=True)

if __name__ == "__main__":
    main()
