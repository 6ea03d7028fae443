"""The simulator follows sipgate's published API, and its misbehaviour is real and repeatable."""

import base64
import gzip
import hashlib
import io
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import jsonschema
import phonenumbers
import pikepdf
import pytest
import requests

from faxdrop.config.simulated import SIMULATED
from faxdrop.simulator import MAGIC, Magic, Response, Simulator
from faxdrop.simulator.behaviour import Hostility
from faxdrop.simulator.upload import SubmissionBody, look_at
from tests.kit import pdfs
from tests.kit.servers import free_port
from tests.kit.waiting import PATIENCE

API = json.loads((Path(__file__).parents[1] / "data" / "sipgate-fax-api.json").read_text("utf-8"))
TOKEN = SIMULATED["TOKEN_ID"], SIMULATED["TOKEN"]
PLAIN = "+492111234567"
SUBMIT = "POST /sessions/fax"
NUMBERS = {magic.name: magic.number for magic in MAGIC}


LETTER = pdfs.good()


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.time


class Client:
    """What sipgate's example does: plain requests over a base URL."""

    def __init__(self, base_url: str, http: requests.Session) -> None:
        self.base_url = base_url
        self.http = http

    def post(self, number: str = PLAIN, document: bytes = LETTER, **fields: Any) -> Any:
        """Submit, with any field replaced."""
        body = {
            "faxlineId": "f0",
            "recipient": number,
            "filename": "letter.pdf",
            "base64Content": base64.b64encode(document).decode(),
        }
        url = f"{self.base_url}/sessions/fax"
        return self.http.post(url, json=body | fields, timeout=PATIENCE, allow_redirects=False)

    def get(self, path: str, **query: Any) -> requests.Response:
        """Look something up."""
        url = self.base_url + path
        return self.http.get(url, params=query, timeout=PATIENCE, allow_redirects=False)

    def submit(self, number: str = PLAIN, document: bytes = LETTER) -> str:
        """Submit, and return the session id."""
        session_id = self.post(number, document).json()["sessionId"]
        assert isinstance(session_id, str)
        return session_id

    def status(self, session_id: str) -> str:
        """Return the status of a fax."""
        return str(self.get(f"/history/{session_id}").json()["faxStatusType"])

    def listed(self, **query: Any) -> list[dict[str, Any]]:
        """Return the entries that a list shows."""
        items = self.get("/history", **query).json()["items"]
        assert isinstance(items, list)
        return items


@pytest.fixture
def clock() -> Clock:
    """Give the simulator's clock into the test's hands."""
    return Clock()


@pytest.fixture
def http() -> Iterator[requests.Session]:
    """Give a session with the simulator's token."""
    with requests.Session() as session:
        session.auth = TOKEN
        session.trust_env = False
        yield session


@pytest.fixture
def simulator(clock: Clock) -> Iterator[Simulator]:
    """Give a running simulator in which nothing happens by itself."""
    with Simulator(clock=clock, pace=60, slow=30, late=10) as running:
        yield running


@pytest.fixture
def client(simulator: Simulator, http: requests.Session) -> Client:
    """Give a client of the running simulator."""
    return Client(simulator.base_url, http)


