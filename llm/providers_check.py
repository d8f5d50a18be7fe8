"""What is well-formed in providers.yaml and still cannot work."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

import yaml

from llm.providers import EMBEDDER, KEYLESS, OFFLINE, OPENAI_COMPATIBLE, Choice, Provider, Providers
from llm.yaml_places import Problem, line_of, line_of_word
from runtime.secret_store.store import SecretStore


def keys_missing(providers: Providers, root: yaml.Node | None, secrets: SecretStore) -> Iterator[Problem]:
    """Yield the keys of enabled deployments that are not there; asks the store for each."""
    for name, provider in providers.enabled().items():
        if provider.key_name and secrets.get_now(provider.key_name) is None:
            what = f"the key {provider.key_name} of `{name}` is not set"
            remedy = f"{secrets.remedy(provider.key_name)}, or write `enabled: false`"
            yield Problem(line_of(root, ("providers", name, "key_name")), what, remedy)


def unusable(providers: Providers, root: yaml.Node | None) -> Iterator[Problem]:
    """Yield what is well-formed and still cannot work."""
    for name, provider in providers.providers.items():
        yield from _unusable_provider(providers, name, provider, root)
    for role, route in providers.routing.items():
        yield from _unroutable(providers, ("routing", str(role)), route, root)
        if OFFLINE in route.names() and route.when:
            yield _mixed(root, ("routing", str(role)))
        for number, rule in enumerate(route.when):
            at = ("routing", str(role), "when", number)
            yield from _unroutable(providers, at, rule, root)
            if OFFLINE in rule.names():
                yield _mixed(root, at)
            if not (rule.task or rule.language or rule.longer_than is not None or rule.shorter_than):
                remedy = "say `task`, `language`, `longer_than` or `shorter_than`, or remove the rule"
                yield Problem(line_of(root, at), f"rule {number + 1} of `{role}` holds always", remedy)

    yield from _unsearchable(providers, root)


def _unsearchable(providers: Providers, root: yaml.Node | None) -> Iterator[Problem]:
    """Yield what keeps answers from being found by what their questions mean."""
    route = providers.route(EMBEDDER)
    if len(route.names()) > 1 or route.when:
        what = "the role `embedder` has several deployments, and their vectors cannot be compared"
        yield Problem(line_of(root, ("routing", EMBEDDER)), what, "name one, such as `embedder: [small]`")
    for name in route.names()[:1]:
        if (told := providers.providers.get(name)) and name in providers.route("default").names():
            what = f"`{name}` makes vectors ({told.model}) and stands in `routing.default`, which answers"
            yield Problem(line_of_word(root, ("routing", "default"), name), what, "remove it there")
    for role in providers.cache.semantic:
        if providers.cache.exact.get(role) == "never":
            what = f"`cache.semantic.{role}` has no effect, because `cache.exact` says never"
            remedy = f"write `{role}: always` there, or remove one of the two"
            yield Problem(line_of(root, ("cache", "semantic", role)), what, remedy)


def _unusable_provider(
    providers: Providers, name: str, provider: Provider, root: yaml.Node | None
) -> Iterator[Problem]:
    where = ("providers", name)
    if name == OFFLINE:
        what = "`offline` is the built-in model's name"
        yield Problem(line_of(root, where), what, "choose another name")
    if provider.kind == OPENAI_COMPATIBLE and provider.base_url is None:
        remedy = "add a line `base_url: http://...`"
        yield Problem(line_of(root, where), f"`{name}` has no address", remedy)
    if provider.kind not in KEYLESS and provider.key_name is None:
        what = f"`{name}` names no key"
        yield Problem(line_of(root, where), what, "add a line `key_name:` with the name of a secret")
    for option in provider.options:
        if re.search(r"(?i)key|secret|password|credential|token$", option):
            what = f"`{name}` has the option `{option}`, which looks like a secret"
            remedy = "name a secret with `key_name:` instead"
            yield Problem(line_of(root, (*where, "options", option)), what, remedy)
    if (profile := provider.cost_profile) and profile not in providers.costs:
        near = get_close_matches(profile, providers.costs, 1)
        remedy = f"did you mean `{near[0]}`" if near else "add it under `costs`, or write `cost:` here"
        what = f"`{name}` has the cost profile `{profile}`, which is not there"
        yield Problem(line_of(root, (*where, "cost_profile")), what, remedy)
    if profile and provider.cost is not None:
        line = line_of(root, (*where, "cost_profile"))
        yield Problem(line, f"`{name}` has both `cost` and `cost_profile`", "keep one of the two")


def _unroutable(
    providers: Providers, where: tuple[str | int, ...], choice: Choice, root: yaml.Node | None
) -> Iterator[Problem]:
    """Yield what is wrong with whom a role or one of its rules asks."""
    path = ".".join(str(step) for step in where)
    listed, line = choice.names(), line_of(root, where)
    if choice.ask and choice.weights:
        yield Problem(line, f"`{path}` has both `ask` and `weights`", "keep one of the two")
    if not listed:
        remedy = "remove the line to use `default`, or write [offline]"
        yield Problem(line, f"`{path}` is empty", remedy)
    if OFFLINE in listed and len(listed) > 1:
        yield _mixed(root, where)
    for name in listed:
        if name != OFFLINE and name not in providers.providers:
            near = get_close_matches(name, providers.providers, 1)
            remedy = f"did you mean `{near[0]}`" if near else f"add `{name}` under `providers`"
            at = line_of_word(root, where, name)
            yield Problem(at, f"`{path}` names `{name}`, which is no provider", remedy)


def _mixed(root: yaml.Node | None, where: tuple[str | int, ...]) -> Problem:
    # A fallback from a paid model to a toy would hide the outage behind a poor answer.
    what = f"`{'.'.join(str(step) for step in where)}` mixes `offline` with others"
    return Problem(line_of(root, where), what, "write [offline] alone, or leave it out")
