"""What the commands print with: colours and tables on a terminal, plain text elsewhere."""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import click
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from faxdrop.names.printable import shown

_WIDE = 10_000  # characters a line where there is no terminal: nothing is broken there
_NARROWEST = 20  # characters a line, however narrow a terminal says it is


class Hanging:
    """A text after a label, with its further lines below the first; broken between words only.

    An address is one word: it runs over the edge rather than being cut, so it can be copied whole.
    """

    def __init__(self, text: Text | str, label: Text | str = "") -> None:
        self._text = Text(text) if isinstance(text, str) else text
        self._label = Text(label) if isinstance(label, str) else label

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        indent = self._label.cell_len
        room = max(options.max_width - indent, _NARROWEST)
        lead = self._label
        for whole in self._text.split("\n", allow_blank=True):
            for line in whole.divide(_breaks(whole.plain, room)):
                line.rstrip()
                text = Text.assemble(lead, line, no_wrap=True, overflow="ignore")
                yield from console.render(text, options)
                lead = Text(" " * indent)


def _breaks(line: str, room: int) -> Iterable[int]:
    """Yield where to break a line: before words, never within one."""
    used = 0
    for word in re.finditer(r"\s*\S+\s*", line):
        if used and used + cell_len(word[0].rstrip()) > room:
            yield word.start()
            used = 0
        used += cell_len(word[0])


def make_console() -> Console:
    """Return a console that prints with colours on a terminal, and plain text elsewhere."""
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


def called() -> str:
    """Return how to call this program again: by its path where a shell would not find its name."""
    path = sys.argv[0]
    if Path(path).name != "faxdrop" or shutil.which("faxdrop") is not None:
        return "faxdrop"
    return shlex.quote(path)


def name_of_file(path: Path) -> str:
    """Return a path that is safe to print, whatever is in it."""
    return shown(str(path))
