"""Attempts at the packet filter's features, as those of `link_checks`.

They write the matches and targets of Docker's rules with the writer that this host uses, and try
the kernel's parts that it writes to.

A rule of iptables is made of pieces, and each -m and each -j is a module: xt_addrtype, xt_nat. The
legacy variant hands the rule to ip_tables; the nf_tables variant packs what nf_tables has no
expression for into nft_compat.
"""

from __future__ import annotations

import ctypes
import itertools
import socket
from collections.abc import Callable
from functools import partial

from plumb.errors import KernelRefused
from plumb.kernel.features.link_checks import modprobe
from plumb.kernel.netfilter import backends
from plumb.kernel.netlink import ctnetlink
from plumb.kernel.netlink.codec import attribute, attribute_be32, attribute_u8
from plumb.kernel.netlink.nfnetlink import Netfilter, request
from plumb.kernel.netlink.uapi.linux_netfilter import (
    NFNL_MSG_COMPAT_GET,
    NFNL_SUBSYS_NFT_COMPAT,
    NFNL_SUBSYS_ULOG,
    NFNLGRP_NFTRACE,
    NFPROTO_IPV4,
    NFPROTO_UNSPEC,
    NFTA_COMPAT_NAME,
    NFTA_COMPAT_REV,
    NFTA_COMPAT_TYPE,
    NFULA_CFG_CMD,
    NFULNL_CFG_CMD_BIND,
    NFULNL_MSG_CONFIG,
)
from plumb.kernel.netns import namespaces
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.iptables import Chain, Family, Position, Rule
from plumb.things.nftables import NftChain, NftFamily, NftMap, NftRule, NftTable

number = itertools.count(1)

# -- rules of iptables ---------------------------------------------------------------


def rules(table: str, *specs: str, families: tuple[Family, ...] = tuple(Family)) -> str:
    """Write rules to a chain of their own; returns the writer's name."""
    writer = backends.writer()
    for family in families:
        chain = Chain(family, table, f"TRY{next(number)}")
        made = [chain, *(Rule(family, table, chain.name, spec, Position.TAIL) for spec in specs)]
        writer.take([Step(None, thing) for thing in made], [])
    return writer.name


def _ipv6_nat() -> str:
    return rules(
        "nat",
        "-j MASQUERADE",
        "-d 2001:db8::1/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001:db8::2]:80",
        families=(Family.V6,),
    )


SOL_IP, SOL_IPV6 = 0, 41
SO_GET_INFO, GETINFO = 64, 84
SO_GET_REVISION_MATCH, SO_GET_REVISION_TARGET, REVISION = 66, 67, 30
"""IPT_SO_GET_INFO and IPT_SO_GET_REVISION_…, the same for IPv6, with their structs' sizes.

The names are those of linux/netfilter_ipv4/ip_tables.h.
"""


def _legacy(module: str, family: int, level: int) -> str:
    """Open the legacy tables, as iptables-legacy does first, and load their module if need be."""
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        try:
            _table(sock, level, "filter")
        except KernelRefused:
            if not modprobe(module):
                raise
        for table in TABLES:
            _table(sock, level, table)
    return f"tables {', '.join(TABLES)}"


TABLES = ("filter", "nat", "mangle", "raw")


def _table(sock: socket.socket, level: int, name: str) -> None:
    _asked(sock, level, SO_GET_INFO, name.encode(), GETINFO, f"open the legacy table {name}")


def _asked(
    sock: socket.socket, level: int, option: int, name: bytes, size: int, doing: str
) -> None:
    """Call getsockopt with a struct that begins with a name."""
    namespaces.call(
        "getsockopt",
        sock.fileno(),
        level,
        option,
        ctypes.create_string_buffer(name, size),
        ctypes.byref(ctypes.c_uint(size)),
        doing=doing,
    )


# -- netlink's side ---------------------------------------------------------------


def _compat(name: str, revision: int, target: bool) -> str:
    """Ask nft_compat for a revision of a match or target."""
    wanted = (
        attribute(NFTA_COMPAT_NAME, name)
        + attribute_be32(NFTA_COMPAT_REV, revision)
        + attribute_be32(NFTA_COMPAT_TYPE, target)
    )
    with Netfilter() as kernel:
        kernel.ask(request(NFNL_SUBSYS_NFT_COMPAT, NFNL_MSG_COMPAT_GET, NFPROTO_IPV4, wanted))
    return ""


def _trace() -> str:
    """Ask modprobe for the target, and where it has none the kernel: nft_compat, then ip_tables.

    To load it would load nf_log_syslog before it, which changes all namespaces: it becomes the
    logger of each that has none (net.netfilter.nf_log.*).
    """
    if modprobe("--dry-run", "xt_TRACE"):
        return "xt_TRACE"
    return extension("TRACE", target=True)