def raw(url: str) -> socket.socket:
    """Connect to the server of a URL, without any HTTP."""
    host, port = url.split("/")[2].split(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def request_bytes(body: bytes, *headers: str) -> bytes:
    """Return a submission as bytes, with the given extra header lines."""
    token = base64.b64encode(":".join(TOKEN).encode()).decode()
    lines = (
        "POST /v2/sessions/fax HTTP/1.1",
        "Host: localhost",
        f"Authorization: Basic {token}",
        "Content-Type: application/json",
        *headers,
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def body_bytes(document: bytes = LETTER) -> bytes:
    """Return the JSON of a submission."""
    content = base64.b64encode(document).decode()
    fields = {"faxlineId": "f0", "recipient": PLAIN, "filename": "a.pdf", "base64Content": content}
    return json.dumps(fields).encode()


def sized(body: bytes) -> str:
    """Return the header that says how long a body is."""
    return f"Content-Length: {len(body)}"


# What sipgate documents


def test_example_flow(client: Client, clock: Clock, simulator: Simulator) -> None:
    """A fax is queued, sent and delivered as the status values of sipgate's example say."""
    session_id = client.submit()
    seen = []
    for _ in range(3):
        seen.append(client.status(session_id))
        clock.time += 60
    assert seen == ["PENDING", "SENDING", "SENT"]
    [taken] = simulator.taken
    assert taken.session_id == session_id
    assert taken.number == PLAIN
    assert taken.faxline == "f0"
    assert taken.filename == "letter.pdf"
    assert taken.sha256 == hashlib.sha256(LETTER).hexdigest()
    assert taken.pages == 1
    assert taken.at == 1_800_000_000.0
    assert not taken.by_hand


def test_pace_zero(http: requests.Session) -> None:
    """With no pace a fax is final at the first look."""
    with Simulator(pace=0) as simulator:
        client = Client(simulator.base_url, http)
        assert client.status(client.submit()) == "SENT"


def strict(name: str) -> dict[str, Any]:
    """Return a published schema that allows nothing it does not name, and wants all it names."""
    schemas: dict[str, Any] = json.loads(json.dumps(API["components"]["schemas"]))
    observed = API["x-observed-fax-history-entry"]["properties"]
    schemas["HistoryEntryResponse"]["properties"] |= observed
    for schema in schemas.values():
        schema["additionalProperties"] = False
        schema["required"] = sorted(schema["properties"])
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/history", "HistoryResponse"),
        ("/history/{id}", "HistoryEntryResponse"),
        ("/authorization/userinfo", "UserinfoResponse"),
        ("/w0/faxlines", "FaxlinesResponse"),
        ("/groupfaxlines", "GroupFaxlinesResponse"),
        ("/balance", "BalanceResponse"),
        ("/account", "AccountResponse"),
    ],
)
def test_answers_fit_the_published_schema(
    client: Client, clock: Clock, path: str, schema: str
) -> None:
    """Every answer has the properties that sipgate publishes, all of them and no others."""
    session_id = client.submit()
    clock.time += 120
    answer = client.get(path.format(id=session_id))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    jsonschema.validate(answer.json(), strict(schema))


def test_submission_fits_the_published_schema(client: Client) -> None:
    """The answer to a submission is the published one."""
    jsonschema.validate(client.post().json(), strict("SendFaxSessionResponse"))


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"recipient": ""}, 400),
        ({"filename": "   "}, 400),
        ({"base64Content": ""}, 400),
        ({"base64Content": None}, 400),
        ({"faxlineId": "x1"}, 400),
        ({"filename": 7}, 400),
        ({"faxlineId": "f9"}, 403),
        ({"recipient": "+49"}, 407),
        ({"recipient": "nobody"}, 407),
        ({"base64Content": "A" * 28_330_001}, 413),
        ({"recipient": "0211 / 1234-567"}, 200),
        ({"recipient": "0049211 1234567"}, 200),
    ],
)
def test_submissions_are_checked(
    client: Client, simulator: Simulator, fields: dict[str, Any], status: int
) -> None:
    """A bad submission is refused with sipgate's status, and nothing is taken."""
    assert client.post(**fields).status_code == status
    assert [taken.number for taken in simulator.taken] == [PLAIN] * (status == 200)


def test_wrong_token_endpoint_method_and_content_type(client: Client) -> None:
    """Wrong token, address, method and content type get 401, 404, 405 and 415."""
    url = client.base_url + "/sessions/fax"
    assert client.http.post(url, data=body_bytes(), timeout=PATIENCE).status_code == 415
    assert client.get("/sessions/fax").status_code == 405
    assert client.get("/sessions/letter").status_code == 404
    assert client.get("/history/1").status_code == 404
    client.http.auth = ("token-FAXSIM", "wrong")
    answer = client.post()
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_account_limits(client: Client, simulator: Simulator) -> None:
    """An empty balance, a line that may not send and a user without rights are refused."""
    simulator.account.balance = 0
    assert client.post().status_code == 402
    simulator.account.balance = 1
    simulator.account.faxlines[0].can_send = False
    assert client.post().status_code == 403
    assert client.get("/w0/faxlines").json()["items"][0]["canSend"] is False
    simulator.account.admin = False
    assert client.get("/balance").status_code == 403


