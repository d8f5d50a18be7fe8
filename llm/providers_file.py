"""Reading `config/providers.yaml`: every problem at once, each with its line and its remedy."""

import inspect
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from llm.keys import without_keys
from llm.providers import Providers
from llm.providers_check import keys_missing, unusable
from llm.settings import SHIPPED_PROVIDERS
from llm.yaml_places import Problem, inside_itself, keys_written_down, line_of, repeated
from runtime.errors import ConfigurationProblem
from runtime.secret_store.store import SecretStore, open_secrets

# Where, what, and what to do about it.
Found = tuple[tuple[str | int, ...], str, str]


def read_providers(
    path: Path, secrets: SecretStore | None = None, *, look_for_keys: bool = True
) -> Providers:
    """Return the checked file. The shipped one may be missing (an installed package): nothing configured.

    Args:
        path: the file.
        secrets: where its keys must be; as the settings say when not given. It may block.
        look_for_keys: a key that is not there is a problem.

    Raises:
        ConfigurationProblem: with all problems in the message and as `detail["problems"]`.
        Unavailable: `secrets_unavailable`, nobody can tell whether the keys are there.
    """
    if path == SHIPPED_PROVIDERS and not path.exists():
        return Providers()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        missing = "write it, or set PROVIDERS_FILE to another one"
        remedy = "save it as UTF-8" if isinstance(exc, UnicodeDecodeError) else missing
        raise problems_in(path, [Problem(1, f"cannot be read ({type(exc).__name__})", remedy)]) from exc
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        what = f"is not YAML: {getattr(exc, 'problem', None) or 'it cannot be parsed'}"
        line = mark.line + 1 if mark else 1
        raise problems_in(path, [Problem(line, what, "check indentation, colons and quotes")]) from None
    if (line := inside_itself(root)) is not None:
        remedy = "write it out instead of naming it by `*`"
        raise problems_in(path, [Problem(line, "this part contains itself", remedy)])
    found = [*repeated(root), *keys_written_down(root)]
    try:
        providers = Providers.model_validate(data if data is not None else {})
    except ValidationError as exc:
        found += [_wrong(root, dict(error)) for error in exc.errors(include_input=False, include_url=False)]
        raise problems_in(path, found) from None
    found += unusable(providers, root)
    if look_for_keys:
        found += keys_missing(providers, root, secrets or open_secrets())
    if found:
        raise problems_in(path, found)
    return providers


def keys_wanted(path: Path) -> dict[str, list[str]]:
    """Return the names of the keys that enabled deployments want, each with those deployments.

    Raises:
        ConfigurationProblem: the file has problems besides missing keys.
    """
    wanted: dict[str, list[str]] = {}
    for name, provider in read_providers(path, look_for_keys=False).enabled().items():
        if provider.key_name is not None:
            wanted.setdefault(provider.key_name, []).append(name)
    return wanted


def problems_in(path: Path, problems: list[Problem]) -> ConfigurationProblem:
    """Return one error that tells all problems of a file."""
    listed = [
        {"line": one.line, "what": without_keys(one.what), "remedy": without_keys(one.remedy)}
        for one in sorted(problems, key=lambda problem: problem.line)
    ]
    lines = [f"{path}:{one['line']}: {one['what']}. Remedy: {one['remedy']}." for one in listed]
    return ConfigurationProblem("\n".join(lines), code="bad_providers", detail={"problems": listed})


def problems_at(path: Path, found: Sequence[Found]) -> ConfigurationProblem:
    """Return one error about places of a file that was read before."""
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    return problems_in(path, [Problem(line_of(root, where), what, remedy) for where, what, remedy in found])


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
    word = next((step for step in reversed(where) if isinstance(step, str)), "")
    known_word = word != "kind" or where[:1] == ("providers",)
    remedy = (_REMEDIES.get(word) if known_word else None) or _to_write(where, error)
    return Problem(line, f"`{path}` is not valid: {error['msg']}", remedy)


