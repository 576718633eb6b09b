"""Cut, on an overlay network of two hosts: every thing of h1's is missed, told and mended.

    c1 10.50.0.2 ── h1 ──── switch ──── h2 ── c2 10.50.0.102, c3 10.51.0.9

One thing after the other is taken out of h1's kernel, or out of what it has published. Then a
packet must be lost, or come in that must not; `check` must name the thing; and `repair` must bring
all back. What no packet can tell is in a table, with the reason; it is told and mended as well."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

from plumb import Host
from plumb.engine.desired_state import endpoint_owner, network_owner, peer_owner, remote_owner
from plumb.frozen import replace
from plumb.kernel.net.neighbours import forget_neighbours
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Network
from plumb.plan import Step
from plumb.probes.packets.encapsulation import Tap
from plumb.things import Thing
from plumb.things.cluster import EndpointRecord
from plumb.things.dns import Names
from plumb.things.host_ports import Agent
from plumb.things.ipsec import XfrmBlock, XfrmPolicy, XfrmState
from plumb.things.iptables import Chain, Rule
from plumb.things.layer3 import Route, Sysctl
from plumb.things.links import Up
from plumb.things.nftables import NftChain, NftRule, NftTable
from plumb.things.sandbox import Namespace
from tests import labs
from tests.host.overlay_pair import ONE, ONE_KEY, SUBNET, TWO, LabHost, network, two_hosts
from tests.host.test_cut import sample

pytestmark = pytest.mark.needs("vxlan", "rpfilter")
SUBNETS = (
    SUBNET,
    IPv4Network("10.51.0.0/24"),
    IPv6Network("fd00:50::/64"),
    IPv6Network("fd00:51::/64"),
)
C3 = "name=n1,ip=10.51.0.9,ip6=fd00:51::9"
ADDRESSES = {
    ip_address(text)
    for text in (
        *("10.50.0.1", "10.50.0.2", "10.50.0.102", "10.50.0.103", "10.51.0.1", "10.51.0.9"),
        *("fd00:50::1", "fd00:50::2", "fd00:50::101", "fd00:51::1", "fd00:51::9"),
    )
}
"""Whom containers and routers ask after: each look begins with a question."""
STRANGER = "192.0.2.99"
"""A host on the switch that is no node."""
IPSEC = (XfrmState, XfrmPolicy, XfrmBlock)


def encrypts(thing: Thing) -> bool:
    """What an encrypted network has and others have not."""
    in_rule = isinstance(thing, Rule | NftRule) and "encrypted" in thing.why
    return in_rule or isinstance(thing, IPSEC)


@dataclass(frozen=True)
class Scene:
    """Two hosts to cut into.

    Attributes:
        only: what is cut.
        settings: the hosts'.
        encrypted: the network is.
        iptables: the kind of iptables that the hosts have, "" for their own.
    """

    only: Callable[[Thing], bool] = lambda thing: True
    settings: Mapping[str, Any] = field(default_factory=dict)
    encrypted: bool = False
    iptables: str = ""


def guards(thing: Thing) -> bool:
    """What keeps strangers' frames out."""
    return isinstance(thing, Rule | NftRule)


NFT = {"firewall-backend": "nftables"}
ESP = pytest.mark.needs("esp4", "aes-gcm", "bpf", "policy", "mark")
SCENES = {
    "plain": Scene(),
    "legacy": Scene(guards, iptables="legacy"),
    "nftables": Scene(guards, NFT),
    "encrypted": Scene(encrypts, encrypted=True),
}

UNSEEN: dict[str, Callable[[Thing], bool]] = {
    "it is about what nobody sends here, or saves an address": lambda thing: (
        isinstance(thing, Sysctl)
        and thing.name.endswith(("accept_ra", "addr_gen_mode", "gc_thresh1"))
    ),
    "there is room for a few neighbours without it": lambda thing: (
        isinstance(thing, Sysctl) and "gc_thresh" in thing.name
    ),
    "a port of a bridge needs no IPv6 of its own": lambda thing: (
        isinstance(thing, Sysctl)
        and thing.name.startswith("net/ipv6/conf/veth")
        and thing.name.endswith("disable_ipv6")
    ),
    "nobody speaks to itself here": lambda thing: isinstance(thing, Up) and thing.dev == "lo",
    "the kernel keeps a namespace that a link leads out of": lambda thing: isinstance(
        thing, Namespace
    ),
    "nothing meets it while there is a policy for each host; a test has none": lambda thing: (
        isinstance(thing, XfrmBlock)
    ),
}