def test_history_is_paged_and_newest_first(client: Client, clock: Clock) -> None:
    """A list shows ten entries unless told otherwise, the newest first, and how many there are."""
    ids = []
    for _ in range(12):
        ids.append(client.submit())
        clock.time += 1
    newest_first = ids[::-1]
    assert [entry["id"] for entry in client.listed()] == newest_first[:10]
    assert [entry["id"] for entry in client.listed(offset=10)] == newest_first[10:]
    assert [entry["id"] for entry in client.listed(limit=3, offset=1)] == newest_first[1:4]
    assert client.get("/history", limit=0).json() == {"items": [], "totalCount": 12}
    assert client.get("/history", limit=1001).status_code == 400
    assert client.get("/history", limit="many").status_code == 400


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, ["b", "a"]),
        ({"types": ["FAX", "SMS"]}, ["b", "a"]),
        ({"types": "CALL"}, []),
        ({"directions": "OUTGOING"}, ["b", "a"]),
        ({"directions": ["INCOMING", "MISSED_INCOMING"]}, []),
        ({"connectionIds": "f1"}, ["b"]),
        ({"connectionIds": ["f0", "f1"]}, ["b", "a"]),
        ({"connectionIds": "f0,f1"}, []),
        ({"phonenumber": "+492111111111"}, ["a"]),
        ({"from": "2027-01-15T08:00:10Z"}, ["b"]),
        ({"from": "2027-01-15T09:00:10+01:00"}, ["b"]),
        ({"to": "2027-01-15T08:00:09.5Z"}, ["a"]),
        ({"archived": "true"}, ["c"]),
        ({"archived": "false"}, ["b", "a"]),
        ({"starred": "STARRED"}, ["a"]),
        ({"starred": "UNSTARRED"}, ["b"]),
        ({"types": "LETTER"}, None),
        ({"from": "yesterday"}, None),
    ],
)
def test_history_filters(
    http: requests.Session, clock: Clock, query: dict[str, Any], shown: list[str] | None
) -> None:
    """Each documented filter shows what it names; a value that it does not have is refused."""
    with Simulator(clock=clock, faxlines=("f0", "f1")) as simulator:
        client = Client(simulator.base_url, http)
        ids = {"a": simulator.enter_by_hand("+492111111111")}
        clock.time += 10
        ids["b"] = simulator.enter_by_hand("+492112222222", faxline="f1")
        ids["c"] = simulator.enter_by_hand("+492113333333")
        simulator.archive(ids["c"])
        url = f"{client.base_url}/history/{ids['a']}"
        assert http.put(url, json={"starred": True}, timeout=PATIENCE).ok
        answer = client.get("/history", **query)
    if shown is None:
        assert answer.status_code == 400
    else:
        assert [entry["id"] for entry in answer.json()["items"]] == [ids[name] for name in shown]
        assert answer.json()["totalCount"] == len(shown)


def test_notes_and_deletion(client: Client) -> None:
    """A note can be written to an entry; an entry can be deleted, and without ids all of them."""
    first, second, third = (client.submit() for _ in range(3))
    url = f"{client.base_url}/history"
    answer = client.http.put(f"{url}/{first}/note", json={"note": "sent"}, timeout=PATIENCE)
    assert answer.json()["note"] == "sent"
    assert client.http.put(f"{url}/{first}/note", json={}, timeout=PATIENCE).status_code == 400
    assert client.http.put(url, json=[{"id": third, "archived": True}], timeout=PATIENCE).ok
    assert client.http.delete(f"{url}/{second}", timeout=PATIENCE).ok
    assert [entry["id"] for entry in client.listed()] == [first]
    assert client.http.delete(url, timeout=PATIENCE).ok
    assert client.listed() == []


def test_report_is_on_another_host_and_needs_no_token(
    client: Client, clock: Clock, simulator: Simulator
) -> None:
    """A final fax has a report at another origin; a token that is sent there counts as leaked."""
    session_id = client.submit()
    assert client.get(f"/history/{session_id}").json()["reportUrl"] == ""
    clock.time += 120
    url = client.get(f"/history/{session_id}").json()["reportUrl"]
    assert not url.startswith(client.base_url.removesuffix("/v2") + "/")
    report = requests.get(url, timeout=PATIENCE)
    assert report.content.startswith(b"%PDF-")
    assert simulator.leaks == []
    client.http.get(url, timeout=PATIENCE)
    assert simulator.leaks == ["GET /download"]


# What the magic numbers do


