"""The holds of a queue: what is tried while something holds, and when."""

from dataclasses import replace

from faxdrop.queue.holds import Holds
from faxdrop.sipgate import Answer, Outcome
from tests.kit.world import Time

REFUSED = Answer(Outcome.HOLD, None, 402, "no money", None)
TAKEN = Answer(Outcome.ACCEPTED, "4711", 200, "", None)


def test_what_holds_is_tried_with_one_fax_alone() -> None:
    """While submitting holds, one fax tries whether it still does; the others wait for its end."""
    time = Time()
    holds = Holds(time.clock)
    assert holds.may_submit(time.mono, under_way=7)
    holds.submitted(REFUSED)
    assert not holds.may_submit(time.mono, under_way=0)
    time.pass_by(60.0)
    assert not holds.may_submit(time.mono, under_way=1), "one of before may still be under way"
    assert holds.may_submit(time.mono, under_way=0)
    holds.submits(time.mono)
    time.pass_by(60.0)
    assert not holds.may_submit(time.mono, under_way=1), "however long it takes"
    holds.submitted(TAKEN)
    assert holds.may_submit(time.mono, under_way=7)


def test_what_sipgate_asks_for_is_waited_for() -> None:
    """A pause that sipgate names is kept, also where ours would be shorter."""
    time = Time()
    holds = Holds(time.clock)
    holds.submitted(replace(REFUSED, retry_after=600.0))
    time.pass_by(599.0)
    assert not holds.may_submit(time.mono, under_way=0)
    time.pass_by(1.0)
    assert holds.may_submit(time.mono, under_way=0)
