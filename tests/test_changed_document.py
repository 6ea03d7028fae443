"""A document that changes after its claim: a writer's open file follows the rename."""

from pathlib import Path

import pytest

from tests import pdfs
from tests.breaking import assert_all_answered, ends, stage
from tests.promises import sha256

PLAIN = "+493023125130"
BEFORE = {"plain": pdfs.good(), "form": pdfs.form(), "repairable": pdfs.repairable()}
AFTER = {
    "plain": pdfs.good(pages=2, text="what was meant"),
    "form": pdfs.form(pages=2),
    "with a password": pdfs.encrypted(),
    "half of it": pdfs.truncated(),
    "nothing": b"",
}
REASONS = {"with a password": "encrypted_pdf", "half of it": "damaged_pdf", "nothing": "not_a_pdf"}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("before", BEFORE)
def test_what_is_faxed_is_what_was_checked(before: str, after: str, tmp_path: Path) -> None:
    """A document that was changed in the spool is checked anew before anything is submitted."""
    with stage(tmp_path) as staged:
        world = staged.world
        world.start()
        staged.simulator.trouble = 402
        staged.drop(PLAIN, "letter.pdf", BEFORE[before])
        world.until(lambda: staged.simulator.count("POST /sessions/fax") == 1)
        [document] = world.in_spool()
        document.write_bytes(AFTER[after])
        staged.dropped[:] = [sha256(AFTER[after])]
        staged.simulator.trouble = None
        world.until_done(hours=1.0)
        world.live(5.0)
        assert_all_answered(staged)
        reason = REASONS.get(after)
        assert ends(world) == [("failed", reason) if reason else ("sent", None)]
        [one] = [*world.sent, *world.failed]
        assert one.receipt.document.sha256 == sha256(AFTER[after])
        assert len(staged.simulator.taken) == (0 if reason else 1)