def _to_write(where: tuple[Any, ...], error: dict[str, Any]) -> str:
    """Return what to write instead, by what kind of value is wanted."""
    told, context = str(error["type"]), error.get("ctx", {})
    if where[:1] == ("routing",) and len(where) == 2:  # noqa: PLR2004  the route itself
        return f"write the deployments in the order of asking, such as `{where[-1]}: [gpt, claude]`"
    if told == "literal_error":
        return f"write one of {context['expected']}"
    if bounds := [f"{_BOUNDS[name]} {context[name]}" for name in _BOUNDS if name in context]:
        return f"write a value {' and '.join(bounds)}"
    if told == "value_error":
        return "correct one of the two"
    return next((words for kind, words in _KINDS.items() if told.startswith(kind)), "write another value")


_BOUNDS = {
    "gt": "above",
    "ge": "of at least",
    "lt": "below",
    "le": "of at most",
    "min_length": "of a length of at least",
    "max_length": "of a length of at most",
    "max_digits": "with as many digits at most as",
    "decimal_places": "with as many decimals at most as",
}
# What pydantic's errors begin with, by the kind of value that they want.
_KINDS = {
    "int": "write a whole number, such as 10",
    "float": "write a number, such as 2.5",
    "finite": "write a number, such as 2.5",
    "decimal": "write a number, such as 2.5",
    "bool": "write true or false",
    "string": "write a text, in quotes if it looks like a number",
    "tuple": "write a list, such as [a, b]",
    "list": "write a list, such as [a, b]",
    "dict": "write `name: value` lines indented below, or `{}` for none",
    "model": "write `name: value` lines indented below, or leave the line out",
}
_REMEDIES = {
    "kind": "name a LiteLLM provider such as openai, anthropic, deepseek or ollama, or openai_compatible",
    "key_name": "write the NAME of the secret that holds the key, such as OPENAI_API_KEY, never the key",
    "base_url": "write the address as http(s)://host/v1, without a user or a password",
    "input_per_million": "write US dollars per million tokens with up to four decimals",
    "output_per_million": "write US dollars per million tokens with up to four decimals",
    "cached_input_per_million": "write US dollars per million tokens with up to four decimals",
    "enabled": "write true or false",
    "mode": "write shadow (only tells what it would do) or answer",
    "similarity": "write the least cosine of two questions, from 0.5 to 1, such as 0.95",
    "entries": "write how many questions per owner are compared, from 1 to 100000",
    "review_share": "write a share from 0 to 1, such as 0.1",
    "review_usd_per_day": "write US dollars with up to four decimals",
    "language": "write two letters such as de, or a list of them",
    "routing": "write `role: [names in the order of asking]`",
    "providers": "write `name:` lines with their settings indented below, or `{}` for none",
}


def _known(where: tuple[Any, ...]) -> list[str]:
    """Return the words that may stand at a place, as the models of the file say."""
    kind: Any = Providers
    for step in where:
        kind = _inside(kind, step)
    kind = _part(kind)
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return list(kind.model_fields)
    if get_origin(kind) is dict and get_origin(get_args(kind)[0]) is Literal:
        return [str(each) for each in get_args(get_args(kind)[0])]
    return ["a name of small letters, digits, `.`, `_` and `-`"]


def _inside(kind: Any, step: Any) -> Any:
    """Return what a model, a mapping or a list of the file holds at a step."""
    kind = _part(kind)
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return kind.model_fields[step].annotation if step in kind.model_fields else kind
    arguments = get_args(kind)
    return arguments[1 if get_origin(kind) is dict else 0] if arguments else kind


def _part(kind: Any) -> Any:
    """Return the model of one that may be missing (`Cost | None`)."""
    if get_origin(kind) not in {Union, UnionType}:
        return kind
    return next(each for each in get_args(kind) if each is not type(None))
