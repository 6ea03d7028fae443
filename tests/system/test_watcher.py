"""The watcher does not go silent: real events, real mounts, real threads that die."""

import errno
import gc
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr
from watchdog.observers.api import BaseObserver, EventEmitter
from watchdog.observers.inotify_c import InotifyFD

from faxdrop.config.settings import Config, InboxSettings, Secrets, SendingSettings, SipgateSettings
from faxdrop.daemon.build import daemon_of
from faxdrop.inbox.looks import Key
from faxdrop.inbox.scan import Inbox
from faxdrop.inbox.watcher import Watcher
from faxdrop.simulator import Simulator
from tests.kit import pdfs
from tests.kit.processes import NOBODY, Office, Simulated, User
from tests.kit.users import open_to_all
from tests.kit.waiting import PATIENCE, until
from tests.kit.world import TOKEN, TOKEN_ID

RESCAN = 20.0  # seconds
SLACK = 30.0  # seconds that a busy machine may take
AT_ONCE = 12.0  # seconds: long before the next rescan, long after what an idle machine needs
NUMBER = "+493023125030"


# -- events, without a daemon ---------------------------------------------------------------


class Ear:
    """An inbox, its watcher, and whether it was woken. A context manager."""

    def __init__(self, root: Path) -> None:
        self.inbox = Inbox(root, InboxSettings(settle=3.0, patience=300.0, rescan=60.0))
        self._woken = threading.Condition()
        self.watcher = Watcher(self.inbox, self._wake)
        self.found: set[Key] = set()
        self.closed: set[Key] = set()

    def _wake(self) -> None:
        with self._woken:
            self._woken.notify_all()

    def scan(self) -> None:
        """Look where events say that there is something."""
        for candidate in self.inbox.scan(0.0, everything=False):
            self.closed.add(candidate.key)
            self.inbox.not_yet(candidate, 0.0)
        self.found.update(self.inbox.waiting_files(100_000))

    def settle(self) -> None:
        """Let all that is there settle, so that it keeps nothing that comes later."""
        for candidate in self.inbox.scan(4.0, everything=True):
            self.inbox.not_yet(candidate, 4.0)

    def hears(self, condition: Callable[[], bool]) -> bool:
        """Scan at each wake until something holds; return whether it came to that."""

        def holds() -> bool:
            self.scan()
            return condition()

        with self._woken:
            return self._woken.wait_for(holds, timeout=PATIENCE)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    """Watch an inbox with one recipient, beside a folder that is not watched."""
    root = tmp_path / "inbox"
    (root / "Amt").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    ear = Ear(root)
    ear.watcher.start()
    yield ear
    ear.watcher.stop()


def test_a_copy_is_heard_when_it_is_closed(ear: Ear) -> None:
    """What cp writes is known to be done."""
    shutil.copy(__file__, ear.inbox.root / "Amt" / "a.pdf")
    assert ear.hears(lambda: Key("Amt", "a.pdf") in ear.closed)


def test_a_file_that_is_moved_in_is_heard(ear: Ear) -> None:
    """What mv brings from elsewhere is done."""
    source = ear.inbox.root.parent / "elsewhere" / "a.pdf"
    source.write_bytes(b"x")
    source.rename(ear.inbox.root / "Amt" / "a.pdf")
    assert ear.hears(lambda: Key("Amt", "a.pdf") in ear.closed)


def test_a_temporary_name_that_is_changed_is_heard(ear: Ear) -> None:
    """A program's last step, the right name, says that it is done."""
    temporary = ear.inbox.root / "Amt" / "a.pdf.part"
    temporary.write_bytes(b"x")
    temporary.rename(temporary.with_suffix(""))
    assert ear.hears(lambda: Key("Amt", "a.pdf") in ear.closed)


def test_a_link_is_heard(ear: Ear) -> None:
    """A hard link makes no close event: the file is seen all the same."""
    source = ear.inbox.root.parent / "elsewhere" / "a.pdf"
    source.write_bytes(b"x")
    (ear.inbox.root / "Amt" / "a.pdf").hardlink_to(source)
    assert ear.hears(lambda: Key("Amt", "a.pdf") in ear.found)


