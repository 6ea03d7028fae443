"""The words for people: catalogues that are whole, and no sentence outside them."""

import ast
import gettext
import re
import string
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog

import hatch_build
from faxdrop import words

PACKAGE = hatch_build.PROJECT / "faxdrop"
MEND = "run .venv/bin/python hatch_build.py, then write what it names into the .po file"

SENTENCE = re.compile(
    r"\b(the|of|to|is|are|not|no|it|its|and|or|for|with|cannot|could|be|by|was|has|on|in|at|than|"
    r"this|that|there|here|from|behind|again|more|all)\b"
)
"""A string with one of these and another word is for people, or is listed below."""

NOT_SHOWN = {
    "simulator": "speaks to who tests, over HTTP and in logs",
    "fax/lifecycle": "names a bug, in a traceback",
    "fax/receipt": "the descriptions in its JSON Schema",
    "fax/reasons": "a table for who reads the source",
    "sipgate/outcome": "a table for who reads the source; its names stand in logs",
    "followers/metrics": "a file format: the HELP lines of Prometheus",
    "setup/specimen": "PDFs",
    "workers": "its error is said by words.of_system",
}
PARAMETERS = {
    "help": "the manual is English, as the README is: click prints it before a config is read",
    "short_help": "as help",
    "epilog": "as help",
    "metavar": "as help",
    "style": "of rich",
    "policy": "a header of HTTP",
}
NAMES = {
    "CONFIG": "a config for the demo, with comments as config.example.toml has them",
    "_FIRST_STEPS": "the epilog of the manual",
    "_HEADER": "a comment in a unit's drop-in",
    "_LETTER": "a letter in the demo, and German already",
    "_LINE": "looks for a line in an error of tomllib",
    "_PREAMBLE": "a comment in the config, as config.example.toml has them",
    "_magic_numbers": "the epilog of the manual",
    "drop_in": "what systemd reads",
}
FOR_PROGRAMMERS = {
    "AssertionError",
    "DocumentChanged",
    "KeyError",
    "NotImplementedError",
    "RuntimeError",
    "TypeError",
    "ValueError",
}
"""Errors that are caught by us, and whose text nobody sees."""
MARKS = {"_", "N_", "ngettext"}
LOGGERS = {"log", "logger"}


def catalogues() -> list[Path]:
    """Return the .po files."""
    found = hatch_build.sources()
    assert len(found) == len(words.LANGUAGES) - 1
    return found


def sentences(catalogue: Catalog) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the strings of each sentence, and of its translation."""
    for message in catalogue:
        if message.id:
            yield strings(message.id), strings(message.string)


def strings(said: Any) -> tuple[str, ...]:
    """Return the forms of what a message says."""
    return tuple(said) if isinstance(said, tuple | list) else (said or "",)


@pytest.mark.parametrize("source", catalogues(), ids=lambda path: path.parts[-3])
def test_a_catalogue_is_whole(source: Path) -> None:
    """Every sentence has its translation, none is left over, and the file is as the tool writes."""
    updated = hatch_build.updated(source, hatch_build.extract())
    lacking = [message.id for message in hatch_build.lacking(updated)]
    assert not lacking, f"{MEND} {source}"
    assert source.read_bytes() == hatch_build.text(updated), MEND


@pytest.mark.parametrize("source", catalogues(), ids=lambda path: path.parts[-3])
def test_a_translation_has_the_places_of_its_sentence(source: Path) -> None:
    """What is filled in is filled in in every language, in every number, and in no other form."""
    for ids, said in sentences(hatch_build.read(source)):
        for text in said:
            assert places(text) in (places(ids[0]), places(ids[-1])), ids
            assert text.startswith("\n") == ids[0].startswith("\n"), ids
            assert text.endswith("\n") == ids[0].endswith("\n"), ids
            assert text[:1].isspace() == ids[0][:1].isspace(), ids


def places(text: str) -> list[tuple[str, str, str]]:
    """Return what is filled into a sentence: names, forms and conversions."""
    if text.startswith("%"):
        return []  # strftime(3)
    return sorted(
        {
            (name, spec or "", conversion or "")
            for _text, name, spec, conversion in string.Formatter().parse(text)
            if name is not None
        }
    )


@pytest.mark.parametrize("source", catalogues(), ids=lambda path: path.parts[-3])
def test_a_language_has_all_its_plurals(source: Path) -> None:
    """Where a number stands, each of the language's forms is there, and gettext finds it."""
    catalogue = hatch_build.read(source)
    language = source.parts[-3]
    compiled = gettext.translation("faxdrop", PACKAGE / "words", languages=[language])
    plural = [each for each in sentences(catalogue) if len(each[0]) > 1]
    assert plural
    for (one, many), said in plural:
        assert len(said) == catalogue.num_plurals, one
        assert {compiled.ngettext(one, many, number) for number in range(200)} == set(said), one


