"""`millrace providers` and `millrace models`: what the file says, and what holds at present."""

from pathlib import Path
from typing import Annotated, Any

import typer

providers = typer.Typer(
    name="providers", help="Look at `config/providers.yaml` (PROVIDERS_FILE).", no_args_is_help=True
)

models = typer.Typer(name="models", help="The models that may be asked, and who answers a role.")
Role = Annotated[str, typer.Argument(help="`chat`, `analyst`, `judge` or `reflector`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@models.callback(invoke_without_command=True)
def show(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List models with their roles, prices and state, and routing that is not the file's."""
    if context.invoked_subcommand is not None:
        return
    from rich.table import Table

    from deployments.cli.console import out, say, say_json
    from deployments.cli.programs import asked

    found = asked(lambda api: api.get("/models"))
    found["overrides"] = asked(lambda api: api.get("/routing"))["items"]
    if as_json:
        say_json(found)
        return
    table = Table("model", "is", "roles", "in $/M", "out $/M", "state", box=None, pad_edge=False)
    for one in found["items"]:
        prices = (str(one[f"{side}_per_million"] or "unknown") for side in ("input", "output"))
        table.add_row(
            *(one["name"], f"{one['kind']}/{one['model']}", ", ".join(one["roles"])), *prices, _state(one)
        )
    out().print(table)
    for one in found["overrides"]:
        say(f"{one['role']}: {_order(one)} instead of the file's, by {one['set_by']} ({one['source']})")
        if one["problem"]:
            say(f"  ignored: {one['problem']}")


@models.command()
def override(
    role: Role,
    deployments: Annotated[list[str], typer.Argument(help="In this order, or all with weights: `gpt=3`.")],
    *,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Stands in the audit log.")] = "",
) -> None:
    """Let other deployments answer a role; `restore` takes it back.

    Example: `millrace models override chat claude`
    """
    from deployments.cli.console import say
    from deployments.cli.programs import asked
    from runtime.errors import BadInput

    pairs = [each.partition("=") for each in deployments]
    sent: dict[str, Any] = {"ask": deployments}
    if any(mark for _, mark, _ in pairs):
        if not all(weight.isdigit() for _, _, weight in pairs):
            raise BadInput("Give every deployment a whole weight, or none: `gpt=3 claude=1`.", "bad_weights")
        sent = {"weights": {name: int(weight) for name, _, weight in pairs}}
    holds = asked(lambda api: api.put(f"/routing/{role}", {**sent, "reason": reason}))
    say(f"{role}: {_order(holds)}")


@models.command()
def restore(role: Role) -> None:
    """Let the file say again who answers a role."""
    from deployments.cli.console import say
    from deployments.cli.programs import asked

    asked(lambda api: api.delete(f"/routing/{role}"))
    say(f"{role}: as config/providers.yaml says")


def _state(model: dict[str, Any]) -> str:
    if not model["configured"]:
        return "not in the file"
    return "on" if model["enabled"] else "switched off"


def _order(override: dict[str, Any]) -> str:
    weights = [f"{name}={weight}" for name, weight in override["weights"].items()]
    return ", ".join(override["ask"] or weights)


@providers.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="Another file to check.", show_default="PROVIDERS_FILE")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    keys: Annotated[bool, typer.Option(help="Also look whether the keys are there.")] = True,
) -> None:
    """Tell every problem of the file with its line and its remedy; exit with 1 when there is one.

    Example: `millrace providers check config/providers.yaml`
    """
    from deployments.cli.console import say, say_json
    from llm.door import checked
    from llm.providers import ROLES
    from llm.settings import LlmSettings
    from runtime.errors import ConfigurationProblem

    path = file or LlmSettings().providers_file
    try:
        found = checked(path, look_for_keys=keys)
    except ConfigurationProblem as error:
        problems = error.detail.get("problems", [])
        if as_json:
            say_json({"file": str(path), "problems": problems})
        else:
            say(error.message)
        raise typer.Exit(1) from None
    roles = {role: list(found.chain(role)) for role in ROLES}
    if as_json:
        say_json({"file": str(path), "problems": [], "roles": roles})
        return
    say(f"{path} can be used.")
    for role, names in roles.items():
        say(f"  {role:10} {', '.join(names)}")
