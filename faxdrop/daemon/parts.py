"""The parts of the queue that a config decides about, made anew at each reload."""

from functools import partial

from faxdrop.clock import Clock
from faxdrop.config.settings import Config
from faxdrop.documents.assess import Assessor
from faxdrop.documents.checker import Checker
from faxdrop.fax.recipient import AddressBook, normalise
from faxdrop.queue.delivery import Delivery
from faxdrop.queue.dispatcher import Parts
from faxdrop.sipgate import Sipgate
from faxdrop.spool.root import Spool


def parts_of(
    config: Config, spool: Spool, checker: Checker, sipgate: Sipgate, clock: Clock
) -> Parts:
    """Return the parts of a config: what becomes of a document, and how it is submitted."""
    book = AddressBook(config.recipients, config.region, allow_premium=config.sending.allow_premium)
    assessor = Assessor(
        spool,
        checker,
        book,
        faxline=config.sipgate.faxline,
        patience=config.inbox.patience,
        monotonic=clock.monotonic,
    )
    delivery = Delivery(
        spool,
        sipgate,
        checker,
        config.sending,
        now=clock.now,
        normalise=partial(normalise, region=config.region),
    )
    return Parts(config, assessor, delivery)
