"""How every list is asked for: a page at a time, by a cursor that callers pass back and do not read."""

from typing import Annotated

from fastapi import Query

from database.pages import MAX_PAGE

Cursor = Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many items at most.")]
NEXT_CURSOR = "Send it as `cursor` to get the next page; null on the last."
