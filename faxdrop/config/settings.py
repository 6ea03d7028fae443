"""What may be set, within which bounds, and the defaults.

The ``description`` of each setting says what would be right, so these models are the whole truth
about what may be written; config.example.toml tells people the same. ``load`` reads the file, and
``consistency`` checks what concerns more than one setting.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
)

from faxdrop.fax.job import State
from faxdrop.fax.recipient import FAXLINE_REMEDY, REGIONS, AddressEntry, Faxline
from faxdrop.names.loopback import is_loopback
from faxdrop.words import LANGUAGES, N_, Language

MEGABYTE = 1_000_000  # bytes
BASE64_LIMIT = 28_330_000  # characters in one POST, from sipgate's API description
BYTES_LIMIT = BASE64_LIMIT // 4 * 3
HELP_CENTRE_MEGABYTES, HELP_CENTRE_PAGES = 10, 30  # what sipgate's help centre promises to send

_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_LONGEST = 366 * 24 * 3600.0  # seconds: within what every clock and wait in Python accepts
FOREVER: Literal["forever"] = "forever"
_DAYS = re.compile(r"([0-9]{1,5})d")
_MOST_DAYS = 36_525  # a hundred years
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Return the seconds of ``"250ms"``, ``"5s"``, ``"1.5h"``; raise ValueError for other text.

    A duration above zero that rounds to 0 ms is out of range.
    """
    written = _DURATION.fullmatch(text)
    if not written:
        raise ValueError("not a duration")
    seconds = round(float(written[1]) * _MILLISECONDS[written[2]]) / 1000
    if seconds > _LONGEST or (not seconds and float(written[1])):
        raise ValueError("a duration out of range")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a duration as TOML writes it, to the millisecond, in its largest whole unit."""
    milliseconds = round(seconds * 1000)
    if not milliseconds:
        return "0s"
    unit = next(unit for unit, size in _MILLISECONDS.items() if milliseconds % size == 0)
    return f"{milliseconds // _MILLISECONDS[unit]}{unit}"


class FromFile(NamedTuple):
    """The validation context of settings that come from a file.

    In a file a duration needs its unit, and a folder may be relative to the file. Our own code
    passes seconds and absolute paths.
    """

    folder: Path  # where the file lies, absolute


def _duration(value: Any, info: ValidationInfo) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    from_code = number and not isinstance(info.context, FromFile)
    if not from_code or not 0 <= value <= _LONGEST:
        raise ValueError("a duration without its unit, or out of range")
    return float(value)


def _above_zero(seconds: float) -> float:
    if not seconds:
        raise ValueError("no time at all")
    return seconds


def _period(value: Any) -> float | str:
    """Return the seconds of ``"180d"``; ``"forever"`` stays as it is."""
    if value == FOREVER:
        return FOREVER
    written = _DAYS.fullmatch(value) if isinstance(value, str) else None
    if written is None or not 1 <= int(written[1]) <= _MOST_DAYS:
        raise ValueError("not a number of days")
    return int(written[1]) * 86400.0


def _folder(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError("not a folder")
    path = info.context.folder / value if isinstance(info.context, FromFile) else Path(value)
    if not path.is_absolute() or path == Path("/"):
        raise ValueError("not a folder of our own")
    return path


def _region(value: str) -> str:
    if value not in REGIONS:
        raise ValueError("no such region")
    return value


def _base_url(value: str) -> str:
    """Refuse an address through which the token could leak; drop a slash at its end."""
    url = urlsplit(value)
    _ = url.port  # raises ValueError if it is not a port
    if not url.hostname or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("not an address")
    if "@" in url.netloc or "?" in value or "#" in value:
        raise ValueError("more than an address")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname)):
        raise ValueError("not encrypted")
    return value.rstrip("/")


def _authority(value: str) -> str:
    return _base_url(value) if value else value


def _time_of_day(value: str) -> str:
    if value and not _TIME_OF_DAY.fullmatch(value):
        raise ValueError("not a time of day")
    return value


def _entry(value: Any) -> Any:
    return {"number": value} if isinstance(value, str) else value


def _listed(value: Any) -> Any:
    """Turn a TOML array into a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _command(value: tuple[str, ...]) -> tuple[str, ...]:
    if value and not Path(value[0]).is_absolute():
        raise ValueError("not an absolute path")
    if any("\0" in each for each in value):
        raise ValueError("not a command")
    return value


