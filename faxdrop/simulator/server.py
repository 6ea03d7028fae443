"""The simulator's thread: an event loop that listens on two loopback ports.

Owns the thread, the loop, the listening sockets and the open connections, and ends them all at
once: `Server.stop` waits for nobody, however slow the answers under way are. The public port can be
closed and opened again while the control port stays.

It accepts connections itself: asyncio's own server may be closed in the middle of an accept, and
then complains and leaks the connection.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Callable
from functools import partial

from faxdrop.simulator.http import Application, Connection

_BACKLOG = 1024


class Server:
    """Serves an application from `start` to `stop`; may be started again, on the same ports.

    Raises ValueError for a host that is not loopback.
    """

    def __init__(self, application: Application, host: str, port: int) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the simulator listens on loopback only, not on {host}")
        self.port = port  # 0: the next start chooses
        self.control_port = 0
        self._application = application
        self._host = host
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listening: dict[bool, socket.socket] = {}  # by whether it is the public port
        self._connections: set[Connection] = set()
        self._accepting: set[asyncio.Task[None]] = set()

    def origin(self, port: int) -> str:
        """Return the address of a port, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Listen; connections are let in from here on. Raises OSError where a port is taken."""
        public = self._bind(self.port)
        try:
            control = self._bind(self.control_port)
        except OSError:
            public.close()
            raise
        self.port = public.getsockname()[1]
        self.control_port = control.getsockname()[1]
        loop = self._loop = asyncio.new_event_loop()
        self._listen(loop, public, public=True)
        self._listen(loop, control, public=False)
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name="simulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End every connection and the thread, at once."""
        if self._loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(self._loop), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = self._thread = None

    def set_open(self, *, is_open: bool) -> None:
        """Open or close the public port; closing it resets its connections too.

        In effect at the return. Raises OSError where the port was taken meanwhile.
        """
        loop = self._loop
        if loop is None or is_open == (True in self._listening):
            return

        def switch() -> None:
            if is_open:
                self._listen(loop, self._bind(self.port), public=True)
            else:
                self._close(loop, public=True)

        if threading.current_thread() is self._thread:
            switch()
        else:
            asyncio.run_coroutine_threadsafe(_called(switch), loop).result()

    @staticmethod
    def _run(loop: asyncio.AbstractEventLoop) -> None:
        loop.run_forever()
        loop.close()

    def _bind(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, port))
            sock.listen(_BACKLOG)
            sock.settimeout(0)
        except OSError:
            sock.close()
            raise
        return sock

    def _listen(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, *, public: bool
    ) -> None:
        self._listening[public] = sock
        loop.add_reader(sock, partial(self._accept, loop, sock, public=public))

    def _accept(
        self, loop: asyncio.AbstractEventLoop, listening: socket.socket, *, public: bool
    ) -> None:
        for _ in range(_BACKLOG):
            try:
                sock, _address = listening.accept()
            except OSError:  # nobody waits any more, or has gone again
                return
            sock.settimeout(0)
            task = loop.create_task(self._connect(loop, sock, public=public))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, sock: socket.socket, *, public: bool
    ) -> None:
        _, connection = await loop.connect_accepted_socket(
            lambda: Connection(self._application, self._connections, public=public), sock
        )
        if public not in self._listening:  # closed in the meantime
            connection.abort(reset=True)

    def _close(self, loop: asyncio.AbstractEventLoop, *, public: bool) -> None:
        sock = self._listening.pop(public, None)
        if sock is not None:
            loop.remove_reader(sock)
            sock.close()
        for connection in list(self._connections):
            if connection.public == public:
                connection.abort(reset=True)

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        for public in (True, False):
            self._close(loop, public=public)
        await asyncio.gather(*self._accepting)
        await asyncio.sleep(0)  # the loop's next turn closes what was aborted


async def _called(what: Callable[[], None]) -> None:
    what()
