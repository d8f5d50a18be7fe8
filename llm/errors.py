"""What can go wrong with a model, in our own words: the one place where foreign errors are translated.

A foreign message is never passed on: it can hold the key (LiteLLM repeats it on a 401), the prompt or the
model's raw answer. Ours say which deployment failed, how, and what can be done. Foreign classes are known by
name, so that this module imports neither dspy nor litellm.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runtime.errors import ConfigurationProblem, MillraceError


class ModelError(MillraceError):
    """A model call ended without a usable answer. `detail["deployment"]` names the one that was asked."""

    code = "model_error"

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the provider wants to be asked again; none when it did not say."""
        seconds = self.detail.get("retry_after")
        return float(seconds) if seconds is not None else None


class ModelUnavailable(ModelError):
    """The model's server failed, did not answer the connection, or is cooling down after failures."""

    code = "model_unavailable"
    retryable = True


class RoleDown(ModelUnavailable):
    """Nobody may be asked for a role now: all rest, are switched off or have spent their money.

    `detail`: `role`, `deployments` (name -> the code why it is not asked) and, when that is known,
    `retry_after`, the seconds until the first of them may be asked. Nothing was sent, and nothing was paid.
    """

    code = "model_role_down"


class ModelRateLimited(ModelError):
    """The provider says that we ask too often; `retry_after` tells when to come back."""

    code = "model_rate_limited"
    retryable = True


class ModelTimeout(ModelError):
    """No answer within the time of `policies` in providers.yaml."""

    code = "model_timeout"
    retryable = True


class StreamCut(ModelError):
    """A streamed answer ended before its end. The part that came is not an answer."""

    code = "stream_cut"
    retryable = True


class BadModelAnswer(ModelError):
    """An answer came, but it is none: broken JSON from the server (retryable), or text that does not fit.

    With the code `unparsable_answer` it is not retryable: the ledger would replay the same text.
    """

    code = "bad_model_answer"
    retryable = True


class ModelRefused(ModelError):
    """The provider refuses this request; it would refuse it again."""

    code = "model_refused"


class ContextTooLong(ModelRefused):
    """The prompt does not fit into the model's context."""

    code = "context_too_long"


class ModelMisconfigured(ModelError):
    """Key, account or model name are not accepted: a person must change the configuration."""

    code = "model_misconfigured"


# Names of the classes of dspy.lm15 (what engines raise) and of dspy.utils.exceptions (what programs raise).
# The first name of an error's class hierarchy that is found here decides.
_KNOWN: dict[str, tuple[type[ModelError], str | None, str]] = {
    "ContextLengthError": (ContextTooLong, None, "the prompt is longer than the model's context"),
    "ContextWindowExceededError": (ContextTooLong, None, "the prompt is longer than the model's context"),
    "AuthError": (
        ModelMisconfigured,
        "model_auth",
        "the key was not accepted, check its variable",
    ),
    "BillingError": (ModelMisconfigured, "model_billing", "the account has no credit or quota left"),
    "UnsupportedModelError": (ModelMisconfigured, "model_unknown", "the provider knows no such model"),
    "ConfigurationError": (ModelMisconfigured, None, "the model is not configured correctly"),
    "RateLimitError": (ModelRateLimited, None, "the provider's rate limit is reached"),
    "TimeoutError": (ModelTimeout, None, "no answer in time"),
    "StreamAssemblyError": (StreamCut, None, "the stream ended before the answer did"),
    "TransportError": (ModelUnavailable, None, "the connection failed"),
    "ServerError": (ModelUnavailable, None, "the model's server failed"),
    "CapabilityError": (ModelRefused, "model_unsupported", "the model cannot do what is asked"),
    "UnsupportedFeatureError": (
        ModelRefused,
        "model_unsupported",
        "the model cannot do what the request asks",
    ),
    "InvalidRequestError": (ModelRefused, None, "the provider does not accept the request"),
    "ProviderError": (ModelUnavailable, None, "the provider answered with an error"),
    "AdapterParseError": (
        BadModelAnswer,
        "unparsable_answer",
        "the answer lacks the expected fields",
    ),
}