@pytest.mark.parametrize("magic", MAGIC, ids=lambda magic: magic.name)
def test_magic_numbers_are_valid(magic: Magic) -> None:
    """Every magic number counts as valid, and belongs to nobody."""
    number = phonenumbers.parse(magic.number)
    assert phonenumbers.is_valid_number(number)
    assert magic.number.startswith("+493023125")
    assert magic.meaning


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("delivered", ["SENT"]),
        ("busy-once", ["FAILED", "SENT"]),
        ("busy", ["FAILED", "FAILED"]),
        ("failed", ["FAILED", "FAILED"]),
        ("stuck", ["SENDING"]),
        ("limited", [429, "SENT"]),
        ("limited-date", [429, "SENT"]),
        ("error", [500, "SENT"]),
        ("refused", [407, 407]),
        ("rejected", [400, 400]),
        ("lost-before", [None, "SENT"]),
        ("lost-always", [None, None]),
    ],
)
def test_magic_fates(
    client: Client, clock: Clock, name: str, statuses: list[str | int | None]
) -> None:
    """What becomes of the submissions of one document to a magic number, one after the other."""
    seen: list[str | int | None] = []
    for _ in statuses:
        try:
            answer = client.post(NUMBERS[name])
        except requests.ConnectionError:
            seen.append(None)
            continue
        clock.time += 1000
        ok = answer.status_code == 200
        seen.append(client.status(answer.json()["sessionId"]) if ok else answer.status_code)
    assert seen == statuses


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("odd", ["TRANSMITTING", "SENT"]),
        ("scheduled", ["SCHEDULED", "SENT"]),
    ],
)
def test_unusual_statuses_are_seen(
    client: Client, clock: Clock, name: str, statuses: list[str]
) -> None:
    """An unusual status shows at the first look, however late that is."""
    session_id = client.submit(NUMBERS[name])
    clock.time += 1000
    assert [client.status(session_id), client.status(session_id)] == statuses


@pytest.mark.parametrize("name", ["lost-after", "lost-late", "error-taken", "garbage"])
def test_taken_without_a_good_answer(
    client: Client, clock: Clock, simulator: Simulator, name: str
) -> None:
    """A fax whose answer is lost or broken was taken all the same, and the history tells."""
    try:
        answer = client.post(NUMBERS[name])
    except requests.ConnectionError:
        assert name.startswith("lost")
    else:
        with pytest.raises(requests.JSONDecodeError):
            answer.json()
    clock.time += 10
    [entry] = client.listed()
    [taken] = simulator.taken
    assert entry["id"] == taken.session_id
    assert entry["target"] == NUMBERS[name]


@pytest.mark.parametrize("name", ["late", "lost-late"])
def test_late_entries(client: Client, clock: Clock, simulator: Simulator, name: str) -> None:
    """A late entry shows neither in the list nor by its id until its time has come."""
    try:
        client.post(NUMBERS[name])
    except requests.ConnectionError:
        assert name == "lost-late"
    [taken] = simulator.taken
    path = f"/history/{taken.session_id}"
    clock.time += 9.9
    assert client.listed() == []
    assert client.get(path).status_code == 404
    clock.time += 0.1
    assert len(client.listed()) == 1
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("status", [400, 404])
def test_fresh_entries(client: Client, clock: Clock, status: int) -> None:
    """A fresh entry is in the list before it can be asked for by its id."""
    session_id = client.submit(NUMBERS[f"fresh-{status}"])
    assert len(client.listed()) == 1
    assert client.get(f"/history/{session_id}").status_code == status
    clock.time += 10
    assert client.get(f"/history/{session_id}").status_code == 200


def test_retry_after(client: Client, clock: Clock) -> None:
    """Both forms of Retry-After are given, the date by the simulator's clock as Date is."""
    seconds = client.post(NUMBERS["limited"]).headers["Retry-After"]
    answer = client.post(NUMBERS["limited-date"]).headers
    assert seconds == "1"
    assert parsedate_to_datetime(answer["Date"]).timestamp() == clock.time
    assert parsedate_to_datetime(answer["Retry-After"]).timestamp() == clock.time + 1


# What it sees of a document


@pytest.mark.parametrize("pages", [1, 2, 31, 300])
@pytest.mark.parametrize("mode", list(pikepdf.ObjectStreamMode.__members__.values()))
def test_pages_of_what_pikepdf_writes(pages: int, mode: pikepdf.ObjectStreamMode) -> None:
    """Pages are counted with and without object streams."""
    file = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdfs.good(pages))) as document:
        document.save(file, object_stream_mode=mode)
    assert look_at(file.getvalue()).pages == pages


def read(body: bytes, step: int = 1 << 18) -> SubmissionBody:
    """Feed a body in pieces."""
    upload = SubmissionBody()
    for at in range(0, len(body), step):
        upload.feed(body[at : at + step])
    return upload


