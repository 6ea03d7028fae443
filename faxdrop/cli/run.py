"""The command that runs the daemon."""

import contextlib
import os
import sys
from functools import partial
from pathlib import Path

import click
import structlog

from faxdrop import logs
from faxdrop.cli.place import takes_place
from faxdrop.config.credentials import Watch, files_of
from faxdrop.config.load import load
from faxdrop.config.place import SERVICE_USER, command, installed_unit
from faxdrop.config.settings import Config
from faxdrop.daemon import build as service
from faxdrop.simulator import Simulator
from faxdrop.spool.ownership import refuses_root
from faxdrop.spool.places import SpoolError
from faxdrop.words import _

log = structlog.stdlib.get_logger(__name__)

EX_TEMPFAIL = 75  # sysexits.h; the unit starts it again


@takes_place
@click.command(short_help="Run the daemon.")
@click.option("--simulate", is_flag=True, help="Fax to the built-in simulator instead of sipgate.")
@click.pass_obj
def run(config_path: Path, *, simulate: bool) -> None:
    """Run the daemon: watch the inbox, fax, file away. SIGTERM or Ctrl-C ends it.

    SIGHUP reloads the config. With --simulate, no token is needed and no fax is sent: the
    recipient's number decides what happens (see `faxdrop simulate --help`), and the log says at
    which address the simulator shows what it was sent.
    """
    config = load(config_path, os.environ, simulate=simulate)
    # Receipts, page and tables are for the group, like inbox/, sent/ and failed/.
    os.umask(os.umask(0o077) & 0o007)
    if (owner := refuses_root(config.root)) is not None:
        raise SpoolError(
            _(
                "{root} belongs to {owner}, who could not read what root writes there. Run it as "
                "{owner}: sudo {start}"
            ).format(root=config.root, owner=owner, start=_start(config_path, owner))
        )
    with contextlib.ExitStack() as stack:
        simulator = None
        if simulate:
            simulator = stack.enter_context(Simulator(ledger=service.ledger_of(config)))
            log.info(
                "simulator.ready", base_url=simulator.base_url, control_url=simulator.control_url
            )
        take = partial(_taken, config_path, simulator)
        watch = Watch(() if simulate else files_of(config_path.absolute()))
        ended = service.run(take(), take, watch, simulated=simulate)
    status = EX_TEMPFAIL if ended.restart else 0
    if not ended.clean:
        # The thread of a submission under way would keep us here. On disk its job is "queued", or
        # "submitting" if only the answer is missing, and then the next start looks it up.
        sys.stderr.flush()
        os._exit(status)
    if status:
        raise SystemExit(status)


def _start(config_path: Path, owner: str) -> str:
    if owner == SERVICE_USER and (unit := installed_unit(config_path)):
        return f"systemctl start {unit}"
    return f"-u {owner} {command('run', config_path)}"


def _taken(config_path: Path, simulator: Simulator | None) -> Config:
    """Load the config for the daemon, at its start and at each reload."""
    config = load(config_path, os.environ, simulate=simulator is not None)
    if simulator is not None:
        config = service.with_simulator(config, simulator)
    else:  # the simulator's token is no secret
        logs.configure(sys.stderr, secrets=config.secrets.values())
    for warning in (*config.warnings, *config.faults):
        log.warning("config.unwise", words=warning)
    return config