@contextmanager
def built(scene: Scene) -> Iterator[tuple[LabHost, LabHost, Network]]:
    """Both hosts with their containers, each told of the other's."""
    net = network(*SUBNETS, encrypted=str(scene.encrypted).lower())
    with labs.iptables(scene.iptables), two_hosts(net, settings=scene.settings) as (h1, h2):
        h2.cluster.last["fd00:50::/64"] = 0x100
        if scene.encrypted:
            for host in (h1, h2):
                host.encrypt(ONE_KEY)
        h1.run("c1")
        h2.run("c2")
        h2.run("c3", network=C3)
        h1.learn(net, h2.told())
        h2.learn(net, h1.told())
        yield h1, h2, net


@ESP
def test_without_a_policy_nothing_leaves_in_the_clear() -> None:
    """What has the mark and meets no policy is blocked."""
    with built(SCENES["encrypted"]) as (h1, h2, _), h1.plumb() as host:
        [policy] = host.store.things_of(XfrmPolicy)
        host.kernel.take([Step(policy, None)])
        with Tap(h2.netns, "eth0") as wire:
            h1.inside("c1", "ping -c1 -W1 10.50.0.102", check=False)
            assert not any(packet.vni or packet.spi for packet in wire.packets())
        host.repair()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[ESP] if scene.encrypted else []) for name, scene in SCENES.items()],
)
def test_every_thing_is_missed_told_and_mended(name: str) -> None:
    """Whatever is cut on h1, both hosts go on as before once it is repaired."""
    scene = SCENES[name]
    with built(scene) as (h1, h2, net), h1.plumb() as host:
        assert eventually_none(host, h1, h2, net) == []
        worth = [thing for thing in things(host, net) if scene.only(thing)]
        assert worth
        for thing in sample(worth, name):
            cut(host, thing)
            if not any(unseen(thing) for unseen in UNSEEN.values()):
                assert missed(host, h1, h2, net, 1.0), f"nobody misses {thing}"
            told = [drift.thing.key for drift in host.check()]
            assert thing.key in told, f"{thing} is gone, and check says {told}"

            host.repair()
            assert host.check() == [], f"after the repair of {thing}"
            assert eventually_none(host, h1, h2, net) == [], f"{thing} is back"


def things(host: Host, net: Network) -> list[Thing]:
    """What h1 has for the network: its part here, c1's place in it, the endpoints elsewhere."""
    here = host.network(net.id)
    remotes = host.store.remotes(net.id)
    owners = [
        network_owner(here),
        *(endpoint_owner(end) for end in host.store.endpoints(network=net.id)),
        *(remote_owner(end) for end in remotes),
        *dict.fromkeys(peer_owner(end.vtep) for end in remotes),
    ]
    found = {thing.key: thing for owner in owners for thing in host.store.things(owner)}
    return [thing for thing in found.values() if ours(thing, here)]


def ours(thing: Thing, net: Network) -> bool:
    """What an overlay has, and can be cut.

    What its containers have inside, the agent and names are like any container's; a chain is there
    as long as its rules.
    """
    if isinstance(thing, Chain | NftChain | NftTable | Agent | Names):
        return False
    inside = thing.where not in ("", net.overlay.netns)
    return not inside or isinstance(thing, EndpointRecord | Route)


def cut(host: Host, thing: Thing) -> None:
    """Take it away; set a sysctl to something else."""
    if isinstance(thing, Sysctl):
        other = {"0": "1", "1": "0"}.get(thing.value, "1000")
        host.kernel.take([Step(thing, replace(thing, value=other))])
    else:
        host.kernel.take([Step(thing, None)])


# -- what is missed ---------------------------------------------------------------


def eventually_none(host: Host, h1: LabHost, h2: LabHost, net: Network) -> list[str]:
    """What is still missed after longer and longer waits."""
    found: list[str] = []
    for patience in (1.0, 2.0, 5.0, 10.0):
        found = missed(host, h1, h2, net, patience)
        if not found:
            break
    return found


