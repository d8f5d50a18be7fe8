"""Keys are masked in every foreign text."""

import pytest

from llm.keys import without_keys
from runtime import masking
from runtime.masking import remember


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch):
    """What one test reads as a secret is an ordinary word in the next."""
    monkeypatch.setattr(masking, "_known", {})


@pytest.mark.parametrize(
    "text",
    [
        "wrong key: our-own-key-123456!",
        "sent sk-proj-abcDEF123456",
        "Authorization: Bearer abc.def-123456",
        "gsk-123456789",
    ],
)
def test_keys_are_masked_wherever_they_stand(text: str):
    """A provider repeats the key that it got, or somebody else's, in its error."""
    remember("our-own-key-123456")

    assert "123456" not in without_keys(text)
