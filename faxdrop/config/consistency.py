"""Settings that are right by themselves, but not together or not on this machine."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from faxdrop.config.problems import Problem, dotted, toml
from faxdrop.config.settings import (
    HELP_CENTRE_MEGABYTES,
    HELP_CENTRE_PAGES,
    Settings,
    format_duration,
)
from faxdrop.words import _

_SOON = 300.0  # seconds for which an accepted fax may be missing from the history


def contradictions(settings: Settings) -> Iterator[Problem]:
    """Check the settings that only make sense together."""
    inbox, sending = settings.inbox, settings.sending
    if sending.attempts > 1 and not sending.delays:
        yield Problem(
            "sending.delays", "[]", _('at least one delay, such as ["5m"], or attempts = 1')
        )
    for key, value, least, floor in (
        ("inbox.patience", inbox.patience, "inbox.settle", inbox.settle),
        (
            "sending.give_up_after",
            sending.give_up_after,
            "sending.poll_interval",
            sending.poll_interval,
        ),
        (
            "sending.reconcile_for",
            sending.reconcile_for,
            "sending.poll_interval",
            sending.poll_interval,
        ),
    ):
        if value < floor:
            remedy = _("at least {least}, which is {floor}").format(
                least=least, floor=toml(format_duration(floor))
            )
            yield Problem(key, toml(format_duration(value)), remedy)


def unwise(settings: Settings) -> Iterator[str]:
    """Yield what is allowed but seldom meant."""
    documents, sending = settings.documents, settings.sending
    if documents.max_megabytes > HELP_CENTRE_MEGABYTES or documents.max_pages > HELP_CENTRE_PAGES:
        yield _(
            "documents: sipgate promises to fax {size} MB and {pages} pages; anything larger may "
            "fail there"
        ).format(size=HELP_CENTRE_MEGABYTES, pages=HELP_CENTRE_PAGES)
    unused = len(sending.delays) - (sending.attempts - 1)
    if "delays" in sending.model_fields_set and unused > 0:
        yield _(
            "sending.delays: the last {unused} will never be used, because there are only "
            "{attempts} attempts"
        ).format(unused=unused, attempts=sending.attempts)
    if sending.resend_if_absent and sending.reconcile_for < _SOON:
        yield _(
            "sending.resend_if_absent: with reconcile_for below {time}, a fax that appears late "
            "in the history is sent twice"
        ).format(time=format_duration(_SOON))
    for name in settings.recipients:
        if name.endswith(".") or set(name) & set('\\:*?"<>|'):
            yield _("{key}: Windows will show this folder by another name").format(
                key=dotted(("recipients", name))
            )


def not_ready(settings: Settings) -> Iterator[str]:
    """Yield what hook and heartbeat lack. No fax depends on it, so the config is not wrong."""
    if settings.hook.command:
        program = Path(settings.hook.command[0])
        if not program.is_file():
            yield _(
                "[hook] command: there is no {program}: put it there, or correct the path"
            ).format(program=program)
        elif not os.access(program, os.X_OK, effective_ids=True):
            words = _("[hook] command: {program} cannot be executed: chmod 755 {quoted}")
            yield words.format(program=program, quoted=shlex.quote(str(program)))
    folder = Path(settings.heartbeat.metrics_file).parent
    if not folder.is_dir():
        yield _(
            "[heartbeat] metrics_file: there is no folder {folder}: create it, or correct the path"
        ).format(folder=folder)
