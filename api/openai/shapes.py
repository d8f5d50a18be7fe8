"""What OpenAI's chat API takes and gives, as far as it means something here.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.completion import MAX_MESSAGES, MAX_TOOLS

# They would change what the answer is, and nothing here does it.
REFUSED = ("logprobs", "top_logprobs", "functions", "function_call", "audio", "modalities", "prediction")


class StreamOptions(BaseModel):
    """How a stream ends."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A request. Fields that change nothing here are ignored, so that any client works."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=200)
    messages: list[dict[str, Any]] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    n: Literal[1] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: str | dict[str, Any] | None = None
    metadata: dict[str, str] | None = None

    @model_validator(mode="after")
    def _nothing_that_is_not_done(self) -> Self:
        for name in REFUSED:
            if (self.model_extra or {}).get(name) not in (None, False, [], {}):
                raise ValueError(f"`{name}` is not supported here")
        return self

    @property
    def with_usage(self) -> bool:
        """Whether a stream tells its usage at the end."""
        return self.stream_options is not None and self.stream_options.include_usage


def text_of(message: dict[str, Any]) -> str:
    """Return the text of a message; parts of other kinds have none."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
