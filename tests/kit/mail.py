"""A real SMTP server with the behaviour that notices have to cope with."""

import ssl
from collections import Counter
from pathlib import Path
from typing import Any, Self

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from pydantic import SecretStr

from tests.kit.servers import free_port
from tests.kit.waiting import PATIENCE

USER, PASSWORD = "office", "pa55word-of-the-office"  # nobody's


class MailServer:
    """Takes mail over TLS with a password, and keeps it in ``mails``: recipient, text.

    It always refuses the recipients in ``refused``, and once those in ``later`` (greylisting).
    """

    def __init__(self, folder: Path, *, starttls: bool = False) -> None:
        self.mails: list[tuple[str, bytes]] = []
        self.refused: set[str] = set()
        self.later: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.port = free_port()
        self.authority = folder / "authority.pem"
        self._starttls = starttls
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._controller: Controller | None = None

    def address(self, *recipients: str, **more: str) -> SecretStr:
        """Return the address of notices to these recipients."""
        query = {"from": "fax@office.example", "to": ",".join(recipients), **more}
        query["mode"] = "starttls" if self._starttls else "ssl"
        pairs = "&".join(f"{name}={value}" for name, value in query.items())
        return SecretStr(f"mailtos://{USER}:{PASSWORD}@localhost:{self.port}?{pairs}")

    def start(self) -> None:
        """Start, or come back after an outage."""
        tls: dict[str, Any] = (
            {"tls_context": self._context, "require_starttls": True} if self._starttls else {}
        )
        self._controller = Controller(
            self,
            hostname="localhost",
            port=self.port,
            ready_timeout=PATIENCE,
            ssl_context=None if self._starttls else self._context,
            authenticator=self._is_known,
            auth_required=True,
            auth_require_tls=self._starttls,  # the other way is encrypted from its first byte
            **tls,
        )
        self._controller.start()

    def stop(self) -> None:
        """Stop, as in an outage."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name for it
        self, _server: SMTP, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        """Answer RCPT TO."""
        self.asked[address] += 1
        if address in self.refused:
            return f"550 no such user, and your password is {PASSWORD}"
        if address in self.later and self.asked[address] == 1:
            return "450 greylisted, come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name for it
        self, _server: SMTP, _session: Any, envelope: Any
    ) -> str:
        """Take a mail."""
        self.mails += [(to, envelope.content) for to in envelope.rcpt_tos]
        return "250 taken"

    @staticmethod
    def _is_known(_server: SMTP, _session: Any, _envelope: Any, _how: str, said: Any) -> AuthResult:
        known = LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=said == known, handled=False)
