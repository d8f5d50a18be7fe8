"""A run's parameters, from a file and from `name=value` pairs."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from runtime.errors import BadInput


def read_params(pairs: Iterable[str], file: Path | None) -> dict[str, Any]:
    """Return parameters; pairs win over the file, and a value that is JSON is taken as that.

    Raises:
        BadInput: a pair without `=`, or a file that holds no mapping.
    """
    params = _from_file(file) if file else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise BadInput(f"--param takes NAME=VALUE, not {pair!r}.", code="bad_param")
        params[name] = _value(value)
    return params


def _value(text: str) -> Any:
    """`3`, `true`, `[…]`, `{…}` and `"…"` are JSON; anything else is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _from_file(file: Path) -> dict[str, Any]:
    import yaml

    try:
        # JSON is YAML.
        params = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise BadInput(f"{file} is neither JSON nor YAML: {problem}", code="bad_params_file") from None
    if not isinstance(params, dict):
        raise BadInput(f"{file} must hold names with values.", code="bad_params_file")
    return params
