"""The benchmark's own promises: no figure is lost, and its yardsticks are what they say."""

from pathlib import Path

import pytest

from tests import benchmark
from tests.benchmark import Bench, Row
from tests.kit import pdfs
from tests.kit.breaking import CrashingDisk, Steps, stage


def test_what_cannot_be_measured_says_so_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A measurement that fails costs its own figure only, and the exit status tells."""

    def broken(_: Bench) -> list[Row]:
        raise TimeoutError("0 of 1 fax.sent")

    def good(_: Bench) -> list[Row]:
        return [Row("speed", "1 s", "a loop 1 s", "1.0 x", "<= 3 x")]

    monkeypatch.setattr(benchmark, "ALL", {"broken": broken, "good": good})
    monkeypatch.setattr("sys.argv", ["benchmark"])
    with pytest.raises(SystemExit) as ended:
        benchmark.main()
    assert ended.value.code == 1
    _, first, second = capsys.readouterr().out.splitlines()
    assert first == "broken: not measured: TimeoutError: 0 of 1 fax.sent"
    assert " ".join(second.split()) == "speed 1 s a loop 1 s 1.0 x <= 3 x"


def test_an_event_of_the_benchmarks_own_is_waited_for_like_the_daemons(tmp_path: Path) -> None:
    """When the daemon was started counts as an event: the start is measured from there."""
    bench = Bench(tmp_path)
    with bench.simulator() as (base_url, _), bench.daemon(bench.root(), base_url) as daemon:
        assert daemon.wait_for("bench.started") < daemon.wait_for("daemon.ready")


def test_the_second_yardstick_syncs_as_often_as_faxdrop(tmp_path: Path) -> None:
    """A fax that is sent at once, the first to its number, costs so many fsyncs and no more."""
    with stage(tmp_path / "root", pace=0.0, late=0.0) as staged:
        staged.world.start()
        staged.drop("+493023125101", "first.pdf", pdfs.good(2))  # the month has its file then
        staged.world.until_done()
        staged.world.crash()
        steps = Steps()
        staged.world.start(CrashingDisk(steps))
        staged.drop("+493023125100", "letter.pdf", pdfs.good())
        staged.world.until_done()
        assert len(staged.world.sent) == 2
    # Steps before the claim belong to no fax: at its start the daemon syncs the journal.
    claim = next(at for at, name in enumerate(steps.names) if name.startswith("mkdir"))
    syncs = [name for name in steps.names[claim:] if name.startswith(("fsync", "fdatasync"))]
    assert len(syncs) == benchmark.SYNCS
