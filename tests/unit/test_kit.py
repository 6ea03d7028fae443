"""The tests' own order: what they share lies in the kit, and each can be moved or run alone."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PROJECT = TESTS.parent
KIT = TESTS / "kit"
README = (KIT / "README.md").read_text()
MODULES = sorted(TESTS.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of the modules and parts of modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def borrowed(path: Path) -> list[str]:
    """Return what a file imports from modules of tests."""
    return [
        name for name in imported(path) if any(part.startswith("test_") for part in name.split("."))
    ]


def test_no_test_is_imported() -> None:
    """No test and nothing of the kit imports a test module: what two tests need is the kit's."""
    assert {path.name: names for path in MODULES if (names := borrowed(path))} == {}


def test_a_loan_would_be_seen(tmp_path: Path) -> None:
    """Each way to import a test module is seen, at the top of a file and within a function."""
    path = tmp_path / "test_borrower.py"
    path.write_text(
        "import tests.unit.test_names\n"
        "from tests.unit import test_spool\n"
        "def test_it():\n"
        "    from tests.system.test_kill import ordeal\n"
        "from tests.kit.jobs import job\n"
    )
    assert borrowed(path) == [
        "tests.unit.test_names",
        "tests.unit.test_spool",
        "tests.system.test_kill.ordeal",
    ]


def test_the_readme_names_what_is_there() -> None:
    """The kit's README names each of its modules, and no other."""
    there = {path.stem for path in KIT.glob("*.py")} - {"__init__"}
    assert sorted(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == sorted(there)


@pytest.mark.long
def test_the_tests_to_copy_pass(tmp_path: Path) -> None:
    """The tests that the kit's README shows pass as they stand there."""
    shown = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    for number, code in enumerate(shown):
        (tmp_path / f"test_copied_{number}.py").write_text(code)
    options = ["-n0", "-q", "-p", "no:cacheprovider", "-c", str(PROJECT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
