"""Prepared answers: how many are kept, and when they are forgotten."""

from __future__ import annotations

from plumb.agent.dns.cache import OVERHEAD, PARTS, AnswerCache

ENTRY = OVERHEAD + 30 + 70


def added(cache: AnswerCache, count: int) -> tuple[int, int]:
    """A new sandbox asks so many questions.

    How many answers are kept for it, and the bytes of all.
    """
    shard = cache.shard()
    for number in range(count):
        shard.add(stream=False, question=b"%030d" % number, tails=(bytes(70),))
    return len(shard.datagrams), cache.size


def test_an_answer_is_kept_by_the_way_it_was_asked() -> None:
    """What fits by TCP may not fit into a datagram."""
    shard = AnswerCache(1 << 20).shard()
    shard.add(stream=True, question=b"q", tails=(b"long",))
    shard.add(stream=False, question=b"q", tails=(b"cut",))
    assert (shard.streams, shard.datagrams) == ({b"q": (b"long",)}, {b"q": (b"cut",)})


def test_a_sandbox_has_a_sixteenth() -> None:
    """One more, and it begins anew; the others keep theirs."""
    cache = AnswerCache(10 * ENTRY * PARTS)
    assert added(cache, 10) == (10, 10 * ENTRY)
    assert added(cache, 11) == (1, 11 * ENTRY)


def test_all_together_have_a_bound() -> None:
    """Beyond it all begin anew."""
    cache = AnswerCache(10 * ENTRY * PARTS)
    for number in range(PARTS):
        assert added(cache, 10) == (10, (number + 1) * 10 * ENTRY)
    assert added(cache, 1) == (1, ENTRY)


def test_a_monster_is_not_kept() -> None:
    """And costs nobody else's."""
    cache = AnswerCache(10 * ENTRY * PARTS)
    shard = cache.shard()
    shard.add(stream=False, question=b"q", tails=(b"a",))
    shard.add(stream=False, question=b"monster", tails=(bytes(10 * ENTRY),))
    assert [*shard.datagrams] == [b"q"]


def test_who_is_gone_has_nothing() -> None:
    """Neither answers nor a place."""
    cache = AnswerCache(1 << 20)
    shard = cache.shard()
    shard.add(stream=False, question=b"q", tails=(b"a",))
    shard.close()
    assert (cache.size, cache.shards) == (0, {})
