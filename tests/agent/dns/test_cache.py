"""Prepared answers: how many are kept, and when they are forgotten."""

from __future__ import annotations

from plumb.agent.dns.cache import OVERHEAD, PART, AnswerCache

ENTRY = OVERHEAD + 30 + 70


def added(memory: AnswerCache, count: int) -> tuple[int, int]:
    """A new sandbox asks so many questions.

    How many answers are kept for it, and the bytes of all.
    """
    share = memory.share()
    for number in range(count):
        share.add(stream=False, question=b"%030d" % number, tails=(bytes(70),))
    return len(share.datagrams), memory.size


def test_an_answer_is_kept_by_the_way_it_was_asked() -> None:
    """What fits by TCP may not fit into a datagram."""
    share = AnswerCache(1 << 20).share()
    share.add(stream=True, question=b"q", tails=(b"long",))
    share.add(stream=False, question=b"q", tails=(b"cut",))
    assert (share.streams, share.datagrams) == ({b"q": (b"long",)}, {b"q": (b"cut",)})


def test_a_sandbox_has_a_sixteenth() -> None:
    """One more, and it begins anew; the others keep theirs."""
    memory = AnswerCache(10 * ENTRY * PART)
    assert added(memory, 10) == (10, 10 * ENTRY)
    assert added(memory, 11) == (1, 11 * ENTRY)


def test_all_together_have_a_bound() -> None:
    """Beyond it all begin anew."""
    memory = AnswerCache(10 * ENTRY * PART)
    for number in range(PART):
        assert added(memory, 10) == (10, (number + 1) * 10 * ENTRY)
    assert added(memory, 1) == (1, ENTRY)


def test_a_monster_is_not_kept() -> None:
    """And costs nobody else's."""
    memory = AnswerCache(10 * ENTRY * PART)
    share = memory.share()
    share.add(stream=False, question=b"q", tails=(b"a",))
    share.add(stream=False, question=b"monster", tails=(bytes(10 * ENTRY),))
    assert [*share.datagrams] == [b"q"]


def test_who_is_gone_has_nothing() -> None:
    """Neither answers nor a place."""
    memory = AnswerCache(1 << 20)
    share = memory.share()
    share.add(stream=False, question=b"q", tails=(b"a",))
    share.close()
    assert (memory.size, memory.shares) == (0, {})
