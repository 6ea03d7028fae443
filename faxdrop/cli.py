"""The commands. The only module that prints."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import click

from faxdrop import __version__, logs, receipt, service
from faxdrop.config import DEFAULT_PATH, ConfigError, load
from faxdrop.settings import Config
from faxdrop.simulator import Simulator
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


@main.command("receipt-schema")
def receipt_schema() -> None:
    """Print the JSON Schema of the receipts."""
    click.echo(json.dumps(receipt.schema(), indent=2))


if __name__ == "__main__":
    main()
