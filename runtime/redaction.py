"""What a log line must not hold: secrets at no level, prompts and answers not at info and above."""

import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from structlog.typing import EventDict, ExcInfo, WrappedLogger

from runtime.masking import GONE, masked

SECRET = re.compile(
    r"(^|[_-])(api_?key|authorization|cookie|credentials?|passw(or)?d|private_key|secret|token)$",
    re.IGNORECASE,
)
WORDS = re.compile(
    r"(^|[_-])(answer|completion|content|context|messages|output|prompt|question|quote|reply"
    r"|request_body|response|text)$",
    re.IGNORECASE,
)
# Also where a library writes them into its message: passwords in URLs, bearer tokens, provider keys.
IN_TEXT = re.compile(r"(?<=://)([^\s:/@]*):[^\s@/]+(?=@)|(?i:\bbearer\s+)[\w.~+/=-]{8,}|\bsk-[\w-]{8,}")
# Their messages quote what the model answered or what a person sent.
QUOTING = ("dspy", "litellm", "openai", "pydantic_core", "json.decoder")
DEEPEST_CAUSE = 10


def redact(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Take secrets out of a log event; above debug level prompts and answers too."""
    debug = event.get("level", method) == "debug"
    hidden = (SECRET,) if debug else (SECRET, WORDS)
    return {key: _clean(key, value, hidden) for key, value in event.items()}


def told_safely(exc_info: ExcInfo) -> str:
    """Write an exception with its causes and its stack, without locals and without quoted answers."""
    return "\n".join(_lines(exc_info[1], exc_info[2]))


class WithoutSecrets(logging.Filter):
    """For handlers that are not ours (Prefect's, which sends lines to its server): masks what they format."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take known secrets out of the message, and tell an exception as safely as our own log does."""
        record.msg, record.args = IN_TEXT.sub(GONE, masked(record.getMessage())), None
        if record.exc_info and record.exc_info[0] is not None:
            # A formatter takes the text that is there already.
            record.exc_text = IN_TEXT.sub(GONE, masked(told_safely(record.exc_info)))
        return True


def _clean(key: str, value: Any, hidden: tuple[re.Pattern[str], ...]) -> Any:
    if value is not None and any(pattern.search(key) for pattern in hidden):
        return GONE
    if isinstance(value, str):
        return IN_TEXT.sub(GONE, masked(value))
    if isinstance(value, Mapping):
        return {name: _clean(str(name), inner, hidden) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean("", inner, hidden) for inner in value]
    return value


def _lines(error: BaseException, stack: TracebackType | None, depth: int = 0) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None and depth < DEEPEST_CAUSE:
        yield from _lines(cause, cause.__traceback__, depth + 1)
        yield "which led to:"
    yield from (line.rstrip("\n") for line in traceback.format_tb(stack))
    kind = type(error)
    quoting = kind.__module__.startswith(QUOTING)
    yield f"{kind.__module__}.{kind.__qualname__}: {'(message withheld)' if quoting else error}"
    if isinstance(error, BaseExceptionGroup) and depth < DEEPEST_CAUSE:
        for inner in error.exceptions:
            yield "with:"
            yield from _lines(inner, inner.__traceback__, depth + 1)
