"""Sends a test notice to everybody who is to be told, and says what came of it."""

import socket
from collections.abc import Iterator

from faxdrop.config.settings import Config
from faxdrop.followers.post import Post
from faxdrop.names.printable import shown
from faxdrop.setup.findings import Finding, Level, finding
from faxdrop.words import _


def notices(config: Config, post: Post, *, simulate: bool = False) -> Iterator[Finding]:
    """Send a test notice to each address. A rehearsal has none, as it has no token."""
    if simulate or not config.notify:
        words = (
            _("A rehearsal notifies nobody.")
            if simulate
            else _("Nobody is notified: the config has no [notify.NAME].")
        )
        yield finding("notify", Level.NOTE, words)
        return
    for name in config.notify:
        subject = _("faxdrop: a test notice")
        body = _("This address receives the notices of [notify.{name}] on {machine}.").format(
            name=name, machine=shown(socket.gethostname())
        )
        delivery = post.send(config.secrets.notify[name], subject, body + "\n")
        if delivery.done:
            words = _("{name}: the test notice was accepted.").format(name=name)
            yield finding("notify", Level.OK, words)
            continue
        words = _("{name}: {why}.").format(name=name, why=delivery.why)
        if delivery.taken:
            words = _("{words} {n} of its recipients accepted the test notice.").format(
                words=words, n=len(delivery.taken)
            )
        advice = _("Correct the secret NOTIFY_{name}, or see to the mail server; then check again.")
        yield finding("notify", Level.FAULT, words, advice.format(name=name.upper()))
