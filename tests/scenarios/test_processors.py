"""The processors that a daemon uses: its threads share one, what it starts may use them all."""

import os
from contextlib import suppress
from pathlib import Path

import psutil

from tests.kit import pdfs
from tests.kit.processes import Office, Simulated

NUMBER = "+493023125100"


def test_threads_share_a_processor_and_children_use_all(tmp_path: Path) -> None:
    """All threads of the daemon are on one processor; PDF readers and the hook may use all."""
    allowed = os.sched_getaffinity(0)
    told = tmp_path / "told"
    hook = tmp_path / "hook"
    hook.write_text(
        f"#!/bin/sh\ngrep Cpus_allowed: /proc/self/status > {told}.tmp\nmv {told}.tmp {told}\n"
    )
    hook.chmod(0o755)
    with Simulated("--pace", "0") as simulated, Office(tmp_path, simulated.base_url) as office:
        with office.config.open("a") as config:
            config.write(f'[hook]\ncommand = ["{hook}"]\n')
        office.start()
        office.drop(NUMBER, "letter.pdf", pdfs.good())
        office.await_filed(1)
        office.until(told.exists, "the hook")
        assert office.program is not None
        daemon = psutil.Process(office.program.pid)
        office.until(lambda: len(daemon.children()) == 1, "the hook's end")
        threads = set()
        for thread in daemon.threads():
            with suppress(ProcessLookupError):  # it has ended
                threads.add(frozenset(os.sched_getaffinity(thread.id)))
        [server] = daemon.children()
        readers = os.sched_getaffinity(server.pid)
    [shared] = threads
    assert len(shared) == 1
    assert shared <= allowed
    assert readers == allowed
    mask = int(told.read_text().split()[1].replace(",", ""), 16)
    assert {at for at in range(mask.bit_length()) if mask >> at & 1} == allowed
