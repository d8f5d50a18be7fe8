"""`millrace programs policy` and `trace`: what may happen by itself, and where an answer comes from."""

from typing import Annotated, Any
from uuid import UUID

import typer

from deployments.cli.programs import AsJson, Name, asked


def policy(
    name: Name,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SETTING=VALUE]...", help="What to change, e.g. `mode=auto_low_risk`."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show what may happen to a program by itself, or change it.

    Examples:
    - `millrace programs policy support.sort`
    - `millrace programs policy support.sort mode=auto_low_risk minimum_improvement=0.02`
    """
    from deployments.cli.console import say, say_json

    found = asked(lambda api: api.get(f"/programs/{name}/policy"))
    if settings:
        for each in settings:
            _put(found, each)
        sent = found
        found = asked(lambda api: api.put(f"/programs/{name}/policy", sent))
    if as_json:
        say_json(found)
    else:
        say("\n".join(_lines(found)))


def trace(
    run: Annotated[UUID, typer.Argument(help="Whose answer it is; a message names its run.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Trace an answer to its version, the run that made it, its examples, and their feedback."""
    from deployments.cli.console import say, say_json

    found = asked(lambda api: api.get(f"/runs/{run}/lineage"))
    if as_json:
        say_json(found)
        return
    say(f"run {found['run_id']} ({found['pipeline']})")
    for one in found["versions"]:
        _tell(one)


def _tell(lineage: dict[str, Any]) -> None:
    from deployments.cli.console import say

    version, made = lineage["version"], lineage["made_by"]
    say(f"  {version['program']} version {version['version']} ({version['origin']}, {version['status']})")
    for parent in lineage["ancestors"]:
        say(f"    from version {parent['version']} ({parent['origin']})")
    if made is not None:
        who = made["started_by"] or "a schedule"
        say(f"    made by run {made['id']} ({made['pipeline']}), started by {who}")
    if version["imported_by"] is not None:
        say(f"    imported by {version['imported_by']}")
    counts = lineage["examples"]
    if any(counts.values()):
        say("    with " + ", ".join(f"{number} {split}" for split, number in counts.items()) + " examples")
    for example in lineage["learned_from"]:
        if (feedback := example["feedback"]) is not None:
            thought = feedback["comment"] or feedback["label"] or feedback["score"] or "a correction"
            say(f"      example {example['id']}: feedback on run {feedback['run_id']}: {thought}")
    for said in lineage["recommendations"]:
        say(f"    recommendation {said['id']}: {said['status']} by {said['decided_by'] or 'nobody yet'}")


def _lines(settings: dict[str, Any], above: str = "") -> list[str]:
    """Return settings as they are written here, those inside of others behind a dot."""
    found = []
    for name, value in settings.items():
        if isinstance(value, dict):
            found += _lines(value, f"{above}{name}.")
        else:
            found.append(f"{above}{name}={'' if value is None else str(value).lower()}")
    return found


def _put(settings: dict[str, Any], text: str) -> None:
    from runtime.errors import BadInput

    path, equals, value = text.partition("=")
    *above, name = path.split(".")
    for each in above:
        settings = settings.get(each, {})
    if not equals or name not in settings:
        raise BadInput(f"Write SETTING=VALUE with a setting of the policy, not {text!r}.", "bad_param")
    settings[name] = {"true": True, "false": False, "": None}.get(value, value)
