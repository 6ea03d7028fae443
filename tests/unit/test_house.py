"""The house: which room may import which, and what only one room may do."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "faxdrop"
README = PACKAGE.parent / "README.md"

# A room knows the floors below its own, never one beside it or above. This is the one place that
# says so.
FLOORS = (
    ("names",),
    ("fax",),
    ("spool",),
    ("config",),
    ("sipgate", "documents", "simulator"),
    ("inbox", "queue"),
    ("journal",),
    ("status",),
    ("followers",),
    ("report",),
    ("daemon", "setup"),
    ("cli",),
)
OUTSIDE = (
    "apart",
    "backoff",
    "clock",
    "logs",
    "words",
    "workers",
)  # whatever is outside, all may use
MAY_USE = {
    "apart": ("workers",),
    "words": (),
    "clock": (),
    "workers": (),
    "backoff": (),
    "logs": ("names",),
}

# What only some modules load or call, and why those.
ONLY = {
    "requests": {
        "faxdrop.followers.sender": "tells what came of it, in a process of its own",
        "faxdrop.sipgate": "the API",
        "faxdrop.journal.witness": "a time stamp authority is another server than sipgate",
        "faxdrop.followers.heartbeat": "a monitor is another server than sipgate",
        "faxdrop.journal.upkeep": "opens the connection for the witness",
    },
    "urllib3": {"faxdrop.sipgate": "what requests stands on"},
    "pikepdf": {
        "faxdrop.documents.pdf": "read in a process of its own",
        "faxdrop.report.maker": "attaches a receipt to a report of ours, in a process of its own",
    },
    "pypdfium2": {"faxdrop.documents.pdf": "read in a process of its own"},
    "watchdog": {"faxdrop.inbox": "events of the inbox"},
    "phonenumbers": {"faxdrop.fax": "what a number is"},
    "apprise": {
        "faxdrop.config.addresses": "knows which addresses can be used, in a process of its own",
        "faxdrop.followers.sender": "sends notices, in a process of its own",
    },
    "rich": {"faxdrop.cli": "only the commands print"},
}

LONGEST, MOST_OUTSIDE = 450, 7  # lines a file; modules in no room
MOST_METHODS = 21
LARGE = {  # classes with more methods, each with the reason against a split
    "Api": "one method for each endpoint of sipgate's API",
    "Dispatcher": "one handler for each way in which a step ends, all around one schedule",
    "Inbox": "a third are one-line answers to pickup; the rest is one scan, step by step",
    "Pickup": "a third are one-line answers to the daemon",
}


@cache
def modules() -> dict[str, ast.Module]:
    """Return the tree of each module, by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text())
    return found


def room(module: str) -> str:
    """Return the room of a module; of one outside, its own name."""
    return (*module.split("."), "")[1]


