"""The interface of a firewall writer, and the writer that this host uses.

Linux has two packet filters by the name of iptables. The old one has its tables in the kernel's
ip_tables, which python-iptables and `iptables-legacy` write; `iptables-nft` translates the same
words to nf_tables. Both hook the same packets, and neither lists the other's rules. Most
distributions have linked `iptables` to the new one for years, and kernels from 6.17 on may lack the
old tables altogether. A rule belongs where the host's administrator, Docker, ufw and firewalld will
look for it: so plumb writes to the one that the host's own `iptables` command is linked to.
"""

from __future__ import annotations

import os
from functools import lru_cache

from plumb.errors import PlumbError, Unsupported
from plumb.kernel.netfilter.iptables_save import found
from plumb.kernel.writer import Writer


def variant() -> str:
    """The variant of the host's `iptables` command: "nf_tables", "legacy", or "" without one."""
    command = found("iptables")
    if not command:
        return ""
    return "legacy" if "legacy" in os.path.basename(os.path.realpath(command)) else "nf_tables"


@lru_cache(maxsize=1)
def writer() -> Writer:
    """The writer for this host, chosen once.

    Raises:
        Unsupported: the host has neither an iptables command nor legacy tables for python-iptables.
    """
    wanted = os.environ.get("PLUMB_IPTABLES", "") or variant()
    if wanted == "nf_tables":
        return _nf_tables("")
    if wanted not in ("legacy", ""):
        raise Unsupported(f"PLUMB_IPTABLES is {wanted!r}", "it can be nf_tables or legacy")
    return _legacy()


NATIVE_PORTS = (1, 8, 9)
"""The first version of iptables that reads ports and marks in nf_tables' own expressions.

An older one would not list the rules that plumb writes with them.
"""


def _nf_tables(flavour: str) -> Writer:
    from plumb.kernel.netfilter.iptables_restore import IptablesRestore

    restore = IptablesRestore(flavour)
    if restore.version() < NATIVE_PORTS:
        return restore
    from plumb.kernel.netfilter.iptables_nft.writer import IptablesNft

    return IptablesNft(restore)


def _legacy() -> Writer:
    try:
        from plumb.kernel.netfilter.iptables_legacy.writer import Xtables

        return Xtables()
    except PlumbError as missing:
        if found("iptables-nft-restore"):
            return _nf_tables("nft-")
        raise Unsupported(
            f"no firewall to write to: {missing}",
            "install iptables (Debian: apt install iptables), "
            'or set "iptables": false and "ip6tables": false',
        ) from missing
