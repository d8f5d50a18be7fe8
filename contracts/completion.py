"""One completion: messages in, the next message out, as OpenAI's chat API has them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_MESSAGES = 2000
MAX_TOOLS = 128
RoleName = Literal["chat", "analyst", "judge", "reflector"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class CompletionParams(BaseModel):
    """What a role of config/providers.yaml is asked. Fields but `role` are OpenAI's, and mean the same."""

    model_config = ConfigDict(extra="forbid")

    role: RoleName = Field("chat", description="Who answers.")
    messages: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MAX_MESSAGES,
        description="Messages of OpenAI's chat completions API.",
        examples=[[{"role": "user", "content": "What does the warm worker do?"}]],
    )
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=10_000_000)
    stop: list[str] = Field(default_factory=list, max_length=16)
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] = Field(default_factory=list, max_length=MAX_TOOLS)
    tool_choice: str | dict[str, Any] | None = None


class CompletionResult(BaseModel):
    """The next message, who gave it, and what it took."""

    text: str | None = Field(None, description="None when the answer is tool calls alone.")
    tool_calls: list[dict[str, Any]] = Field(default_factory=list, description="In OpenAI's shape.")
    finish_reason: FinishReason = "stop"
    models: list[str] = Field(description="The deployments that answered.")
