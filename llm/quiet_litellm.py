"""LiteLLM as Millrace needs it: silent, offline, one request for one call. The only file that imports it."""

import logging
import os
import warnings
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

# Warnings inside LiteLLM's calls: by pydantic about its models, by aiohttp about prompts over 1 MB. Where
# warnings are errors (in tests), they break a stream off, so tests that use LiteLLM must ignore them too.
NOISE = (
    r"Accessing the 'model_(computed_)?fields' attribute",
    r"Item '\w+' on TypedDict class",
    r"Sending a large body directly",
)

# Where LiteLLM reads whether to use its own HTTP client for OpenAI's protocol too.
OWN_CLIENT = "EXPERIMENTAL_OPENAI_BASE_LLM_HTTP_HANDLER"

# What LiteLLM does last with an answer: its times, its cost and the provider's headers go beside it.
ADDED = "update_response_metadata"


@cache
def imported() -> Any:
    """Import LiteLLM (seconds, 190 MB) with all off that reaches out, prints or loads files by itself."""
    # Without the first, its import asks the network three times; without the second, it loads a `.env`.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # Its own HTTP client for OpenAI's protocol as for the others: OpenAI's SDK walks through every message of
    # a request once for each type that it could have, which takes 10 ms for 26 of them.
    os.environ.setdefault(OWN_CLIENT, "True")
    import litellm
    import openai.resources  # noqa: F401  else the first call imports it: a second in which the loop stands still
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
    AsyncHTTPHandler.single_connection_post_request = _not_twice
    _leave_unpriced(litellm.utils)
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.expose_router_debug_in_errors = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        # They log prompts, and at error level what the provider said, keys included.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return litellm


async def _not_twice(_handler: Any, **_request: Any) -> NoReturn:
    """Stand in for LiteLLM's second request after a connection that broke.

    Whoever had read the first one may bill it, and the ledger would know of one. What comes next is decided
    where it is written down: another deployment, or another try of the step.
    """
    import httpx

    raise httpx.ReadError("the connection broke")


def _leave_unpriced(utils: Any) -> None:
    """Let LiteLLM add nothing to the answers of our calls, see `unlogged`.

    It prices each by its own map first, a quarter of its time for a call under a profiler; the ledger's
    prices are those of the file and of the catalogue (`llm.prices`).
    """
    from litellm._internal_context import is_internal_call

    add = getattr(utils, ADDED)

    def added(*told: Any, **named: Any) -> None:
        if not is_internal_call.get():
            add(*told, **named)

    setattr(utils, ADDED, added)


@contextmanager
def unlogged() -> "Iterator[None]":
    """Let LiteLLM take a call for a part of one of its own, of which it makes no log record.

    The record (all prompts and answers, costs by its own map) is made for callbacks, of which there are none.
    """
    from litellm._internal_context import is_internal_call

    token = is_internal_call.set(True)
    try:
        yield
    finally:
        is_internal_call.reset(token)
