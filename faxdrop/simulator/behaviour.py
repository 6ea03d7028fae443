"""What the simulator can do to a request or to a fax, and what chooses it.

Owns the three lists (`BEHAVIOURS` for requests, `Fate` for faxes, `MAGIC` for recipient numbers)
and `Hostility`, the seeded draw of a hostile run. Pure: no clock, no network, and nothing is
carried out here.

A *behaviour* is a string: a name of `BEHAVIOURS`, or a status code as in ``"403"`` (answered so,
the fax not taken), or ``"403-taken"`` (answered so, but the fax was taken all the same).

The magic numbers are in the ranges that the Bundesnetzagentur keeps free for films and teaching
material (Mitteilung 148/2021): every check takes them for valid, and nobody can ever be reached
there. Their last two digits choose what happens. A number of these ranges that is not in the table,
and every other number, is delivered.
"""

import re
from enum import StrEnum
from random import Random
from typing import NamedTuple

BEHAVIOURS = {
    "lose-before": "the fax is not taken, and the connection is reset after the last byte",
    "lose-after": "the fax is taken, and the connection is reset in place of the answer",
    "close-before": "the fax is not taken, and the connection is closed after the last byte",
    "close-after": "the fax is taken, and the connection is closed in place of the answer",
    "cut": "the connection is reset while the body is still on its way",
    "slow": "the fax is taken at once, the answer comes late",
    "stale": "a good answer, and then the kept-alive connection is closed without a word",
    "429": "too many requests, Retry-After in seconds",
    "429-date": "too many requests, Retry-After as a date",
    "503": "unavailable, Retry-After in seconds",
    "503-plain": "unavailable, without Retry-After; nothing taken",
    "number-id": "taken, and the session id is a JSON number",
    "garbage": "taken, and the answer is broken JSON",
    "empty": "taken, and the answer is an empty JSON object",
    "wrong-types": "taken, and the answer is JSON with values of the wrong types",
    "html": "a web page with status 200, as a hotel's portal sends it; nothing taken",
    "redirect": "a redirect to another host; nothing taken",
    "drip": "taken, and the body of the answer comes a byte at a time without end",
    "drip-head": "taken, and even the headers come a byte at a time",
    "huge": "taken, and the body of the answer never ends",
    "gzip-bomb": "taken, and the answer is a mebibyte that inflates to a gibibyte",
}
ALIASES = {"200-garbage": "garbage", "200-empty": "empty", "reset": "lose-before"}

_NOT_TAKEN = frozenset(
    {
        "lose-before",
        "close-before",
        "cut",
        "429",
        "429-date",
        "503",
        "503-plain",
        "html",
        "redirect",
    }
)
_STATUS = re.compile(r"([2-5]\d\d)(-taken)?")


def canonical(behaviour: str | int) -> str:
    """Return a behaviour's own name. Raises ValueError for what is none."""
    name = ALIASES.get(str(behaviour), str(behaviour))
    if name not in BEHAVIOURS and not _STATUS.fullmatch(name):
        raise ValueError(f"no such behaviour: {name}")
    return name


def takes(behaviour: str) -> bool:
    """Whether a fax is taken under this behaviour."""
    if _STATUS.fullmatch(behaviour):
        return behaviour.endswith("-taken")
    return behaviour not in _NOT_TAKEN


class Fate(StrEnum):
    """How a fax that was taken goes on."""

    DELIVERED = "delivered"
    BUSY = "busy"  # FAILED, the line was busy
    FAILED = "failed"  # FAILED, nobody answered
    UNREADABLE = "unreadable"  # FAILED, the document cannot be faxed
    STUCK = "stuck"  # SENDING for ever
    ODD = "odd"  # a status that nobody has heard of, then SENT
    SCHEDULED = "scheduled"  # SCHEDULED, then SENT


class Magic(NamedTuple):
    """A recipient number and what happens to faxes that go there."""

    number: str
    name: str
    meaning: str
    fate: Fate = Fate.DELIVERED
    behaviour: str | None = None  # of the POST
    once: bool = False  # only the first time for each document
    late: bool = False  # shows late in the history
    fresh: int = 0  # the status of GET /history/{id} at first