def extension(name: str, *, target: bool) -> str:
    """Ask the kernel for a match or target of iptables: nft_compat first, then ip_tables.

    The kernel loads its module where it can; nothing is written.

    Raises:
        OSError, KernelRefused: it has none.
    """
    try:
        return _compat(name, 0, target=target)
    except OSError:
        option = SO_GET_REVISION_TARGET if target else SO_GET_REVISION_MATCH
        doing = f"ask for the {'target' if target else 'match'} {name}"
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
            _asked(sock, SOL_IP, option, name.encode(), REVISION, doing)
    return ""


def _ctnetlink() -> str:
    with ctnetlink.Table() as table:
        list(table.dump())
    return ""


def _log() -> str:
    """Bind to a log group."""
    bind = attribute_u8(NFULA_CFG_CMD, NFULNL_CFG_CMD_BIND)
    with Netfilter() as kernel:
        kernel.ask(request(NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG, NFPROTO_UNSPEC, bind, resource=1))
    return ""


# -- nf_tables' own rules ---------------------------------------------------------------


def _native(type_: str, hook: str, priority: int, *specs: str) -> str:
    """Write rules of firewall-backend nftables to tables of both families.

    Returns:
        The writer's name.
    """
    from plumb.kernel.netfilter.nftables import writer

    made: list[Thing] = []
    for family, target in ((NftFamily.V4, "192.0.2.1:1"), (NftFamily.V6, "[2001:db8::1]:1")):
        table = f"try{next(number)}"
        made += [
            NftTable(family, table),
            NftMap(family, table, "jumps"),
            NftChain(family, table, "c", type_, hook, priority, "accept"),
            *(NftRule(family, table, "c", spec.format(target)) for spec in specs),
        ]
    writer().take([Step(None, thing) for thing in made], [])
    return writer().name


def _chosen(words: str) -> str:
    """Write a rule that looks an address up by a number, which these words make."""
    from plumb.kernel.netfilter.libnftables import nft

    table = f"try{next(number)}"
    nft().run(
        f"add table ip {table}; "
        f"add chain ip {table} c {{ type nat hook prerouting priority -100; }}; "
        f"add rule ip {table} c dnat to {words} mod 2 map {{ 0 : 192.0.2.1, 1 : 192.0.2.2 }}",
        "choose an address by a number",
    )
    return ""


def _nft_trace() -> str:
    """Write a rule that marks packets for tracing, and join the group NFNLGRP_NFTRACE."""
    from plumb.kernel.netfilter.libnftables import nft

    table = f"try{next(number)}"
    nft().run(
        f"add table ip {table}; add chain ip {table} c; add rule ip {table} c meta nftrace set 1",
        "mark packets for tracing",
    )
    with Netfilter() as kernel:
        kernel.join(NFNLGRP_NFTRACE)
    return ""


FIREWALL: dict[str, Callable[[], str]] = {
    "conntrack": partial(rules, "filter", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    "addrtype": partial(rules, "nat", "-m addrtype --dst-type LOCAL -j ACCEPT"),
    "rpfilter": partial(rules, "raw", "-m rpfilter -j ACCEPT"),
    "MASQUERADE": partial(rules, "nat", "-j MASQUERADE", families=(Family.V4,)),
    "DNAT": partial(
        rules,
        "nat",
        "-p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.2:80",
        families=(Family.V4,),
    ),
    "ipv6-nat": _ipv6_nat,
    "mark": partial(rules, "mangle", "-m mark --mark 0x1 -j MARK --set-xmark 0x2/0xffffffff"),
    "policy": partial(rules, "filter", "-m policy --dir in --pol none -j DROP"),
    "bpf": partial(rules, "filter", '-m bpf --bytecode "1,6 0 0 0" -j DROP'),
    "xt_ipvs": partial(rules, "nat", "-m ipvs --ipvs -j ACCEPT", families=(Family.V4,)),
    "statistic": partial(
        rules, "mangle", "-m statistic --mode nth --every 2 --packet 1 -j MARK --set-mark 0x1"
    ),
    "HMARK": partial(
        rules,
        "mangle",
        "-j HMARK --hmark-src-prefix 32 --hmark-rnd 0x00000001 --hmark-mod 2 --hmark-offset 1",
        families=(Family.V4,),
    ),
    "REDIRECT": partial(
        rules, "nat", "-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080", families=(Family.V4,)
    ),
    "TRACE": _trace,
    "ctnetlink": _ctnetlink,
    "nft_compat": partial(_compat, "addrtype", 1, target=False),
    "nfnetlink_log": _log,
    "ip_tables": partial(_legacy, "ip_tables", socket.AF_INET, SOL_IP),
    "ip6_tables": partial(_legacy, "ip6_tables", socket.AF_INET6, SOL_IPV6),
    "nf_tables": partial(
        _native,
        "filter",
        "forward",
        0,
        "ct state established,related counter accept",
        "oifname vmap @jumps",
    ),
    "nft_chain_nat": partial(_native, "nat", "prerouting", -100, "tcp dport 1 counter dnat to {}"),
    "nft_fib": partial(
        _native, "nat", "postrouting", 100, "fib saddr type local counter masquerade"
    ),
    "nft_numgen": partial(_chosen, "numgen inc"),
    "nft_hash": partial(_chosen, "jhash ip saddr"),
    "nft-trace": _nft_trace,
}
