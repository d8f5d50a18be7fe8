"""Webhooks: what is told to another server when a run has ended, and how the telling went."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

URL_CHARS = 2000


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("an http or https address without a user name and a fragment")
    if parts.port == 0:  # Asking for one that is out of range raises by itself.
        raise ValueError("port 0 is none")
    return url


WebhookUrl = Annotated[
    str, Field(max_length=URL_CHARS, pattern=r"^[\x21-\x7e]+$"), AfterValidator(_web_address)
]


class WebhookStatus(StrEnum):
    """`pending` until the target has answered with 2xx, or every try has failed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(BaseModel):
    """One try to deliver."""

    at: datetime
    ms: float = Field(description="How long the target took.")
    status: int | None = Field(None, description="The HTTP status that it answered with.")
    error: str | None = Field(None, description="Why there was no answer that counts.")


class Webhook(BaseModel):
    """One message about the end of a run."""

    id: UUID = Field(description="Part of the header `webhook-id`: the same in every try.")
    run_id: UUID
    url: str
    status: WebhookStatus
    created_at: datetime
    next_try_at: datetime | None = None
    deliveries: list[Delivery] = Field(description="Every try, oldest first.")
