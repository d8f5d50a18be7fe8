"""Reading `config/providers.yaml`: every problem at once, each with its line and its remedy."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from llm.keys import key, without_keys
from llm.providers import KEYLESS, OFFLINE, ROLES, Cost, Policies, Provider, Providers
from llm.settings import SHIPPED_PROVIDERS
from runtime.errors import ConfigurationProblem


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change, and where. It does not repeat the value that stands there: it may be a key."""

    line: int
    what: str
    remedy: str


def read_providers(path: Path) -> Providers:
    """Return the checked file. The shipped one may be missing (an installed package): nothing configured.

    Raises:
        ConfigurationProblem: with all problems in the message and as `detail["problems"]`.
    """
    if path == SHIPPED_PROVIDERS and not path.exists():
        return Providers()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise problems_in(
            path, [Problem(1, f"cannot be read ({type(exc).__name__})", "set PROVIDERS_FILE")]
        ) from exc
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        what = f"is not YAML: {getattr(exc, 'problem', None) or 'it cannot be parsed'}"
        line = mark.line + 1 if mark else 1
        raise problems_in(path, [Problem(line, what, "check indentation, colons and quotes")]) from None
    found = [*_repeated(root), *_keys_written_down(root)]
    try:
        providers = Providers.model_validate(data if data is not None else {})
    except ValidationError as exc:
        found += [_wrong(root, dict(error)) for error in exc.errors(include_input=False, include_url=False)]
        raise problems_in(path, found) from None
    found += _unusable(providers, root)
    if found:
        raise problems_in(path, found)
    return providers


def problems_in(path: Path, problems: list[Problem]) -> ConfigurationProblem:
    """Return one error that tells all problems of a file."""
    listed = [
        {"line": one.line, "what": without_keys(one.what), "remedy": without_keys(one.remedy)}
        for one in sorted(problems, key=lambda problem: problem.line)
    ]
    lines = [f"{path}:{one['line']}: {one['what']}. Remedy: {one['remedy']}." for one in listed]
    return ConfigurationProblem("\n".join(lines), code="bad_providers", detail={"problems": listed})


def problem_at(path: Path, where: tuple[Any, ...], what: str, remedy: str) -> ConfigurationProblem:
    """Return an error about one place of a file that was read before."""
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    return problems_in(path, [Problem(line_of(root, where), what, remedy)])


def line_of(root: yaml.Node | None, where: tuple[Any, ...]) -> int:
    """Return the line, from 1, of the deepest part of a path that exists in the document."""
    node, line = root, 1
    for step in where:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _wrong(root: yaml.Node | None, error: dict[str, Any]) -> Problem:
    """Return one of pydantic's findings as a problem, with a remedy that a person can follow."""
    where = tuple(step for step in error["loc"] if step != "[key]")
    name = str(where[-1]) if where else "the file"
    path = ".".join(str(step) for step in where) or "the file"
    line = line_of(root, where)
    if error["type"] == "missing":
        return Problem(line, f"`{path}` is missing", f"add a line `{name}: ...`")
    if error["type"] == "extra_forbidden" or "[key]" in error["loc"]:
        known = list(_known(where[:-1]))
        near = get_close_matches(name, known, 1)
        remedy = f"did you mean `{near[0]}`?" if near else f"use one of {', '.join(known)}"
        return Problem(line, f"`{path}` is not known", remedy.rstrip("?") if near else remedy)
    remedy = _REMEDIES.get(name, "correct the value")
    return Problem(line, f"`{path}` is not valid: {error['msg']}", remedy)


_REMEDIES = {
    "kind": "name a LiteLLM provider such as openai, anthropic, deepseek or ollama, or openai_compatible",
    "key_env": "write the NAME of the environment variable that holds the key, never the key",
    "base_url": "write the address as http(s)://host/v1, without a user or a password",
    "input_per_million": "write US dollars per million tokens with up to four decimals",
    "output_per_million": "write US dollars per million tokens with up to four decimals",
    "cached_input_per_million": "write US dollars per million tokens with up to four decimals",
    "enabled": "write true or false",
    "providers": "write `name:` lines with their settings indented below, or `{}` for none",
}


