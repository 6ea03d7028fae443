"""HTTP as bytes: one request out, one reply in, and how far the request got.

With ``connection``, the only module here that knows requests and urllib3. It promises:

* ``NoAnswer.handed_over`` and ``Reply.handed_over`` are false only when it is certain that the
  request was not sent whole: then it cannot have been taken.
* Each answer is bounded: in time by ``timeout`` seconds from the end of the request to the last
  byte of the answer, however slowly head and body drip; in memory by the caller's limit, also for
  what a compressed body inflates to. A look-up of the name is bounded by the resolver alone.
* An upload takes constant memory; each send must make progress within ``timeout`` seconds.
* The credentials go to ``base_url`` only: no redirect is followed, no ``.netrc`` and no cookie is
  used, TLS certificates are always verified. Proxies come from the environment, never for loopback.

Nothing here knows what a status means; that is in ``sipgate``.
"""

import contextlib
import errno
import http.client
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import BaseAdapter, HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
)

from faxdrop import __version__
from faxdrop.names.loopback import is_loopback
from faxdrop.sipgate.connection import ONCE, POOLS, DocumentChanged, Pools, Upload, Withheld
from faxdrop.words import N_, _, number

CHUNK = 16 * 1024  # bytes of an answer read at once
CONNECT_SECONDS = 30.0  # for one address, and again for the TLS handshake
_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")


class NoAnswer(Exception):  # noqa: N818 - what happened, not whose error
    """No answer came. ``words`` say why, for people, without secrets.

    ``handed_over``: the request may have been taken. ``advice`` is what a person can do about it;
    ``misconfigured``: nothing but that will help.
    """

    def __init__(
        self, words: str, *, handed_over: bool, advice: str = "", misconfigured: bool = False
    ) -> None:
        super().__init__(words)
        self.words = words
        self.handed_over = handed_over
        self.advice = advice
        self.misconfigured = misconfigured


@dataclass(frozen=True)
class Reply:
    """An answer: ``body`` is what could be read of it within the limits."""

    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes
    handed_over: bool  # of the request: whether its body may have been complete


class _Adapter(HTTPAdapter):
    """Makes requests use the connections of ``connection``, by the pools of one kind."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if type(manager) is urllib3.ProxyManager:  # one for SOCKS has connections of its own kind
            manager.pool_classes_by_scheme = self._pools
        return manager


class _Http(requests.Session):
    """Follows no redirect, and does not even look where it leads (which would read its body)."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        del resp


