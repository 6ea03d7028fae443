"""The simulator's thread: an event loop that listens on two loopback ports.

Owns the thread, the loop, the listening sockets and the open connections, and ends them all at
once: `Server.stop` waits for nobody, however slow the answers under way are. The public port can be
closed and opened again while the control port stays.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Coroutine

from faxdrop.sim_http import Application, Connection

_BACKLOG = 1024


class Server:
    """Serves an application from `start` to `stop`; may be started again, on the same ports.

    Raises ValueError for a host that is not loopback, OSError where a port is taken.
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
        self._public: asyncio.Server | None = None
        self._control: asyncio.Server | None = None
        self._is_open = False  # the public port
        self._opening: asyncio.Task[None] | None = None  # held, or it might be collected
        self._connections: set[Connection] = set()

    def origin(self, port: int) -> str:
        """Return the address of a port, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Listen; returns when connections are accepted."""
        public = self._bind(self.port)
        try:
            control = self._bind(self.control_port)
        except OSError:
            public.close()
            raise
        self.port = public.getsockname()[1]
        self.control_port = control.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, args=(self._loop,), name="simulator", daemon=True
        )
        self._thread.start()
        self._call(self._loop, self._listen(public, control))

    def stop(self) -> None:
        """End every connection and the thread, at once."""
        if self._loop is None or self._thread is None:
            return
        self._call(self._loop, self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop = self._thread = None

    def set_open(self, *, is_open: bool) -> None:
        """Open or close the public port; closing it resets its connections too.

        In effect at the return. Raises OSError where the port was taken meanwhile.
        """
        if self._loop is None:
            return
        if threading.current_thread() is self._thread:
            self._switch(self._loop, is_open=is_open)
        else:
            self._call(self._loop, self._set_open(self._loop, is_open=is_open))

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, what: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, loop).result()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_forever()
        loop.close()

    async def _set_open(self, loop: asyncio.AbstractEventLoop, *, is_open: bool) -> None:
        self._switch(loop, is_open=is_open)

    def _switch(self, loop: asyncio.AbstractEventLoop, *, is_open: bool) -> None:
        if is_open == self._is_open:
            return
        if is_open:
            # From here on connections are let in, if only to wait for the loop's next turn.
            self._opening = loop.create_task(self._open(self._bind(self.port)))
        else:
            self._close_public()
            self._abort(public_only=True)
        self._is_open = is_open

    async def _open(self, sock: socket.socket) -> None:
        self._public = await self._serve(sock, public=True)
        if not self._is_open:
            self._close_public()

    def _close_public(self) -> None:
        if self._public is not None:
            self._public.close()
            self._public = None

    async def _end(self) -> None:
        self._is_open = False
        self._close_public()
        if self._control is not None:
            self._control.close()
            self._control = None
        beginnings = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*beginnings, return_exceptions=True)
        self._abort(public_only=False)
        await asyncio.sleep(0)  # the loop's next turn closes what was aborted

    def _abort(self, *, public_only: bool) -> None:
        for connection in list(self._connections):
            if connection.public or not public_only:
                connection.abort(reset=True)

    async def _listen(self, public: socket.socket, control: socket.socket) -> None:
        self._is_open = True
        await self._open(public)
        self._control = await self._serve(control, public=False)

    async def _serve(self, sock: socket.socket, *, public: bool) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Connection(self._application, self._connections, public=public),
            sock=sock,
            backlog=_BACKLOG,
        )

    def _bind(self, port: int) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((self._host, port))
            sock.listen(_BACKLOG)
        except OSError:
            sock.close()
            raise
        return sock
