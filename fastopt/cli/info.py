"""fastopt info: what this machine offers and what is used of it."""

import click

from fastopt.cli import options
from fastopt.info import show_info


@click.command(short_help="Versions, CPU features, threads, the cache.")
@click.option("--kernels", is_flag=True, help="Name each compiled kernel of the cache.")
@options.json_option
def info(kernels, as_json):
    """Show versions, CPU features, threads, the cache, and how many kernels are compiled."""
    show_info(as_json=as_json, kernels=kernels)
