"""What the DNS servers of all sandboxes share, and that none of them gets more than its turn."""

from __future__ import annotations

from plumb.agent.dns.limits import ByteQuota, Limits, ServerContext
from plumb.agent.loop import Loop
from plumb.agent.shares import Shares
from plumb.kernel.netns import sockets

LIMITS = Limits(held_bytes=1600, min_bytes=10)


def quotas(number: int) -> tuple[ServerContext, list[ByteQuota]]:
    """What so many sandboxes have."""
    context = ServerContext(Loop(), sockets, lambda failure: None, Shares(100), LIMITS)
    return context, [ByteQuota(context) for _ in range(number)]


def test_one_sandbox_keeps_a_sixteenth_at_most() -> None:
    """Whatever is left."""
    _, (quota,) = quotas(1)
    assert quota.reserve(100)
    assert not quota.reserve(1)
    quota.release(1)
    assert quota.reserve(1)


def test_all_together_keep_no_more_than_they_may_but_for_what_is_each_ones_due() -> None:
    """Who has next to nothing gets something, however much the others have."""
    context, [*many, late] = quotas(17)
    assert all(each.reserve(100) for each in many)
    assert late.reserve(10)
    assert not late.reserve(1)
    many[0].release(100)
    assert late.reserve(80)
    assert context.held_bytes == 1590


def test_what_is_let_go_is_free_for_all() -> None:
    """Nothing is counted for good."""
    context, many = quotas(16)
    for each in many:
        assert each.reserve(100)
        each.release(100)
    assert context.held_bytes == 0
