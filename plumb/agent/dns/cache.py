"""Prepared answers: what was asked once is answered the next time without a look at it.

A question is remembered as the bytes that came, but for the id: so whatever could make a difference
(flags, case, EDNS) is part of what is compared, and an answer fits exactly. Names come and go
seldom in comparison; when they do, or when a sandbox is configured anew, its answers are forgotten
as a whole. So they are when there are too many: the next question is slower, no more.
"""

from __future__ import annotations

Tails = tuple[bytes, ...]
"""An answer without its id, in several orders; an empty one is for others to give."""
OVERHEAD = 200
"""Bytes that an entry costs besides its own."""
PART = 16
"""The part of all that is one sandbox's at most: a sixteenth."""


class AnswerCache:
    """The prepared answers of all sandboxes.

    Args:
        limit: their bytes at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.shares: dict[CacheShard, None] = {}

    def share(self) -> CacheShard:
        """Those of one sandbox."""
        made = CacheShard(self)
        self.shares[made] = None
        return made


class CacheShard:
    """The prepared answers of a sandbox, by question.

    To datagrams, and to what comes by TCP, which may be longer.
    """

    __slots__ = ("_memory", "_size", "datagrams", "streams")

    def __init__(self, memory: AnswerCache) -> None:
        self._memory, self._size = memory, 0
        self.datagrams: dict[bytes, Tails] = {}
        self.streams: dict[bytes, Tails] = {}

    def add(self, stream: bool, question: bytes, tails: Tails) -> None:
        """Remember an answer, if it is not too long for that."""
        size = OVERHEAD + len(question) + sum(map(len, tails))
        memory = self._memory
        if size > memory.limit // PART:
            return
        if self._size + size > memory.limit // PART:
            self.forget()
        if memory.size + size > memory.limit:
            for share in memory.shares:
                share.forget()
        self._size += size
        memory.size += size
        (self.streams if stream else self.datagrams)[question] = tails

    def forget(self) -> None:
        """All of them; the dictionaries stay the same ones."""
        self.datagrams.clear()
        self.streams.clear()
        self._memory.size -= self._size
        self._size = 0

    def close(self) -> None:
        """There will be none any more."""
        self.forget()
        self._memory.shares.pop(self, None)
