"""Two states of a program side by side, as people read them."""

import difflib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from contracts.program_states import DEMO_MARKS
from contracts.programs import PredictorDiff, TextChange, Version, VersionDiff

_SHOWN_CHARS = 300
AS_ROUTED = "as the role's route says"


def diff(before: Version, after: Version) -> VersionDiff:
    """Return what changes from one version of a program to another: its texts, its demos, and its model.

    The later one's signature names the fields, whose texts a state holds in order.
    """
    old, new, signature = before.state, after.state, after.signature
    compared = [
        _compared(name, old.get(name), new.get(name), [field.name for field in signature.get(name, [])])
        for name in dict.fromkeys([*old, *new])
    ]
    changed = [one for one in compared if _differs(one)]
    model = None
    if before.deployment != after.deployment:
        model = TextChange(before=before.deployment, after=after.deployment)
    return VersionDiff(
        program=after.program,
        before=before.version,
        after=after.version,
        same=not changed and model is None,
        deployment=model,
        predictors=changed,
        text="\n".join(_lines(before, after, model, changed)),
    )


def _compared(name: str, old: Any, new: Any, fields: list[str]) -> PredictorDiff:
    nothing: Any = {"signature": {"instructions": "", "fields": []}, "demos": []}
    old, new = old or nothing, new or nothing
    texts = {}
    for number, (was, now) in enumerate(zip(_texts(old), _texts(new), strict=False)):
        if was != now:
            texts[fields[number] if number < len(fields) else str(number)] = TextChange(before=was, after=now)
    said = TextChange(before=old["signature"]["instructions"], after=new["signature"]["instructions"])
    added, kept_now = _apart(new["demos"], old["demos"])
    removed, kept_then = _apart(old["demos"], new["demos"])
    had, has = [_key(demo) for demo in old["demos"]], [_key(demo) for demo in new["demos"]]
    return PredictorDiff(
        predictor=name,
        instructions=said if said.before != said.after else None,
        fields=texts,
        demos_added=added,
        demos_removed=removed,
        demos_kept=len(kept_now),
        # Of one that stands there twice and once, either place may be the one that was kept.
        demos_reordered=not (_runs_through(kept_now, had) or _runs_through(kept_then, has)),
    )


def _apart(
    demos: list[dict[str, Any]], others: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the demos that the others lack, or have fewer times, and the keys of those that both have."""
    left = Counter(_key(demo) for demo in others)
    alone, both = [], []
    for demo in demos:
        key = _key(demo)
        if left[key]:
            left[key] -= 1
            both.append(key)
        else:
            alone.append(demo)
    return alone, both


def _runs_through(some: list[str], all_of_them: list[str]) -> bool:
    rest = iter(all_of_them)
    return all(key in rest for key in some)


def _texts(predictor: Any) -> list[str]:
    return [f"{field['prefix']} {field['description']}" for field in predictor["signature"]["fields"]]


def _differs(one: PredictorDiff) -> bool:
    return bool(one.instructions or one.fields or one.demos_added or one.demos_removed or one.demos_reordered)


def _key(demo: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in demo.items() if key not in DEMO_MARKS}, sort_keys=True)


def _lines(
    before: Version, after: Version, model: TextChange | None, changed: list[PredictorDiff]
) -> Iterator[str]:
    yield f"{after.program}: version {before.version} -> version {after.version}"
    if model is not None:
        yield f"model: {model.before or AS_ROUTED} -> {model.after or AS_ROUTED}"
    if not changed:
        yield "They say the same." if model is None else "Instructions and demos are the same."
    for one in changed:
        if one.instructions:
            yield f"{one.predictor}: instructions"
            old, new = one.instructions.before.splitlines(), one.instructions.after.splitlines()
            yield from (f"  {line}" for line in list(difflib.unified_diff(old, new, lineterm="", n=1))[2:])
        for field, text in one.fields.items():
            yield f"{one.predictor}: text of {field}"
            yield from (f"  - {text.before}", f"  + {text.after}")
        if one.demos_added or one.demos_removed:
            counted = f"{len(one.demos_added)} added, {len(one.demos_removed)} removed, {one.demos_kept} kept"
            yield f"{one.predictor}: demos, {counted}{' in another order' if one.demos_reordered else ''}"
            yield from (f"  - {_shown(demo)}" for demo in one.demos_removed)
            yield from (f"  + {_shown(demo)}" for demo in one.demos_added)
        elif one.demos_reordered:
            yield f"{one.predictor}: the same demos in another order"


def _shown(demo: dict[str, Any]) -> str:
    parts = (
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in demo.items()
        if name not in DEMO_MARKS
    )
    line = " | ".join(" ".join(part.split()) for part in parts)
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 1]}…"
