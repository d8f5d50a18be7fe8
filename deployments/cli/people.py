"""`millrace user create` and `millrace keys rotate`: what whoever runs the server does without asking it."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from deployments.cli.console import say, say_json

user = typer.Typer(help="People who may sign in.", no_args_is_help=True)
keys = typer.Typer(help="The keys that sign access tokens.", no_args_is_help=True)
# By name: the API and the command line are siblings, neither imports the other.
ADMINISTRATION = "api.auth.administration"


class RoleName(StrEnum):
    """The roles (a test compares them with contracts.people.Role)."""

    VIEWER = "viewer"
    USER = "user"
    OPERATOR = "operator"
    ADMIN = "admin"


@user.command("create")
def create_user(
    email: Annotated[str, typer.Argument(help="Their email address, which they sign in with.")],
    role: Annotated[RoleName, typer.Option(help="What they may do on the whole server.")] = RoleName.USER,
    name: Annotated[str, typer.Option(help="What to call them.")] = "",
    verified: Annotated[
        bool, typer.Option(help="You know that the address is theirs: GitHub may sign them in by it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Let somebody in: so comes the first administrator. The password is asked for, or read from stdin.

    Example: `millrace user create ada@example.org --role admin`
    """
    import asyncio
    from importlib import import_module

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    add_user = import_module(ADMINISTRATION).add_user
    made = asyncio.run(add_user(email, password, role.value, name, email_verified=verified))
    if as_json:
        say_json(made.model_dump(mode="json"))
    else:
        say(f"{made.email} may sign in as {made.role}. Id: {made.id}")


@keys.command("rotate")
def rotate() -> None:
    """Sign access tokens with a new key from now on. Nobody has to sign in again.

    Tokens of the key before are believed until they expire. Replicas read the file anew by themselves.
    """
    from importlib import import_module

    say(f"Access tokens are signed with the key {import_module(ADMINISTRATION).renew_keys()} from now on.")