@pytest.mark.parametrize("odd", ["Ärztin\nNord", "\udcff\udcfe", "📠" * 60])
def test_odd_folder_names_are_heard(ear: Ear, odd: str) -> None:
    """Every name that a folder can have is one that events tell of."""
    (ear.inbox.root / odd).mkdir()
    (ear.inbox.root / odd / "a.pdf").write_bytes(b"x")
    assert ear.hears(lambda: Key(odd, "a.pdf") in ear.found)
    ear.settle()
    (ear.inbox.root / odd / "b.pdf").write_bytes(b"x")
    assert ear.hears(lambda: Key(odd, "b.pdf") in ear.closed)


def test_a_folder_that_is_moved_in_is_heard_with_all_that_is_in_it(ear: Ear) -> None:
    """The files of a folder that comes by mv make no events of their own: they are found."""
    source = ear.inbox.root.parent / "elsewhere" / "Berta"
    source.mkdir()
    for name in ("a.pdf", "b.pdf"):
        (source / name).write_bytes(b"x")
    source.rename(ear.inbox.root / "Berta")
    assert ear.hears(lambda: {Key("Berta", "a.pdf"), Key("Berta", "b.pdf")} <= ear.found)
    ear.settle()
    (ear.inbox.root / "Berta" / "c.pdf").write_bytes(b"x")
    assert ear.hears(lambda: Key("Berta", "c.pdf") in ear.closed)


# watchdog warns if the second half of a rename comes late; its event is right all the same.
@pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")
def test_a_folder_that_is_renamed_is_heard_under_its_new_name(ear: Ear) -> None:
    """Files belong to the name that their folder has now."""
    (ear.inbox.root / "Amt" / "a.pdf").write_bytes(b"x")
    (ear.inbox.root / "Amt").rename(ear.inbox.root / "Berta")
    assert ear.hears(lambda: Key("Berta", "a.pdf") in ear.found)
    ear.settle()
    (ear.inbox.root / "Berta" / "b.pdf").write_bytes(b"x")
    assert ear.hears(lambda: Key("Berta", "b.pdf") in ear.closed)
    assert ear.inbox.waiting == 2


def test_a_folder_that_is_moved_out_is_heard_no_longer(ear: Ear) -> None:
    """What happens in a folder that left the inbox is not ours; a new one of its name is."""
    outside = ear.inbox.root.parent / "elsewhere" / "Amt"
    (ear.inbox.root / "Amt").rename(outside)
    (outside / "private.pdf").write_bytes(b"x")
    (ear.inbox.root / "Amt").mkdir()
    (ear.inbox.root / "Amt" / "a.pdf").write_bytes(b"x")
    assert ear.hears(lambda: Key("Amt", "a.pdf") in ear.found)
    assert Key("Amt", "private.pdf") not in ear.found


def test_a_tree_that_is_copied_is_heard_whole(ear: Ear) -> None:
    """Of many folders that appear with their files at once, no file is missed."""
    tree = ear.inbox.root.parent / "elsewhere" / "tree"
    for folder in range(20):
        (tree / f"{folder}").mkdir(parents=True)
        for name in range(10):
            (tree / f"{folder}" / f"{name}.pdf").write_bytes(b"x")
    shutil.copytree(tree, ear.inbox.root, dirs_exist_ok=True)
    assert ear.hears(lambda: ear.inbox.waiting == 200)


def test_a_note_wakes(tmp_path: Path) -> None:
    """What commands have to say to the daemon is heard at once, and is no document."""
    for name in ("inbox", "notes"):
        (tmp_path / name).mkdir()
    inbox = Inbox(tmp_path / "inbox", InboxSettings(settle=3.0, patience=300.0, rescan=60.0))
    woken = threading.Event()
    watcher = Watcher(inbox, woken.set, tmp_path / "notes")
    watcher.start()
    try:
        (tmp_path / "notes" / "j1").touch()
        assert woken.wait(PATIENCE)
    finally:
        watcher.stop()
    assert inbox.scan(0.0, everything=False) == []


