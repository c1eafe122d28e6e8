"""fastopt bench: this machine's figures."""

import json
from pathlib import Path

import click

from fastopt.bench import GROUPS
from fastopt.cli import options


@click.command(short_help="Measure fastopt against NumPy and peers.")
@click.option("--quick", is_flag=True, help="The essential part, in under two minutes.")
@click.option("--only", type=click.Choice(GROUPS), multiple=True, help="A group; may be given several times.")
@options.json_option
@options.out_option("Keep the record in this JSON file.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), callback=options.in_a_directory,
              help="Write a page with pictures.")  # fmt: skip
def bench(quick, only, as_json, out, html):
    """Measure fastopt against NumPy, peers that are installed, and this machine's limits."""
    from rich.console import Console

    from fastopt.bench import page, suite, tables

    if quick and set(only) == {"scaling"}:
        raise click.UsageError("scaling is not part of --quick: leave one of them out")
    console = Console(stderr=True)
    with console.status("measuring") as status:
        record = suite.run(
            quick, lambda done, total, what: status.update(f"{done}/{total} {what}"), only or GROUPS
        )
    if out is not None:
        out.write_text(json.dumps(options.plain(record), indent=1, allow_nan=False) + "\n")
    if html is not None:
        page.write(record, html)
    options.echo_json(record) if as_json else tables.print_record(record, Console())
