"""Which faxdrop a command is for: ``--config`` and ``--instance``, before or after it."""

from pathlib import Path

import click

from faxdrop.config import place
from faxdrop.words import _

_NAMED = "faxdrop.config"  # a context's key for what the command line named


class _Instance(click.ParamType[Path]):
    """The name of an instance; its value is the instance's config."""

    name = "NAME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Return the config of the instance."""
        try:
            return value if isinstance(value, Path) else place.config_of(str(value))
        except ValueError as error:
            self.fail(
                _("{value!r} is not the name of an instance: {error}.").format(
                    value=str(value), error=_(str(error))
                ),
                param,
                ctx,
            )


def _choose(ctx: click.Context, param: click.Parameter, config: Path | None) -> None:
    if config is None:
        return
    if ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE:
        if ctx.meta.setdefault(_NAMED, config) != config:
            raise click.UsageError(
                _("The command names two configs: use either --config or --instance, once.")
            )
    elif _NAMED in ctx.meta:
        return  # the command line goes before the environment
    ctx.obj = config


def options(*, first: bool = False) -> list[click.Option]:
    """Return the options; ``first``: those before the command, which variables may replace."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="FAXDROP_CONFIG" if first else None,
            show_envvar=first,
            expose_value=False,
            callback=_choose,
            help=f"The config file (TOML).  [default: {place.DEFAULT_PATH}]",
        ),
        click.Option(
            ["--instance"],
            type=_Instance(),
            expose_value=False,
            callback=_choose,
            help=f"Use the config of the service faxdrop@NAME, {place.ETC}/NAME.toml.",
        ),
    ]


def takes_place(command: click.Command) -> click.Command:
    """Give a command these options."""
    command.params += options()
    return command
