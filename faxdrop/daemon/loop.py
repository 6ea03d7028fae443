"""The loop: wake, scan, decide, act. Nothing polls busily.

One thread makes all decisions. Steps that wait for the disk or for sipgate run in small pools of
threads and wake the loop when they end. Clock, pools and watching come in as arguments, so tests
drive hours in milliseconds.
"""

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

import structlog

from faxdrop import logs, words
from faxdrop.backoff import Trouble
from faxdrop.clock import Clock
from faxdrop.config.settings import Config
from faxdrop.daemon.bookkeeping import Bookkeeping
from faxdrop.daemon.bulletin import Bulletin
from faxdrop.daemon.parts import parts_of
from faxdrop.daemon.systemd import Notifier
from faxdrop.daemon.wakes import Wakes
from faxdrop.documents.assess import limits_of
from faxdrop.documents.checker import Checker
from faxdrop.followers.driver import Followers
from faxdrop.followers.follower import Follower
from faxdrop.inbox.claim import Claimer
from faxdrop.inbox.pickup import Handover, Pickup
from faxdrop.inbox.scan import Inbox
from faxdrop.inbox.watcher import Watcher
from faxdrop.journal.chain import Journal, JournalError
from faxdrop.journal.upkeep import Upkeep
from faxdrop.queue.dispatcher import Dispatcher, Parts
from faxdrop.queue.faxlines import Seats
from faxdrop.sipgate import Sipgate
from faxdrop.spool.health import DiskHealth
from faxdrop.spool.places import SpoolError
from faxdrop.spool.root import Spool
from faxdrop.workers import Steps

log = structlog.stdlib.get_logger(__name__)

STEPS = 12  # threads; they wait for the disk more than for the processor
PRESENCE = 5.0  # seconds between looks whether the root is there
STOP_WITHIN = 5.0  # seconds that steps under way have to end after a stop
_FOLLOWERS_WITHIN = 1.0  # seconds that followers have at a stop: to end by themselves, each time
OWNED = 10_000  # session ids of filed jobs that are remembered: more than a lost answer's hours see
_TIDY_EVERY = 86400.0  # seconds
_AFTER_A_FAULT = 1.0  # seconds before the loop goes on after a mistake of our own


