"""Scores as models write them: 0.8, 8, 80, `80 %` and `8/10` all mean the same."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_PERCENT = 100
_OF_TEN = 10
_OVERDONE = 2  # 1.2 is an overdone 1; from 2 on another scale was meant
_WRITTEN = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(?:(%)|/\s*(\d+(?:\.\d+)?))?")


def unit_score(value: Any) -> Any:
    """Return a score as a number from 0 to 1 where it can be read as one, and the value itself otherwise."""
    if isinstance(value, str):
        found = _WRITTEN.match(value)
        if not found:
            return value
        value = float(found[1])
        if found[2]:
            value /= _PERCENT
        elif found[3] and float(found[3]):
            value /= float(found[3])
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value >= _OVERDONE:
            value = value / (_OF_TEN if value <= _OF_TEN else _PERCENT)
        return min(1.0, max(0.0, float(value)))
    return value


# In a description the bounds tell the model what to write; the validator repairs what it wrote instead.
Score = Annotated[float, BeforeValidator(unit_score), Field(ge=0, le=1)]
