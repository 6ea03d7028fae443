"""The catalogues of sentences: brought up to date with the source, and compiled by the build.

``python hatch_build.py`` takes the sentences out of the source, brings every .po file up to date
with them, says what lacks a translation, and compiles what there is. Nothing else needs to be done
after a change of sentences than to run it, and to write the translations into the .po files.

What git and the sdist have is the .po files; pip and hatch compile them (``BuildHook``), into the
wheel, or beside their sources for an installation that is editable.
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROJECT = Path(__file__).parent
WORDS = Path("faxdrop", "words")  # each language's catalogue is <language>/LC_MESSAGES/faxdrop.po
METHODS = [("**.py", "python"), ("**.html", "jinja2"), ("**.j2", "jinja2")]
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}
COMMENTS = ["Translators:"]
_HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"Plural-Forms: {plurals}\\n"
"Content-Type: text/plain; charset=utf-8\\n"

"""


def sources(project: Path = PROJECT) -> list[Path]:
    """Return all .po files."""
    return sorted((project / WORDS).glob("*/LC_MESSAGES/*.po"))


def extract() -> Catalog:
    """Return all sentences of the source."""
    catalogue = Catalog()
    found = extract_from_dir(
        PROJECT / "faxdrop",
        METHODS,
        keywords=KEYWORDS,
        comment_tags=COMMENTS,
        strip_comment_tags=True,
    )
    for _file, _line, message, comments, context in found:
        catalogue.add(message, auto_comments=comments, context=context)
    return catalogue


def read(source: Path) -> Catalog:
    """Return a catalogue as it stands in its .po file."""
    with source.open("rb") as file:
        return read_po(file, locale=source.parts[-3], domain="faxdrop")


def text(catalogue: Catalog) -> bytes:
    """Return a catalogue as it stands in its .po file: nothing in it differs without need.

    It is sorted, names no lines, and has of a header what gettext reads.
    """
    for message in catalogue:
        message.flags -= {"python-format", "python-brace-format"}  # guessed, and often wrong
    written = io.BytesIO()
    write_po(
        written,
        catalogue,
        width=100,
        no_location=True,
        omit_header=True,
        sort_output=True,
        ignore_obsolete=True,
    )
    header = _HEADER.format(language=catalogue.locale_identifier, plurals=catalogue.plural_forms)
    return header.encode() + written.getvalue()


def updated(source: Path, template: Catalog) -> Catalog:
    """Return a catalogue with the sentences of the source; what is new has no translation."""
    catalogue = read(source)
    catalogue.update(template, no_fuzzy_matching=True)
    return catalogue


def lacking(catalogue: Catalog) -> Iterator[Message]:
    """Yield the sentences that have no translation yet."""
    for message in catalogue:
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        if message.id and (message.fuzzy or not all(strings)):
            yield message


def compiled(source: Path) -> bytes:
    """Return a catalogue as gettext reads it."""
    written = io.BytesIO()
    write_mo(written, read(source))
    return written.getvalue()


def compile_beside(project: Path = PROJECT) -> None:
    """Compile each .po file, where that has changed anything."""
    for source in sources(project):
        target, content = source.with_suffix(".mo"), compiled(source)
        if not target.exists() or target.read_bytes() != content:
            target.write_bytes(content)


class BuildHook(BuildHookInterface[Any]):
    """Compiles the catalogues for the wheel."""

    PLUGIN_NAME = "catalogues"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the compiled catalogues into the wheel; of an editable one, into the source."""
        project = Path(self.root)
        if version == "editable":
            compile_beside(project)
            return
        self._made = tempfile.TemporaryDirectory()  # until ``finalize``
        for source in sources(project):
            place = source.relative_to(project).with_suffix(".mo")
            made = Path(self._made.name, place)
            made.parent.mkdir(parents=True)
            made.write_bytes(compiled(source))
            build_data["force_include"][str(made)] = str(place)

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove what was compiled for the wheel."""
        if version != "editable":
            self._made.cleanup()


def main() -> None:
    """Bring all catalogues up to date, and say what they lack."""
    template = extract()
    lack = 0
    for source in sources():
        catalogue = updated(source, template)
        source.write_bytes(text(catalogue))
        for message in lacking(catalogue):
            lack += 1
            print(f"{source.relative_to(PROJECT)}: no translation of {message.id!r}")
    compile_beside()
    sys.exit(1 if lack else 0)


if __name__ == "__main__":
    main()
