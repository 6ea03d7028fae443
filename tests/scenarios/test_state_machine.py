"""The promises as invariants of a state machine: everything that can happen, in any order.

The runs are the same each time in the normal suite. The long ones are drawn from a seed, which is
told, and FAXDROP_SEED repeats it.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from faxdrop.cli.orders import OrderError, retry
from tests.kit import pdfs
from tests.kit.breaking import Stage, assert_all_answered, assert_kept, stage
from tests.kit.promises import sha256
from tests.kit.seeds import seed_of

NUMBERS = ("+493023125130", "+493023125131", "+493023125001", "+493023125003", "+493023125113")
CONTENTS: dict[str, Callable[[], bytes]] = {
    "letter": pdfs.good,
    "long letter": lambda: pdfs.good(pages=3),
    "form": pdfs.form,
    "with a password": pdfs.encrypted,
    "text": lambda: b"no PDF at all",
}
# Which of the existing things: drawn whether there are any or not, because what hypothesis
# draws must not depend on what the daemon did.
WHICH = st.integers(0, 999)
# fmt: off
POSTS = st.sampled_from([
    None, None, "lose-before", "lose-after", "close-before", "close-after", "cut", "stale",
    "429", "429-date", "503", "503-plain", "number-id", "garbage", "empty", "wrong-types",
    "html", "redirect", "400", "401", "402", "403", "404", "405", "407", "413", "415",
    "500", "500-taken", "418", "418-taken",
])
GETS = st.sampled_from([
    None, "lose-before", "close-before", "429", "503", "500", "502", "401", "garbage",
    "empty", "wrong-types", "html", "redirect", "404",
])
# fmt: on


class Office(RuleBasedStateMachine):
    """People, sipgate and clocks, doing what they do."""

    def __init__(self) -> None:
        super().__init__()
        self._files = contextlib.ExitStack()
        self._names = iter(range(10_000))

    @initialize(
        hostile=st.one_of(st.none(), st.integers(0, 10_000)),
        late=st.sampled_from([0.0, 30.0, 400.0]),
        pace=st.sampled_from([0.0, 5.0, 60.0]),
        resend=st.booleans(),
    )
    def open(self, *, hostile: int | None, late: float, pace: float, resend: bool) -> None:
        """Begin with an empty office."""
        self._root = Path(tempfile.mkdtemp(prefix="faxdrop-"))
        self._files.callback(shutil.rmtree, self._root)
        self._staged: Stage = self._files.enter_context(
            stage(
                self._root / "root",
                hostile=hostile,
                late=late,
                pace=pace,
                resend_if_absent=resend,
                reconcile_for=600.0,
                give_up_after=7200.0,
                delays=(30.0, 60.0),
            )
        )
        self._world = self._staged.world
        self._away: Path | None = None
        self._world.start()

    def teardown(self) -> None:
        """Let everything come to its end, and judge it."""
        try:
            if hasattr(self, "_staged"):
                self._end()
        finally:
            self._files.close()

    def _end(self) -> None:
        self._staged.simulator.trouble = None
        self._bring_back()
        if self._world.daemon is None:
            self._world.start()
        self._world.until_done(hours=96.0)
        self._world.live(130.0)
        assert_all_answered(self._staged)

    # -- people -----------------------------------------------------------------------------

    @rule(number=st.sampled_from(NUMBERS), kind=st.sampled_from(sorted(CONTENTS)))
    def drop(self, number: str, kind: str) -> None:
        """Drop a document."""
        if self._away is None:
            self._staged.drop(number, f"{kind} {next(self._names)}.pdf", CONTENTS[kind]())

    @rule(number=st.sampled_from(NUMBERS), kind=st.sampled_from(sorted(CONTENTS)))
    def drop_under_one_name(self, number: str, kind: str) -> None:
        """Drop a document under the name that all scans have, over what lies there."""
        if self._away is None:
            path = self._world.inbox / number / "scan.pdf"
            if path.exists():
                self._staged.dropped.remove(sha256(path.read_bytes()))
            self._staged.drop(number, "scan.pdf", CONTENTS[kind]())

    @rule(which=WHICH)
    def take_back(self, which: int) -> None:
        """Take a document out of the inbox again."""
        files = self._world.in_inbox()
        if files and self._away is None:
            path = files[which % len(files)]
            self._staged.dropped.remove(sha256(path.read_bytes()))
            path.unlink()

    @rule(which=WHICH)
    def rename(self, which: int) -> None:
        """Rename a document in the inbox."""
        files = self._world.in_inbox()
        if files and self._away is None:
            path = files[which % len(files)]
            path.rename(path.with_name(f"renamed {next(self._names)}.pdf"))

    @rule(which=WHICH)
    def put_back(self, which: int) -> None:
        """Put a document from failed/ back, unless it may have been sent."""
        failed = self._world.failed if self._away is None else []
        if failed and self._world.spool is not None:
            one = failed[which % len(failed)]
            with contextlib.suppress(OrderError):
                retry(self._world.spool, one.path)
                self._staged.forgotten.add(one.receipt.job_id)  # its receipt is gone

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        """Cancel a fax."""
        records = self._world.records() if self._away is None else []
        if records and self._world.spool is not None:
            record = records[which % len(records)]
            self._world.spool.notes.ask_to_cancel(record["job_id"])

    @rule(number=st.sampled_from(NUMBERS))
    def send_by_hand(self, number: str) -> None:
        """Fax on sipgate's web page: four pages, so that it cannot be one of ours."""
        self._staged.simulator.enter_by_hand(number, pages=4)

    @rule(which=WHICH)
    def archive(self, which: int) -> None:
        """Archive an entry of the history."""
        taken = self._staged.simulator.taken
        if taken:
            self._staged.simulator.archive(taken[which % len(taken)].session_id)

    # -- machines ---------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.001, 3.0, 20.0, 120.0, 700.0, 4000.0]))
    def pass_time(self, seconds: float) -> None:
        """Let the daemon live on, if there is one."""
        if self._world.daemon is None:
            self._world.time.pass_by(seconds)
        else:
            self._world.live(seconds)

    @precondition(lambda self: self._world.daemon is not None)
    @rule()
    def crash(self) -> None:
        """End the daemon without a word."""
        self._world.crash()

    @precondition(lambda self: self._world.daemon is None and self._away is None)
    @rule()
    def start(self) -> None:
        """Start the daemon again."""
        self._world.start()

    @rule(seconds=st.sampled_from([-86400.0 * 400, -3600.0, -5.0, 5.0, 3600.0, 86400.0 * 400]))
    def set_the_clock(self, seconds: float) -> None:
        """Set the wall clock; sipgate's own is right all the time."""
        self._world.time.jump(seconds)
        self._staged.drift.seconds -= seconds

    @rule(behaviours=st.lists(POSTS, max_size=3))
    def script_answers(self, behaviours: list[str | None]) -> None:
        """Let the next submissions meet lines of the outcome table."""
        self._staged.simulator.script(behaviours)

    @rule(
        behaviours=st.lists(GETS, max_size=3),
        kind=st.sampled_from(["GET /history", "GET /history/{id}"]),
    )
    def script_looks(self, behaviours: list[str | None], kind: str) -> None:
        """Let the next looks at the history meet trouble."""
        self._staged.simulator.script(behaviours, kind=kind)

    @rule(trouble=st.sampled_from([None, 401, 402, 403, "down", 500, "429"]))
    def trouble_account(self, trouble: Any) -> None:
        """Get the account, or sipgate, into trouble or out of it."""
        self._staged.simulator.trouble = trouble

    @rule(attempts=st.integers(1, 3), poll=st.sampled_from([5.0, 10.0, 60.0]))
    def change_config(self, attempts: int, poll: float) -> None:
        """Change the config, and reload it where a daemon is at work."""
        world = self._world
        sending = world.config.sending.model_copy(
            update={"attempts": attempts, "poll_interval": poll}
        )
        config = world.config = world.config.model_copy(update={"sending": sending})
        if world.daemon is not None:
            world.daemon.reload(lambda: config)

    @precondition(lambda self: self._away is None)
    @rule()
    def take_share_away(self) -> None:
        """Unmount the share, so to speak."""
        self._away = self._root / "elsewhere"
        self._world.root.rename(self._away)
        if self._world.daemon is not None:
            self._world.live(10.0)

    @precondition(lambda self: self._away is not None)
    @rule()
    def bring_share_back(self) -> None:
        """Mount it again."""
        self._bring_back()

    def _bring_back(self) -> None:
        if self._away is not None:
            self._away.rename(self._world.root)
            self._away = None

    # -- what holds all the while -----------------------------------------------------------

    @invariant()
    def lose_and_double_nothing(self) -> None:
        """Hold each document in one place; sipgate took no more than is written down."""
        if hasattr(self, "_staged") and self._away is None:
            assert_kept(self._staged)


def _settings(examples: int, steps: int, **more: Any) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        **more,
    )


def test_the_promises_hold_whatever_happens() -> None:
    """Any order of everything that can happen, the same each time: every promise is kept."""
    quick = _settings(25, 25, derandomize=True, phases=[Phase.generate])
    run_state_machine_as_test(Office, settings=quick)


@pytest.mark.long
def test_the_promises_hold_whatever_happens_for_long(request: pytest.FixtureRequest) -> None:
    """The same, drawn from a seed, for long; FAXDROP_RUNS says how often."""

    class Seeded(Office):
        """Drawn from the seed."""

    seed(seed_of(request))(Seeded)
    runs = int(os.environ.get("FAXDROP_RUNS", "100"))
    run_state_machine_as_test(Seeded, settings=_settings(runs, 50, phases=[Phase.generate]))
