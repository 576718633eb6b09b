"""Explanations of what plumb has not made: links, networks, containers and rules of other engines.

Each is read from this host as it is: its kernel, its engines' own answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from plumb.explain import listeners
from plumb.explain.explain import Explanation, Found
from plumb.explain.known_objects import known_object, owner
from plumb.explain.known_rules import known
from plumb.explain.reason import Reason
from plumb.explain.rules import CHAINS, EFFECTS, first
from plumb.explain.subject import Subject, normal
from plumb.foreign import read_host
from plumb.foreign.values import ForeignContainer, ForeignHost, ForeignNetwork
from plumb.kernel.net import sysctl
from plumb.kernel.net.inventory import LinkInventory
from plumb.kernel.netfilter.iptables_save import saved
from plumb.kernel.netns.namespaces import is_namespace
from plumb.model.netns_state import Link
from plumb.model.observations import Netns

SETTING = re.compile(r"net/[\w/.-]+")
NAMESPACES = ("/run/docker/netns", "/run/netns")
SAVERS = ("iptables-save", "ip6tables-save")
KERNEL = "the kernel"
UNKNOWN = "not known: not plumb"


def find(subject: Subject) -> Found:
    """Find what a subject means on this host beside plumb's own things."""
    host = read_host.read()
    text = normal(subject.text)
    exact = (
        *_networks(host, text),
        *_containers(host, text, subject),
        *_links(host, text),
        *_chains(text),
        *_settings(host, text),
        *_namespaces(text),
        *listeners.find(subject),
    )
    return Found(exact, tuple(_rules(subject)))


def _networks(host: ForeignHost, text: str) -> Iterator[Explanation]:
    for each in host.networks:
        net = each.network
        subnets = [str(pool.subnet) for pool in net.pools]
        gateways = [str(pool.gateway) for pool in net.pools if pool.gateway is not None]
        if text in (net.name, net.id, *subnets, *gateways):
            yield Explanation(
                f"network {net.name} ({', '.join(subnets) or 'no subnet'})",
                "host",
                (f"network {net.name}",),
                Reason(
                    f"network of the driver {each.driver}",
                    f"containers on it reach each other; its link on this host is {net.link}"
                    if net.link
                    else "containers on it share its addresses",
                    "its containers have no interface on it",
                    next=f"bridge {net.link}" if net.link else "",
                ),
                made_by=_maker(each),
            )


def _containers(host: ForeignHost, text: str, subject: Subject) -> Iterator[Explanation]:
    for each in host.containers:
        for end, net in each.member.ends:
            ips = [str(ip.ip) for ip in end.ips]
            ports = [
                port
                for port in end.ports
                if port.host_port == subject.port and subject.protocol in ("", port.protocol)
            ]
            if ports or text in (each.name, each.qualified, each.member.box.id, end.mac, *ips):
                published = ", ".join(f"{p.host_port} -> {p.port}/{p.protocol}" for p in end.ports)
                yield Explanation(
                    f"container {each.name}: {', '.join(ips) or 'no address'} on {net.name}",
                    each.name,
                    (f"container {each.name} on network {net.name}",),
                    Reason(
                        "endpoint of a container",
                        f"the container's interface on {net.name}, MAC address {end.mac}"
                        + (f"; published: {published}" if published else ""),
                        f"the container is not on {net.name}",
                        next=f"network {net.name}",
                    ),
                    made_by=_maker(each),
                )


def _maker(each: ForeignNetwork | ForeignContainer) -> str:
    return f"{each.source.engine} (by {each.source.origin})"


def _links(host: ForeignHost, text: str) -> Iterator[Explanation]:
    place = Netns("host", "")
    with LinkInventory(place) as inventory:
        links = inventory.links()
    names = {link.index: link.name for link in links}
    bridges = {each.network.link: each for each in host.networks if each.network.link}
    for link in links:
        if text in (link.name, link.mac):
            net = bridges.get(link.name) or bridges.get(names.get(link.master, ""))
            yield Explanation(
                f"link {link.name}",
                "host",
                (f"network {net.network.name}",) if net else (),
                link_reason(link, {one.index: one for one in links}),
                made_by=_maker(net) if net else link_owner(link),
            )


