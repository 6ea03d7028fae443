"""Seeds of random runs: each is printed, and FAXDROP_SEED repeats one."""

import os
import secrets
from random import Random

import pytest


def seed_of(request: pytest.FixtureRequest, default: int | None = None) -> int:
    """Return and print the seed for a test: FAXDROP_SEED, the default, or a new one."""
    told = os.environ.get("FAXDROP_SEED")
    if told is not None:
        seed = int(told)
    else:
        seed = secrets.randbelow(1_000_000) if default is None else default
    tell(request, f"{request.node.name}: FAXDROP_SEED={seed}")
    return seed


def tell(request: pytest.FixtureRequest, line: str) -> None:
    """Print a line where whoever runs the tests sees it, whatever pytest captures."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    if capture is not None and reporter is not None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"\n  {line}")


def random_of(seed: int) -> Random:
    """Return the random source of a run."""
    return Random(seed)  # noqa: S311 - no secret