def _metrics_file(value: str) -> str:
    if value and ("\0" in value or not Path(value).is_absolute() or not value.endswith(".prom")):
        raise ValueError("not a file that is read")
    return value


DurationOrNone = Annotated[float, BeforeValidator(_duration)]
"""Seconds, 0 for none; in TOML a string with its unit."""

Duration = Annotated[DurationOrNone, AfterValidator(_above_zero)]
"""Seconds, more than none; in TOML a string with its unit."""

Period = Annotated[
    float | Literal["forever"],
    BeforeValidator(_period),
    Field(description=N_('a number of days in quotes, such as "180d", or "forever"')),
]
"""Seconds; in TOML a string of days, such as "180d", or "forever"."""

_DURATION_REMEDY = N_('a duration with its unit (ms, s, m or h) in quotes, such as "{example}"')


def _lasting(example: str) -> Any:
    """Return a duration setting whose default is the example of its remedy."""
    return Field(default=parse_duration(example), description=_DURATION_REMEDY, examples=[example])


class _Table(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )


class SipgateSettings(_Table):
    """Where sipgate is, and from which fax line we fax."""

    base_url: Annotated[str, AfterValidator(_base_url)] = Field(
        default="https://api.sipgate.com/v2",
        description=N_(
            "an https address without name, password or query, such as "
            '"https://api.sipgate.com/v2" (http only to this machine itself)'
        ),
    )
    faxline: Faxline = Field(description=FAXLINE_REMEDY)
    timeout: Duration = _lasting("100s")


class InboxSettings(_Table):
    """When a file counts as complete."""

    settle: Duration = _lasting("3s")
    patience: Duration = _lasting("5m")
    rescan: Duration = _lasting("60s")
    duplicate_window: DurationOrNone = _lasting("2m")


class DocumentSettings(_Table):
    """What may be faxed."""

    max_megabytes: float = Field(
        default=10,
        gt=0,
        le=BYTES_LIMIT / MEGABYTE,
        description=N_("a number above 0 and up to {example} (what sipgate takes), such as 10"),
        examples=[BYTES_LIMIT / MEGABYTE],
    )
    max_pages: int = Field(
        default=30, ge=1, le=1000, description=N_("a whole number from 1 to 1000, such as 30")
    )
    forms: Literal["flatten", "reject"] = Field(
        default="flatten", description=N_('"flatten" or "reject"')
    )

    @property
    def max_bytes(self) -> int:
        """The size of the largest document; a megabyte is 1,000,000 bytes."""
        return int(self.max_megabytes * MEGABYTE)


class SendingSettings(_Table):
    """How often to try, and how long to wait."""

    attempts: int = Field(
        default=3, ge=1, le=20, description=N_("a whole number from 1 to 20, such as 3")
    )
    delays: Annotated[tuple[Duration, ...], BeforeValidator(_listed)] = Field(
        default=(300.0, 900.0),
        description=N_(
            'a list of durations with their units (ms, s, m or h), such as ["5m", "15m"]'
        ),
    )
    poll_interval: Duration = _lasting("10s")
    give_up_after: Duration = _lasting("24h")
    reconcile_for: Duration = _lasting("10m")
    resend_if_absent: bool = Field(default=False, description=N_("true or false"))
    allow_premium: bool = Field(default=False, description=N_("true or false"))

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after an attempt (1 is the first); the last delay repeats."""
        return self.delays[min(attempt, len(self.delays)) - 1]


class RetentionSettings(_Table):
    """For how long filed documents are kept."""

    sent: Period = FOREVER
    failed: Period = FOREVER


class WitnessSettings(_Table):
    """Who signs the journal's end once a day (RFC 3161); "": nobody."""

    url: Annotated[str, AfterValidator(_authority)] = Field(
        default="",
        description=N_(
            "the https address of a time stamp authority, without name, password or query"
        ),
    )


class ReportSettings(_Table):
    """Which documents get a transmission report, and what it contains."""

    pdf: Literal["all", "failed", "none"] = Field(
        default="all", description=N_('"all", "failed" or "none"')
    )
    sender: str = Field(
        default="",
        max_length=200,
        description=N_('who sends, in at most 200 letters, such as "Law Office Example, Berlin"'),
    )

    @property
    def states(self) -> tuple[State, ...]:
        """The final states that get a report."""
        every: dict[str, tuple[State, ...]] = {
            "all": (State.SENT, State.FAILED),
            "failed": (State.FAILED,),
        }
        return every.get(self.pdf, ())


