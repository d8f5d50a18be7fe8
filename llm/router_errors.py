"""What clients raise made ours. What a provider wrote is logged at debug, keys masked, and stays there."""

import json
import logging
from collections.abc import Sequence
from typing import Any

from llm.errors import BadModelAnswer, ModelTimeout, StreamCut, classify, sentence
from llm.keys import without_keys
from runtime.errors import MillraceError

_log = logging.getLogger(__name__)
_NOT_FOUND = 404

# In the causes of what LiteLLM raises when the server said 200 and then something unreadable.
_UNREADABLE = ("JSONDecodeError", "ValidationError", "KeyError", "IndexError")
_UNREADABLE_WORDS = (
    *("Empty or invalid response", "is not a list", "Unable to get json response"),
    "a response with no 'choices'",
)


def from_provider(exc: Exception, deployment: str) -> MillraceError:
    """Return our error for what a call to one deployment raised.

    Args:
        exc: what LiteLLM, DSPy's client or our own timeout raised.
        deployment: who was asked.
    """
    if isinstance(exc, MillraceError):
        return exc
    if _log.isEnabledFor(logging.DEBUG):
        said = without_keys(str(exc))[:500]
        _log.debug("deployment %s failed with %s: %s", deployment, type(exc).__name__, said)
    detail: dict[str, Any] = {"deployment": deployment}
    if isinstance(exc, TimeoutError):
        return ModelTimeout(sentence("no answer in time", detail), detail=detail)
    if _unreadable(exc):
        return BadModelAnswer(
            sentence("the server sent an answer that cannot be read", detail), detail=detail
        )
    from dspy.clients.engines.litellm_errors import to_lm15_error
    from dspy.lm15 import InvalidRequestError, UnsupportedModelError

    if getattr(exc, "body", None) is None and (told := _told_in(str(exc))) is not None:
        vars(exc)["body"] = told
    canonical = to_lm15_error(exc)
    if getattr(canonical, "retry_after", None) is None and hasattr(canonical, "retry_after"):
        canonical.retry_after = _retry_after(exc)
    if isinstance(canonical, InvalidRequestError) and canonical.status == _NOT_FOUND:
        # DSPy's client wants to know a code first, and every server has its own; another model may be there.
        canonical = UnsupportedModelError(status=_NOT_FOUND, provider_code=canonical.provider_code)
    name = type(exc).__name__
    return classify(canonical, deployment) or MillraceError(
        f"{name} at the model door", detail={**detail, "type": name}
    )


def cut(error: MillraceError, deployment: str) -> StreamCut:
    """Return the error of a stream that failed after its first piece, whatever made it fail."""
    if isinstance(error, StreamCut):
        return error
    detail = {"deployment": deployment, "because": error.code}
    return StreamCut(sentence("the stream broke off inside the answer", detail), detail=detail)


def worst(failures: Sequence[MillraceError]) -> MillraceError:
    """Return the error that tells most when every deployment of a role failed: one that may heal, if any.

    All attempts are listed in `detail["tried"]`.
    """
    if len(failures) == 1:
        return failures[0]
    healing = [error for error in failures if error.retryable]
    fresh = [error for error in healing if error.code != "model_cooling_down"]
    chosen = (fresh or healing or failures)[0]
    tried = [{"deployment": error.detail.get("deployment"), "code": error.code} for error in failures]
    message = f"all {len(failures)} deployments failed; {chosen.message}"
    return type(chosen)(message, chosen.code, chosen.retryable, {**chosen.detail, "tried": tried})


def _unreadable(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if type(cause).__name__ in _UNREADABLE:
            return True
        if type(exc).__name__ in {"InternalServerError", "APIError"} and any(
            words in str(cause) for words in _UNREADABLE_WORDS
        ):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _told_in(message: str) -> dict[str, Any] | None:
    """Return the error that a provider told as JSON, which LiteLLM's own HTTP client keeps in its message."""
    try:
        told = json.loads(message[message.index("{") :])
    except ValueError:
        return None
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, dict) else None


def _retry_after(exc: Exception) -> float | None:
    """Return the seconds of a Retry-After header; LiteLLM keeps headers in an attribute of its own."""
    from dspy.clients._http import retry_after_seconds

    headers = getattr(exc, "litellm_response_headers", None)
    seconds: float | None = retry_after_seconds(headers.get("retry-after")) if headers is not None else None
    return seconds