def _known(where: tuple[Any, ...]) -> Mapping[str, Any]:
    """Return the words that may stand at a place."""
    match where:
        case ():
            return Providers.model_fields
        case ("providers", _):
            return Provider.model_fields
        case ("providers", _, "cost"):
            return Cost.model_fields
        case ("policies",):
            return Policies.model_fields
        case ("routing",):
            return dict.fromkeys(("default", *ROLES))
        case _:
            return {"a name of small letters, digits, `.`, `_` and `-`": None}


def _unusable(providers: Providers, root: yaml.Node | None) -> Iterator[Problem]:
    """Yield what is well-formed and still cannot work."""
    for name, provider in providers.providers.items():
        where = ("providers", name)
        if name == OFFLINE:
            yield Problem(
                line_of(root, where), "`offline` is the built-in model's name", "choose another name"
            )
        if provider.kind == "openai_compatible" and provider.base_url is None:
            yield Problem(
                line_of(root, where), f"`{name}` has no address", "add a line `base_url: http://...`"
            )
        if provider.kind not in KEYLESS and provider.key_env is None:
            what = f"`{name}` names no key"
            yield Problem(
                line_of(root, where), what, "add a line `key_env:` with an environment variable's name"
            )
        elif provider.enabled and provider.key_env and key(provider.key_env) is None:
            what = f"the environment variable {provider.key_env} of `{name}` is not set"
            remedy = f"export {provider.key_env}, put it into .env, or write `enabled: false`"
            yield Problem(line_of(root, (*where, "key_env")), what, remedy)
        for option in provider.options:
            if re.search(r"(?i)key|secret|password|credential|token$", option):
                what = f"`{name}` has the option `{option}`, which looks like a secret"
                remedy = "name an environment variable with `key_env:` instead"
                yield Problem(line_of(root, (*where, "options", option)), what, remedy)
    for role, listed in providers.routing.items():
        yield from _unroutable(providers, role, listed, root)


def _unroutable(
    providers: Providers, role: str, listed: tuple[str, ...], root: yaml.Node | None
) -> Iterator[Problem]:
    if not listed:
        remedy = "remove the line to use `default`, or write [offline]"
        yield Problem(line_of(root, ("routing", role)), f"`routing.{role}` is empty", remedy)
    if OFFLINE in listed and len(listed) > 1:
        # A fallback from a paid model to a toy would hide the outage behind a poor answer.
        remedy = "write [offline] alone, or leave it out"
        yield Problem(
            line_of(root, ("routing", role)), f"`routing.{role}` mixes `offline` with others", remedy
        )
    for index, name in enumerate(listed):
        if name != OFFLINE and name not in providers.providers:
            near = get_close_matches(name, providers.providers, 1)
            remedy = f"did you mean `{near[0]}`" if near else f"add `{name}` under `providers`"
            what = f"`routing.{role}` names `{name}`, which is no provider"
            yield Problem(line_of(root, ("routing", role, index)), what, remedy)


def _repeated(node: yaml.Node | None) -> Iterator[Problem]:
    """Yield keys that stand twice: YAML keeps the last one and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            if name.value in seen:
                what = f"`{name.value}` stands here a second time"
                yield Problem(name.start_mark.line + 1, what, "remove one of the two")
            seen.add(name.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value)


_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:(?:sk|pk|gsk|xai)-|AKIA|AIza|(?:ghp|hf)_)[A-Za-z0-9_-]{12,}")


def _keys_written_down(node: yaml.Node | None) -> Iterator[Problem]:
    """Yield values that look like keys. The value itself is not repeated."""
    if isinstance(node, yaml.ScalarNode) and _LOOKS_LIKE_A_KEY.search(str(node.value)):
        remedy = "put it into an environment variable that `key_env:` names, and replace it: it was on disk"
        yield Problem(node.start_mark.line + 1, "a value looks like a key", remedy)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _keys_written_down(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _keys_written_down(value)