def loads(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted names of what is imported, anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import names its module in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def floor_of(name: str) -> int:
    """Return the floor of a room."""
    return next(at for at, rooms in enumerate(FLOORS) if name in rooms)


def may_know(user: str, used: str) -> bool:
    """Tell whether one room may import from another."""
    if used in {user, "__version__"} or user in {"", "__main__"}:
        return True
    if user in OUTSIDE:
        return used in MAY_USE[user]
    return used in OUTSIDE or (
        user != "words" and used in sum(FLOORS, ()) and floor_of(used) < floor_of(user)
    )


def test_imports_point_one_way() -> None:
    """No room knows one above it or beside it; so inbox and queue do not know each other."""
    wrong = [
        f"{name} imports {loaded}"
        for name, tree in modules().items()
        for loaded in loads(tree)
        if loaded.startswith("faxdrop.") and not may_know(room(name), room(loaded))
    ]
    assert not wrong


@pytest.mark.parametrize("library", ONLY)
def test_a_library_is_loaded_in_its_room_alone(library: str) -> None:
    """Only one room each talks to servers, reads PDFs or prints; each exception has its reason."""
    users = {name for name, tree in modules().items() for one in loads(tree) if _is(one, library)}
    allowed = ONLY[library]
    assert [user for user in users if not any(_is(user, one) for one in allowed)] == []
    assert [one for one in allowed if not any(_is(user, one) for user in users)] == []


def test_only_the_spool_renames_and_syncs() -> None:
    """A step that must survive a power cut is made in one room."""
    wrong = [
        f"{name}:{call.lineno}"
        for name, call in _calls()
        if _renames_or_syncs(call) and room(name) != "spool"
    ]
    assert not wrong


def test_nothing_but_a_command_prints() -> None:
    """The daemon logs; what people read on a terminal, a command says."""
    wrong = [
        f"{name}:{call.lineno}"
        for name, call in _calls()
        if isinstance(call.func, ast.Name) and call.func.id == "print" and room(name) != "cli"
    ]
    assert not wrong


def test_a_name_stands_for_one_thing() -> None:
    """No two public classes or types of the package share a name."""
    seen: dict[str, list[str]] = {}
    for name, tree in modules().items():
        for defined in _types(tree):
            seen.setdefault(defined, []).append(name)
    assert {defined: names for defined, names in seen.items() if len(names) > 1} == {}


def test_the_map_shows_the_house() -> None:
    """Every module is on the README's map, and every module on the map exists."""
    rows = re.findall(
        r"^\| (?:`(\w+)/`|outside a room) \|.*\|\s*([^|]*?)\s*\|$", README.read_text(), re.MULTILINE
    )
    shown = {(name, module) for name, cell in rows for module in re.findall(r"`([\w/]+)`", cell)}
    there = set()
    for path in PACKAGE.rglob("*.py"):
        *above, module = path.relative_to(PACKAGE).with_suffix("").parts
        if len(above) > 1:
            there.add((above[0], f"{above[1]}/"))
        elif not module.startswith("__"):
            there.add(("".join(above), module))
    assert {(name, cell) for name, cell in shown if not cell.endswith("/")} <= there
    assert there <= shown
    assert {name for name, _ in rows} - {""} == {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()
    }


def test_the_way_through_the_house_exists() -> None:
    """Each station that CONTRIBUTING.md names is a module, or a folder of them."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z]+/\w*/?)`", text)) - {"faxdrop/"}
    stations = {name for name in named if not name.startswith("tests/")}
    assert len(stations) > 20
    assert [
        name
        for name in sorted(stations)
        if not (PACKAGE / f"{name}.py").is_file() and not (PACKAGE / name).is_dir()
    ] == []


@pytest.mark.parametrize(
    ("loaded", "without"),
    [
        ("faxdrop.config.load", {"watchdog", "pikepdf", "faxdrop.daemon"}),
        ("faxdrop.simulator", {"phonenumbers", "pikepdf", "watchdog", "requests"}),
        ("faxdrop.setup.check", {"watchdog", "pikepdf", "faxdrop.daemon"}),
        ("faxdrop.daemon.build", {"pikepdf", "pypdfium2", "reportlab"}),
        ("faxdrop.cli.main", {"pydantic", "structlog", "rich", "faxdrop.config.load"}),
        ("faxdrop.cli.receipts", {"structlog", "requests", "faxdrop.daemon", "faxdrop.simulator"}),
    ],
)
def test_nothing_surprising_is_loaded(loaded: str, without: set[str]) -> None:
    """Importing one part loads no other part that it has nothing to do with."""
    code = f"import sys, {loaded}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & without == set()


def test_no_file_is_too_long_and_few_are_in_no_room() -> None:
    """A file can be read at one go, and a newcomer finds the room of a change from the listing."""
    long = {
        str(path): length
        for path in PACKAGE.rglob("*.py")
        if (length := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_OUTSIDE


def test_a_class_does_one_job() -> None:
    """No class has many methods, except those listed with a reason."""
    many = {
        node.name
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(each, ast.FunctionDef) for each in node.body) > MOST_METHODS
    }
    assert many == set(LARGE)


def _types(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        else:
            continue
        if name[0].isupper() and not name.isupper():
            yield name


def _is(module: str, one: str) -> bool:
    return module == one or module.startswith(f"{one}.")


def _calls() -> Iterator[tuple[str, ast.Call]]:
    for name, tree in modules().items():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.Call))


def _renames_or_syncs(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    if call.func.attr == "replace":  # Path.replace has one argument, str.replace has two
        is_path = len(call.args) == 1 and not call.keywords
        return is_path or ast.unparse(call.func.value) == "os"
    return call.func.attr in {"rename", "renames", "fsync", "fdatasync", "move"} and (
        call.func.attr != "move" or ast.unparse(call.func.value) == "shutil"
    )