def test_german_counts() -> None:
    """German has the singular for one, and the plural for none, two and more."""
    words.use("de")
    said = [
        words.ngettext("{value} hour", "{value} hours", number).format(value=number)
        for number in (0, 1, 2, 21)
    ]
    assert said == ["0 Stunden", "1 Stunde", "2 Stunden", "21 Stunden"]


def test_german_writes_dates_and_numbers_as_germans_do() -> None:
    """The day comes first, and a comma stands before what is less than one."""
    at = datetime(2026, 11, 26, 13, 5, tzinfo=UTC)
    words.use("de")
    assert words.short_moment(at) == f"{at.astimezone():%d.%m.%Y %H:%M}"
    assert words.number(1234.5) == "1.234,5"
    assert words.listed(["a", "b", "c"]) == "a, b und c"
    assert "26. November 2026" in words.moment(at)


def test_a_third_language_begins_with_an_empty_file(tmp_path: Path) -> None:
    """An empty .po file is filled with all sentences, and with the plurals of its language."""
    source = tmp_path / "pl" / "LC_MESSAGES" / "faxdrop.po"
    source.parent.mkdir(parents=True)
    source.touch()
    template = hatch_build.extract()
    begun = hatch_build.updated(source, template)
    assert begun.num_plurals == len({"one", "few", "many"})
    assert len(list(hatch_build.lacking(begun))) == len(template)
    source.write_bytes(hatch_build.text(begun))
    assert hatch_build.text(hatch_build.read(source)) == source.read_bytes()


def test_no_sentence_is_outside() -> None:
    """What reads like a sentence goes through the catalogue, or is for no people's eyes."""
    outside = [
        f"{name}.py:{line}: {text!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not is_not_shown(name := str(path.relative_to(PACKAGE).with_suffix("")))
        for line, text in outside_of(ast.parse(path.read_text()))
    ]
    assert not outside, "wrap them in _() (see faxdrop/words/__init__.py):\n" + "\n".join(outside)


def is_not_shown(name: str) -> bool:
    """Tell whether a module, or its room, says nothing to people."""
    return any(name == each or name.startswith(f"{each}/") for each in NOT_SHOWN)


def outside_of(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the sentences of a module that no catalogue has."""
    above: dict[ast.AST, tuple[ast.AST, str]] = {}
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    above[child] = node, field
    for node in ast.walk(tree):
        text = text_of(node)
        if len(text.split()) > 1 and SENTENCE.search(text) and not is_elsewhere(node, above):
            yield getattr(node, "lineno", 0), text


def text_of(node: ast.AST) -> str:
    """Return what a string says, its places as {}; "" for all else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or "{}" for part in node.values)
    return ""


def is_elsewhere(node: ast.AST, above: dict[ast.AST, tuple[ast.AST, str]]) -> bool:
    """Tell whether a string is wrapped, or stands where no people read it."""
    child: ast.AST = node
    while child in above:
        parent, field = above[child]
        if child is node and isinstance(parent, ast.Expr | ast.JoinedStr | ast.Compare):
            return True  # a docstring; part of a text that is judged whole; what is looked for
        if isinstance(parent, ast.keyword) and parent.arg in PARAMETERS:
            return True
        if NAMES.keys() & names_of(parent):
            return True
        if isinstance(parent, ast.Dict) and field == "keys":
            return True
        if isinstance(parent, ast.Call) and field != "func":
            called = parent.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            owner: Any = getattr(called, "value", None)
            if name in MARKS or name in FOR_PROGRAMMERS or getattr(owner, "id", "") in LOGGERS:
                return True
        child = parent
    return False


def test_no_sentence_is_within_another_string() -> None:
    """No sentence is in the braces of an f-string, where the tool would not find it."""
    hidden = [
        f"{path.relative_to(PACKAGE)}:{call.lineno}"
        for path in PACKAGE.rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text()))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in MARKS
        and isinstance(call.args[0], ast.Constant)
    ]
    assert not hidden


def names_of(node: ast.AST) -> set[str]:
    """Return what a statement gives a value to, or what it defines."""
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_the_search_for_sentences_finds_them() -> None:
    """Text that is not wrapped is found, also in pieces; wrapped or logged text is not."""
    source = '''
"""The docstring of it."""
def f(n):
    log.info("is it for people", why="it is not")
    raise ValueError("there is no such thing")
    echo(_("the wrapped one"), f"the bare one of {n}" + "no more")
    use(help="the help of it")
'''
    assert [text for _line, text in outside_of(ast.parse(source))] == [
        "the bare one of {}",
        "no more",
    ]
