"""The shapes of sipgate's answers, and the words for its statuses.

The shapes are lenient where it does not matter: unknown fields are ignored, and a missing field or
one of the wrong type gets its default. They are strict where it matters: without a usable session
id the answer is unreadable.
"""

import json
import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from faxdrop.words import N_, _

_LONGEST_QUOTED = 200  # of a session id in an address, or in the name of a file
LONGEST_WORDS = 200  # characters of sipgate's own words that people get to see


def _session_id(value: str | int) -> str:
    text = str(value)
    is_plain = re.fullmatch(r"[!-~]{1,100}", text) and text not in {".", ".."}
    if not is_plain or len(quote(text, safe="")) > _LONGEST_QUOTED:
        raise ValueError("not usable as a session id")
    return text


def _instant(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("an instant is a string")  # noqa: TRY004 - pydantic wants this kind
    at = datetime.fromisoformat(value)
    try:
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range") from error


def _or(default: Any) -> WrapValidator:
    """Use a default if a value has the wrong type or is out of range."""

    def lenient(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
        try:
            return read(value)
        except ValidationError:
            return default

    return WrapValidator(lenient)


SessionId = Annotated[str | int, AfterValidator(_session_id)]
Text = Annotated[str, Field(max_length=200), _or("")]
ApiInstant = Annotated[datetime, PlainValidator(_instant), _or(None)]
Status = Annotated[str, Field(pattern=r"^[A-Za-z0-9_ -]{0,50}$"), _or("")]  # an open set
Names = Annotated[list[Annotated[str, Field(max_length=50)]], _or([])]
Flag = Annotated[bool, _or(None)]  # None: not said
Count = Annotated[int, Field(ge=0, lt=2**31), _or(None)]


class _Shape(BaseModel):
    """Types are strict: "1" is not 1, and 1 is not true."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class NewSession(_Shape):
    """The answer to a POST that was accepted."""

    session_id: SessionId = Field(alias="sessionId")


class HistoryEntry(_Shape):
    """One entry of the history. Only its id must be there."""

    id: SessionId
    type: Text = ""
    direction: Text = ""
    target: Text = ""
    status: Status = Field(default="", alias="faxStatusType")
    created: ApiInstant | None = None
    pages: Count | None = Field(default=None, alias="pageCount")
    faxlines: Names = Field(default=[], alias="connectionIds")
    archived: Flag | None = None
    report_url: Annotated[str, Field(max_length=2000), _or("")] = Field(
        default="", alias="reportUrl", repr=False
    )


class HistoryPage(_Shape):
    """A list of entries; each is read by itself, so that a bad one spoils no other."""

    items: list[Any]
    total: Count | None = Field(default=None, alias="totalCount")


class UserInfo(_Shape):
    """The owner of the token; ``sub`` is used in addresses."""

    sub: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,50}$")]


class FaxlineShape(_Shape):
    """A fax line."""

    id: Annotated[str, Field(max_length=50)]
    alias: Text = ""
    can_send: Flag | None = Field(default=None, alias="canSend")


class FaxlineList(_Shape):
    """The fax lines; each is read by itself."""

    items: list[Any]


class Balance(_Shape):
    """In ten-thousandths of the currency (as sipgate's Windows driver reads it)."""

    amount: Annotated[Decimal, Field(ge=-(10**12), le=10**12)]
    currency: Text = ""


_CHECK_LOGIN: Final = N_(
    "Check TOKEN_ID and TOKEN. You can create a new personal access token in the sipgate "
    "account; it needs the scopes sessions:fax:write and history:read. Put it in the place of "
    "the old one; faxdrop then uses it by itself (from its environment only after a restart)."
)
_CHECK_RIGHTS: Final = N_(
    "Check in the sipgate account that faxing is booked, that the fax line belongs to the "
    "token's user and may send, and that the token has the scopes sessions:fax:write and "
    "history:read. Also log in to the web app once, in case the password has to be reset."
)
_CHECK_URL: Final = N_("Check base_url in the config, and any proxy between here and sipgate.")

PHRASES: Final[dict[int, tuple[str, str]]] = {
    # status: what it is called, what to do about it
    400: (N_("sipgate rejected the request"), ""),
    401: (N_("sipgate refused the token"), _CHECK_LOGIN),
    402: (
        N_("the balance of the sipgate account is insufficient"),
        N_("Top up the sipgate account."),
    ),
    403: (N_("sipgate does not allow this"), _CHECK_RIGHTS),
    404: (N_("sipgate does not know the address"), _CHECK_URL),
    405: (N_("sipgate does not accept this request at the address"), _CHECK_URL),
    407: (
        N_("sipgate says that this is not a valid fax number"),
        N_("Check the recipient's number."),
    ),
    413: (N_("the document is too large for sipgate"), N_("Send it in several parts.")),
    415: (N_("sipgate did not accept the request's content type"), _CHECK_URL),
    429: (N_("sipgate asks for fewer requests"), ""),
}
PROXY_PHRASE: Final = (
    N_("the proxy asks for a login"),
    N_("Check the proxy in the environment (HTTPS_PROXY, NO_PROXY) and its login."),
)


def phrase(status: int, *, proxy: bool) -> tuple[str, str]:
    """Return the words for an answer, with its status, and the advice that goes with them."""
    if proxy and status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        what, advice = PROXY_PHRASE
    elif status in PHRASES:
        what, advice = PHRASES[status]
    elif status in range(300, 400):
        what, advice = N_("the answer points to another address"), _CHECK_URL
    elif status in range(500, 600):
        what, advice = N_("sipgate has a fault of its own"), ""
    else:
        what, advice = N_("an unexpected answer"), ""
    return f"{_(what)} ({status})", _(advice)


def own_words(body: bytes) -> str:
    """Return the server's own words on one short line; "" if there are none that can be read.

    Errors come as ``{"name", "message"}``, as plain text, or empty; pages of HTML say nothing.
    """
    text = body.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if isinstance(value, dict):
        value = next((v for k in ("message", "error", "name") if (v := value.get(k))), "")
    if not isinstance(value, str) or value.lstrip().startswith("<"):
        return ""
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in value[:10_000])
    return " ".join(plain.split())
