"""Kept questions in memory, by owner and role: what the guard lets pass is compared by its vector.

Two questions may share an answer when their scope and their plain form are the same, so both are one number
here (64 bits of a SHA-256; the guard is asked again about what is found). Only rows with that number are
compared, and the search costs a look over 10,000 numbers instead of 10,000 vectors.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from contracts.cache import KeptQuestion
from llm.semantic.guard import form, same
from llm.semantic.vectors import BYTES, read

if TYPE_CHECKING:
    from datetime import datetime

# Vectors of all shelves of a process; the one that was used longest ago is dropped until it is needed.
MOST_BYTES = 256 * 1024 * 1024
_FIRST_ROWS = 64


class Shelf:
    """The questions of one owner and role, at most `capacity`; the longest unused makes room.

    Args:
        capacity: rows.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # Until when the store was read; none before the first time.
        self.heard_at: datetime | None = None
        self._questions: list[KeptQuestion] = []
        self._rows: dict[str, int] = {}
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._marks = self._scopes = self._used = np.zeros(0, dtype=np.int64)
        self._clock = 0

    def __len__(self) -> int:
        return len(self._questions)

    @property
    def size(self) -> int:
        """The bytes of the vectors."""
        return int(self._vectors.nbytes)

    def add(self, question: KeptQuestion) -> None:
        """Put a question here; vectors of another length than the last one's come from another embedder."""
        vector = read(question.vector)
        if vector.size != self._vectors.shape[1]:
            self._clear(vector.size)
        if (row := self._rows.get(question.key)) is None:
            if len(self._questions) < self.capacity:
                row = len(self._questions)
                self._grow(row + 1)
                self._questions.append(question)
            else:
                row = int(self._used.argmin())
                del self._rows[self._questions[row].key]
            self._rows[question.key] = row
        self._questions[row] = question
        self._vectors[row] = vector
        self._marks[row] = mark(question.scope, question.text)
        self._scopes[row] = _number(question.scope)
        self._touch(row)

    def hear(self, questions: Iterable[KeptQuestion]) -> None:
        """Put questions here that others kept, oldest first; those that are here stay as they are.

        Vectors of another length than the newest one's come from another embedder, and are left out.
        """
        new = [question for question in questions if question.key not in self._rows]
        length = self._vectors.shape[1] * BYTES if self._questions else len(new[-1].vector) if new else 0
        for question in new:
            if len(question.vector) == length:
                self.add(question)

    def remove(self, key: str) -> None:
        """Take a question away; the last one takes its place."""
        if (row := self._rows.pop(key, None)) is None:
            return
        last = len(self._questions) - 1
        if row != last:
            moved = self._questions[last]
            self._questions[row], self._rows[moved.key] = moved, row
            for column in (self._vectors, self._marks, self._scopes, self._used):
                column[row] = column[last]
        self._questions.pop()

    def likely(self, scope: str, text: str) -> bool:
        """Return whether a question here may share its answer, so that a vector is worth its price."""
        return bool(self._allowed(scope, text).size)

    def nearest(self, scope: str, text: str, vector: bytes) -> tuple[KeptQuestion, float] | None:
        """Return the nearest question that may share its answer, and their cosine."""
        asked, rows = read(vector), self._allowed(scope, text)
        if not rows.size or asked.size != self._vectors.shape[1]:
            return None
        alike = self._vectors[rows] @ asked
        best = int(alike.argmax())
        row = int(rows[best])
        if not same(text, self._questions[row].text):
            return None
        self._touch(row)
        return self._questions[row], float(alike[best])

    def nearest_of_all(self, scope: str, vector: bytes) -> float:
        """Return the cosine of the nearest question in a scope, whatever the guard says; -1 without any."""
        asked, used = read(vector), len(self._questions)
        rows = np.flatnonzero(self._scopes[:used] == _number(scope))
        if not rows.size or asked.size != self._vectors.shape[1]:
            return -1.0
        whole = rows.size == used
        return float((self._vectors[:used] if whole else self._vectors[rows]).dot(asked).max())

    def _allowed(self, scope: str, text: str) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
        return np.flatnonzero(self._marks[: len(self._questions)] == mark(scope, text))

    def _touch(self, row: int) -> None:
        self._clock += 1
        self._used[row] = self._clock

    def _grow(self, rows: int) -> None:
        have = self._vectors.shape[0]
        if rows <= have:
            return
        more = min(max(_FIRST_ROWS, 2 * have), self.capacity) - have
        self._vectors = np.vstack([self._vectors, np.zeros((more, self._vectors.shape[1]), dtype=np.float32)])
        self._marks, self._scopes, self._used = (
            np.concatenate([column, np.zeros(more, dtype=np.int64)])
            for column in (self._marks, self._scopes, self._used)
        )

    def _clear(self, dimensions: int) -> None:
        self._questions.clear()
        self._rows.clear()
        self._vectors = np.zeros((0, dimensions), dtype=np.float32)
        self._marks = self._scopes = self._used = np.zeros(0, dtype=np.int64)


class Shelves:
    """The shelves of one process."""

    def __init__(self) -> None:
        self._shelves: OrderedDict[tuple[str, str], Shelf] = OrderedDict()

    def of(self, owner: str, role: str, capacity: int) -> Shelf:
        """Return the questions of an owner and a role; a new shelf is empty until the store was read."""
        shelf = self._shelves.get((owner, role))
        if shelf is None or shelf.capacity != capacity:
            shelf = self._shelves[owner, role] = Shelf(capacity)
        self._shelves.move_to_end((owner, role))
        return shelf

    def all(self) -> list[tuple[str, str, Shelf]]:
        """Return every shelf with its owner and role; drops those for which there is no room."""
        while len(self._shelves) > 1 and sum(shelf.size for shelf in self._shelves.values()) > MOST_BYTES:
            self._shelves.popitem(last=False)
        return [(owner, role, shelf) for (owner, role), shelf in self._shelves.items()]

    def remove(self, key: str) -> None:
        """Take a question away wherever it is."""
        for shelf in self._shelves.values():
            shelf.remove(key)


def mark(scope: str, text: str) -> int:
    """Return the number that questions have in common which may share an answer."""
    return _number(hashlib.sha256(f"{scope}\n{form(text)}".encode(errors="replace")).hexdigest())


def _number(digest: str) -> int:
    return int.from_bytes(bytes.fromhex(digest[:16]), "little", signed=True)
