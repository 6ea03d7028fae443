"""What the commands print with: colours and tables on a terminal, plain text elsewhere."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console, RenderableType

from faxdrop.cli.screens import Hanging
from faxdrop.names.printable import shown

_WIDE = 10_000  # characters a line where there is no terminal: nothing is broken there


def make_console() -> Console:
    """Return what prints with colours on a terminal, and plain text elsewhere."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console


def show(screen: RenderableType) -> None:
    """Print a screen."""
    console = make_console()
    if console.is_terminal:
        console.print(screen, crop=False)
        return
    with console.capture() as captured:
        console.print(screen, crop=False)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def say(text: str) -> None:
    """Print a sentence, its lines broken between words where there is a terminal."""
    show(Hanging(text))


def name_of_file(path: Path) -> str:
    """Return a path so that it can be printed, whatever it is."""
    return shown(str(path))


def of_the_system(error: OSError) -> str:
    """Return what the system says of a file."""
    about = f"{name_of_file(Path(os.fsdecode(error.filename)))}: " if error.filename else ""
    return f"{about}{error.strerror or error}"
