"""What the DNS servers of all sandboxes share, and that none of them gets more than its turn."""

from __future__ import annotations

from plumb.agent.dns.limits import ByteQuota, Limits, ServerContext
from plumb.agent.loop import Loop
from plumb.kernel.netns import sockets

LIMITS = Limits(held=1600, due=10)


def shares(number: int) -> tuple[ServerContext, list[ByteQuota]]:
    """What so many sandboxes have."""
    commons = ServerContext(Loop(), sockets, lambda failure: None, LIMITS)
    return commons, [ByteQuota(commons) for _ in range(number)]


def test_one_sandbox_keeps_a_sixteenth_at_most() -> None:
    """Whatever is left."""
    _, (mine,) = shares(1)
    assert mine.hold(100)
    assert not mine.hold(1)
    mine.let_go(1)
    assert mine.hold(1)


def test_all_together_keep_no_more_than_they_may_but_for_what_is_each_ones_due() -> None:
    """Who has next to nothing gets something, however much the others have."""
    commons, [*many, late] = shares(17)
    assert all(each.hold(100) for each in many)
    assert late.hold(10)
    assert not late.hold(1)
    many[0].let_go(100)
    assert late.hold(80)
    assert commons.held == 1590


def test_what_is_let_go_is_free_for_all() -> None:
    """Nothing is counted for good."""
    commons, many = shares(16)
    for each in many:
        assert each.hold(100)
        each.let_go(100)
    assert commons.held == 0
