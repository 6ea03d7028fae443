"""A module runs in a separate process: limited, closed to others, and never waited for too long."""

import subprocess
import sys

import psutil
import pytest

from faxdrop.apart import Apart, ApartError
from tests.kit.waiting import PATIENCE, until

PROBE = "tests.kit.apart_probe"


def test_a_process_apart_is_closed_and_bounded(capfd: pytest.CaptureFixture[str]) -> None:
    """Its memory is closed to others and limited, and nothing that it prints gets out."""
    process, question = Apart(PROBE).ask("ä", PATIENCE)
    assert process == {"dumpable": 0, "memory": 1 << 30}
    assert question == "ä"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("question", "limits"), [("hang", (1.0, 5.0, PATIENCE)), ("eat", (PATIENCE,))]
)
def test_what_was_answered_before_the_end_is_kept(question: str, limits: tuple[float, ...]) -> None:
    """A module that takes too much time or memory is ended; its earlier answers count."""
    for seconds in limits:  # the first in which it can begin
        with pytest.raises(ApartError) as broken:
            Apart(PROBE).ask(question, seconds)
        if broken.value.so_far:
            break
    assert len(broken.value.so_far) == 1
    assert broken.value.__cause__ is None


@pytest.mark.parametrize("closed", [True, False])
def test_no_answer_is_an_error_without_the_question(*, closed: bool) -> None:
    """After a close nothing is started, and a missing module answers nothing."""
    apart = Apart(PROBE if closed else "faxdrop.nosuch")
    if closed:
        apart.close()
    with pytest.raises(ApartError) as broken:
        apart.ask("s3cret", 30)
    assert broken.value.so_far == ()
    assert "s3cret" not in f"{broken.value!r} {broken.value.__context__!r}"


def test_it_ends_with_the_process_that_asks() -> None:
    """When the daemon is killed, its separate process ends, too, and sends nothing more."""
    code = f"from faxdrop.apart import Apart; Apart({PROBE!r}).ask('hang', 600)"
    with subprocess.Popen([sys.executable, "-c", code]) as asking:
        until(psutil.Process(asking.pid).children, what="the probe")
        (child,) = psutil.Process(asking.pid).children()
        until(lambda: "tests.kit.apart_probe" in child.cmdline(), what="the probe's start")
        asking.kill()
    assert not psutil.wait_procs([child], timeout=PATIENCE)[1]
