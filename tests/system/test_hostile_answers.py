"""A real daemon with a server that answers the worst: bounded in time and memory, and truthful.

Nothing here is about what one answer means (the tests of the client are); it is about a whole
office that goes on and keeps its promises while every second answer is poison.
"""

import json
from pathlib import Path

import psutil
import pytest

from faxdrop.config.simulated import SIMULATED
from faxdrop.simulator import Response, Simulator
from tests.kit import letters, promises
from tests.kit.kills import INBOX, SENDING, SUBMIT
from tests.kit.processes import Office
from tests.kit.seeds import random_of, seed_of, tell

POISON: tuple[str | Response, ...] = (
    "huge",
    "gzip-bomb",
    "drip",
    "drip-head",
    "html",
    "redirect",
    "wrong-types",
    "empty",
    "garbage",
    Response(200, b"[" * 500_000),
    Response(200, b'{"sessionId": 1e400, "items": NaN, "totalCount": -1}'),
    Response(200, b'{"sessionId": %s, "items": 7}' % (b"9" * 5000)),
    Response(200, b'{"sessionId": "", "items": [null, 1, "x", [], {}]}'),
    Response(200, b'{"sessionId": "' + b"x" * 100_000 + b'", "items": [{"id": []}]}'),
    Response(200, b'{"sessionId": "\\ud800", "items": [{"id": "\\ud800", "created": "soon"}]}'),
    Response(200, json.dumps({"sessionId": None, "items": [{}] * 50_000}).encode()),
    Response(200, b'{"sessionId": true, "items": [], "totalCount": 1%s}' % (b"0" * 400)),
    Response(200, b"\xff\xfe\x00", "text/html", (("Content-Encoding", "gzip"),)),
    Response(204, b""),
    Response(302, b"", "text/plain", (("Location", "file:///etc/passwd"),)),
    Response(418, b"<h1>teapot</h1>" * 10_000, "text/html"),
    Response(599, b"\0" * 10_000, "application/json"),
)
LATE_NUMBERS = [f"+493023125{place}07" for place in range(6)]
KINDS = (SUBMIT, "GET /history", "GET /history/{id}")
GROWTH = 96 << 20  # bytes: three lists of 16 MiB each, twice


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_poisoned_answers_harm_nobody(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whatever the server answers, all faxes end truthfully, in bounded time and memory."""
    random = random_of(seed_of(request))
    poison = random.sample(POISON, len(POISON))
    # A fax is asked for by its id only while the list does not show it.
    late = kind == "GET /history/{id}"
    numbers = LATE_NUMBERS if late else letters.plain_numbers(2 * len(POISON))
    post = [
        letters.Letter(number, f"letter {at}.pdf", letters.letter(f"{kind} {at}"))
        for at, number in enumerate(numbers)
    ]
    with (
        Simulator(pace=3600.0, slow=0.3, late=25.0 if late else 1.0) as simulator,
        Office(
            tmp_path, simulator.base_url, inbox_settings=INBOX, sending_settings=SENDING
        ) as office,
    ):
        office.config.write_text(office.config.read_text().replace('"10s"', '"2s"'))
        office.start()
        assert office.program is not None
        daemon = psutil.Process(office.program.pid)
        idle = daemon.memory_info().rss
        simulator.script([each for one in poison for each in (one, None)], kind=kind)
        for one in post:
            letters.drop(office.inbox, one)
        swallowed = 2 * len(POISON)
        office.until(lambda: simulator.count(kind) >= swallowed, "all poison swallowed", 240)
        simulator.account.pace = 0.1
        office.await_filed(len(post), seconds=240)
        peak = peak_of(office.program.pid)
        figures = promises.tally(office.root, simulator.taken)
        tell(request, f"{kind}: {figures}, {(peak - idle) >> 20} MiB above idle")
        assert peak - idle < GROWTH
        assert not simulator.leaks
        assert office.stop() == 0
        dropped = [one.sha256 for one in post]
        wrong = promises.violations(office.root, simulator.taken, dropped)
        assert not wrong, wrong
        assert SIMULATED["TOKEN"] not in office.log.read_text()


def peak_of(pid: int) -> int:
    """Return the most memory that a program ever had (VmHWM in proc(5)), in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no VmHWM")
