"""Options from a TOML file: what is said on the command line goes before it."""

import tomllib

import click


def read(context, parameter, path):
    """The file's values as the defaults of the command's options."""
    if path is None:
        return
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"{path} is no TOML: {error}") from None
    names = {o.lstrip("-"): p for p in context.command.params for o in p.opts}
    no = {o.lstrip("-"): p for p in context.command.params for o in p.secondary_opts}
    values = {}
    for key, value in found.items():
        option = names.get(key.replace("_", "-")) or names.get(key)
        if (other := no.get(key.replace("_", "-"))) is not None:
            raise click.BadParameter(f"{path}: say {other.opts[0].lstrip('-')} = false instead of {key}")
        if not isinstance(option, click.Option) or option is parameter:
            raise click.BadParameter(f"{path}: there is no option {key!r}")
        if isinstance(value, dict):
            raise click.BadParameter(f"{path}: {key} is a table; options are plain values")
        if isinstance(value, bool) and not option.is_flag:
            raise click.BadParameter(f"{path}: {key} needs a value, not {str(value).lower()}")
        if isinstance(value, list) and not option.multiple:
            raise click.BadParameter(f"{path}: {key} is one value, not a list")
        values[option.name] = _as_texts(value, option)
    context.default_map = {**(context.default_map or {}), **values}


def _as_texts(value, option):
    """A list where the option may be given several times, else the value: click checks its kind."""
    if option.multiple:
        return [str(v) for v in (value if isinstance(value, list) else [value])]
    return value if isinstance(value, bool) else str(value)
