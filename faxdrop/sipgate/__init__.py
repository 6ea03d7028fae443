"""The sipgate REST API v2, as far as faxing needs it; only this room uses requests for it.

``client`` says what each answer means, ``outcome`` decides in one table what became of a POST,
``results`` are what callers get, ``answers`` has the shapes of sipgate's JSON, ``server_clock`` is
its time, ``transport`` and ``connection`` carry the bytes.
"""

from faxdrop.sipgate.client import Sipgate
from faxdrop.sipgate.connection import DocumentChanged, Withheld
from faxdrop.sipgate.outcome import OUTCOMES, Outcome
from faxdrop.sipgate.results import (
    AccountFaxline,
    AccountReport,
    Answer,
    Entry,
    History,
    Unreachable,
)

__all__ = [
    "OUTCOMES",
    "AccountFaxline",
    "AccountReport",
    "Answer",
    "DocumentChanged",
    "Entry",
    "History",
    "Outcome",
    "Sipgate",
    "Unreachable",
    "Withheld",
]