@pytest.mark.parametrize("step", [1, 3, 7, 64, 1000])
def test_body_in_any_pieces(step: int) -> None:
    """However a body is cut into pieces, the same is read from it."""
    document = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdfs.good(3))) as letter:
        letter.save(document, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    upload = read(body_bytes(document.getvalue()).replace(b"/", b"\\/"), step)
    assert upload.read()["recipient"] == PLAIN
    assert upload.document == document.getvalue()
    assert look_at(upload.document).pages == 3
    assert upload.sha256 == hashlib.sha256(document.getvalue()).hexdigest()


def encrypted() -> bytes:
    """Return a PDF that needs a password."""
    file = io.BytesIO()
    with pikepdf.open(io.BytesIO(LETTER)) as document:
        document.save(file, encryption=pikepdf.Encryption(owner="secret", user="secret"))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        base64.b64encode(pdfs.form()).decode(),
        base64.b64encode(LETTER[:-100]).decode(),
        base64.b64encode(b"no PDF").decode(),
        base64.b64encode(encrypted()).decode(),
        base64.b64encode(LETTER).decode()[:-1],
        base64.b64encode(LETTER).decode().replace("A", "_"),
        base64.b64encode(b"%PDF").decode() + base64.b64encode(LETTER).decode(),
        "data:application/pdf;base64," + base64.b64encode(LETTER).decode(),
    ],
    ids=["form", "cut", "text", "encrypted", "cut base64", "url base64", "padding", "data url"],
)
def test_what_cannot_be_faxed_is_taken_and_fails(
    client: Client, clock: Clock, content: str
) -> None:
    """Forms, damage and bad base64 are taken with 200, and then fail."""
    session_id = client.post(base64Content=content).json()["sessionId"]
    clock.time += 120
    assert client.status(session_id) == "FAILED"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"base64Content": "AAAA',
        b'{"base64Content": "AAAA\\x"}',
        b'{"base64Content": 7, "filename": "base64Content"}',
        b'{"deep": {"base64Content": "AAAA"}}',
    ],
)
def test_bodies_that_are_no_submission(client: Client, body: bytes) -> None:
    """A body that is not a submission is refused, and the connection stays open."""
    headers = {"Content-Type": "application/json"}
    url = client.base_url + "/sessions/fax"
    answer = client.http.post(url, data=body, headers=headers, timeout=PATIENCE)
    assert answer.status_code in (400, 413)
    assert client.post().status_code == 200


def test_memory_of_endless_bodies() -> None:
    """Of a body that is larger than sipgate takes, nothing more is kept."""
    upload = SubmissionBody()
    tracemalloc.start()
    try:
        for _ in range(1000):
            upload.feed(bytes(1 << 16))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert upload.too_large
    assert held < 48 << 20


# What it does on purpose


def test_lost_answers_are_resets(client: Client, simulator: Simulator) -> None:
    """A lost answer is a reset on the wire, a closed one an orderly end without a byte."""
    body = body_bytes()
    simulator.script(["lose-before", "lose-after", "close-before", "close-after"])
    for taken, ending in ((0, "reset"), (1, "reset"), (1, "end"), (2, "end")):
        with raw(client.base_url) as sock:
            sock.sendall(request_bytes(body, sized(body)))
            try:
                received: bytes | str = sock.recv(1)
            except ConnectionResetError:
                received = "reset"
            assert received == ("reset" if ending == "reset" else b"")
        assert len(simulator.taken) == taken


def test_cut_in_the_body(client: Client, simulator: Simulator) -> None:
    """A submission can be cut off before its last byte is there; then it is not taken."""
    simulator.script(["cut"])
    with raw(client.base_url) as sock:
        sock.sendall(request_bytes(b'{"faxlineId":', "Content-Length: 1000000"))
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert simulator.taken == []


@pytest.mark.parametrize("behaviour", ["slow", "drip", "drip-head", "huge"])
def test_stop_does_not_wait(http: requests.Session, behaviour: str) -> None:
    """However long an answer would take, the simulator stops at once."""
    body = body_bytes()
    before = threading.active_count()
    with Simulator(free_port(), slow=600) as simulator, raw(simulator.base_url) as sock:
        simulator.script([behaviour])
        sock.sendall(request_bytes(body, sized(body)))
        assert simulator.wait(lambda: len(simulator.taken) == 1, timeout=PATIENCE)
        if behaviour != "slow":
            assert sock.recv(1) == b"H"
        began = time.monotonic()
        simulator.stop()
        assert time.monotonic() - began < PATIENCE  # the answer would take ten minutes
    assert threading.active_count() <= before
    with pytest.raises(requests.ConnectionError):
        http.get(simulator.base_url + "/balance", timeout=PATIENCE)