def link_reason(link: Link, links: Mapping[int, Link]) -> Reason:
    """Reason of a link that plumb has not made.

    Args:
        links: the links of its namespace, by index.
    """
    master = links.get(link.master)
    state = "up" if link.up else "down"
    if link.name == "lo":
        return Reason(
            "loopback link", "packets to this namespace itself", "nothing reaches 127.0.0.1"
        )
    return Reason(
        f"{link.kind or 'hardware'} link",
        f"{state}, MTU {link.mtu}, MAC address {link.mac}"
        + (f", a port of bridge {master.name}" if master else "")
        + (f", in VLAN {link.vlan}" if link.vlan else ""),
        "what goes by way of it has no way",
        next=f"into bridge {master.name}" if master else "by this host's routes",
    )


def link_owner(link: Link) -> str:
    """Owner of a link that no engine has made, as far as its name tells."""
    if link.name == "lo" or not link.kind:
        return KERNEL
    found = known_object("link", link.name)
    return f"{found.owner}, by its name: {found.why}" if found else UNKNOWN


def _chains(text: str) -> Iterator[Explanation]:
    if not re.fullmatch(r"[\w-]+", text):
        return
    for command in SAVERS:
        for table, chains in saved(command).items():
            if text in chains:
                specs = chains[text][1]
                yield Explanation(
                    f"chain {table}/{text} of {command.removesuffix('-save')}",
                    "host",
                    (),
                    Reason(
                        "chain",
                        _why(text) or known(table, text, ""),
                        "the rules in it, and those that lead to it, cannot be",
                        _option(text),
                        next=f"through its {len(specs)} rules in their order",
                    ),
                    made_by=_owner(text),
                )


def _why(chain: str) -> str:
    """The purpose of a chain that is known by its name."""
    found = known_object("chain", chain)
    return first(CHAINS, chain, whole=True) or (found.why if found else "")


def _option(chain: str) -> str:
    found = known_object("chain", chain)
    return found.option if found else ""


def _settings(host: ForeignHost, text: str) -> Iterator[Explanation]:
    """Settings that an engine on this host changes; another program may have done so before."""
    name = text.replace(".", "/") if "/" not in text else text
    found = known_object("sysctl", name)
    value = sysctl.read(name) if found and SETTING.fullmatch(name) else None
    if found is None or value is None or not host:
        return
    yield Explanation(
        f"sysctl {name} = {value}",
        "host",
        (),
        Reason("kernel setting", found.why, "it has the kernel's own value", found.option),
        made_by=f"{found.owner} sets it; whoever set it last is not recorded",
    )


def _namespaces(text: str) -> Iterator[Explanation]:
    """Files of network namespaces that an engine keeps."""
    found = known_object("namespace", text)
    for folder in NAMESPACES if found else ():
        path = f"{folder}/{text}"
        if found is not None and is_namespace(path):
            yield Explanation(
                f"network namespace {path}",
                "host",
                (),
                Reason(
                    "network namespace",
                    found.why,
                    "its links, routes and rules are gone with it",
                    found.option,
                ),
                made_by=found.owner,
            )


def _rules(subject: Subject) -> Iterator[Explanation]:
    part = f"--dport {subject.port}" if subject.port else subject.text
    words = re.compile(rf"(?<![\w.:-]){re.escape(part)}(?![\w:-]|\.\d)")
    for command in SAVERS:
        for table, chains in saved(command).items():
            for chain, (_, specs) in chains.items():
                for spec in specs:
                    if words.search(f"-A {chain} {spec}"):
                        yield Explanation(
                            f"-A {chain} {spec}",
                            "host",
                            (),
                            Reason(
                                "rule",
                                known(table, chain, spec),
                                first(EFFECTS, spec) or "what it counts or marks is not",
                            ),
                            made_by=_owner(f"{chain} {spec}"),
                        )


def _owner(text: str) -> str:
    if "DOCKER" in text:
        return "docker"
    return next((whose for word in text.split() if (whose := owner("chain", word))), UNKNOWN)
