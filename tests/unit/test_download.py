"""sipgate's own report: what is fetched, from where, and what is not."""

import io

import pikepdf
import pytest
from pydantic import SecretStr

from faxdrop.simulator import Response, Simulator
from faxdrop.sipgate import Sipgate
from faxdrop.sipgate.download import LONGEST, fetch
from tests.kit.rawserver import Call, Elapsed, RawServer, answering
from tests.kit.waiting import PATIENCE
from tests.kit.world import TOKEN, TOKEN_ID

NUMBER = "+493023125000"


def asked(
    simulator: Simulator, seconds: float = PATIENCE, timeout: float = PATIENCE
) -> bytes | None:
    """Return the report on a fax that was sent by hand."""
    session_id = simulator.enter_by_hand(NUMBER)
    with Sipgate(simulator.base_url, TOKEN_ID, SecretStr(TOKEN), timeout) as client:
        return client.report(session_id, seconds)


def test_a_report_is_fetched_without_the_token() -> None:
    """The report lies on another host, which never sees the token."""
    with Simulator(pace=0) as simulator:
        found = asked(simulator)
        assert found is not None
        with pikepdf.Pdf.open(io.BytesIO(found)) as report:
            assert len(report.pages) == 1
        assert simulator.count("GET /download") == 1
        assert simulator.leaks == []


NO_REPORT: dict[str, str | Response] = {
    **{
        each: each
        for each in ("html", "redirect", "404", "410", "500", "huge", "gzip-bomb", "lose-after")
    },
    "100 MB": Response(200, b"%PDF-" + bytes(100 << 20) + b"%%EOF", "application/pdf"),
    "empty": Response(200, b"", "application/pdf"),
    "torn": Response(200, b"%PDF-1.4", "application/pdf"),
}


@pytest.mark.parametrize("how", NO_REPORT)
def test_what_is_no_report(how: str) -> None:
    """A web page, a redirect, a 404, 100 MB or an endless body in its place: there is no report."""
    with Simulator(pace=0) as simulator, Elapsed(PATIENCE):
        simulator.script([NO_REPORT[how]], kind="GET /download")
        assert asked(simulator) is None
        assert simulator.count("GET /download") == 1
        assert simulator.leaks == []


@pytest.mark.parametrize("kind", ["GET /download", "GET /history/{id}"])
@pytest.mark.parametrize("behaviour", ["drip", "drip-head", "slow"])
def test_the_time_is_bounded(kind: str, behaviour: str) -> None:
    """However slowly the history or the report comes, it is given up in time, also mid-timeout."""
    with Simulator(pace=0, slow=600.0) as simulator, Elapsed(PATIENCE):
        simulator.script([behaviour], kind=kind)
        assert asked(simulator, seconds=0.3, timeout=600.0) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://example.com/report.pdf",
        "https://user:word@example.com/report.pdf",
        "ftp://127.0.0.1/report.pdf",
        "file:///etc/passwd",
        "https://[",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://127.0.0.1:1/report.pdf",
    ],
)
def test_addresses_that_bring_nothing(url: str) -> None:
    """Only https is asked, without any login; if nobody answers, there is no report."""
    with Simulator(pace=0) as simulator:
        simulator.account.show_report = lambda _: url
        assert asked(simulator, seconds=2.0) is None
        assert simulator.count("GET /download") == 0


def test_this_machine_is_asked_for_a_simulator_alone() -> None:
    """No answer of sipgate makes faxdrop ask a server of this machine."""

    def unexpected(_: Call) -> None:
        raise AssertionError("nobody may come here")

    with RawServer(unexpected) as server:
        for address in (server.url, server.url.replace("127.0.0.1", "localhost")):
            assert fetch(address, 1.0, from_here=False) is None
        assert server.calls == []


def test_one_byte_too_long() -> None:
    """A report of the greatest length is taken, one that is a byte longer is not."""
    longest = b"%PDF-" + bytes(LONGEST - 10) + b"%%EOF"
    with RawServer(answering("200 OK", longest)) as server:
        assert fetch(server.url, PATIENCE, from_here=True) == longest
    with RawServer(answering("200 OK", longest + b"x")) as server:
        assert fetch(server.url, PATIENCE, from_here=True) is None
