"""All subcommands under one name."""

import typer

from deployments.cli.approvals import approvals, approve, reject
from deployments.cli.arena import arena
from deployments.cli.budgets import budget, budgets
from deployments.cli.cache import cache
from deployments.cli.canary import canary
from deployments.cli.control import cancel, fork, retry
from deployments.cli.demo import demo
from deployments.cli.evaluate import evaluate
from deployments.cli.examples import examples
from deployments.cli.experiments import experiments
from deployments.cli.models import models, providers
from deployments.cli.optimize import optimize
from deployments.cli.people import keys, user
from deployments.cli.policies import policy, trace
from deployments.cli.processes import api, migrate, worker
from deployments.cli.programs import programs
from deployments.cli.receipt import receipt
from deployments.cli.recommendations import recommendations
from deployments.cli.recompile import recompile
from deployments.cli.resume import resume
from deployments.cli.run import run
from deployments.cli.secret_names import secrets
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
for command in (
    *(
        up,
        demo,
        run,
        status,
        cancel,
        retry,
        fork,
        receipt,
        resume,
        approvals,
        approve,
        reject,
        budgets,
        cache,
    ),
    *(evaluate, optimize, recompile, api, worker, migrate, secrets),
):
    app.command()(command)
programs.command()(policy)
programs.command()(trace)
app.add_typer(budget, name="budget")
app.add_typer(user, name="user")
app.add_typer(keys, name="keys")
programs.command()(canary)
app.add_typer(programs, name="programs")
app.add_typer(recommendations, name="recommendations")
app.add_typer(providers)
app.add_typer(models)
app.add_typer(examples, name="examples")
app.add_typer(experiments, name="experiments")
app.add_typer(arena, name="arena")