MAGIC: tuple[Magic, ...] = (
    Magic("+493023125000", "delivered", "delivered, as is every number not listed here"),
    Magic(
        "+493023125001", "busy-once", "busy the first time, then delivered", Fate.BUSY, once=True
    ),
    Magic("+493023125002", "busy", "always busy: FAILED", Fate.BUSY),
    Magic("+493023125003", "failed", "nobody answers: FAILED", Fate.FAILED),
    Magic("+493023125004", "stuck", "stays in SENDING forever", Fate.STUCK),
    Magic("+493023125005", "refused", "407: not a fax number", behaviour="407"),
    Magic("+493023125006", "rejected", "400: rejected", behaviour="400"),
    Magic("+493023125007", "late", "delivered, but appears late in the history", late=True),
    Magic("+493023125008", "odd", "an unknown status, then SENT", Fate.ODD),
    Magic("+493023125009", "scheduled", "SCHEDULED, then SENT", Fate.SCHEDULED),
    Magic(
        "+493023125010", "lost-after", "accepted, but the answer is lost", behaviour="lose-after"
    ),
    Magic(
        "+493023125011",
        "lost-before",
        "lost the first time before it is accepted, then delivered",
        behaviour="lose-before",
        once=True,
    ),
    Magic("+493023125012", "lost-always", "always lost, never accepted", behaviour="lose-before"),
    Magic(
        "+493023125013",
        "lost-late",
        "accepted, the answer is lost, and it appears late in the history",
        behaviour="lose-after",
        late=True,
    ),
    Magic("+493023125014", "slow", "accepted, but the answer comes late", behaviour="slow"),
    Magic(
        "+493023125015", "limited", "429 once, Retry-After in seconds", behaviour="429", once=True
    ),
    Magic(
        "+493023125016",
        "limited-date",
        "429 once, Retry-After as a date",
        behaviour="429-date",
        once=True,
    ),
    Magic("+493023125017", "error", "500 once, and not accepted", behaviour="500", once=True),
    Magic("+493023125018", "error-taken", "500, but accepted", behaviour="500-taken"),
    Magic("+493023125019", "garbage", "accepted, but the answer is broken", behaviour="garbage"),
    Magic("+493023125020", "fresh-404", "GET /history/{id} says 404 at first", fresh=404),
    Magic("+493023125021", "fresh-400", "GET /history/{id} says 400 at first", fresh=400),
)

_RANGES = re.compile(r"\+49(?:3023125|6990009|4066969|2214710|8999998)\d(\d\d)")
_BY_DIGITS = {magic.number[-2:]: magic for magic in MAGIC}


def magic(number: str) -> Magic:
    """Return what happens at an E.164 number."""
    match = _RANGES.fullmatch(number)
    return _BY_DIGITS.get(match[1], MAGIC[0]) if match else MAGIC[0]


class Draw(NamedTuple):
    """What a hostile run does to one submission."""

    behaviour: str | None = None
    late: float = 0.0  # share of the simulator's `late` until it shows in the history
    fresh: int = 0
    delay: float = 0.0  # share of the simulator's `slow`


_POSTS = (  # behaviour, share of all submissions
    ("lose-before", 0.06),
    ("lose-after", 0.06),
    ("close-before", 0.02),
    ("close-after", 0.02),
    ("429", 0.04),
    ("429-date", 0.03),
    ("503", 0.02),
    ("500", 0.03),
    ("500-taken", 0.03),
    ("garbage", 0.02),
    ("stale", 0.03),
    ("number-id", 0.03),
    ("slow", 0.04),
)
_GETS = (
    ("lose-before", 0.03),
    ("close-before", 0.02),
    ("429", 0.02),
    ("429-date", 0.01),
    ("503", 0.01),
    ("500", 0.02),
    ("502", 0.01),
    ("garbage", 0.01),
    ("stale", 0.03),
    ("slow", 0.02),
)


class Hostility:
    """The draws of one hostile run: all from its seed, each from what it is asked about.

    What happens to a submission depends on the seed, its number and how many went to that number
    before; what happens to a look, on the seed, its kind and how many of that kind came before. So
    two runs with the same seed meet the same trouble, even if submissions to different numbers
    arrive in another order. Only cutting off a body depends on the order of all submissions, since
    the number is not known then.

    ``severity`` multiplies how much goes wrong with requests; 1.0 is usual.
    """

    def __init__(self, seed: int, severity: float = 1.0) -> None:
        self.seed = seed
        self._severity = severity
        self._counts: dict[str, int] = {}

    def cuts(self) -> bool:
        """Whether the submission whose headers have arrived is cut off in its body."""
        return self._random("cut").random() < 0.03 * self._severity

    def submission(self, number: str) -> Draw:
        """Draw for the next submission to a number."""
        random = self._random(number)
        behaviour = _pick(random, _POSTS, self._severity)
        late = random.random() if random.random() < 0.2 else 0.0  # noqa: PLR2004 - its share
        fresh = random.choice((400, 404)) if random.random() < 0.1 else 0  # noqa: PLR2004 - likewise
        return Draw(behaviour, late, fresh, random.random())

    def look(self, kind: str) -> Draw:
        """Draw for the next request that is not a submission."""
        random = self._random(kind)
        return Draw(_pick(random, _GETS, self._severity), delay=random.random())

    def shuffle(self, entries: list[dict[str, object]]) -> None:
        """Shuffle a list; now and then show one entry twice."""
        random = self._random("shuffle")
        random.shuffle(entries)
        if entries and random.random() < 0.1:  # noqa: PLR2004 - its share
            entries.append(random.choice(entries))

    def localises(self) -> bool:
        """Whether the next entry shows its number in the national form."""
        return self._random("localise").random() < 0.3  # noqa: PLR2004 - its share

    def _random(self, about: str) -> Random:
        count = self._counts.get(about, 0)
        self._counts[about] = count + 1
        return Random(f"{self.seed}/{about}/{count}")  # noqa: S311 - a simulation, no secret


def _pick(random: Random, table: tuple[tuple[str, float], ...], severity: float) -> str | None:
    drawn = random.random()
    for behaviour, share in table:
        drawn -= share * severity
        if drawn < 0:
            return behaviour
    return None