def translate(exc: BaseException) -> MillraceError:
    """Return our own error for whatever a DSPy program raised; an error of ours comes back as it is.

    The model door's errors come out of DSPy inside an error of its own (see `carried`), which cannot be
    unpickled. An unknown error becomes `internal_error` with its class name only: its text may be a prompt.
    """
    for error in _chain(exc):
        found = getattr(error, "carried", error)
        if isinstance(found, MillraceError):
            return found
    for error in _chain(exc):
        known = classify(error)
        if known is not None:
            return known
    return MillraceError(f"{type(exc).__name__} in pipeline code", detail={"type": type(exc).__name__})


@contextmanager
def carried() -> Iterator[None]:
    """Let our errors pass through DSPy: as an error of its own that carries ours in an attribute.

    DSPy wraps foreign errors and keeps them as the cause, but `dspy.streamify` raises `from None`, which cuts
    the cause off. Its own errors it passes on as they are, so ours travel in one of those. A prompt that is
    too long travels in the class that DSPy's agents handle by shortening their history.
    """
    try:
        yield
    except MillraceError as error:
        from dspy.utils.exceptions import ContextWindowExceededError, LMError

        kind = ContextWindowExceededError if isinstance(error, ContextTooLong) else LMError
        carrier = kind(message=error.message)
        carrier.carried = error
        raise carrier from error


def classify(exc: BaseException, deployment: str | None = None) -> ModelError | None:
    """Return our error for one of dspy.lm15 or of DSPy; none when the class is not known.

    Args:
        exc: the foreign error. Only its class, status, provider code and retry time are read.
        deployment: who was asked, for the message.
    """
    if type(exc).__module__.split(".")[0] != "dspy":
        return None
    for cls in type(exc).__mro__:
        if (found := _KNOWN.get(cls.__name__.removeprefix("LM"))) is not None:
            kind, code, words = found
            break
    else:
        return None
    detail: dict[str, Any] = {"deployment": deployment} if deployment else {}
    for name in ("status", "retry_after"):
        if (value := getattr(exc, name, None)) is not None:
            detail[name] = value
    provider_code = str(getattr(exc, "provider_code", None) or "")
    if provider_code.isidentifier() and len(provider_code) <= 64:  # noqa: PLR2004  longer is prose, not a code
        detail["provider_code"] = provider_code
    return kind(sentence(words, detail), code=code, retryable=_healing(code, kind), detail=detail)


def sentence(words: str, detail: dict[str, Any]) -> str:
    """Return the message of a model error: who, what, and the machine's own figures."""
    who = f"deployment `{detail['deployment']}`: " if "deployment" in detail else ""
    figures = [f"HTTP {detail['status']}"] if "status" in detail else []
    figures += [detail["provider_code"]] if "provider_code" in detail else []
    figures += [f"try again in {detail['retry_after']:g} s"] if "retry_after" in detail else []
    return f"{who}{words}" + (f" ({', '.join(figures)})" if figures else "")


def elsewhere(error: MillraceError) -> bool:
    """Return whether another deployment may succeed where this one failed."""
    if isinstance(error, ConfigurationProblem):
        return False
    return isinstance(error, ModelError) and (not isinstance(error, ModelRefused) or _other_model_may(error))


def _other_model_may(error: ModelRefused) -> bool:
    return isinstance(error, ContextTooLong) or error.code == "model_unsupported"


def _healing(code: str | None, kind: type[ModelError]) -> bool:
    return kind.retryable and code != "unparsable_answer"


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield the error, what caused it (explicitly: `raise ... from`), and the members of groups."""
    yield exc
    if isinstance(exc, BaseExceptionGroup):
        for member in exc.exceptions:
            yield from _chain(member)
    if exc.__cause__ is not None:
        yield from _chain(exc.__cause__)
