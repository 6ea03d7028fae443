"""Sends one notice by apprise, in a process of its own (see ``post``).

Errors are reported as a word from a closed list. The texts of apprise and of servers stay in this
process: they may repeat the address, which is a secret.
"""

import copy
import hashlib
import logging
import smtplib
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import apprise
import requests
from apprise.plugins.email.base import NotifyEmail

from faxdrop.apart import answer

_PUT_OFF, _REFUSED = 400, 500  # where SMTP's classes of answers begin (RFC 5321, 4.2.1)
# For each answer: some servers let strangers wait (RFC 5321, 4.5.3.2). ``post`` limits the whole.
_SECONDS = 30.0


class _Why(logging.Handler):
    """Notes which exception apprise is handling when it logs, and never the text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.word = ""

    def emit(self, _record: logging.LogRecord) -> None:
        """Look at the exception, not at the record."""
        error = sys.exc_info()[1]
        if error is not None and not self.word:
            self.word = _word(error)


_WORDS: tuple[tuple[type[BaseException], str], ...] = (  # the first match counts
    (ssl.SSLCertVerificationError, "certificate"),
    (ssl.SSLError, "encryption"),
    (requests.exceptions.SSLError, "encryption"),
    (smtplib.SMTPAuthenticationError, "password"),
    (smtplib.SMTPRecipientsRefused, "recipient"),
    (TimeoutError, "silent"),
    (requests.exceptions.Timeout, "silent"),
    (smtplib.SMTPException, "refused"),
    (OSError, "unreachable"),
)


def _word(error: BaseException) -> str:
    """Return why a notice was not taken, as a word that ``post`` knows."""
    codes = [code for code, _ in getattr(error, "recipients", {}).values()]
    codes += [error.smtp_code] if isinstance(error, smtplib.SMTPResponseException) else []
    if codes and all(_PUT_OFF <= code < _REFUSED for code in codes):
        return "later"
    errors = (error, *_causes(error))
    return next((word for kind, word in _WORDS if any(isinstance(e, kind) for e in errors)), "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what caused an exception: requests and urllib3 wrap theirs."""
    seen = {id(error)}
    waiting = [error]
    while waiting:
        each = waiting.pop()
        behind = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
        for one in behind:
            if isinstance(one, BaseException) and id(one) not in seen:
                seen.add(id(one))
                waiting.append(one)
                yield one


def _parts(url: str) -> Iterator[tuple[str, Any]]:
    """Yield each separate target (each recipient of a mail) with a mark for it."""
    asset = apprise.AppriseAsset(http_redirects=False)  # ``?redirect=yes`` in the address allows it
    service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if service is None:
        return
    if not isinstance(service, NotifyEmail) or len(service.targets) <= 1:
        yield "all", service
        return
    targets = list(dict.fromkeys(service.targets))
    for target in targets:
        one = copy.copy(service)
        one.targets = [target]
        if target is not targets[0]:
            one.cc, one.bcc = set(), set()  # they got theirs with the first
        yield hashlib.sha256(repr(target).encode()).hexdigest()[:16], one


def send(question: Any) -> Iterator[dict[str, str]]:
    """Send; yield ``{"taken": mark}`` where it was taken, ``{"why": word}`` where not.

    ``taken`` in the question names the marks that have it already.
    """
    log = logging.getLogger("apprise")
    log.setLevel(logging.DEBUG)
    anybody = False
    for mark, service in _parts(question["url"]):
        anybody = True
        if mark in question["taken"]:
            continue
        why = _Why()
        log.handlers = [why]
        service.socket_connect_timeout = service.socket_read_timeout = _SECONDS
        try:
            is_taken = service.notify(
                body=question["body"],
                title=question["subject"],
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not end the others
            is_taken, why.word = False, why.word or _word(error)
        yield {"taken": mark} if is_taken else {"why": why.word or "refused"}
    if not anybody:
        yield {"why": "address"}


if __name__ == "__main__":
    answer(send)
