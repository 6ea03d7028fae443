"""The commands. The only module that prints."""

import json
import os
import secrets
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import click

from faxdrop import __version__, logs, receipt
from faxdrop.config import DEFAULT_PATH, ConfigError, load
from faxdrop.settings import Config
from faxdrop.simulator import MAGIC, Simulator
from faxdrop.spool import SpoolError

EX_CONFIG = 78  # sysexits.h: something was found in an unconfigured or misconfigured state


class _Commands(click.Group):
    """All commands; turns our errors into words and an exit status."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"faxdrop: {error}", err=True)
            ctx.exit(EX_CONFIG)
        except SpoolError as error:
            click.echo(f"faxdrop: {error}", err=True)
            ctx.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="faxdrop")
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="FAXDROP_CONFIG",
    default=DEFAULT_PATH,
    show_default=True,
    help="The config file (TOML).",
)
@click.pass_context
def main(ctx: click.Context, config_path: Path) -> None:
    """Fax from a folder: never sent twice, never lost, and everyone can see what became of it."""
    ctx.obj = config_path


@main.command()
@click.option("--simulate", is_flag=True, help="Use the built-in simulator in place of sipgate.")
@click.pass_obj
def run(config_path: Path, *, simulate: bool) -> None:
    """Run the daemon: watch the inbox, fax, file away. Ends with SIGTERM or Ctrl-C."""
    from faxdrop import service  # noqa: PLC0415 - the other commands need no daemon, and start sooner

    config = load(config_path, os.environ, simulate=simulate)
    logs.configure(sys.stderr, secrets=() if simulate else _secrets(config))
    if simulate:
        with Simulator() as simulator:
            reload = partial(_simulated, config_path, simulator)
            ended = service.run(reload(), reload)
    else:
        ended = service.run(config, partial(load, config_path, os.environ))
    if not ended:
        # A submission under way would keep its thread, and so us; on disk it stands as
        # "submitting", and the next start looks it up.
        sys.stderr.flush()
        os._exit(0)


def _simulated(config_path: Path, simulator: Simulator) -> Config:
    config = load(config_path, os.environ, simulate=True)
    sipgate = config.sipgate.model_copy(update={"base_url": simulator.base_url})
    return config.model_copy(update={"sipgate": sipgate})


def _secrets(config: Config) -> tuple[str, ...]:
    return (config.secrets.token.get_secret_value(),)


def _magic_numbers() -> str:
    """Return the table for the help text."""
    lines = (f"  {magic.number}  {magic.meaning}" for magic in MAGIC)
    return "\b\nThe number that is faxed to decides what happens:\n" + "\n".join(lines)


@main.command(epilog=_magic_numbers())
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8025,
    show_default=True,
    help="Where to listen, on this machine only; 0 takes a free port.",
)
@click.option("--hostile", is_flag=True, help="Lose answers, be slow, limit, fail: as networks do.")
@click.option("--seed", type=int, help="Repeat the hostile run of that seed (implies --hostile).")
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Seconds that a fax is PENDING, and again SENDING.",
)
@click.option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the faxes in this file, to know them at the next start.",
)
@click.option("--json", "as_json", is_flag=True, help="Say where it is in one line of JSON.")
def simulate(
    *,
    port: int,
    hostile: bool,
    seed: int | None,
    pace: float,
    ledger: Path | None,
    as_json: bool,
) -> None:
    """Play sipgate on this machine, for rehearsals: no fax goes anywhere.

    What it prints can be put into a .env beside a config; then `faxdrop run` faxes to it. It ends
    with Ctrl-C.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if hostile and seed is None:
        seed = secrets.randbelow(1_000_000)
    simulator = Simulator(port, hostile=seed, pace=pace, ledger=ledger)
    try:
        simulator.start()
    except OSError as error:
        raise click.ClickException(f"port {port}: {error.strerror or error}") from None
    try:
        click.echo(_where(simulator, as_json=as_json))
        ended.wait()
    finally:
        simulator.stop()


def _where(simulator: Simulator, *, as_json: bool) -> str:
    """Say where a simulator is: for a .env, or as JSON."""
    where = {
        "base_url": simulator.base_url,
        "control_url": simulator.control_url,
        "token_id": "token-SIMULAT",
        "token": "simulated",
        "faxline": "f0",
        "seed": simulator.seed,
    }
    if as_json:
        return json.dumps(where)
    lines = [
        f"BASE_URL={where['base_url']}",
        f"TOKEN_ID={where['token_id']}",
        f"TOKEN={where['token']}",
        f"FAXLINE_ID={where['faxline']}",
        f"# What was taken, and ways to make trouble: {where['control_url']}",
    ]
    if simulator.seed is not None:
        lines.append(f"# Hostile; the same again: --seed {simulator.seed}")
    return "\n".join(lines)


@main.command("receipt-schema")
def receipt_schema() -> None:
    """Print the JSON Schema of the receipts."""
    click.echo(json.dumps(receipt.schema(), indent=2))


if __name__ == "__main__":
    main()