class _Nobody(AuthBase):
    """No credentials: given, so that .netrc is never asked."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        return r


class _Prepared(NamedTuple):
    """A request without its body, and how it is sent."""

    request: requests.PreparedRequest
    adapter: BaseAdapter
    settings: Mapping[str, Any]  # of this machine's environment: proxies, certificates


class Transport:
    """The way to one API. ``timeout`` is in seconds. Several threads may use it at once.

    Without a token, no credentials are sent.
    """

    def __init__(self, base_url: str, token_id: str, token: str | None, timeout: float) -> None:
        self._base_url = base_url.rstrip("/")
        self._auth = (
            _Nobody() if token is None else HTTPBasicAuth(token_id.encode(), token.encode())
        )
        self._timeout = timeout
        self._host = _host_of(self._base_url)
        self._seconds = (min(CONNECT_SECONDS, timeout), timeout)
        self._no_proxy = {"no_proxy": self._host} if self.is_here else None
        self._prepared: dict[str, _Prepared] = {}  # by path
        self._http = self._open(POOLS)
        self._once = self._open(ONCE)

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._http.close()
        self._once.close()

    def get(self, path: str, params: Sequence[tuple[str, str]] = (), *, limit: int) -> Reply:
        """Ask for ``path``; read up to ``limit`` bytes. Raise NoAnswer."""

        def asked() -> requests.Response:
            return self._http.get(
                self._base_url + path,
                params=list(params),
                timeout=self._seconds,
                allow_redirects=False,
                stream=True,
                verify=True,
                proxies=self._no_proxy,
            )

        return self._fetch(asked, limit)

    def post(self, path: str, upload: Upload, *, limit: int) -> Reply:
        """Hand ``upload`` over; raise NoAnswer.

        Raises DocumentChanged and Withheld where nothing was submitted.

        Each has a connection of its own: one that was kept alive may be dead already, and then
        the body would vanish in it with an outcome that nobody knows.
        """
        upload.timeout = self._timeout
        return self._fetch(lambda: self._uploaded(path, upload), limit, upload)

    @property
    def is_here(self) -> bool:
        """Whether the API is on this machine, as a simulator is."""
        return is_loopback(self._host)

    def _open(self, pools: Pools) -> _Http:
        opened = _Http()
        opened.auth = self._auth
        opened.headers.update(
            {
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": f"faxdrop/{__version__}",
            }
        )
        opened.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        opened.mount("http://", _Adapter(pools))
        opened.mount("https://", _Adapter(pools))
        return opened

    def _uploaded(self, path: str, upload: Upload) -> requests.Response:
        prepared = self._prepared.get(path) or self._prepare(path)
        request = prepared.request.copy()
        request.headers["Content-Length"] = str(len(upload))
        request.body = upload  # type: ignore[assignment]  # an iterable with a length: streamed
        return prepared.adapter.send(request, timeout=self._seconds, **prepared.settings)

    def _prepare(self, path: str) -> _Prepared:
        """Prepare what is the same for all uploads: it costs as much as the rest of a request."""
        url = self._base_url + path
        headers = {"Content-Type": "application/json"}
        request = self._once.prepare_request(requests.Request("POST", url, headers))
        settings = self._once.merge_environment_settings(
            request.url, dict(self._no_proxy or {}), stream=True, verify=True, cert=None
        )
        adapter = self._once.get_adapter(request.url or url)
        prepared = self._prepared[path] = _Prepared(request, adapter, settings)
        return prepared

    def _fetch(
        self, send: Callable[[], requests.Response], limit: int, upload: Upload | None = None
    ) -> Reply:
        try:
            with send() as response:
                body = _read(response, limit)
                handed_over = upload is None or upload.handed_over
                return Reply(response.status_code, response.headers, body, handed_over)
        except (DocumentChanged, Withheld):
            raise
        except Exception as error:  # noqa: BLE001 - what it is changes the words only, not the truth
            no_answer = self._no_answer(error, upload)
        # Out here it is chained to nothing: what those errors carry (proxy URLs, headers) must not
        # reach a log.
        raise no_answer

    def _no_answer(self, error: Exception, upload: Upload | None) -> NoAnswer:
        handed_over = upload is not None and upload.handed_over
        if upload is not None and upload.trouble is not None and not handed_over:
            words = _("the connection to {host} broke while the document was handed over ({why})")
            words = words.format(host=self._host, why=_short(upload.trouble))
            return NoAnswer(words, handed_over=False)
        words, advice, misconfigured = self._explain(error)
        return NoAnswer(
            words,
            handed_over=handed_over,
            advice=advice,
            misconfigured=misconfigured and not handed_over,
        )

    def _explain(self, error: Exception) -> tuple[str, str, bool]:
        """Return what happened, the advice, and whether only a change of the settings will help."""
        causes = list(_causes(error))
        refusals = [found[1] for cause in causes if (found := _TUNNEL.search(str(cause)))]
        for kind, words, advice, misconfigured in _EXPLANATIONS:
            for cause in causes:
                if isinstance(cause, kind):
                    break
            else:
                continue
            if refusals and kind is ProxyError:
                text = _("the proxy refused the connection to {host} ({why})")
                text = text.format(host=self._host, why=refusals[0])
                return text, _(advice), refusals[0] == "407"
            text = _(words).format(
                host=self._host, seconds=number(self._timeout), why=_short(cause)
            )
            return text, _(advice), misconfigured
        text = _("no answer from {host} ({why})").format(host=self._host, why=_short(error))
        return text, "", False


_CHECK_PROXY = N_("Check the proxy in the environment (HTTPS_PROXY, NO_PROXY) and its login.")
_CHECK_TLS = N_("Check this machine's clock, its certificates, and whether a proxy opens TLS.")
_CHECK_URL = N_("Check base_url in the config and the proxy in the environment (HTTPS_PROXY).")

_EXPLANATIONS: tuple[tuple[type[BaseException], str, str, bool], ...] = (
    # kind of error           words                                          advice, set-up is wrong
    (ProxyError, N_("no connection to {host} through the proxy"), _CHECK_PROXY, False),
    (ssl.SSLError, N_("no trusted connection to {host} ({why})"), _CHECK_TLS, False),
    (NameResolutionError, N_("the name {host} cannot be looked up"), "", False),
    (NewConnectionError, N_("no connection to {host} ({why})"), "", False),
    (ConnectTimeoutError, N_("no connection to {host} in time"), "", False),
    (
        http.client.RemoteDisconnected,
        N_("{host} closed the connection without an answer"),
        "",
        False,
    ),
    (http.client.HTTPException, N_("the answer of {host} is not HTTP"), "", False),
    (TimeoutError, N_("no complete answer from {host} within {seconds} s"), "", False),
    (requests.exceptions.InvalidURL, N_("this address cannot be used"), _CHECK_URL, True),
    (
        requests.exceptions.InvalidSchema,
        N_("this kind of address cannot be used"),
        _CHECK_URL,
        True,
    ),
    (requests.exceptions.MissingSchema, N_("this address cannot be used"), _CHECK_URL, True),
    (LocationValueError, N_("this address cannot be used"), _CHECK_URL, True),
    (UnicodeError, N_("this address cannot be used"), _CHECK_URL, True),
    (ConnectionError, N_("the connection to {host} was lost ({why})"), "", False),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it was made from: the libraries wrap in several ways."""
    seen: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or any(one is other for other in seen):
            continue
        seen.append(one)
        yield one
        waiting += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]


def _short(error: BaseException) -> str:
    """Return an error in a few words without secrets: never the text that it carries."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            # OpenSSL fills these in; an error made elsewhere lacks them.
            why = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
            return str(why or "TLS").replace("_", " ").lower()
        if isinstance(cause, TimeoutError):
            return _("no progress")
        if isinstance(cause, OSError) and (cause.errno or 0) in errno.errorcode:
            return _(os.strerror(cause.errno or 0))
    return type(error).__name__


def _host_of(url: str) -> str:
    with contextlib.suppress(ValueError):
        return urlsplit(url).hostname or url
    return url


def _read(response: requests.Response, limit: int) -> bytes:
    """Return what can be read of the body, at most ``limit`` bytes after decompression."""
    if response.headers.get("Content-Encoding", "identity").lower() not in {"identity", "gzip"}:
        return b""  # not asked for
    body = bytearray()
    # Of a body that breaks off, what was read counts: if the JSON text is whole, nothing is lost.
    with contextlib.suppress(Exception):
        while len(body) <= limit and (piece := response.raw.read1(CHUNK, decode_content=True)):
            body += piece
    return bytes(body[:limit])
