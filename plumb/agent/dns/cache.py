"""Cache of prepared replies: a query that was answered before is answered without parsing it.

The key is the query's bytes without the id: whatever could change the reply (flags, case, EDNS) is
part of the key, so a cached reply fits exactly. Names change seldom in comparison; when they do, or
when plumb configures a sandbox anew, the sandbox's replies are all dropped. The same happens when
there are too many: the next query takes longer, nothing else.
"""

from __future__ import annotations

Tails = tuple[bytes, ...]
"""Reply without its id, in several orders of its records; empty where the query is forwarded."""
OVERHEAD = 200
"""Bytes that an entry costs besides its content."""
PARTS = 16
"""Divisor for one sandbox: it may fill a sixteenth of the cache."""


class AnswerCache:
    """Prepared replies of all sandboxes.

    Args:
        limit: bytes at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.shards: dict[CacheShard, None] = {}

    def shard(self) -> CacheShard:
        """Create the cache of one sandbox."""
        made = CacheShard(self)
        self.shards[made] = None
        return made


class CacheShard:
    """Prepared replies of one sandbox, by query.

    Replies over UDP and over TCP are kept apart, as the latter may be longer.
    """

    __slots__ = ("_cache", "_size", "datagrams", "streams")

    def __init__(self, cache: AnswerCache) -> None:
        self._cache, self._size = cache, 0
        self.datagrams: dict[bytes, Tails] = {}
        self.streams: dict[bytes, Tails] = {}

    def add(self, stream: bool, question: bytes, tails: Tails) -> None:
        """Store a reply, unless it is too long for the cache."""
        size = OVERHEAD + len(question) + sum(map(len, tails))
        cache = self._cache
        if size > cache.limit // PARTS:
            return
        if self._size + size > cache.limit // PARTS:
            self.forget()
        if cache.size + size > cache.limit:
            for shard in cache.shards:
                shard.forget()
        self._size += size
        cache.size += size
        (self.streams if stream else self.datagrams)[question] = tails

    def forget(self) -> None:
        """Drop all replies; the two dictionaries stay the same objects."""
        self.datagrams.clear()
        self.streams.clear()
        self._cache.size -= self._size
        self._size = 0

    def close(self) -> None:
        """Drop all replies, and take the shard out of the cache."""
        self.forget()
        self._cache.shards.pop(self, None)
