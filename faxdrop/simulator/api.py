"""The simulated endpoints below /v2: from a request to what sipgate would answer.

Owns routing, authentication, validation and the taking of a fax. A request arrives here complete;
what is to go wrong with it comes along in ``request.behaviour``, or from its magic number, or from
the hostile draw, in this order.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from faxdrop.simulator.account import Account, Fax, HistoryFilter, TakenFax, is_faxline, read_number
from faxdrop.simulator.behaviour import Draw, Fate, Hostility, Magic, magic, takes
from faxdrop.simulator.http import Request, Response, Small
from faxdrop.simulator.responses import Temper, error, good, wrong
from faxdrop.simulator.upload import SubmissionBody, look_at

SUBMIT = "POST /sessions/fax"
_BASE = "/v2"
_USER = "w0"
_PATHS = (
    (re.compile(r"/sessions/fax"), "/sessions/fax", ("POST",)),
    (re.compile(r"/history"), "/history", ("GET", "PUT", "DELETE")),
    (re.compile(r"/history/([^/]+)"), "/history/{id}", ("GET", "PUT", "DELETE")),
    (re.compile(r"/history/([^/]+)/note"), "/history/{id}/note", ("PUT",)),
    (re.compile(r"/authorization/userinfo"), "/authorization/userinfo", ("GET",)),
    (re.compile(r"/groupfaxlines"), "/groupfaxlines", ("GET",)),
    (re.compile(r"/balance"), "/balance", ("GET",)),
    (re.compile(r"/account"), "/account", ("GET",)),
    (re.compile(r"/([^/]+)/faxlines"), "/{userId}/faxlines", ("GET",)),
)
_MAX_LIMIT = 1000
_TYPES = {"CALL", "VOICEMAIL", "SMS", "FAX"}
_DIRECTIONS = {"INCOMING", "OUTGOING", "MISSED_INCOMING", "MISSED_OUTGOING"}


class ApiRefusal(Exception):  # noqa: N818 - the API's refusal, not an error of ours
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.answer = error(status, message)


@dataclass(frozen=True, slots=True)
class Route:
    """What a request asks for."""

    kind: str  # "GET /history/{id}"
    argument: str = ""  # the id in the path
    refusal: int = 0  # 404 or 405


def route(method: str, path: str) -> Route:
    """Tell what a method and a path ask for."""
    if path.startswith(_BASE + "/"):
        for pattern, name, methods in _PATHS:
            match = pattern.fullmatch(path, len(_BASE))
            if match:
                argument = match[1] if match.groups() else ""
                return Route(f"{method} {name}", argument, 0 if method in methods else 405)
    return Route(f"{method} elsewhere", refusal=404)


class Api:
    """The endpoints over one account."""

    def __init__(
        self,
        account: Account,
        *,
        credentials: tuple[str, str],
        clock: Callable[[], float],
        temper: Temper,
        hostility: Hostility | None,
    ) -> None:
        self._account = account
        self._clock = clock
        self.temper = temper
        self._hostility = hostility
        self.elsewhere = ""  # where a redirect leads: an address on another host
        self._authorization = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
        self._looks: dict[str, Callable[[Request, str], Response]] = {
            "GET /history": self._history,
            "PUT /history": self._change_many,
            "DELETE /history": self._delete_many,
            "GET /history/{id}": self._entry,
            "PUT /history/{id}": self._change,
            "DELETE /history/{id}": self._delete,
            "PUT /history/{id}/note": self._note,
            "GET /authorization/userinfo": self._userinfo,
            "GET /{userId}/faxlines": self._faxlines,
            "GET /groupfaxlines": self._group_faxlines,
            "GET /balance": self._balance,
            "GET /account": self._account_data,
        }

    def answer(self, request: Request) -> Response:
        """Answer a request that is complete."""
        forced = request.behaviour
        if isinstance(forced, Response):
            return forced
        if forced and not takes(forced):
            return self._wrong(forced, good({}))
        try:
            return self._routed(request, forced)
        except ApiRefusal as refusal:
            return refusal.answer

    def _routed(self, request: Request, forced: str | None) -> Response:
        if request.headers.get("authorization") != self._authorization:
            raise ApiRefusal(401)
        asked = route(request.method, request.path)
        if asked.refusal:
            raise ApiRefusal(asked.refusal)
        if asked.kind == SUBMIT:
            return self._submit(request, forced)
        right = self._looks[asked.kind](request, asked.argument)
        if self._hostility and not forced:
            draw = self._hostility.look(asked.kind)
            return self._wrong(draw.behaviour, right, draw.delay)
        return self._wrong(forced, right)

    def _wrong(self, behaviour: str | None, right: Response, share: float = 1.0) -> Response:
        """Return what is sent under a behaviour, after a share of the delay that it would have."""
        if behaviour is None:
            return right
        answer = wrong(behaviour, right, self.temper, self._clock(), self.elsewhere)
        return replace(answer, delay=answer.delay * share) if answer.delay else answer

    def _submit(self, request: Request, forced: str | None) -> Response:
        upload = request.sink
        assert isinstance(upload, SubmissionBody)  # noqa: S101 - the simulator set it; for mypy
        number, faxline, filename = self._submission(request, upload)
        known = magic(number)
        if known.once and not self._account.first_time(number, upload.sha256):
            known = magic("")
        draw = self._hostility.submission(number) if self._hostility else Draw()
        chosen = forced or known.behaviour
        behaviour, share = (chosen, 1.0) if chosen else (draw.behaviour, draw.delay)
        if behaviour and not takes(behaviour):
            return self._wrong(behaviour, good({}), share)
        now = self._clock()
        look = look_at(upload.document)
        taken = TakenFax(
            session_id=self._account.new_id(now),
            number=number,
            faxline=faxline,
            filename=filename,
            sha256=upload.sha256,
            pages=look.pages,
            at=now,
            arrived=request.arrived,
        )
        self._account.take(self._fax(taken, known, draw, readable=look.can_be_faxed))
        return self._wrong(behaviour, good({"sessionId": taken.session_id}), share)

    def _fax(self, taken: TakenFax, known: Magic, draw: Draw, *, readable: bool) -> Fax:
        late = self.temper.late * (1.0 if known.late else draw.late)
        fresh = known.fresh or draw.fresh
        return Fax(
            taken,
            known.fate if readable else Fate.UNREADABLE,
            visible_at=taken.at + late,
            fresh=fresh,
            fresh_until=taken.at + late + (self.temper.late if fresh else 0),
        )

    def _submission(self, request: Request, upload: SubmissionBody) -> tuple[str, str, str]:
        """Return recipient, fax line and file name. Raises Refusal as sipgate would refuse."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise ApiRefusal(415)
        if upload.too_large:
            raise ApiRefusal(413)
        try:
            fields = upload.read()
        except (ValueError, RecursionError):
            raise ApiRefusal(400, "the body is no JSON object") from None
        texts = []
        for name in ("recipient", "faxlineId", "filename"):
            value = fields.get(name)
            if not isinstance(value, str) or not value.strip():
                raise ApiRefusal(400, f"{name} must not be empty")
            texts.append(value)
        if upload.too_large:
            raise ApiRefusal(413)
        if not upload.characters:
            raise ApiRefusal(400, "base64Content must not be empty")
        number = read_number(texts[0])
        if number is None:
            raise ApiRefusal(407)
        self._check_account(texts[1])
        return number, texts[1], texts[2]

    def _check_account(self, faxline: str) -> None:
        """Raise Refusal where the account may not send over a fax line."""
        if not is_faxline(faxline):
            raise ApiRefusal(400, "faxlineId is not valid")
        line = self._account.faxline(faxline)
        if line is None or not line.can_send:
            raise ApiRefusal(403)
        if self._account.balance <= 0:
            raise ApiRefusal(402)

    def _history(self, request: Request, _: str) -> Response:
        query = request.query
        wanted = HistoryFilter(
            types=_among(query, "types", _TYPES),
            directions=_among(query, "directions", _DIRECTIONS),
            connection_ids=query.get("connectionIds", ()),
            number=read_number(query["phonenumber"][-1]) or "" if "phonenumber" in query else None,
            since=_instant(query, "from"),
            until=_instant(query, "to"),
            archived=query.get("archived", ["false"])[-1].lower() == "true",
            starred=_starred(_among(query, "starred", {"STARRED", "UNSTARRED"})),
        )
        offset = _whole(query, "offset", 0, 2**31 - 1)
        limit = _whole(query, "limit", 10, _MAX_LIMIT)
        now = self._clock()
        found = self._account.history(wanted, now)
        entries = [self._shown(fax, now) for fax in found[offset : offset + limit]]
        if self._hostility:
            self._hostility.shuffle(entries)
        return good({"items": entries, "totalCount": len(found)})

    def _shown(self, fax: Fax, now: float) -> dict[str, object]:
        localise = self._hostility is not None and self._hostility.localises()
        return self._account.entry(fax, now, localise=localise)

    def _find(self, session_id: str) -> Fax:
        now = self._clock()
        fax = self._account.find(session_id, now)
        if fax is None:
            raise ApiRefusal(404)
        if now < fax.fresh_until:
            raise ApiRefusal(fax.fresh)
        return fax

    def _entry(self, _: Request, session_id: str) -> Response:
        return good(self._shown(self._find(session_id), self._clock()))

    def _change(self, request: Request, session_id: str) -> Response:
        self._account.change(self._find(session_id), _object(request))
        return Response(200)

    def _note(self, request: Request, session_id: str) -> Response:
        wish = _object(request)
        if not isinstance(wish.get("note"), str):
            raise ApiRefusal(400, "note is required")
        fax = self._find(session_id)
        self._account.change(fax, {"note": wish["note"]})
        return good(self._shown(fax, self._clock()))

    def _change_many(self, request: Request, _: str) -> Response:
        wishes = _json(request)
        if not isinstance(wishes, list):
            raise ApiRefusal(400)
        for wish in wishes:
            if not isinstance(wish, dict) or not isinstance(wish.get("id"), str):
                raise ApiRefusal(400)
            self._account.change(self._find(wish["id"]), wish)
        return Response(200)

    def _delete(self, _: Request, session_id: str) -> Response:
        self._find(session_id)
        self._account.delete([session_id])
        return Response(200)

    def _delete_many(self, request: Request, _: str) -> Response:
        self._account.delete(request.query.get("id"))
        return Response(200)

    def _userinfo(self, _: Request, __: str) -> Response:
        return good(
            {"sub": _USER, "domain": "sipgate.de", "masterSipId": "0000000", "locale": "de_DE"}
        )

    def _faxlines(self, _: Request, user: str) -> Response:
        if user != _USER:
            raise ApiRefusal(403, "not your user")
        lines = [
            {
                "id": line.id,
                "alias": line.alias,
                "tagline": "faxdrop simulator",
                "canSend": line.can_send,
                "canReceive": True,
            }
            for line in self._account.faxlines
        ]
        return good({"items": lines})

    def _group_faxlines(self, _: Request, __: str) -> Response:
        if not self._account.admin:
            raise ApiRefusal(403, "not an administrator")
        return good({"items": []})

    def _balance(self, _: Request, __: str) -> Response:
        if not self._account.admin:
            raise ApiRefusal(403, "not an administrator")
        return good({"amount": self._account.balance, "currency": "EUR"})

    def _account_data(self, _: Request, __: str) -> Response:
        return good(
            {
                "company": "faxdrop simulator",
                "mainProductType": "TEAM",
                "logoUrl": "",
                "verified": True,
                "historyLifeTime": "THIRTY_DAYS",
            }
        )


