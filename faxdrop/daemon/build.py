"""Wires the daemon up from a config, with real clocks, threads and signals."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import structlog

from faxdrop import words
from faxdrop.clock import Clock
from faxdrop.config.credentials import Watch
from faxdrop.config.settings import FOREVER, Config
from faxdrop.daemon.loop import STEPS, Daemon
from faxdrop.daemon.systemd import Notifier
from faxdrop.documents.assess import limits_of
from faxdrop.documents.checker import Checker
from faxdrop.documents.sandbox import hide_from_others
from faxdrop.followers.follower import Follower
from faxdrop.followers.heartbeat import Heartbeat
from faxdrop.followers.hook import Hook
from faxdrop.followers.metrics import Metrics
from faxdrop.followers.notices import Notices
from faxdrop.followers.status_page import StatusPage
from faxdrop.followers.tables import Tables, separator_of
from faxdrop.inbox import mounts
from faxdrop.inbox.pickup import LOOKS
from faxdrop.journal.chain import Journal
from faxdrop.journal.retention import Periods
from faxdrop.journal.upkeep import Upkeep, UpkeepPlan
from faxdrop.queue.faxlines import Seats
from faxdrop.report import order
from faxdrop.report.reports import Reports
from faxdrop.simulator import Simulator
from faxdrop.sipgate import Sipgate
from faxdrop.spool.disk import Disk
from faxdrop.spool.home import home_of, journal_of
from faxdrop.spool.places import SpoolError
from faxdrop.spool.root import Spool
from faxdrop.words import _
from faxdrop.workers import share_a_processor

log = structlog.stdlib.get_logger(__name__)

_FOLLOWING = 32  # threads at most; one that is slow needs one of its own


def make_sipgate(config: Config) -> Sipgate:
    """Return the client of a config."""
    return Sipgate(
        config.sipgate.base_url,
        config.secrets.token_id,
        config.secrets.token,
        config.sipgate.timeout,
        monotonic=partial(time.clock_gettime, time.CLOCK_BOOTTIME),
    )


def ledger_of(config: Config) -> Path:
    """Return where a simulator keeps the faxes of a root, to know them after a restart."""
    return home_of(config.root) / "simulated-faxes"


def with_simulator(config: Config, simulator: Simulator) -> Config:
    """Return the config with a simulator in sipgate's place."""
    sipgate = config.sipgate.model_copy(update={"base_url": simulator.base_url})
    return config.model_copy(update={"sipgate": sipgate})


def open_journal(root: Path, clock: Clock) -> Journal:
    """Return the journal of a root."""
    return Journal(journal_of(root), clock.now)


def upkeep_of(journal: Journal, clock: Clock, config: Config) -> Upkeep:
    """Return the upkeep of a journal that a config wants."""
    sent, failed = config.retention.sent, config.retention.failed
    wishes = UpkeepPlan(
        periods=Periods(
            sent=None if sent == FOREVER else sent, failed=None if failed == FOREVER else failed
        ),
        witness_url=config.witness.url or None,
    )
    return Upkeep(config.root, journal, wishes, now=clock.now, disk=Disk())


def followers_of(config: Config) -> list[Follower]:
    """Return all who follow the journal by a config; of each name one."""
    root, url = config.root, config.secrets.heartbeat_url
    found: list[Follower] = [
        Tables(root, journal_of(root), separator_of(config.region)),
        StatusPage(root, wanted=config.status_page),
    ]
    if config.report.pdf != "none":
        sipgate = make_sipgate(config)
        found.append(Reports(config, sipgate, Checker(order.limits(), reader=order.MAKER)))
    if config.hook.command:
        found.append(Hook(root, config.hook.command, config.hook.timeout))
    if config.heartbeat.metrics_file:
        found.append(Metrics(root, Path(config.heartbeat.metrics_file)))
    if url is not None:
        found.append(Heartbeat(url, time.monotonic))
    found += (
        Notices(name, root, config.notify[name], address, config.inbox.patience)
        for name, address in config.secrets.notify.items()
    )
    return found


@contextmanager
def daemon_of(config: Config, *, simulated: bool = False) -> Iterator[Daemon]:
    """Yield a daemon on the config's root that holds its lock; not started yet.

    ``simulated``: the config's sipgate is a simulator. Raises SpoolError if the root is not there,
    not mounted, another daemon's, or holds documents that are to be sent the other way.
    """
    words.use(config.language)
    missing = mounts.missing_mount(config.root)
    if missing is not None:
        raise SpoolError(
            _(
                "Nothing is mounted on {missing}, which is in {table}, so {root} is not the "
                "folder that people use. Mount it: mount {missing}"
            ).format(missing=missing, table=mounts.FSTAB, root=config.root)
        )
    # The kernel tells the holder of a lease (see ``documents.opening``) with this signal that
    # somebody wants to write; it would end the process. The lease is given back at once anyway.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    clock = Clock()
    journal = open_journal(config.root, clock)
    spool = Spool(config.root, note=journal.note)
    spool.open(simulated=simulated)
    try:
        # The seats are left before the lock is: who takes it next is not to meet us there.
        with Checker(limits_of(config)) as checker, closing(Seats()) as lines:
            steps = ThreadPoolExecutor(STEPS, "step")
            looks = ThreadPoolExecutor(LOOKS, "look")
            following = ThreadPoolExecutor(_FOLLOWING, "follower")
            yield Daemon(
                config,
                spool,
                checker,
                make_sipgate,
                clock=clock,
                steps=steps,
                looks=looks,
                notifier=Notifier(os.environ),
                lines=lines,
                journal=journal,
                make_upkeep=partial(upkeep_of, journal, clock),
                following=following,
                make_followers=followers_of,
            )
            steps.shutdown(wait=False, cancel_futures=True)
            looks.shutdown(wait=False, cancel_futures=True)
            following.shutdown(wait=False, cancel_futures=True)
    finally:
        spool.close()


class DaemonEnd(NamedTuple):
    """How a daemon came to its end."""

    clean: bool  # everything that was under way has ended
    restart: bool  # it wants to be started again, for the sake of a new token


def run(
    config: Config, load: Callable[[], Config], secrets: Watch, *, simulated: bool
) -> DaemonEnd:
    """Run the daemon until SIGTERM or SIGINT; SIGHUP takes the config that ``load`` returns.

    A new token counts at a reload, and by itself while something holds the queue. systemd hands a
    service copies of its files, made at its start: then only another start brings the new one.
    Raises SpoolError.
    """
    hide_from_others()  # the token is in our memory, perhaps in our environment
    share_a_processor()
    copied = {"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"} <= os.environ.keys()
    is_new = restart = False
    with daemon_of(config, simulated=simulated) as daemon:

        def take() -> Config:
            nonlocal is_new, restart
            taken = load()
            if (is_new or secrets.has_changed()) and copied:
                log.warning(
                    "daemon.restarting", words="there is a new token; systemd has to fetch it"
                )
                restart = True
                daemon.stop()
            is_new = False
            return taken

        def renew() -> None:
            nonlocal is_new
            if secrets.has_changed():
                is_new = True
                daemon.reload(take)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            daemon.stop()

        def reload(_signal: int, _frame: FrameType | None) -> None:
            daemon.reload(take)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, reload)
        daemon.while_held = renew
        daemon.start()
        clean = daemon.run()
    return DaemonEnd(clean, restart)