class Daemon:
    """Everything between the inbox and sent/ or failed/ of one root.

    Owns the order of a turn, and what outlives a config: start, reload, a root that goes away, and
    the end. ``parts`` makes what a config decides about, ``bookkeeping`` writes the journal,
    ``bulletin`` says how things stand, and the loop sleeps on ``wakes``.

    ``spool`` must be open. ``make_sipgate`` makes the client of a config, again at each reload.
    """

    def __init__(  # noqa: PLR0913 - each is a part of the world of its own
        self,
        config: Config,
        spool: Spool,
        checker: Checker,
        make_sipgate: Callable[[Config], Sipgate],
        *,
        clock: Clock,
        steps: Executor,
        looks: Executor,
        notifier: Notifier,
        lines: Seats,
        journal: Journal,
        make_upkeep: Callable[[Config], Upkeep],
        following: Executor,
        make_followers: Callable[[Config], Iterable[Follower]],
        make_watcher: Callable[[Inbox, Callable[[], None], Path], Watcher] = Watcher,
    ) -> None:
        self._config = config
        self._spool = spool
        self._checker = checker
        self._make_sipgate = make_sipgate
        self._clock = clock
        self._looks = looks
        self._notifier = notifier
        self._make_watcher = make_watcher
        self.while_held: Callable[[], None] = lambda: None  # called again and again while it holds
        self._wakes = Wakes()
        self._stopping = False
        self._reload: Callable[[], Config] | None = None
        self._is_away = False
        self._tidy_at = 0.0
        self._steps = Steps(self.wake)
        self._sipgate = make_sipgate(config)
        spool.filing.reported = config.report.states
        parts = parts_of(config, spool, checker, self._sipgate, clock)
        self._health = DiskHealth(spool.root, spool.home, clock.now)
        self._dispatcher = Dispatcher(
            spool,
            parts,
            clock=clock,
            steps=self._steps,
            pool=steps,
            lines=lines,
            health=self._health,
        )
        self._journal = journal
        self._books = Bookkeeping(
            journal, make_upkeep, config, clock=clock, steps=self._steps, pool=looks
        )
        self._make_followers = make_followers
        self._followers = Followers(journal, clock=clock, steps=self._steps, pool=following)
        self._bulletin = Bulletin(
            spool, self._dispatcher, self._books, self._followers, notifier, clock
        )
        self._pickup = self._make_pickup(parts)
        self._leaving: list[Pickup] = []  # of older configs, with claims under way

    # -- from outside -----------------------------------------------------------------------

    def wake(self) -> None:
        """Make the loop turn; from any thread or signal handler."""
        self._wakes.wake()

    def stop(self) -> None:
        """End the loop after this turn; from any thread or signal handler."""
        self._stopping = True
        self.wake()

    def reload(self, load: Callable[[], Config]) -> None:
        """Take a new config at the next turn; from any thread or signal handler."""
        self._reload = load
        self.wake()

    def start(self) -> None:
        """Recover what is in the spool, and start watching.

        Raises SpoolError if the spool or its journal cannot be read by this version.
        """
        try:
            self._journal.head()
        except JournalError as error:
            raise SpoolError(str(error)) from None
        except OSError:  # a full disk: then later
            pass
        self._followers.follow(self._make_followers(self._config))
        self._recover()
        self._pickup.open()
        self._notifier.ready()
        log.info(
            "daemon.ready",
            root=str(self._spool.root),
            jobs=len(self._dispatcher),
            watching=self._pickup.is_watching,
        )

    def run(self) -> bool:
        """Turn until ``stop``; return whether all steps have ended."""
        while not self._stopping:
            try:
                with logs.together():
                    pause = self.turn()
            except Exception:
                # A turn that fails does not feed the watchdog: a lasting fault leads to a restart.
                log.exception("loop.failed")
                pause = _AFTER_A_FAULT
            self._wakes.sleep(pause)
        return self._wind_up()

    def turn(self) -> float:
        """Do everything that is due now; return the seconds until something is due again."""
        self._bulletin.has_news |= self._steps.collect()
        if self._reload is not None:
            load, self._reload = self._reload, None
            self._take_config(load)
        if self._is_there():
            self._bulletin.has_news |= self._pickup.turn()
            self._dispatcher.turn()
            self._books.turn(self._troubles(), self._sipgate.clock_offset)
            self._followers.turn()
            if self._dispatcher.troubles:
                self.while_held()
            self._tidy()
        self._bulletin.say(self._pickup, self._troubles, is_away=self._is_away)
        return self._pause()

    @property
    def is_idle(self) -> bool:
        """Whether no step is under way."""
        pickups = (self._pickup, *self._leaving)
        return not (
            self._dispatcher.under_way
            or self._books.under_way
            or any(one.under_way for one in pickups)
        )

    # -- config -----------------------------------------------------------------------------

    def _make_pickup(self, parts: Parts) -> Pickup:
        return Pickup(
            self._spool,
            parts.config,
            Claimer(self._spool, self._checker, parts.assessor),
            Handover(
                decide=parts.delivery.decide,
                put=partial(self._dispatcher.put, checked_by=parts),
                keep=self._dispatcher.keep,
                jobs=self._dispatcher.__len__,
                under_way=lambda: self._dispatcher.under_way,
            ),
            self._health,
            clock=self._clock,
            steps=self._steps,
            pool=self._looks,
            watcher=lambda inbox: self._make_watcher(
                inbox, self.wake, self._spool.notes.cancel_folder
            ),
        )

    def _renew_pickup(self, parts: Parts) -> None:
        self._pickup.close()
        self._leaving = [one for one in (*self._leaving, self._pickup) if one.under_way]
        self._pickup = self._make_pickup(parts)

    def _take_config(self, load: Callable[[], Config]) -> None:
        self._notifier.reloading()
        try:
            config = load()
        except Exception as error:  # noqa: BLE001  (whatever is wrong with it, the old one stays)
            words.use(self._config.language)
            lines = str(error).splitlines()
            log.warning("config.rejected", problems=lines)
            self._bulletin.rejected = "; ".join(lines) or type(error).__name__
        else:
            self._bulletin.rejected = ""
            if config.root != self._spool.root:
                log.warning("config.root_ignored", advice="restart faxdrop to change the root")
            self._config = config
            words.use(config.language)
            self._spool.filing.reported = config.report.states
            self._checker.limits = limits_of(config)
            # Steps under way still use the old client, so it is not closed here.
            self._sipgate = self._make_sipgate(config)
            parts = parts_of(config, self._spool, self._checker, self._sipgate, self._clock)
            self._dispatcher.reload(parts)
            self._books.reload(config)
            self._followers.follow(self._make_followers(config))
            self._renew_pickup(parts)
            if not self._is_away:
                self._pickup.open()
            log.info("config.reloaded")
        self._bulletin.has_news = True
        self._notifier.ready()

    # -- the root ---------------------------------------------------------------------------

    def _recover(self) -> None:
        jobs, corrupt = self._spool.jobs.recover()
        for path in corrupt:
            log.error("spool.corrupt", folder=str(path), advice="a person must look at it")
        self._dispatcher.adopt(jobs, self._spool.marks.owned())

    def _is_there(self) -> bool:
        """Return whether the root is there, and note when it goes away and comes back."""
        if self._spool.is_present():
            if self._is_away:
                self._come_back()
            return True
        if not self._is_away:
            self._is_away = self._bulletin.has_news = True
            self._pickup.close()
            log.error("root.away", root=str(self._spool.root))
        if self.is_idle and self._spool.reopen():
            try:
                self._recover()
            except (OSError, SpoolError) as error:
                log.warning("root.not_usable", why=str(error))
                self._spool.close()  # so that the next turn does not take it for usable
                return False
            self._come_back()
            return True
        return False

    def _come_back(self) -> None:
        self._is_away, self._bulletin.has_news = False, True
        self._renew_pickup(
            parts_of(self._config, self._spool, self._checker, self._sipgate, self._clock)
        )
        self._pickup.open()
        log.info("root.back", root=str(self._spool.root))

    def _tidy(self) -> None:
        now = self._clock.monotonic()
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_EVERY
            with contextlib.suppress(OSError):
                self._spool.marks.forget_owned(OWNED)
                self._dispatcher.tidy(self._spool.marks.owned())

    # -- when to turn -----------------------------------------------------------------------

    def _troubles(self) -> dict[str, Trouble]:
        """Return what holds: submitting, following, disk, intake."""
        troubles = self._dispatcher.troubles
        if self._pickup.trouble is not None:
            troubles["intake"] = self._pickup.trouble
        return troubles

    def _pause(self) -> float:
        now = self._clock.monotonic()
        dues = [now + PRESENCE, *self._bulletin.dues()]
        if not self._is_away:
            dues += self._pickup.dues() + self._dispatcher.dues()
            dues += self._books.dues() + self._followers.dues()
        return max(0.0, min(dues) - now)

    def _wind_up(self) -> bool:
        """Stop watching and wait a little for the steps under way; return whether all ended.

        A submission that is not completely handed over stays ``queued``. One whose answer does not
        come in time stays ``submitting`` on disk, for the next start.
        """
        self._dispatcher.withhold()
        self._followers.withhold()
        self._notifier.stopping()
        log.info("daemon.stopping", under_way=self._dispatcher.under_way)
        self._pickup.close()
        self._wait(STOP_WITHIN, lambda: self.is_idle)
        log.info("daemon.stopped", under_way=self._dispatcher.under_way)
        if self.is_idle:
            self._books.close()
            self._sipgate.close()
        self._end_followers()
        return self.is_idle and not self._followers.under_way

    def _end_followers(self) -> None:
        self._wait(_FOLLOWERS_WITHIN, lambda: not self._followers.under_way)
        self._followers.stop()
        self._wait(_FOLLOWERS_WITHIN, lambda: not self._followers.under_way)
        if not self._is_away:
            self._followers.last()
            self._wait(_FOLLOWERS_WITHIN, lambda: not self._followers.under_way)

    def _wait(self, seconds: float, until: Callable[[], bool]) -> None:
        """Take the ends of steps until a condition is true, but no longer than this."""
        end = self._clock.monotonic() + seconds
        self._steps.collect()
        while not until() and (left := end - self._clock.monotonic()) > 0:
            self._wakes.sleep(left)
            self._steps.collect()
