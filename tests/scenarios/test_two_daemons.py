"""A root that goes away and comes back: others may have worked on it, or it may be another one."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from faxdrop.cli import orders
from faxdrop.fax.job import Job, State
from faxdrop.spool.jobs import Jobs
from faxdrop.spool.root import Spool
from tests.kit import pdfs
from tests.kit.breaking import Reader, Stage, assert_all_answered, ends, stage
from tests.kit.world import START, Later, World

PLAIN, BUSY = "+493023125130", "+493023125003"
SENT = ("sent", None)


def _claimed(root: Path, name: str = "old.pdf") -> Job:
    """Leave a document in a root's spool, as a daemon does that ended."""
    spool = Spool(root)
    spool.open()
    source = spool.inbox / PLAIN / name
    source.parent.mkdir()
    source.write_bytes(pdfs.good(1, name))
    job = Job(
        job_id="20260101-080000-bbbbbbbb",
        state=State.QUEUED,
        name=name,
        folder=PLAIN,
        claimed_at=START,
    )
    spool.jobs.claim(source, None, job)
    spool.close()
    return job


def _comes_back(staged: Stage, other: Path) -> None:
    """Put another root in the place of the daemon's, which has seen that its own was gone."""
    world = staged.world
    world.root.rename(world.root.with_name("gone"))
    world.turn()
    assert world.daemon is not None
    other.rename(world.root)


def _copy(staged: Stage, to: Path) -> Path:
    """Return a copy of the root: the same share, as another mount shows it."""
    shutil.copytree(staged.world.root, to)
    return to


def test_what_another_daemon_did_meanwhile_is_not_done_again(tmp_path: Path) -> None:
    """A fax that waited here, and was sent elsewhere in the meantime, is not sent twice."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        staged.simulator.script(["402"])
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until(lambda: bool(world.records()))
        world.turn()
        (world.root / ".faxdrop" / "lock").unlink()
        other = World(world.root, staged.simulator, Reader(), staged.time)
        other.start()
        other.until(lambda: len(staged.simulator.taken) == 1, hours=1.0)
        other.crash()
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]
        assert len(staged.simulator.taken) == 1
        assert_all_answered(staged)


def test_a_fax_cancelled_while_the_daemon_looked_away_stays_cancelled(tmp_path: Path) -> None:
    """What the record says when the share is back counts, not what was known before."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        staged.drop(BUSY, "letter.pdf", pdfs.good())
        world.until(lambda: [one["state"] for one in world.records()] == ["accepted"])
        [record] = world.records()
        _comes_back(staged, _copy(staged, tmp_path / "copy"))
        answered = orders.cancel(
            Spool(world.root),
            record["job_id"],
            world.config.sending,
            now=staged.time.wall,
            pause=lambda: False,
        )
        assert answered.what is orders.Cancellation.REST
        world.until_done(hours=1.0)
        assert ends(world) == [("failed", "cancelled")]
        assert len(staged.simulator.taken) == 1


def test_a_root_of_another_version_is_not_worked_on(tmp_path: Path) -> None:
    """A root that a start would refuse is refused when it comes back, too, and at each turn."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        other = _copy(staged, tmp_path / "copy")
        folder = other / ".faxdrop" / "jobs" / "20260101-080000-aaaaaaaa"
        folder.mkdir()
        (folder / "document.pdf").write_bytes(pdfs.good())
        (folder / "job.json").write_text('{"format": "faxdrop-job/3"}')
        _comes_back(staged, other)
        letter = world.drop(PLAIN, "letter.pdf", pdfs.good())
        world.live(120.0)
        assert letter.exists()
        assert not staged.simulator.taken
        shutil.rmtree(world.root / ".faxdrop" / "jobs" / folder.name)
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]


def test_a_recovery_that_the_disk_refuses_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error of a share that has just come back strands no document."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        other = _copy(staged, tmp_path / "copy")
        _claimed(other)
        recover = Jobs.recover
        refused = iter([True])

        def refuse_once(jobs: Jobs) -> tuple[list[Job], list[Path]]:
            if next(refused, False):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return recover(jobs)

        monkeypatch.setattr(Jobs, "recover", refuse_once)
        _comes_back(staged, other)
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]


def test_a_root_beneath_the_mount_point_is_not_taken_for_the_share(tmp_path: Path) -> None:
    """What was left there before the share was ever mounted is not faxed when it is unmounted."""
    beneath = tmp_path / "beneath"
    beneath.mkdir()
    _claimed(beneath)
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        _comes_back(staged, beneath)
        world.live(600.0)
        assert not staged.simulator.taken
        assert len(world.in_spool()) == 1
        world.root.rename(beneath)
        world.root.with_name("gone").rename(world.root)
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until_done(hours=1.0)
        assert ends(world) == [SENT]


def test_a_full_disk_does_not_keep_the_status_from_being_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk, what holds is written over the old status."""
    with stage(tmp_path / "root") as staged:
        world = staged.world
        world.start()
        world.live(5.0)
        place = world.root / ".faxdrop" / "status.json"
        replace = Path.replace

        def full(source: Path, target: Path) -> Path:
            if target == place:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return replace(source, target)

        monkeypatch.setattr(Path, "replace", full)
        staged.simulator.trouble = 402
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.live(30.0)
        [hold] = json.loads(place.read_text())["holds"]
        assert "balance" in hold["words"]
        assert [path.name for path in place.parent.glob("*.tmp")] == []


def test_a_cancellation_waits_for_a_claim_under_way(tmp_path: Path) -> None:
    """A document that is in the spool already, but not known yet, is cancelled when it is."""
    with stage(tmp_path) as staged:
        world = staged.world
        daemon = world.start()
        job = _claimed_beside(staged)
        spool = Spool(world.root)
        spool.notes.ask_to_cancel(job.job_id)
        world.turn()
        assert spool.notes.cancellations() == [job.job_id]
        daemon._dispatcher.put(job)  # noqa: SLF001 - as the end of its claim does
        world.until_done(hours=1.0)
        assert ends(world) == [("failed", "cancelled")]
        assert spool.notes.cancellations() == []
        assert not staged.simulator.taken


def _claimed_beside(staged: Stage) -> Job:
    """Claim a document of which the daemon has not heard yet."""
    world = staged.world
    assert world.spool is not None
    source = world.inbox / PLAIN / "letter.pdf"
    source.parent.mkdir()
    source.write_bytes(pdfs.good())
    job = Job(
        job_id="20260302-080000-cccccccc",
        state=State.QUEUED,
        name="letter.pdf",
        folder=PLAIN,
        claimed_at=START,
    )
    world.spool.jobs.claim(source, None, job)
    return job


def test_a_claim_that_outlives_a_reload_keeps_the_daemon(tmp_path: Path) -> None:
    """A daemon is not done before the claims of its older config are."""
    with stage(tmp_path) as staged:
        world = staged.world
        daemon = world.start()
        later = Later()
        daemon._looks = daemon._pickup._claims._pool = later  # noqa: SLF001
        staged.drop(PLAIN, "letter.pdf", pdfs.good())
        world.until(lambda: bool(later.waiting), hours=1.0)
        daemon.reload(lambda: world.config)
        world.turn()
        assert not daemon.is_idle
        world.until(lambda: later.go() or bool(world.sent), hours=1.0)
        assert ends(world) == [SENT]
        assert_all_answered(staged)