# -- deafness is known ----------------------------------------------------------------------


def _threads(kind: type[threading.Thread]) -> list[threading.Thread]:
    """Return watchdog's threads of a kind; of those that emit events, the one of the inbox."""
    threads = [thread for thread in threading.enumerate() if isinstance(thread, kind)]
    is_other = "/.faxdrop/"
    return [one for one in threads if is_other not in str(getattr(one, "watch", ""))]


def _kill(thread: threading.Thread, poke: Callable[[], object]) -> None:
    """Let one of watchdog's threads end by an error; ``poke`` gives it something to do first."""

    def die(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("an error that watchdog does not catch")

    loops = {
        BaseObserver: "dispatch_events",
        EventEmitter: "queue_events",
        InotifyFD: "read_events",
    }
    (step,) = (step for kind, step in loops.items() if isinstance(thread, kind))
    setattr(thread, step, die)
    poke()
    thread.join(PATIENCE)
    assert not thread.is_alive()


# The point is that they die.
DYING = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
each_thread = pytest.mark.parametrize("kind", [BaseObserver, EventEmitter, InotifyFD])


@DYING
@each_thread
def test_a_thread_that_died_is_missed(ear: Ear, kind: type[threading.Thread]) -> None:
    """Whichever of watchdog's threads ends, the watcher knows, and can be started again."""
    assert ear.watcher.is_watching()
    (thread, *_) = _threads(kind)
    _kill(thread, (ear.inbox.root / "Amt" / "poke.tmp").touch)
    assert not ear.watcher.is_watching()
    ear.watcher.stop()
    ear.watcher.start()
    assert ear.watcher.is_watching()
    (ear.inbox.root / "Amt" / "a.pdf").write_bytes(b"x")
    assert ear.hears(lambda: Key("Amt", "a.pdf") in ear.closed)


def test_an_inbox_that_was_made_again_is_not_the_one_that_is_watched(ear: Ear) -> None:
    """A watch is on a folder, not on its name."""
    root = ear.inbox.root
    root.rename(root.parent / "elsewhere" / "inbox")
    assert not ear.watcher.is_watching()
    root.mkdir()
    assert not ear.watcher.is_watching()
    (root.parent / "elsewhere" / "inbox").rename(root)
    assert ear.watcher.is_watching()


def test_no_thread_and_no_descriptor_is_left(ear: Ear) -> None:
    """A watcher that is stopped and started for years leaves nothing behind."""
    for round_ in range(20):
        ear.watcher.stop()
        if not round_:
            assert _threads(BaseObserver) == _threads(EventEmitter) == _threads(InotifyFD) == []
            gc.collect()  # what other tests left
            descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no more than a count
        assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208 - likewise
        ear.watcher.start()


@DYING
@each_thread
def test_a_daemon_whose_watcher_died_finds_documents_within_one_rescan(
    tmp_path: Path, kind: type[threading.Thread]
) -> None:
    """Documents that come while nobody listens are faxed, and the ear is there again."""
    with Simulator(pace=0) as simulator:
        config = Config(
            root=tmp_path,
            sipgate=SipgateSettings(base_url=simulator.base_url, faxline="f0", timeout=PATIENCE),
            inbox=InboxSettings(settle=0.2, patience=10.0, rescan=1.0),
            sending=SendingSettings(poll_interval=0.1),
            secrets=Secrets(token_id=TOKEN_ID, token=SecretStr(TOKEN)),
        )
        folder = tmp_path / "inbox" / NUMBER
        with daemon_of(config) as daemon:
            daemon.start()
            loop = threading.Thread(target=daemon.run)
            loop.start()
            try:
                folder.mkdir()
                _kill(_threads(kind)[0], (folder / "poke.tmp").touch)
                (folder / "a.pdf").write_bytes(pdfs.good(1, "a"))
                assert simulator.wait(lambda: len(simulator.taken) == 1, timeout=PATIENCE)
                until(lambda: _threads(kind), PATIENCE, "a new thread")
            finally:
                daemon.stop()
                loop.join()


# -- a daemon, and what people and file systems do to it --------------------------------------


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    """Start a simulator."""
    with Simulated("--pace", "0") as simulated:
        yield simulated


def office_on(
    folder: Path, simulated: Simulated, *, root: Path | None = None, user: User | None = None
) -> Office:
    """Return an office whose daemon rescans often, and is patient with what it may not read."""
    settings = {"rescan": f"{RESCAN:g}s", "patience": "20s"}
    return Office(
        folder, simulated.base_url, inbox_settings=settings, root=root or Path(), user=user
    )


@pytest.fixture
def office(tmp_path: Path, simulated: Simulated) -> Iterator[Office]:
    """Start a daemon."""
    with office_on(tmp_path, simulated) as office:
        office.start()
        yield office


def filed_within(office: Office, count: int, seconds: float) -> None:
    """Wait until so many are filed; fail if that takes longer than it may."""
    office.await_filed(count, seconds)


@pytest.mark.long
def test_an_event_queue_that_overflows_loses_no_document(office: Office) -> None:
    """Of 60,000 files at once the kernel forgets most: the documents among them are found."""
    assert office.program is not None
    office.program.send_signal(signal.SIGSTOP)  # so that nobody empties the queue meanwhile
    documents = 0
    for number in range(60_000):
        name = office.inbox / ("Amt", "Dr. Müller")[number % 2] / f"{number}"
        if number % 2_000 == 1_234:
            name.with_suffix(".pdf").write_bytes(pdfs.good(1, f"{number}"))
            documents += 1
        else:
            os.close(os.open(f"{name}.tmp", os.O_CREAT | os.O_WRONLY))
    office.program.send_signal(signal.SIGCONT)
    office.await_event("fax.claimed", count=documents, seconds=RESCAN + SLACK)
    office.drop("Amt", "after.pdf", pdfs.good(1, "after"))
    office.await_event("fax.claimed", count=documents + 1, seconds=RESCAN + SLACK)
    office.await_event("fax.sent", count=documents + 1)
    assert office.status()["watching"] is True


def deleted(inbox: Path) -> bool:
    """Delete the inbox; return whether that worked: a folder may come back meanwhile."""
    try:
        shutil.rmtree(inbox)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        return False
    return True


@pytest.mark.long
def test_an_inbox_that_is_deleted_is_made_again(office: Office) -> None:
    """The folders of the address book come back, and what is put there is faxed."""
    for round_ in (1, 2):
        office.until(lambda: deleted(office.inbox), "the inbox deleted")
        office.await_event("inbox.made_again", count=round_)
        office.until((office.inbox / "Amt").is_dir, "Amt made again")
        office.drop("Amt", f"{round_}.pdf", pdfs.good(1, f"{round_}"))
        filed_within(office, round_, AT_ONCE)


@pytest.mark.long
def test_an_inbox_that_a_person_makes_again_is_watched(office: Office) -> None:
    """An inbox that is replaced by another in one moment is found out at the next rescan."""
    office.until(lambda: deleted(office.inbox), "the inbox deleted")
    office.drop("Amt", "1.pdf", pdfs.good(1, "1"))
    filed_within(office, 1, RESCAN + SLACK)
    office.drop("Amt", "2.pdf", pdfs.good(1, "2"))
    filed_within(office, 2, RESCAN + SLACK)
    office.drop("Amt", "3.pdf", pdfs.good(1, "3"))
    filed_within(office, 3, AT_ONCE)


@pytest.mark.long
def test_recipient_folders_that_people_move(office: Office, tmp_path: Path) -> None:
    """Folders come by mv and by cp -r, are renamed and taken out: what is inside then is faxed."""
    desk = tmp_path / "desk"
    for folder in ("+493023125040", "+493023125041"):
        (desk / folder).mkdir(parents=True)
        for name in ("a.pdf", "b.pdf"):
            (desk / folder / name).write_bytes(pdfs.good(1, f"{folder} {name}"))
    (desk / "+493023125040").rename(office.inbox / "+493023125040")
    filed_within(office, 2, RESCAN + SLACK)
    # Only their content: what is copied may be taken before its times and rights could be set.
    there = office.inbox / "+493023125041"
    shutil.copytree(desk / "+493023125041", there, copy_function=shutil.copyfile)
    filed_within(office, 4, RESCAN + SLACK)
    (office.inbox / "+493023125041").rename(office.inbox / "+493023125042")
    office.drop("+493023125042", "c.pdf", pdfs.good(1, "c"))
    filed_within(office, 5, RESCAN + SLACK)
    (office.inbox / "+493023125042").rename(desk / "out")
    (desk / "out" / "d.pdf").write_bytes(pdfs.good(1, "d"))
    office.drop("+493023125042", "e.pdf", pdfs.good(1, "e"))
    filed_within(office, 6, RESCAN + SLACK)
    assert (desk / "out" / "d.pdf").exists()


# -- permissions ----------------------------------------------------------------------------


@pytest.fixture
def theirs(simulated: Simulated) -> Iterator[Office]:
    """Start a daemon that is not root, in a folder that it can come to."""
    with open_to_all() as folder:
        (folder / "share").mkdir()
        os.chown(folder / "share", NOBODY.uid, NOBODY.gid)
        with office_on(folder, simulated, root=folder / "share", user=NOBODY) as office:
            office.start()
            yield office


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize("which", ["share/inbox/Amt", "share/inbox"])
def test_a_folder_that_may_not_be_read_is_said_and_read_when_it_may(
    theirs: Office, which: str
) -> None:
    """While the daemon has no right to a folder, it says so; then it faxes what is there."""
    folder = theirs.folder / which
    for round_ in (1, 2):
        folder.chmod(0o2000)  # as chmod(1) does: it leaves a folder to its group
        (theirs.inbox / "Amt" / f"{round_}.pdf").write_bytes(pdfs.good(1, f"{round_}"))
        theirs.until(lambda: str(folder) in str(complaints(theirs)), f"a word of {folder}")
        assert len(theirs.filed("sent")) == round_ - 1
        folder.chmod(0o2770)
        filed_within(theirs, round_, 2 * RESCAN + SLACK)
        theirs.until(lambda: complaints(theirs) == [], "all well")


@pytest.mark.long
@pytest.mark.root
def test_a_root_that_may_not_be_read_is_away(theirs: Office) -> None:
    """A daemon that is not let into its root waits outside, and goes on when it is."""
    theirs.root.chmod(0)
    theirs.await_event("root.away")
    (theirs.inbox / "Amt" / "1.pdf").write_bytes(pdfs.good(1, "1"))
    theirs.root.chmod(0o770)
    filed_within(theirs, 1, 2 * RESCAN + PATIENCE)
    assert theirs.events("loop.failed") == []


@pytest.mark.long
@pytest.mark.root
def test_a_document_that_may_not_be_read_waits_for_the_right(theirs: Office) -> None:
    """A file without the right to read is not failed at once: somebody may be about to give it."""
    path = theirs.inbox / "Amt" / ".1.pdf"
    path.write_bytes(pdfs.good(1, "1"))
    path.chmod(0)
    path.rename(path.with_name("1.pdf"))
    office_scans(theirs)
    assert theirs.waiting() == [path.with_name("1.pdf")]
    os.chown(path.with_name("1.pdf"), 0, NOBODY.gid)
    path.with_name("1.pdf").chmod(0o640)
    filed_within(theirs, 1, 2 * RESCAN + SLACK)
    assert len(theirs.filed("sent")) == 1


def others(path: Path, mode: int) -> None:
    """Give a folder or file to another user, with a mode."""
    os.chown(path, 54321, 54321)
    path.chmod(mode)


def immutable(path: Path) -> None:
    """Let nobody change a folder, as chattr(1) can."""
    if subprocess.call(["chattr", "+i", path]):
        pytest.skip("no attributes on this file system")


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize(
    "shut",
    [
        pytest.param(lambda path: others(path, 0o755), id="of another"),
        pytest.param(lambda path: others(path, 0o1777), id="sticky"),
        pytest.param(immutable, id="immutable"),
    ],
)
def test_a_folder_that_may_not_be_written_to_holds_nobody_up(
    theirs: Office, shut: Callable[[Path], object]
) -> None:
    """Missing rights are reported with the command that helps, and delay no letter elsewhere."""
    amt = theirs.inbox / "Amt"
    alone = seconds_until_sent(theirs, "first")
    filed_within(theirs, 1, PATIENCE)
    assert theirs.program is not None
    theirs.program.send_signal(signal.SIGSTOP)
    (amt / ".1.pdf").write_bytes(pdfs.good(1, "1"))
    os.chown(amt / ".1.pdf", 54321, 54321)
    (amt / ".1.pdf").chmod(0o644)
    (amt / ".1.pdf").rename(amt / "1.pdf")
    try:
        shut(amt)
        theirs.program.send_signal(signal.SIGCONT)
        theirs.until(lambda: said_of(theirs, amt), "a word of the folder")
        beside = [seconds_until_sent(theirs, f"{at}") for at in range(5)]
        assert min(beside) < alone + 3.0, "as soon as without it"
        assert theirs.status()["holds"] == []
        assert theirs.events("disk.trouble") == []
        assert len(theirs.events("place.refused")) == 1
        (words,) = said_of(theirs, amt)
        assert "Free some space" not in words
    finally:
        theirs.program.send_signal(signal.SIGCONT)
        subprocess.call(["chattr", "-i", amt], stderr=subprocess.DEVNULL)
    run("sh", "-euc", words.split("To fix it: ")[1].replace("sudo ", ""))
    filed_within(theirs, 7, PATIENCE)
    theirs.until(lambda: complaints(theirs) == [], "all well")
    assert len(theirs.events("place.well")) == 1


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize("options", ["bind", "bind,ro"])
def test_a_folder_that_is_a_mount_of_its_own_holds_nobody_up(office: Office, options: str) -> None:
    """From another mount nothing can be moved, from a read-only one neither: that is said of it."""
    amt = office.inbox / "Amt"
    run("mount", "--bind", amt, amt)
    try:
        letter = office.drop("Amt", "1.pdf", pdfs.good(1, "1"))
        if options == "bind,ro":
            run("mount", "-o", "remount,bind,ro", amt)
        office.until(lambda: said_of(office, amt), "a word of the folder")
        office.drop("Dr. Müller", "2.pdf", pdfs.good(1, "2"))
        office.await_event("fax.sent")
        assert letter.exists()
        assert office.status()["holds"] == []
        assert "mount" in said_of(office, amt)[-1]
        assert office.events("disk.trouble") == []
    finally:
        run("umount", amt)
    filed_within(office, 2, PATIENCE)
    office.until(lambda: complaints(office) == [], "all well")


@pytest.mark.long
@pytest.mark.root
def test_a_file_that_may_not_be_read_is_said_at_once(theirs: Office) -> None:
    """Owner, mode and command stand in the status long before it fails, and then in its receipt."""
    path = theirs.inbox / "Amt" / ".1.pdf"
    path.write_bytes(pdfs.good(1, "1"))
    others(path, 0o600)
    path = path.rename(path.with_name("1.pdf"))
    theirs.until(lambda: said_of(theirs, path), "a word of the file")
    assert path.exists(), "it has not failed yet"
    (words,) = said_of(theirs, path)
    assert "it belongs to 54321:54321, mode 0600" in words
    assert "chmod g+r" in words
    filed_within(theirs, 1, PATIENCE)
    (failed,) = theirs.filed("failed")
    assert failed.receipt["reason"]["code"] == "unsafe_file"
    assert "it belongs to 54321:54321, mode 0600" in failed.receipt["reason"]["message"]
    theirs.until(lambda: complaints(theirs) == [], "all well")


@pytest.mark.long
@pytest.mark.root
def test_a_folder_of_sent_letters_that_may_not_be_written_to(theirs: Office) -> None:
    """A letter that cannot be filed waits alone, is reported, and is filed when it may be."""
    shut = theirs.root / "sent" / "Amt"
    shut.mkdir()
    others(shut, 0o755)
    theirs.drop("Amt", "1.pdf", pdfs.good(1, "1"))
    theirs.until(lambda: said_of(theirs, shut), "a word of the folder")
    theirs.drop("Dr. Müller", "2.pdf", pdfs.good(1, "2"))
    theirs.await_event("fax.sent")
    assert theirs.status()["holds"] == []
    (words,) = said_of(theirs, shut)
    run("sh", "-euc", words.split("To fix it: ")[1].replace("sudo ", ""))
    filed_within(theirs, 2, PATIENCE)
    assert theirs.events("disk.trouble") == []


@pytest.mark.long
@pytest.mark.root
@pytest.mark.parametrize("at", ["before any", "in mid-flow"])
def test_a_machine_that_starts_no_thread_and_no_process(theirs: Office, at: str) -> None:
    """At a limit of processes the daemon lives and says so, and goes on when there is room."""
    assert theirs.program is not None
    if at == "in mid-flow":
        theirs.drop("Amt", "first.pdf", pdfs.good(1, "first"))
        theirs.await_event("fax.claimed")
    pid = theirs.program.pid
    most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    limit_processes(pid, 1)
    for number in range(12):
        theirs.drop(f"+4930231251{30 + number}", "1.pdf", pdfs.good(1, f"{number}"))
    theirs.drop("Amt", "form.pdf", pdfs.form())
    theirs.until(lambda: complaints(theirs), "a word of it", 2 * PATIENCE)
    assert "Free some space" not in str(complaints(theirs))
    limit_processes(pid, most)
    theirs.await_filed(13 + (at == "in mid-flow"), 2 * PATIENCE)
    assert not theirs.events("loop.failed")
    assert not theirs.filed("failed")
    theirs.until(lambda: complaints(theirs) == [], "all well")


def limit_processes(pid: int, most: int) -> None:
    """Limit how many processes and threads a program of nobody's may have, as only nobody may."""
    number = "unlimited" if most == resource.RLIM_INFINITY else str(most)
    rights = [f"--reuid={NOBODY.uid}", f"--regid={NOBODY.gid}", "--clear-groups"]
    run("setpriv", *rights, "prlimit", "--pid", str(pid), f"--nproc={number}:")


def seconds_until_sent(office: Office, name: str) -> float:
    """Drop one more letter; return how long it takes until it is sent."""
    sent = len(office.events("fax.sent"))
    dropped_at = time.monotonic()
    office.drop("Dr. Müller", f"{name}.pdf", pdfs.good(1, f"letter {name}"))
    office.await_event("fax.sent", count=sent + 1)
    return time.monotonic() - dropped_at


def said_of(office: Office, path: Path) -> list[str]:
    """Return the problem that status names for a place."""
    problems = office.status().get("problems", [])
    return [one["problem"] for one in problems if one["path"] == str(path)]


def complaints(office: Office) -> list[object]:
    """Return the problems that the daemon names."""
    status = office.status()
    return [*status.get("problems", []), *status.get("holds", [])]


def office_scans(office: Office) -> None:
    """Wait until another document has gone all the way: what was there before was looked at."""
    office.drop("Dr. Müller", "other.pdf", pdfs.good(1, "other"))
    office.await_event("fax.sent")
    sent = office.root / "sent" / "Dr. Müller"
    for name in ("other.pdf", "other.pdf.json"):
        office.until((sent / name).exists, name)
        (sent / name).unlink()


# -- mounts ---------------------------------------------------------------------------------


def run(*command: str | Path) -> None:
    """Run a command of the administrator's."""
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """Make a device with an ext4 file system; what is mounted of it ends with the test."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    run("mkfs.ext4", "-q", image)
    attach = ["losetup", "--find", "--show", str(image)]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    yield device
    for point in ("point", "elsewhere"):
        with suppress(subprocess.CalledProcessError):
            while (tmp_path / point).is_mount():
                run("umount", "--lazy", tmp_path / point)
    run("losetup", "--detach", device)


@pytest.mark.long
@pytest.mark.root
def test_a_file_system_that_is_unmounted_and_mounted_again(
    disk: str, tmp_path: Path, simulated: Simulated
) -> None:
    """Its mount point is not written to meanwhile, and its documents are faxed when it is back."""
    point, elsewhere = tmp_path / "point", tmp_path / "elsewhere"
    point.mkdir()
    elsewhere.mkdir()
    run("mount", disk, point)
    with office_on(tmp_path, simulated, root=point) as office:
        office.start()
        for round_ in (1, 2):
            run("umount", "--lazy", point)
            office.await_event("root.away", count=round_)
            run("mount", disk, elsewhere)
            (elsewhere / "inbox" / "Amt" / f"{round_}.pdf").write_bytes(pdfs.good(1, f"{round_}"))
            run("umount", elsewhere)
            assert list(point.iterdir()) == []
            run("mount", disk, point)
            filed_within(office, round_, 2 * RESCAN + 5.0 + SLACK)
            office.await_event("root.back", count=round_)
        office.drop("Amt", "after.pdf", pdfs.good(1, "after"))
        filed_within(office, 3, AT_ONCE)
        assert office.events("loop.failed") == []
        assert office.stop() == 0


@pytest.mark.long
@pytest.mark.root
def test_another_file_system_on_top_of_the_root_is_not_the_root(
    disk: str, tmp_path: Path, simulated: Simulated
) -> None:
    """What is mounted over the root by mistake is neither searched nor written to."""
    point = tmp_path / "point"
    point.mkdir()
    with office_on(tmp_path, simulated, root=point) as office:
        office.start()
        run("mount", disk, point)
        office.await_event("root.away")
        (point / "inbox" / "Amt").mkdir(parents=True)
        (point / "inbox" / "Amt" / "foreign.pdf").write_bytes(pdfs.good(1, "foreign"))
        assert sorted(path.name for path in point.iterdir()) == ["inbox", "lost+found"]
        run("umount", point)
        office.await_event("root.back")
        office.drop("Amt", "1.pdf", pdfs.good(1, "1"))
        filed_within(office, 1, RESCAN + SLACK)
    digest = hashlib.sha256(pdfs.good(1, "1")).hexdigest()
    assert [fax["sha256"] for fax in simulated.taken] == [digest]


_OWN_FSTAB = """
cp --archive /etc "$1/etc"
echo "/dev/nas $2 ext4 defaults 0 0" >> "$1/etc/fstab"
mount --bind "$1/etc" /etc
shift 2
exec "$@"
"""


@pytest.mark.long
@pytest.mark.root
def test_a_start_on_a_mount_point_where_nothing_is_mounted_is_refused(
    tmp_path: Path, simulated: Simulated
) -> None:
    """A folder that fstab names as a mount point, and is empty, is not made into a root."""
    point = tmp_path / "point"
    point.mkdir()
    inside = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _OWN_FSTAB, "sh"]
    with office_on(tmp_path, simulated, root=point) as office:
        office.start(before=[*inside, str(tmp_path), str(point)], wait=False)
        assert office.program is not None
        assert office.program.wait(PATIENCE) == 1
        assert f"mount {point}" in office.tail()
    assert list(point.iterdir()) == []
