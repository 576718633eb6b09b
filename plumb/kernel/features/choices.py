"""Ability of a kernel's firewall to choose an address for a new connection.

plumb.features.detect tries rules, in namespaces of a child process. A node's cluster process asks
for these few in its own: they are looked up in the kernel, or checked there and not written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from plumb.errors import PlumbError


def able(backend: str, by_source: bool) -> bool:
    """Test for what a rule needs that chooses an address.

    What the kernel has is asked once in a process; what it lacks may be loaded later.

    Args:
        backend: "iptables" or "nftables".
        by_source: True for a choice by the client's address, False for one in turn or by lot.
    """
    try:
        _attempt(backend, by_source)
    except (PlumbError, OSError):
        return False
    return True


@cache
def _attempt(backend: str, by_source: bool) -> None:
    ATTEMPTS[backend, by_source]()


def _extension(name: str, target: bool) -> None:
    from plumb.kernel.features.netfilter_checks import extension

    extension(name, target=target)


def _number(words: str) -> None:
    from plumb.kernel.netfilter.libnftables import nft

    table = "plumb-tries-a-choice"
    nft().run(
        f"add table ip {table}; "
        f"add chain ip {table} c {{ type nat hook prerouting priority -100; }}; "
        f"add rule ip {table} c dnat to {words} mod 2 map {{ 0 : 192.0.2.1, 1 : 192.0.2.2 }}",
        "choose an address by a number",
        dry=True,
    )


ATTEMPTS: dict[tuple[str, bool], Callable[[], None]] = {
    ("iptables", False): partial(_extension, "statistic", False),
    ("iptables", True): partial(_extension, "HMARK", True),
    ("nftables", False): partial(_number, "numgen inc"),
    ("nftables", True): partial(_number, "jhash ip saddr"),
}
"""By the back end, and by the source or not."""
