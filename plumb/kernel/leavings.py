"""Leavings of a root in the kernel, found by their marks, where no record says what plumb has made.

    chains            PLUMB, PLUMB-FORWARD, …; the user's own, PLUMB-USER, only where it is empty
    rules             jumps to those chains, and rules of built-in chains about plumb's links
    nft tables        plumb-bridges
    links             the alias `plumb`, which the bridges, dummies and VLAN links have that plumb
                      makes; plumb0 and br-<12 hex digits> named in those chains; their veths
    below the root    namespace files, containers' folders and commands, the agent

What a sysctl or a policy was before has no mark but the claim (`kernel.netns.claim`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network

from plumb.errors import PlumbError
from plumb.frozen import frozen
from plumb.kernel import agent_socket
from plumb.kernel.netfilter import backends
from plumb.kernel.netfilter.iptables_save import Ruleset, saved
from plumb.kernel.netlink.codec import attributes, number, text
from plumb.kernel.netlink.connection import Connection
from plumb.kernel.netlink.uapi.linux_netlink import NETLINK_ROUTE
from plumb.kernel.netlink.uapi.linux_rtnetlink import (
    IFINFOMSG,
    IFLA_ADDRESS,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_VLAN_ID,
    RTM_GETLINK,
)
from plumb.model.paths import Layout
from plumb.things import Thing
from plumb.things.host_ports import Agent
from plumb.things.iptables import BUILT_IN, Chain, Family, Rule
from plumb.things.links import Bridge, Dummy, InPlace, Veth, Vlan
from plumb.things.nftables import NftFamily, NftTable
from plumb.things.sandbox import Directory, Namespace, Process

ALIAS = "plumb"
"""Alias of the links that plumb makes in the host."""
NFT_TABLE = "plumb-bridges"
CHAINS = ("PLUMB", "PLUMB-CT", "PLUMB-INTERNAL", "PLUMB-BRIDGE", "PLUMB-FORWARD")
"""Each after those that it jumps to: the last is the first to be removed."""
USERS = "PLUMB-USER"
BRIDGE = re.compile(r"plumb0|br-[0-9a-f]{12}")
VETH = re.compile(r"veth[0-9a-f]{7}")
NAMED = re.compile(r"-[io] (\S+)")
JUMP = re.compile(r"-j (\S+)")
SOURCE = re.compile(r"-[sd] (\S+)")
LOOPBACK_PORT = re.compile(r"-d (127\.\S+)/32 ! -i lo .*--dport (\d+) -j DROP")


@frozen
class _Link:
    name: str
    kind: str
    mac: str
    master: str
    alias: str
    parent: str
    vlan: int


def find(layout: Layout) -> list[Thing]:
    """List what has plumb's marks in this network namespace and below a root, as built."""
    rules = {family: _saved(family) for family in Family}
    specs = [spec for family in Family for spec in _own_specs(rules[family])]
    links = _links()
    named = {name for spec in specs for name in NAMED.findall(spec) if BRIDGE.fullmatch(name)}
    made = [link for link in links if link.alias == ALIAS or link.name in named]
    names = {link.name for link in made} | named
    return [
        *below(layout),
        *(thing for family in Family for thing in _firewall(family, rules[family], names)),
        *_nft_tables(),
        *(thing for link in made if (thing := _thing(link)) is not None),
        *(
            Veth(link.name, link.master, "", "", "")
            for link in links
            if link.kind == "veth" and link.master in names and VETH.fullmatch(link.name)
        ),
    ]


def marked() -> list[str]:
    """List the names of the links that plumb has made in this network namespace."""
    return [link.name for link in _links() if link.alias == ALIAS]


def below(layout: Layout) -> Iterator[Thing]:
    """Yield what lies below a root besides its record: namespaces, folders, commands, the agent."""
    for name in _entries(layout.namespaces):
        yield Namespace(f"{layout.namespaces}/{name}")
    for name in _entries(layout.containers):
        folder = f"{layout.containers}/{name}"
        yield Directory(folder)
        if os.path.exists(f"{folder}/pid"):
            yield Process(name, folder, folder, "", ("of", name[:12]), "", ())
    if agent_socket.running(layout.run)[0]:
        yield Agent(layout.run)


