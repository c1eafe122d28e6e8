"""fastopt warmup: compile ahead."""

import time

import click

from fastopt.cli import options
from fastopt.engines import choose


@click.command(short_help="Compile the usual kernels ahead.")
@options.backend_option
def warmup(backend):
    """Compile the usual kernels into the disk cache, so that later processes start at once."""
    from rich.console import Console
    from rich.progress import track

    from fastopt.warm import usual_kernels

    if choose.resolve(backend) != "numba":
        click.echo("nothing to compile: the back end is not numba")
        return
    console = Console(stderr=True)
    began, jobs = time.perf_counter(), usual_kernels()
    for _, compile_one in track(jobs, "compiling", console=console, disable=not console.is_terminal):
        compile_one()
    click.echo(f"{len(jobs)} kernels ready in {time.perf_counter() - began:.1f} s")
