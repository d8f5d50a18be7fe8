"""Errors that carry a stable code, so that a caller can act without reading the message."""

from typing import Any

from runtime.masking import masked


class MillraceError(Exception):
    """What went wrong, in a sentence that says what to change.

    All data is in `args`, so the error survives pickling (Prefect stores exceptions in states).

    Args:
        message: for people; never holds a prompt or an answer. Known secrets are masked.
        code: stable and machine-readable, `snake_case`; defaults to the class's own.
        retryable: whether the same call may succeed later without a change.
        detail: small JSON-ready facts (a field's name, a limit).
    """

    code = "internal_error"
    retryable = False

    def __init__(
        self,
        message: str,
        code: str | None = None,
        retryable: bool | None = None,
        detail: dict[str, Any] | None = None,
    ) -> None:
        message, detail = masked(message), masked(detail)
        super().__init__(message, code, retryable, detail)
        self.message = message
        self.code = code or type(self).code
        self.retryable = type(self).retryable if retryable is None else retryable
        self.detail = detail or {}

    def __str__(self) -> str:
        return self.message


class BadInput(MillraceError):
    """The request itself cannot be served; sending it again unchanged will not help."""

    code = "bad_input"


class NotAuthenticated(MillraceError):
    """Nobody knows who calls: there is no credential, or it is not good any more."""

    code = "not_authenticated"


class NotAllowed(MillraceError):
    """The caller is known and may not do this."""

    code = "not_allowed"


class TooMany(MillraceError):
    """More than a limit allows; `detail["retry_after"]` tells in how many seconds there is room again."""

    code = "too_many_requests"
    retryable = True


class NotFound(MillraceError):
    """There is no such thing, or it is not the caller's."""

    code = "not_found"


class Conflict(MillraceError):
    """The thing exists but its present state forbids the request."""

    code = "conflict"


class Unavailable(MillraceError):
    """Something that we depend on does not answer now."""

    code = "unavailable"
    retryable = True


class ConfigurationProblem(MillraceError):
    """A setting or a configuration file must be changed before the process can start."""

    code = "bad_configuration"
