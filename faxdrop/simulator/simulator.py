"""A look-alike of sipgate's fax API on loopback: for the demo, for rehearsals and for tests.

It speaks real HTTP, so sipgate's own example scripts and Node library work against
`Simulator.base_url` unchanged. Its answers follow sipgate's published API description; no fax is
sent. Nothing in it waits or ticks: the state is computed from the clock when somebody asks. So with
``pace=0`` a fax is final at the first look, and with its own clock a test can let hours pass at
once. Only the delays of slow answers are real time.

In the same process::

    with Simulator(pace=0) as simulator:
        simulator.base_url       # http://127.0.0.1:PORT/v2
        simulator.control_url    # http://127.0.0.1:OTHER/simulator, which stays up when "down"
        simulator.taken          # list[TakenFax], the oldest first: what was really taken
        simulator.requests       # {"POST /sessions/fax": [times], "GET /history/{id}": [...], ...}
        simulator.leaks          # requests that carried the token to another host: must be empty
        simulator.wait(lambda: len(simulator.taken) == 5, timeout=10)   # after every request
        simulator.script(["lose-after", "429", None])    # what happens to the next POSTs
        simulator.script([Response(200, b"[]")], kind="GET /history")     # or to any other kind
        simulator.trouble = 401  # until it is None again
        simulator.enter_by_hand("+4930123456", pages=1)  # a fax sent on sipgate's web page
        simulator.archive(session_id)
        simulator.script(["html"], kind="GET /download")  # how reports are fetched, elsewhere
        simulator.account        # faxlines (can_send), balance (402 when 0), admin, pace

``trouble`` is None; or a behaviour for every request (see `faxdrop.simulator.behaviour`); or a
status code, for every request (402, 403, 405, 413 and 415: only for POST /sessions/fax); or "down",
which closes the port so that connections are refused; or a dict of behaviours and status codes by
kind of request.

From another process: see `faxdrop.simulator.control`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

from faxdrop.config.simulated import SIMULATED
from faxdrop.simulator.account import Account, Fax, TakenFax
from faxdrop.simulator.api import SUBMIT, Api, route
from faxdrop.simulator.behaviour import MAGIC, Fate, Hostility, Magic, canonical
from faxdrop.simulator.control import controlled
from faxdrop.simulator.http import Request, Response, Server
from faxdrop.simulator.responses import Temper, error, report, wrong
from faxdrop.simulator.upload import SubmissionBody

__all__ = ["MAGIC", "Magic", "Response", "Simulator", "TakenFax"]

Disturbance = str | int | Mapping[str, str | int | None] | None
Behaviour = str | int | Response | None
Known = str | Response | None  # a behaviour by its own name

_ONLY_SUBMISSIONS = ("402", "403", "405", "413", "415")
_REMEMBERED = 100_000  # requests of each kind whose times are kept
_DOWNLOAD = "GET /download"  # of a report, from the other host


class Simulator:
    """A simulated sipgate account behind an HTTP server in a thread of its own.

    ``hostile`` is the seed of a hostile run, or None; ``severity`` is how much goes wrong in it,
    1.0 is usual. In seconds: ``pace`` is how long PENDING and SENDING take each, ``slow`` the real
    time that a slow answer takes, ``late`` after how long a late entry shows, ``retry_after`` what
    a 429 asks for. ``clock`` returns seconds since 1970. ``ledger`` is a file in which the faxes
    outlive the simulator. It listens on loopback only: ValueError for any other host.
    """

    def __init__(  # noqa: PLR0913 - each is a knob of its own
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        token_id: str = SIMULATED["TOKEN_ID"],
        token: str = SIMULATED["TOKEN"],
        faxlines: Iterable[str] = ("f0",),
        hostile: int | None = None,
        severity: float = 1.0,
        pace: float = 1.0,
        slow: float = 5.0,
        late: float = 10.0,
        retry_after: float = 1.0,
        clock: Callable[[], float] = time.time,
        ledger: Path | None = None,
    ) -> None:
        self.seed = hostile
        self.account = Account(list(faxlines), pace=pace, ledger=ledger)
        self.leaks: list[str] = []
        self._clock = clock
        self._hostility = None if hostile is None else Hostility(hostile, severity)
        self._api = Api(
            self.account,
            credentials=(token_id, token),
            clock=clock,
            temper=Temper(slow=slow, late=late, retry_after=retry_after),
            hostility=self._hostility,
        )
        self._server = Server(self, host, port)
        self._changed = threading.Condition()
        self._requests: dict[str, deque[float]] = {}
        self._scripts: dict[str, deque[Known]] = {}
        self._trouble: Disturbance = None

    def start(self) -> str:
        """Serve, and return the base URL. Raises OSError where the port is taken."""
        self._server.start()
        if self._trouble == "down":
            self._server.set_open(is_open=False)
        other_host = self._server.origin(self._server.control_port)
        self.account.downloads = f"{other_host}/download"
        self._api.elsewhere = f"{other_host}/elsewhere"
        return self.base_url

    def stop(self) -> None:
        """Stop at once, even in the middle of answers. ``taken`` can still be read afterwards."""
        self._server.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """What to configure in place of https://api.sipgate.com/v2."""
        return f"{self._server.origin(self._server.port)}/v2"

    @property
    def control_url(self) -> str:
        """The control endpoints, on a port that is up even in "down"."""
        return f"{self._server.origin(self._server.control_port)}/simulator"

    @property
    def taken(self) -> list[TakenFax]:
        """Every fax that was really taken, the oldest first."""
        return self.account.taken

    @property
    def requests(self) -> dict[str, list[float]]:
        """When requests arrived, by their kind; of very many, the latest."""
        with self._changed:
            return {kind: list(times) for kind, times in self._requests.items()}

    def count(self, kind: str) -> int:
        """Return how many requests of a kind have arrived."""
        with self._changed:
            return len(self._requests.get(kind, ()))

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition holds, looked at after each request; False after ``timeout`` s.

        The condition must not itself ask the simulator over HTTP.
        """
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def script(self, behaviours: Iterable[Behaviour], *, kind: str = SUBMIT) -> None:
        """Set what happens to the next requests of a kind; None means nothing special.

        Raises ValueError for an unknown behaviour.
        """
        wanted = [_known(behaviour) for behaviour in behaviours]
        with self._changed:
            self._scripts.setdefault(kind, deque()).extend(wanted)

    @property
    def trouble(self) -> Disturbance:
        """What is wrong with the account, or with sipgate."""
        return self._trouble

    @trouble.setter
    def trouble(self, trouble: Disturbance) -> None:
        if isinstance(trouble, Mapping):
            trouble = {kind: canonical(each) for kind, each in trouble.items() if each is not None}
        elif trouble not in (None, "down"):
            trouble = canonical(trouble)
        self._trouble = trouble
        self._server.set_open(is_open=trouble != "down")

    def enter_by_hand(self, number: str, pages: int = 1, faxline: str = "f0") -> str:
        """Send a fax on sipgate's web page, so to speak; return its session id."""
        now = self._clock()
        session_id = self.account.new_id(now)
        taken = TakenFax(session_id, number, faxline, "by hand", "", pages, now, now, by_hand=True)
        self.account.take(Fax(taken, Fate.DELIVERED, visible_at=now))
        return session_id

    def archive(self, session_id: str) -> None:
        """Archive an entry of the history, as a person would. Raises KeyError."""
        self.account.archive(session_id)

    def now(self) -> float:
        """Tell the simulated time, in seconds since 1970."""
        return self._clock()

    def opened(self, request: Request) -> None:
        """Note a request whose headers have arrived, and decide what goes wrong with it."""
        request.arrived = self._clock()
        if request.path.startswith("/download/"):
            request.kind = _DOWNLOAD
        elif request.path.startswith("/v2/"):
            request.kind = route(request.method, request.path).kind
        else:
            return
        with self._changed:
            times = self._requests.setdefault(request.kind, deque(maxlen=_REMEMBERED))
            times.append(request.arrived)
            script = self._scripts.get(request.kind)
            scripted = script.popleft() if script else None
            self._changed.notify_all()
        request.behaviour = scripted or self._troubled(request.kind)
        if request.kind == SUBMIT:
            request.sink = SubmissionBody()
            cut = self._hostility is not None and self._hostility.cuts()
            request.cut = request.behaviour == "cut" or (cut and request.behaviour is None)

    def _troubled(self, kind: str) -> str | None:
        trouble = self._trouble
        if isinstance(trouble, Mapping):
            trouble = trouble.get(kind)
        elif kind == _DOWNLOAD or (trouble in _ONLY_SUBMISSIONS and kind != SUBMIT):
            return None
        return None if trouble in (None, "down") else str(trouble)

    def answer(self, request: Request) -> Response:
        """Answer a request that has arrived to its last byte."""
        top = request.path.split("/")[1] if request.path.startswith("/") else ""
        if top == "simulator":
            answer = controlled(self, request)
        elif request.public:
            answer = self._api.answer(request)
        else:
            if "authorization" in request.headers:
                self.leaks.append(f"{request.method} /{top}")
            answer = self._download(request)
        with self._changed:
            self._changed.notify_all()
        return answer

    def _download(self, request: Request) -> Response:
        match request.path.split("/"):
            case ["", "download", secret, "report.pdf"] if self.account.has_report(secret):
                right = Response(200, report(secret), "application/pdf")
            case _:
                return error(404)
        forced = request.behaviour
        if forced is None or isinstance(forced, Response):
            return forced or right
        elsewhere = self._api.elsewhere
        return wrong(forced, right, self._api.temper, self._clock(), elsewhere)


def _known(behaviour: Behaviour) -> Known:
    """Return the behaviour by its own name. Raises ValueError."""
    return canonical(behaviour) if isinstance(behaviour, str | int) else behaviour
