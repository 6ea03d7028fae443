"""The simulator's control endpoints: what a test in another process does and asks.

JSON at ``control_url`` (or, for those who know only the public port, at the same path
there, which "down" closes like everything else):

    GET  /simulator              {"base_url", "control_url", "seed"}
    GET  /simulator/taken        [{"session_id", "number", "faxline", "filename", "sha256", "pages",
                                   "at", "arrived", "by_hand"}, ...]
    GET  /simulator/requests     {kind: [seconds since 1970, ...], ...}
    GET  /simulator/leaks        ["GET /elsewhere", ...]
    POST /simulator/trouble      {"trouble": null | 401 | "down" | {"GET /history": 500} | ...}
    POST /simulator/script       {"behaviours": ["lose-after", null, {"status": 200, "body": "x"}],
                                  "kind": "POST /sessions/fax"}
    POST /simulator/by-hand      {"number", "pages", "faxline"} -> {"session_id"}
    POST /simulator/archive      {"session_id"}
    POST /simulator/account      {"balance", "admin", "pace", "can_send": {"f0": false}}
"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from faxdrop.simulator.account import Account
from faxdrop.simulator.api import SUBMIT
from faxdrop.simulator.http import Request, Response, Small
from faxdrop.simulator.responses import error, good

if TYPE_CHECKING:
    from faxdrop.simulator.simulator import Behaviour, Simulator


def controlled(simulator: "Simulator", request: Request) -> Response:
    """Do what a request to the control endpoints wants. A wrong one is a 400."""
    try:
        wish = json.loads(request.sink.data or b"{}") if isinstance(request.sink, Small) else {}
        return good(_done(simulator, request.method, request.path, wish))
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as problem:
        return error(400, f"{type(problem).__name__}: {problem}")


def _done(simulator: "Simulator", method: str, path: str, wish: dict[str, Any]) -> object:
    match method, path.removeprefix("/simulator").strip("/"):
        case "GET", "":
            return {
                "base_url": simulator.base_url,
                "control_url": simulator.control_url,
                "seed": simulator.seed,
            }
        case "GET", "taken":
            return [asdict(taken) for taken in simulator.taken]
        case "GET", "requests":
            return simulator.requests
        case "GET", "leaks":
            return simulator.leaks
        case "POST", "trouble":
            simulator.trouble = wish["trouble"]
        case "POST", "script":
            behaviours = [_from_json(behaviour) for behaviour in wish["behaviours"]]
            simulator.script(behaviours, kind=wish.get("kind", SUBMIT))
        case "POST", "by-hand":
            return {"session_id": simulator.enter_by_hand(**wish)}
        case "POST", "archive":
            simulator.archive(wish["session_id"])
        case "POST", "account":
            _set_account(simulator.account, wish)
        case _:
            raise ValueError(f"no such control: {method} {path}")
    return {}


def _set_account(account: Account, wish: dict[str, Any]) -> None:
    account.balance = int(wish.get("balance", account.balance))
    account.admin = bool(wish.get("admin", account.admin))
    account.pace = float(wish.get("pace", account.pace))
    for line in account.faxlines:
        line.can_send = bool(wish.get("can_send", {}).get(line.id, line.can_send))


def _from_json(behaviour: Any) -> "Behaviour":
    if not isinstance(behaviour, dict):
        return behaviour if behaviour is None else str(behaviour)
    return Response(
        int(behaviour["status"]),
        str(behaviour.get("body", "")).encode(),
        str(behaviour.get("content_type", "application/json")),
        tuple(dict(behaviour.get("headers", {})).items()),
    )
