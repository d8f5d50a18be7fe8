"""A function of yours that sees each answer before anybody else does (SCREEN_ANSWERS)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module

from runtime.errors import ConfigurationProblem


class Withhold(Exception):
    """Raised by a screen: this answer goes to nobody."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Where a text comes from and whose it is.

    `whole` is false for a passage of an answer that is streamed; the whole answer is screened at its end too.
    """

    owner: str
    pipeline: str
    whole: bool


# Returns the text as it may go out, changed or not.
Screen = Callable[[str, Outgoing], str | Awaitable[str]]


def screen_named(path: str) -> Screen | None:
    """Return the function at a dotted path, `package.module:function`; none for an empty one.

    Raises:
        ConfigurationProblem: `bad_setting`, there is no such function.
    """
    if not path:
        return None
    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not callable(found):
        raise ConfigurationProblem(
            f"SCREEN_ANSWERS: there is no function {path!r}; write `package.module:function`.", "bad_setting"
        )
    return found  # type: ignore[no-any-return]