def _entries(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


# -- the firewall ---------------------------------------------------------------


def _saved(family: Family) -> Ruleset:
    """Read the tables that plumb would write to; none where there is no firewall."""
    try:
        legacy = backends.writer().name == "python-iptables"
    except PlumbError:
        return {}
    return saved(f"{family}-{'legacy' if legacy else 'nft'}-save", most=0)


def _own_specs(rules: Ruleset) -> Iterator[str]:
    for chains in rules.values():
        for name, (_, specs) in chains.items():
            if name in CHAINS:
                yield from specs


def _firewall(family: Family, rules: Ruleset, links: set[str]) -> Iterator[Thing]:
    own = list(_own_specs(rules))
    for table, chains in rules.items():
        for name in (*CHAINS, USERS):
            if name in chains and (name != USERS or not chains[USERS][1]):
                yield Chain(family, table, name, users=name == USERS)
        for chain in BUILT_IN.intersection(chains):
            for spec in chains[chain][1]:
                if _is_plumbs(spec, links, own):
                    yield Rule(family, table, chain, spec)


def _is_plumbs(spec: str, links: set[str], own: Sequence[str]) -> bool:
    """Tell whether a rule of a built-in chain is plumb's."""
    jump = JUMP.search(spec)
    if jump and jump[1] in (*CHAINS, USERS):
        return True
    if links.intersection(NAMED.findall(spec)):
        return True
    port = LOOPBACK_PORT.fullmatch(spec)
    if port:
        return any(f"-d {port[1]}/32 " in dnat and f"--dport {port[2]} " in dnat for dnat in own)
    places = SOURCE.findall(spec)
    hairpin = len(places) == 2 and places[0] == places[1] and spec.endswith("-j MASQUERADE")
    return hairpin and any(_leads_to(dnat, places[0]) for dnat in own)


def _leads_to(dnat: str, place: str) -> bool:
    """Tell whether a rule rewrites to an address."""
    target = dnat.partition("--to-destination ")[2].rpartition(":")[0].strip("[]")
    try:
        return bool(target) and ip_address(target) in ip_network(place)
    except ValueError:
        return False


def _nft_tables() -> list[Thing]:
    from plumb.kernel.netfilter import nftables

    wanted = [NftTable(family, NFT_TABLE) for family in NftFamily]
    with suppress(PlumbError):
        return [thing for thing in nftables.writer().look(wanted) if thing is not None]
    return []


# -- links ---------------------------------------------------------------


def _links() -> list[_Link]:
    with Connection(NETLINK_ROUTE) as kernel:
        dumped = kernel.dump(RTM_GETLINK, bytes(IFINFOMSG.size))
    found = {IFINFOMSG.unpack_from(each)[2]: attributes(each, IFINFOMSG.size) for each in dumped}
    names = {index: text(said[IFLA_IFNAME]) for index, said in found.items()}
    return [_read(said, names) for said in found.values()]


def _read(said: dict[int, bytes], names: dict[int, str]) -> _Link:
    info = attributes(said.get(IFLA_LINKINFO, b""))
    data = attributes(info.get(IFLA_INFO_DATA, b""))
    return _Link(
        text(said[IFLA_IFNAME]),
        text(info.get(IFLA_INFO_KIND, b"")),
        said.get(IFLA_ADDRESS, b"").hex(":"),
        names.get(number(said.get(IFLA_MASTER, b"")), ""),
        text(said.get(IFLA_IFALIAS, b"")),
        names.get(number(said.get(IFLA_LINK, b"")), ""),
        number(data.get(IFLA_VLAN_ID, b"")) if text(info.get(IFLA_INFO_KIND, b"")) == "vlan" else 0,
    )


def _thing(link: _Link) -> InPlace | None:
    match link.kind:
        case "bridge":
            return Bridge(link.name, link.mac)
        case "dummy":
            return Dummy(link.name)
        case "vlan":
            return Vlan(link.name, link.parent, link.vlan)
    return None
