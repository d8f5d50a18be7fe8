"""The file's routing with what people, experiments and ratings put in its place."""

from collections.abc import Sequence

from contracts.routing import Override
from llm.providers import OFFLINE, Providers, Route


def overridden(providers: Providers, overrides: Sequence[Override]) -> tuple[Providers, list[str]]:
    """Return the file with these overrides, and a sentence for each that cannot hold and is ignored.

    An override takes the place of a role's usual choice; the rules of the file (`when`) still come first.
    """
    routing, problems = dict(providers.routing), []
    enabled = providers.enabled()
    for one in overrides:
        if missing := [name for name in one.names() if name not in enabled]:
            problems.append(
                f"the override of the role {one.role} names {', '.join(missing)}, which is not enabled in"
                " the file; the file's routing holds"
            )
            continue
        route = providers.route(one.role)
        if one.weights:
            routing[one.role] = Route(weights=one.weights, when=route.when)
        else:
            names = dict.fromkeys((*one.ask, *(name for name in route.names() if name != OFFLINE)))
            routing[one.role] = Route(ask=tuple(names), when=route.when)
    return providers.model_copy(update={"routing": routing}), problems