def test_endless_answers(client: Client, simulator: Simulator) -> None:
    """An endless answer goes on for as long as somebody reads, and others are served meanwhile."""
    body = body_bytes()
    simulator.script(["huge"])
    with raw(client.base_url) as sock:
        sock.sendall(request_bytes(body, sized(body)))
        received = 0
        while received < 8 << 20:
            received += len(sock.recv(1 << 16))
        assert client.get("/balance").ok


def check_number_id(answer: requests.Response) -> bool:
    """Whether the session id is a number."""
    return isinstance(answer.json()["sessionId"], int)


@pytest.mark.parametrize(
    ("behaviour", "status", "check"),
    [
        ("number-id", 200, check_number_id),
        ("empty", 200, lambda answer: answer.json() == {}),
        ("wrong-types", 200, lambda answer: isinstance(answer.json()["sessionId"], dict)),
        ("html", 200, lambda answer: b"<title>" in answer.content),
        ("stale", 200, lambda answer: "Connection" not in answer.headers),
        ("redirect", 307, lambda answer: answer.headers["Location"].endswith("/elsewhere")),
        ("503", 503, lambda answer: answer.headers["Retry-After"] == "1"),
        ("503-plain", 503, lambda answer: "Retry-After" not in answer.headers),
        ("502-taken", 502, lambda answer: b"Bad Gateway" in answer.content),
        ("418", 418, lambda answer: answer.content == b""),
    ],
)
def test_wrong_answers(
    client: Client,
    simulator: Simulator,
    behaviour: str,
    status: int,
    check: Callable[[requests.Response], bool],
) -> None:
    """Each wrong answer is what it is called; the next one is right again."""
    simulator.script([behaviour])
    answer = client.post()
    assert answer.status_code == status
    assert check(answer)
    client.http.close()  # a stale connection must not be met again
    assert client.post().status_code == 200


