"""Every way a document can fail, on one page: code, whose fault, where it is found, and when.

The words are in ``sentences``, or with the code that finds the reason. Trouble that is no
document's fault (the account, the network, the disk) is not here: it holds the queue and fails
no document.
"""

from enum import Enum, StrEnum, auto
from typing import Final, NamedTuple


class ReasonCode(StrEnum):
    """Why a document ended in failed/."""

    NOT_A_PDF = "not_a_pdf"
    DAMAGED_PDF = "damaged_pdf"
    ENCRYPTED_PDF = "encrypted_pdf"
    UNSAFE_FILE = "unsafe_file"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    RECIPIENT_UNKNOWN = "recipient_unknown"
    NUMBER_INVALID = "number_invalid"
    NUMBER_BLOCKED = "number_blocked"
    REJECTED = "rejected"
    NUMBER_REJECTED = "number_rejected"
    TRANSMISSION_FAILED = "transmission_failed"
    OUTCOME_UNKNOWN = "outcome_unknown"
    NO_FINAL_STATUS = "no_final_status"
    CANCELLED = "cancelled"
    DUPLICATE = "duplicate"


class Blame(Enum):
    """Where the cause lies, and so who can fix it."""

    DOCUMENT = auto()  # whoever made the file
    NUMBER = auto()  # whoever named the folder, or keeps the address book
    LINE = auto()  # the recipient's line or machine
    ANSWER = auto()  # sipgate's answer or its final status: it was lost, or never came
    NOBODY = auto()  # somebody wanted it so


class Stage(Enum):
    """Where in the life of a fax it is found."""

    DOCUMENT = auto()  # the file is checked: documents/
    RECIPIENT = auto()  # the folder is resolved to a number: fax/recipient
    QUEUE = auto()  # before an attempt, or between two: queue/dispatcher, fax/transitions
    POST = auto()  # sipgate answers a submission: queue/meaning
    HISTORY = auto()  # sipgate's history is looked at: fax/transitions


class Way(NamedTuple):
    """One way to fail."""

    blame: Blame
    stages: tuple[Stage, ...]
    when: str
    perhaps_sent: bool = False  # the fax may have arrived: only a person may send it again


_DOCUMENT, _NUMBER = Blame.DOCUMENT, Blame.NUMBER
_CHECK, _RESOLVE = (Stage.DOCUMENT,), (Stage.RECIPIENT,)
_POST, _LOOK, _QUEUE = (Stage.POST,), (Stage.HISTORY,), (Stage.QUEUE,)

# fmt: off
PERMANENT: Final[dict[ReasonCode, Way]] = {
    # The same document in the same folder would fail again until something is changed.
    ReasonCode.NOT_A_PDF:           Way(_DOCUMENT, _CHECK, "something else, or nothing"),
    ReasonCode.DAMAGED_PDF:         Way(_DOCUMENT, _CHECK, "broken, cut off, or beyond the reader"),
    ReasonCode.ENCRYPTED_PDF:       Way(_DOCUMENT, _CHECK, "a password is needed to open it"),
    ReasonCode.UNSAFE_FILE:         Way(_DOCUMENT, _CHECK, "a link, a device, a second name, or "
                                                           "not ours to read"),
    ReasonCode.TOO_LARGE:           Way(_DOCUMENT, _CHECK, "more bytes than the config allows"),
    ReasonCode.TOO_MANY_PAGES:      Way(_DOCUMENT, _CHECK, "more pages than the config allows"),
    ReasonCode.RECIPIENT_UNKNOWN:   Way(_NUMBER, _RESOLVE, "the folder names nobody"),
    ReasonCode.NUMBER_INVALID:      Way(_NUMBER, _RESOLVE, "no such number can exist"),
    ReasonCode.NUMBER_BLOCKED:      Way(_NUMBER, _RESOLVE, "an emergency or a premium-rate number"),
    ReasonCode.REJECTED:            Way(_DOCUMENT, (Stage.DOCUMENT, Stage.POST),
                                        "sipgate refuses it (400, 413), or is known to fail it"),
    ReasonCode.NUMBER_REJECTED:     Way(_NUMBER, _POST, "sipgate refuses the number (407)"),
}
TEMPORARY: Final[dict[ReasonCode, Way]] = {
    # The same document in the same folder may succeed another time.
    ReasonCode.TRANSMISSION_FAILED: Way(Blame.LINE, _LOOK, "FAILED in every attempt allowed"),
    ReasonCode.OUTCOME_UNKNOWN:     Way(Blame.ANSWER, _LOOK, "the answer was lost, and the "
                                        "history does not show for certain what became of it",
                                        perhaps_sent=True),
    ReasonCode.NO_FINAL_STATUS:     Way(Blame.ANSWER, _LOOK, "no end within give_up_after",
                                        perhaps_sent=True),
    ReasonCode.CANCELLED:           Way(Blame.NOBODY, _QUEUE, "`faxdrop cancel`"),
    ReasonCode.DUPLICATE:           Way(Blame.NOBODY, _QUEUE, "the same content to the same"
                                        " number is on its way, or was sent within "
                                        "duplicate_window"),
}
# fmt: on
WAYS: Final = {**PERMANENT, **TEMPORARY}

PERHAPS_SENT: Final = frozenset(code for code, way in WAYS.items() if way.perhaps_sent)
"""The reasons after which only a person may send a document again."""

WITHOUT_NUMBER: Final = frozenset(code for code, way in WAYS.items() if way.stages == _RESOLVE)
"""The reasons that leave a document without a number: its folder names none that may be faxed."""