def missed(host: Host, h1: LabHost, h2: LabHost, net: Network, patience: float) -> list[str]:
    """What is not as it should be, in a line each.

    Frames that must not arrive are sent first: a ping that comes after them has an answer only when
    they are through.
    """
    c1 = host.namespace(host.container("c1"))
    with h2.plumb() as other:
        c2, c3 = (other.namespace(other.container(name)) for name in ("c2", "c3"))
    if "eth0" not in links(c1):
        return ["c1 has no eth0"]
    own = [end for end in host.store.endpoints(network=net.id) if end.sandbox.startswith("lb_")]
    wanted = {
        "c1 to c2": (c1, "10.50.0.102"),
        "c1 to c2 by IPv6": (c1, "fd00:50::101"),
        "c1 to c3": (c1, "10.51.0.9"),
        "c1 to c3 by IPv6": (c1, "fd00:51::9"),
        "c2 to c1": (c2, "10.50.0.2"),
        "c3 to c1": (c3, "10.50.0.2"),
        "c1 to the balancer": (c1, str(own[0].ips[0].ip)),
        "c1 to h2's balancer": (c1, "10.50.0.103"),
        "c3 to the balancer": (c3, str(own[0].ips[0].ip)),
        "c2 to c1, a full-sized packet": (c2, f"-M do -s {full(net)} 10.50.0.2"),
    }
    router = host.network(net.id).overlay.netns
    for netns in (c1, c2, c3, router):
        with entered(netns):
            forget_neighbours(ADDRESSES)
    with Tap(c1, "eth0") as inside, Tap(h2.netns, "eth0") as wire:
        send_from_elsewhere(h1, h2, net, _mac_of("10.51.0.1", router))
        send_from_container(c1, net)
        lost = unanswered(wanted, patience)
        came = [packet.src for packet in inside.packets()]
        left = [packet.inside for packet in wire.packets() if packet.vni]
    if "10.50.0.99" in came:
        lost.append("a stranger's frame came in")
    if {"10.50.0.97", "10.51.0.96"} & set(came):
        lost.append("a frame came in that was not encrypted")
    if any(packet and packet[0] == "10.50.0.98" for packet in left):
        lost.append("a container's own VXLAN packet left")
    return lost + ([] if h1.told() and len(h1.told()) == 2 else ["h2 is not told of c1"])


def links(netns: str) -> list[str]:
    """Names of the links in a namespace."""
    with entered(netns):
        return [name for _, name in socket.if_nameindex()]


def full(net: Network) -> int:
    """Bytes of the largest ping that fits."""
    return (1424 if net.overlay.encrypted else 1450) - 28


def unanswered(wanted: Mapping[str, tuple[str, str]], patience: float) -> list[str]:
    """Those of the pings, each from a namespace to an address, that got no answer; all at once."""
    running = {}
    for name, (netns, to) in wanted.items():
        argv = ["ping", "-n", "-q", "-c", "1", "-W", str(patience), *to.split()]
        with entered(netns):
            running[name] = subprocess.Popen(
                argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
    return [name for name, ping in running.items() if ping.wait()]


def _mac_of(address: str, netns: str) -> str:
    """The MAC of the link that has an address; empty where none has it."""
    for link in json.loads(labs.within(netns, "ip -json addr")):
        if address in (each["local"] for each in link["addr_info"]):
            return str(link["address"])
    return ""


def send_from_elsewhere(h1: LabHost, h2: LabHost, net: Network, gateway: str) -> None:
    """Send c1 a frame in a stranger's name and, to an encrypted network, some in h2's in the clear.

    A packet socket goes past h2's own rules. Of those in the clear one is in c1's subnet, and one
    in the other, whose gateway forwards it.
    """
    mac = labs.within(h1.netns, "ip -br link show eth0").split()[2]
    frames = [(STRANGER, vxlan(net, "10.50.0.99", "10.50.0.2"))]
    if net.overlay.encrypted:
        frames.append((str(TWO), vxlan(net, "10.50.0.97", "10.50.0.2")))
        frames += [(str(TWO), vxlan(net, "10.51.0.96", "10.50.0.2", gateway))] if gateway else []
    with entered(h2.netns), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind(("eth0", 0))
        for outer, tunnelled in frames:
            tunnel = (
                Ether(src="02:00:00:00:00:99", dst=mac)
                / IP(src=outer, dst=str(ONE))
                / UDP(sport=5000, dport=4789)
            )
            out.send(bytes(tunnel / tunnelled))


def send_from_container(c1: str, net: Network) -> None:
    """Send h2 a frame for c2 from inside c1, by its way out."""
    with entered(c1), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        try:
            out.sendto(bytes(vxlan(net, "10.50.0.98", "10.50.0.102")), (str(TWO), 4789))
        except OSError:
            return  # its way out is what was cut


def vxlan(net: Network, src: str, dst: str, gateway: str = "") -> Any:
    """A packet between two containers, with a VXLAN header before it.

    Args:
        gateway: the MAC of the second subnet's gateway, where it comes from there.
    """
    mac = gateway or "02:42:" + ":".join(f"{int(part):02x}" for part in dst.split("."))
    inner = Ether(src="02:42:0a:32:00:63", dst=mac) / IP(src=src, dst=dst) / UDP(dport=9)
    return VXLAN(vni=net.overlay.vnis[1 if gateway else 0], flags=8) / inner
