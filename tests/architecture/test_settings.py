"""`.env.example` and the settings slices: everything that can be set is written down, with its default."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tests.fixtures.project_files import ROOT, slices

EXAMPLE = (ROOT / ".env.example").read_text()
LINES = re.findall(r"^# ?([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE, re.MULTILINE)
# The API asks where Prefect would be; the stack must know whether it was told.
MEANT_TO_DIFFER = "PREFECT_API_URL"
# Set for other programs, or read by no slice of ours.
OF_OTHERS = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PREFECT_API_AUTH_STRING"}


def fields() -> dict[str, FieldInfo]:
    """Return every variable with its field."""
    return {name.upper(): field for each in slices() for name, field in each.model_fields.items()}


def as_written(field: FieldInfo) -> str | None:
    """Return a default as `.env` would hold it; none when it is made at run time."""
    default: Any = field.default
    if default is PydanticUndefined or (isinstance(default, Path) and default.is_relative_to(ROOT)):
        return None
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


def test_every_setting_is_in_the_example_once_and_nothing_else_is():
    """A setting that nobody can find does not exist."""
    written = Counter(name for name, _ in LINES)

    assert sorted(fields().keys() - written.keys()) == [], "missing in .env.example"
    assert sorted(written.keys() - fields().keys() - OF_OTHERS) == [], "set nothing"
    assert [name for name, count in written.items() if count > 1] == []


def test_the_example_shows_each_default():
    """Whoever uncomments a line must change nothing by that alone."""
    for name, value in LINES:
        if name in OF_OTHERS or name == MEANT_TO_DIFFER:
            continue
        default = as_written(fields()[name])
        assert default is None or value == default, f"{name} is {default!r} by default"


def test_every_setting_is_described():
    undescribed = [name for name, field in fields().items() if not field.description]

    assert undescribed == []


def test_settings_of_one_name_in_two_slices_have_one_default():
    """The API's address is read by the API and by whoever looks for it; they must mean the same place."""
    seen: dict[str, tuple[str, Any]] = {}
    for each in slices():
        for name, field in each.model_fields.items():
            owner, default = seen.setdefault(name, (each.__name__, field.default))
            if name.upper() != MEANT_TO_DIFFER:
                assert default == field.default, f"{name} differs between {owner} and {each.__name__}"


def test_the_example_holds_no_value_that_would_take_effect():
    """Copied as it is, it must change nothing and hold no secret."""
    active = [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")]

    assert active == []