def _among(query: dict[str, list[str]], name: str, known: set[str]) -> list[str]:
    values = query.get(name, [])
    if not known.issuperset(values):
        raise ApiRefusal(400, f"{name} is not valid")
    return values


def _starred(values: list[str]) -> bool | None:
    return values[0] == "STARRED" if len(set(values)) == 1 else None


def _whole(query: dict[str, list[str]], name: str, default: int, largest: int) -> int:
    text = query.get(name, [str(default)])[-1]
    if not text.isdecimal() or int(text) > largest:
        raise ApiRefusal(400, f"{name} is not valid")
    return int(text)


def _instant(query: dict[str, list[str]], name: str) -> float | None:
    if name not in query:
        return None
    try:
        instant = datetime.fromisoformat(query[name][-1])
    except ValueError:
        raise ApiRefusal(400, f"{name} is no ISO 8601 date") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def _json(request: Request) -> object:
    assert isinstance(request.sink, Small)  # noqa: S101 - only uploads go elsewhere; for mypy
    try:
        body: object = json.loads(request.sink.data)
    except ValueError:
        raise ApiRefusal(400, "the body is no JSON") from None
    return body


def _object(request: Request) -> dict[str, object]:
    body = _json(request)
    if not isinstance(body, dict):
        raise ApiRefusal(400, "the body is no JSON object")
    return body
