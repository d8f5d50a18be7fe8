"""All subcommands under one name."""

import typer

from deployments.cli.demo import demo
from deployments.cli.processes import api, migrate, worker
from deployments.cli.run import run
from deployments.cli.status import status
from deployments.cli.up import up

app = typer.Typer(
    name="millrace",
    help="LLM agent pipelines that can be left alone.\n\n"
    "Start with `millrace demo` (everything once, about a minute), or with `millrace up` (everything, until"
    " Ctrl-C) and then `millrace run`. Settings are environment variables or lines of `.env`;"
    " `.env.example` lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (up, demo, run, status, api, worker, migrate):
    app.command()(command)
