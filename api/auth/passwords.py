"""Passwords by argon2id (RFC 9106), in two threads: each check takes 64 MiB and a tenth of a second."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from runtime.errors import Unavailable

AT_ONCE = 2
MOST_WAITING = 40
# Of nothing that anybody types; by the parameters of today, so that checking it takes as long.
NOBODY = "no password is this one"


class Passwords:
    """Hashes and checks passwords without holding up the loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")
        self._waiting = 0
        self._nobody: str | None = None
        self.checked = 0

    async def hash(self, password: str) -> str:
        """Return the hash to store, with its parameters and salt in it."""
        return await self._in_thread(password, None)

    async def check(self, stored: str | None, password: str) -> bool:
        """Return whether this is the password; for nobody's (`stored` None) it takes as long, and is not.

        Raises:
            Unavailable: `busy`, too many are waiting to be checked.
        """
        if self._nobody is None:
            self._nobody = await self.hash(NOBODY)
        right = await self._in_thread(password, stored or self._nobody) == "right"
        return right and stored is not None

    def outdated(self, stored: str) -> bool:
        """Return whether a hash was made by weaker parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, password: str, stored: str | None) -> str:
        if self._waiting >= MOST_WAITING:
            raise Unavailable("Too many people are signing in at once.", "busy")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._work, password, stored)
        finally:
            self._waiting -= 1

    def _work(self, password: str, stored: str | None) -> str:
        if stored is None:
            return self._hasher.hash(password)
        self.checked += 1
        try:
            self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return "wrong"
        return "right"
