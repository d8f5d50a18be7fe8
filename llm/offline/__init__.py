"""A model without weights: it learns from the demos in its prompt, quotes, answers from what is given.

It stands in for providers when none is configured, so that everything runs with no key. It is honest
(`backend.ABOUT` is in every answer's metadata), deterministic, and really gets better with better prompts,
so that evaluation and optimization show real differences.

From request to answer: `prompt` reads the request, `reading` understands its inputs, `filling` finds a
value for each field (`classify`, `answer`, `judge`, `propose`, `agent`, `numbers`, `texts`), and `notation`
writes them down as the prompt asked.
"""

from llm.offline.backend import OfflineBackend, answered, pieces

__all__ = ["OfflineBackend", "answered", "pieces"]
