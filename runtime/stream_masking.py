"""Known secrets are taken out of a text that comes in pieces, also where a piece ends inside of one."""

from runtime.masking import masked, uncertain_from


class StreamMask:
    """One text, fed in pieces of any size. Together the returned pieces are the masked text.

    Only what could be the beginning of a known secret is held back, so other text passes at once.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return the text that is certain now."""
        text = self._held + piece
        certain = uncertain_from(text)
        self._held = text[certain:]
        return str(masked(text[:certain]))

    def rest(self) -> str:
        """Return what was held back, for the text has ended."""
        held, self._held = self._held, ""
        return str(masked(held))