def test_gzip_bomb(client: Client, simulator: Simulator) -> None:
    """A small answer can inflate to a gibibyte."""
    simulator.script(["gzip-bomb"], kind="GET /balance")
    url = client.base_url + "/balance"
    with client.http.get(url, stream=True, timeout=PATIENCE) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        bomb = answer.raw.read(decode_content=False)
    assert len(bomb) < 2 << 20
    assert len(gzip.decompress(bomb[: len(bomb) // 64])) == 1 << 24


def test_any_answer_can_be_scripted(client: Client, simulator: Simulator) -> None:
    """A test can put any answer to any kind of request, one after the other."""
    simulator.script([Response(200, b'{"items": 10}'), None, "500"], kind="GET /history")
    assert client.get("/history").json() == {"items": 10}
    assert client.listed() == []
    assert client.get("/history").status_code == 500
    with pytest.raises(ValueError, match="explode"):
        simulator.script(["explode"])


def test_a_token_that_follows_a_redirect_is_noticed(client: Client, simulator: Simulator) -> None:
    """A redirect leads to where a leaked token is counted."""
    simulator.script(["redirect"], kind="GET /balance")
    location = client.get("/balance").headers["Location"]
    client.http.get(location, timeout=PATIENCE)
    assert simulator.leaks == ["GET /elsewhere"]


@pytest.mark.parametrize(
    ("trouble", "submission", "look"),
    [
        (401, 401, 401),
        (402, 402, 200),
        (403, 403, 200),
        (404, 404, 404),
        (500, 500, 500),
        ("html", 200, 200),
        ({"GET /balance": 503}, 200, 503),
    ],
)
def test_trouble(
    client: Client, simulator: Simulator, trouble: Any, submission: int, look: int
) -> None:
    """Trouble lasts until it is removed, and affects what it affects at sipgate."""
    simulator.trouble = trouble
    for _ in range(2):
        assert client.post().status_code == submission
        assert client.get("/balance").status_code == look
    simulator.trouble = None
    assert client.post().status_code == 200
    assert client.get("/balance").json()["currency"] == "EUR"


def test_down_and_up_again(client: Client, simulator: Simulator) -> None:
    """While sipgate is down connections are refused, and the control port still answers."""
    assert client.get("/balance").ok
    http = requests.Session()
    control = simulator.control_url
    assert http.post(f"{control}/trouble", json={"trouble": "down"}, timeout=PATIENCE).ok
    assert refused(client.base_url)
    with pytest.raises(requests.ConnectionError):
        client.get("/balance")
    simulator.trouble = None
    assert client.get("/balance").ok
    simulator.trouble = "down"
    assert refused(client.base_url)
    assert http.post(f"{control}/trouble", json={"trouble": None}, timeout=PATIENCE).ok
    assert not refused(client.base_url)
    assert client.get("/balance").ok
    http.close()


def test_a_closed_port_is_nobody_elses(simulator: Simulator) -> None:
    """While sipgate is down, no other server can get its port and answer in its place."""
    port = int(simulator.base_url.split(":")[2].removesuffix("/v2"))
    simulator.trouble = "down"
    with socket.socket() as another, pytest.raises(OSError, match="in use"):
        another.bind(("127.0.0.1", port))


def refused(url: str) -> bool:
    """Whether a connection to a URL's server is refused."""
    try:
        raw(url).close()
    except ConnectionRefusedError:
        return True
    return False


def test_control_from_another_process(
    client: Client, simulator: Simulator, http: requests.Session
) -> None:
    """Everything that tests do in the same process can be done over HTTP."""
    control = simulator.control_url

    def say(what: str, **wish: Any) -> Any:
        answer = http.post(f"{control}/{what}", json=wish, timeout=PATIENCE)
        assert answer.ok, answer.text
        return answer.json()

    say("script", behaviours=["429", {"status": 299, "body": "odd", "headers": {"X": "y"}}])
    assert client.post().status_code == 429
    answer = client.post()
    assert (answer.status_code, answer.text, answer.headers["X"]) == (299, "odd", "y")
    session_id = say("by-hand", number="+49301234567", pages=3, faxline="f0")["session_id"]
    say("archive", session_id=session_id)
    say("account", balance=0, can_send={"f0": False}, pace=0, admin=False)
    assert client.post().status_code == 403
    [taken] = http.get(f"{control}/taken", timeout=PATIENCE).json()
    assert taken["by_hand"] is True
    assert taken["pages"] == 3
    times = http.get(f"{control}/requests", timeout=PATIENCE).json()
    assert len(times[SUBMIT]) == simulator.count(SUBMIT) == 3
    assert http.get(control, timeout=PATIENCE).json()["base_url"] == simulator.base_url
    assert http.get(f"{control}/leaks", timeout=PATIENCE).json() == []
    assert (
        http.post(f"{control}/trouble", json={"trouble": "bad"}, timeout=PATIENCE).status_code
        == 400
    )
    assert http.get(f"{control}/nothing", timeout=PATIENCE).status_code == 400
    # The public port has the same controls, for those who know only that one.
    public = client.base_url.removesuffix("/v2")
    assert len(http.get(f"{public}/simulator/taken", timeout=PATIENCE).json()) == 1


# Hostile runs


def run_hostile(seed: int, numbers: list[str]) -> list[tuple[int | str, str]]:
    """Submit to the numbers, ask for the list each time; return what came back."""
    outcomes: list[tuple[int | str, str]] = []
    with (
        Simulator(clock=Clock(), hostile=seed, slow=0) as simulator,
        requests.Session() as http,
    ):
        http.auth = TOKEN
        # On a kept-alive connection, whether the client notices its end would be a race.
        http.headers["Connection"] = "close"
        client = Client(simulator.base_url, http)
        for number in numbers:
            shown: list[int | str] = []
            for ask in (lambda number=number: client.post(number), lambda: client.get("/history")):
                try:
                    shown.append(ask().status_code)
                except requests.ConnectionError:
                    shown.append("lost")
            outcomes.append((shown[0], f"{shown[1]} {len(simulator.taken)}"))
    return outcomes


def test_hostile_runs_repeat() -> None:
    """A hostile run depends on its seed alone, and has all kinds of trouble."""
    numbers = [f"+4921112345{n % 20:02}" for n in range(150)]
    first = run_hostile(7, numbers)
    assert run_hostile(7, numbers) == first
    assert run_hostile(8, numbers) != first
    assert {"lost", 200, 429, 500} <= {submission for submission, _ in first}


def test_hostile_fortune_hangs_on_the_number() -> None:
    """The trouble of a submission does not depend on submissions to other numbers."""
    alone, among = Hostility(3), Hostility(3)
    for _ in range(50):
        among.submission("+4930999")
        assert alone.submission(PLAIN) == among.submission(PLAIN)


# HTTP, and the server's own life


def test_chunked_body_and_continue(client: Client, simulator: Simulator) -> None:
    """A body may come in chunks, and a client may ask first whether it should come at all."""
    body = body_bytes()
    url = client.base_url + "/sessions/fax"
    pieces = (body[at : at + 100] for at in range(0, len(body), 100))
    headers = {"Content-Type": "application/json"}
    assert client.http.post(url, data=pieces, headers=headers, timeout=PATIENCE).ok
    with raw(client.base_url) as sock:
        sock.sendall(request_bytes(b"", sized(body), "Expect: 100-continue"))
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK\r\n")
    assert len({taken.sha256 for taken in simulator.taken}) == 1
    assert len(simulator.taken) == 2


def test_pipelined_and_broken_requests(client: Client) -> None:
    """Requests may be sent ahead of the answers; what is no HTTP ends the connection."""
    body = body_bytes()
    with raw(client.base_url) as sock, sock.makefile("rb") as answers:
        sock.sendall(request_bytes(body, sized(body)) * 2 + b"what?\r\n\r\n")
        received = answers.read()
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.count(b"HTTP/1.1 400 Bad Request") == 1


def test_request_while_a_slow_answer_is_under_way() -> None:
    """What arrives during a slow answer waits for it."""
    body = body_bytes()
    with Simulator(slow=0.05) as simulator, raw(simulator.base_url) as sock:
        simulator.script(["slow"])
        request = request_bytes(body, sized(body))
        sock.sendall(request)
        assert simulator.wait(lambda: len(simulator.taken) == 1, timeout=PATIENCE)
        sock.sendall(request_bytes(body, sized(body), "Connection: close"))
        with sock.makefile("rb") as answers:
            assert answers.read().count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])  # noqa: S104 - must be refused
def test_loopback_only(host: str) -> None:
    """The simulator refuses to listen where others could reach it."""
    with pytest.raises(ValueError, match="loopback"):
        Simulator(host=host)


def test_port_taken() -> None:
    """A port that is taken is an error at once, and nothing is left behind."""
    with Simulator() as simulator:
        port = int(simulator.base_url.split(":")[2].removesuffix("/v2"))
        with pytest.raises(OSError, match="in use"):
            Simulator(port).start()


def test_stopped_and_started_again(clock: Clock, http: requests.Session) -> None:
    """A stopped simulator can be started again: same address, and it remembers."""
    with Simulator(free_port(), clock=clock, pace=60) as simulator:
        client, address = Client(simulator.base_url, http), simulator.base_url
        session_id = client.submit()
        simulator.stop()
        simulator.stop()
        simulator.trouble = "down"
        assert simulator.start() == address
        assert refused(address)
        simulator.trouble = None
        assert client.status(session_id) == "PENDING"


def test_ledger_outlives_the_simulator(
    tmp_path: Path, http: requests.Session, clock: Clock
) -> None:
    """With a ledger the faxes of earlier runs are known, torn lines or not."""
    ledger = tmp_path / "ledger"
    ids = []
    for _ in range(2):
        with Simulator(clock=clock, pace=0, ledger=ledger) as simulator:
            client = Client(simulator.base_url, http)
            ids.append(client.submit(NUMBERS["busy-once"]))
        ledger.write_text(ledger.read_text("utf-8") + '\n{"taken": {"ses', "utf-8")
    with Simulator(clock=clock, pace=0, ledger=ledger) as simulator:
        client = Client(simulator.base_url, http)
        assert [client.status(session_id) for session_id in ids] == ["FAILED", "SENT"]
        assert [taken.session_id for taken in simulator.taken] == ids
        assert client.submit() not in ids


def test_wait(simulator: Simulator) -> None:
    """Waiting ends with the condition, or with the time limit."""
    assert simulator.wait(lambda: True, timeout=0)
    assert not simulator.wait(lambda: False, timeout=0)
    assert simulator.count(SUBMIT) == 0
    assert simulator.requests == {}


def test_no_thread_for_a_connection(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection for which the system has no thread is reset, and the next one is answered."""
    start = threading.Thread.start
    refused: list[threading.Thread] = []

    def start_the_second(thread: threading.Thread) -> None:
        if not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_the_second)
    with pytest.raises(requests.ConnectionError):
        requests.get(simulator.base_url, timeout=PATIENCE)
    assert requests.get(simulator.base_url, timeout=PATIENCE).status_code in (401, 404)