class NotifySettings(_Table):
    """What one [notify.NAME] wants to hear of. Its address is a secret, NOTIFY_ and the name."""

    on: Annotated[
        tuple[Literal["failed", "held", "released", "stuck", "sent"], ...], BeforeValidator(_listed)
    ] = Field(
        default=("failed", "held", "stuck"),
        description=N_('a list of "failed", "held", "released", "stuck" and "sent"'),
    )
    recipients: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_listed)
    ] = Field(
        default=(), description=N_('a list of patterns of folders\' names, such as ["Dr. *"]')
    )
    digest: Annotated[str, AfterValidator(_time_of_day)] = Field(
        default="", description=N_('a time of day in quotes, such as "18:00"')
    )


class HookSettings(_Table):
    """The command to run at the end of each document; (): none."""

    command: Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_command)] = Field(
        default=(),
        description=N_(
            'a list that begins with the whole path of a program, such as ["/usr/local/bin/to-dms"]'
        ),
    )
    timeout: Duration = _lasting("60s")


class HeartbeatSettings(_Table):
    """Where figures for Prometheus are written; "": nowhere."""

    metrics_file: Annotated[str, AfterValidator(_metrics_file)] = Field(
        default="",
        description=N_(
            "the whole path of a file whose name ends in .prom, such as "
            '"/var/lib/prometheus/node-exporter/faxdrop.prom"'
        ),
    )


class Settings(_Table):
    """All that may stand in the file."""

    root: Annotated[Path, BeforeValidator(_folder)] = Field(
        description=N_(
            'a folder of its own, such as "/srv/fax" (a relative one starts at the '
            "folder of this file)"
        )
    )
    region: Annotated[str, AfterValidator(_region)] = Field(
        default="DE", description=N_('a country in two capital letters (ISO 3166), such as "DE"')
    )
    language: Language = Field(
        default="en",
        description=N_("a language: {example}"),
        examples=[", ".join(f'"{each}"' for each in LANGUAGES)],
    )
    status_page: bool = Field(default=True, description=N_("true or false"))
    sipgate: SipgateSettings = Field(description=N_("a table [sipgate]"))
    recipients: dict[str, Annotated[AddressEntry, BeforeValidator(_entry)]] = Field(
        default={}, description=N_('a table [recipients] of lines such as "Name" = "+492111234567"')
    )
    inbox: InboxSettings = Field(default=InboxSettings(), description=N_("a table [inbox]"))
    documents: DocumentSettings = Field(
        default=DocumentSettings(), description=N_("a table [documents]")
    )
    sending: SendingSettings = Field(default=SendingSettings(), description=N_("a table [sending]"))
    retention: RetentionSettings = Field(
        default=RetentionSettings(), description=N_("a table [retention]")
    )
    report: ReportSettings = Field(default=ReportSettings(), description=N_("a table [report]"))
    notify: dict[str, NotifySettings] = Field(
        default={}, description=N_("tables such as [notify.office]")
    )
    hook: HookSettings = Field(default=HookSettings(), description=N_("a table [hook]"))
    heartbeat: HeartbeatSettings = Field(
        default=HeartbeatSettings(), description=N_("a table [heartbeat]")
    )
    witness: WitnessSettings = Field(default=WitnessSettings(), description=N_("a table [witness]"))


class Secrets(_Table):
    """A personal access token of sipgate's, and the addresses for notices and the heartbeat."""

    token_id: str = Field(repr=False)
    token: SecretStr
    heartbeat_url: SecretStr | None = None
    notify: dict[str, SecretStr] = {}  # by the names in [notify]

    def values(self) -> list[str]:
        """Return every value that must never be shown."""
        known = (self.token, self.heartbeat_url, *self.notify.values())
        return [each.get_secret_value() for each in known if each is not None]


class Config(Settings):
    """Everything that the administrator sets; checked, and never changed."""

    secrets: Secrets
    warnings: tuple[str, ...] = ()  # what is allowed but unwise, in sentences
    faults: tuple[str, ...] = ()  # what stops no fax but has to be mended
