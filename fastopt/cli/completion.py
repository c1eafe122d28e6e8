"""fastopt completion: what makes a shell complete commands and options."""

import click

SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="A script that makes your shell complete.")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell):
    """Print a script that makes SHELL complete fastopt's commands and options.

    \b
    bash    eval "$(fastopt completion bash)"       in ~/.bashrc
    zsh     eval "$(fastopt completion zsh)"        in ~/.zshrc
    fish    fastopt completion fish | source        in ~/.config/fish/config.fish
    """
    from click.shell_completion import get_completion_class

    from fastopt.cli import main

    kind = get_completion_class(shell)
    click.echo(kind(main, {}, "fastopt", "_FASTOPT_COMPLETE").source())
