"""What this kernel and host can do, found out by trying it in a scratch namespace.

A module that is not loaded is loaded by the attempt, where there are modules; so what a list of modules says is
neither here nor there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plumb.errors import KernelRefused, PlumbError, Unsupported
from plumb.kernel import firewall, namespaces, sysctl
from plumb.kernel import netlink as nl
from plumb.kernel.links import link
from plumb.kernel.netlink import Message, RouteSocket
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.nftables import NftChain, NftFamily, NftMap, NftRule, NftTable


@dataclass(frozen=True)
class Ability:
    """A feature, whether it is there, and how it was seen or what to do about it."""

    name: str
    able: bool
    detail: str


@contextmanager
def scratch() -> Iterator[None]:
    """A namespace to try things in, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="plumb-") as folder:
        path = f"{folder}/netns"
        namespaces.make(path)
        try:
            with namespaces.entered(path):
                yield
        finally:
            namespaces.drop(path)


def abilities() -> list[Ability]:
    """All that plumb can make use of."""
    if os.geteuid() != 0:
        raise Unsupported("only root can try things out", "run it as root (sudo)")
    found = []
    for name, (attempt, advice) in ATTEMPTS.items():
        try:
            with scratch():
                found.append(Ability(name, True, attempt() or ""))
        except PlumbError as error:
            found.append(Ability(name, False, f"{error}; {advice}" if advice else str(error)))
    return found


def _kind(kind: str, *, module: str = "") -> tuple[Callable[[], str], str]:
    def attempt() -> str:
        with RouteSocket() as kernel:
            info = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind)]})
            answer = kernel.ask([Message(nl.NEWLINK, nl.CREATE | nl.EXCL, link("try0", info))])[0]
        if answer.errno:
            raise KernelRefused(f"add a {kind} link", answer.errno, answer.said)
        return ""

    return attempt, f"load the module {module or kind}, or use a kernel that has it"


def _on_dummy_parent(kind: str) -> tuple[Callable[[], str], str]:
    """Kinds that need a parent link; a bridge serves as well as any."""
    def attempt() -> str:
        with RouteSocket() as kernel:
            bridge = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]})
            kernel.ask([Message(nl.NEWLINK, nl.CREATE | nl.EXCL, link("try1", bridge))])
            info = ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind), *VLAN.get(kind, [])]})
            child = link("try0", ("IFLA_LINK", _index("try1")), info)
            answer = kernel.ask([Message(nl.NEWLINK, nl.CREATE | nl.EXCL, child)])[0]
        if answer.errno:
            raise KernelRefused(f"add a {kind} link", answer.errno, answer.said)
        return ""

    return attempt, f"load the module {MODULES.get(kind, kind)}, or use a kernel that has it"


VLAN: dict[str, list[tuple[str, object]]] = {"vlan": [("IFLA_INFO_DATA", {"attrs": [("IFLA_VLAN_ID", 10)]})]}
MODULES = {"vlan": "8021q"}


def _index(dev: str) -> int:
    import socket

    return socket.if_nametoindex(dev)


def _writer() -> str:
    return firewall.writer().name


def _legacy_tables() -> str:
    from plumb.kernel.xtables import Xtables

    return Xtables().name


def _nftables() -> str:
    from plumb.kernel.nftables import writer

    made: list[Thing] = []
    for family, target in ((NftFamily.V4, "192.0.2.1:1"), (NftFamily.V6, "[2001:db8::1]:1")):
        made += [NftTable(family, "try0"), NftMap(family, "try0", "jumps"),
                 NftChain(family, "try0", "forward", "filter", "forward", 0, "accept"),
                 NftChain(family, "try0", "leave", "nat", "postrouting", 100, "accept"),
                 NftChain(family, "try0", "arrive", "nat", "prerouting", -100, "accept"),
                 NftRule(family, "try0", "forward", "ct state established,related counter accept"),
                 NftRule(family, "try0", "forward", "oifname vmap @jumps"),
                 NftRule(family, "try0", "leave", "fib saddr type local counter masquerade"),
                 NftRule(family, "try0", "arrive", f"tcp dport 1 counter dnat to {target}")]
    writer().take([Step(None, thing) for thing in made], [])
    return writer().name


def _bridge_netfilter() -> str:
    value = sysctl.read("net/bridge/bridge-nf-call-iptables")
    if value is None:
        raise Unsupported("br_netfilter is not there")
    return f"bridge-nf-call-iptables = {value}"


def _ipv6() -> str:
    if not Path("/proc/sys/net/ipv6").is_dir():
        raise Unsupported("IPv6 is switched off")
    return ""


ATTEMPTS: dict[str, tuple[Callable[[], str], str]] = {
    "network namespaces": (lambda: "", "the kernel needs NET_NS"),
    "bridge": _kind("bridge"), "veth": _kind("veth"), "dummy": _kind("dummy"),
    "macvlan": _on_dummy_parent("macvlan"), "ipvlan": _on_dummy_parent("ipvlan"), "VLAN": _on_dummy_parent("vlan"),
    "IPv6": (_ipv6, "boot without ipv6.disable=1"),
    "br_netfilter (icc=false)": (_bridge_netfilter, "modprobe br_netfilter"),
    "firewall writer": (_writer, ""),
    "nftables (firewall-backend)": (_nftables, "not needed with firewall-backend iptables"),
    "legacy iptables tables": (_legacy_tables, "not needed where iptables is the nf_tables variant"),
}
