"""The LAN before a lab's host.

A LAN with a router, another machine on it, and the internet behind the router.

    host      eth0 ── port-host ───┐
    client    eth0 ── port-client ─┴─ sw0, a bridge in the router, whose lo has "the internet"

The addresses are in `plumb.lab.lan.LAN`.

The router has routes for private addresses (RFC 1918, RFC 4193) through the host, so that each
machine outside has a route to the containers: the firewall alone then keeps them unreachable, no
accident of the routing. On a real LAN one hostile neighbour that adds such a route is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface, ip_network

from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import fake_host, namespaces
from plumb.lab.lan import LAN
from plumb.plan import plan
from plumb.pytest_plugin.values import CLIENT, HOST, INTERNET, ROUTER, Interface
from plumb.things import Thing
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Up, Veth

SWITCH = "sw0"
STATIONS = {ROUTER: LAN.router, HOST: LAN.host, CLIENT: LAN.client}
MACS = {ROUTER: "02:00:5e:00:53:01", HOST: "02:00:5e:00:53:0a", CLIENT: "02:00:5e:00:53:14"}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


def attach(places: dict[str, str]) -> dict[str, Interface]:
    """Build the LAN and attach the host that the calling thread is in; the interface of each place.

    Args:
        places: the namespace files; gets those of the router, the client and the internet.
    """
    for node in (ROUTER, CLIENT):
        places[node] = f"{fake_host.OWN_FILES}/{node.strip('()')}"
        namespaces.make(places[node])
    places[INTERNET] = places[ROUTER]
    things = [*_router(), *_machine(HOST, places[HOST]), *_machine(CLIENT, places[CLIENT])]
    with namespaces.entered(places[ROUTER]):
        LinuxKernel().take(plan([], things))
    return {
        **{node: _interface(node) for node in STATIONS},
        INTERNET: Interface(INTERNET, "lan", "lo", LAN.internet, LAN.internet6),
    }


def _interface(node: str) -> Interface:
    dev, station = SWITCH if node == ROUTER else "eth0", STATIONS[node]
    return Interface(node, "lan", dev, station.v4.ip, station.v6.ip, MACS[node])


def _router() -> Iterator[Thing]:
    for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        yield Sysctl(name, "1")
    yield Bridge(SWITCH, MACS[ROUTER])
    yield Address(SWITCH, LAN.router.v4)
    yield Address(SWITCH, LAN.router.v6)
    yield Address("lo", ip_interface(LAN.internet))
    yield Address("lo", ip_interface(LAN.internet6))
    yield Up(SWITCH)
    yield Up("lo")
    for text in PRIVATE:
        private = ip_network(text)
        via = LAN.host.v4 if private.version == 4 else LAN.host.v6
        yield Route(private, via.ip, SWITCH)


def _machine(node: str, ns: str) -> Iterator[Thing]:
    """A machine on the LAN, whose way out is the router."""
    yield Veth(f"port-{node.strip('()')}", SWITCH, "eth0", ns, MACS[node])
    yield Address("eth0", STATIONS[node].v4, ns)
    yield Address("eth0", STATIONS[node].v6, ns)
    yield Up("eth0", ns)
    yield Up("lo", ns)
    yield Route(ip_network("0.0.0.0/0"), LAN.router.v4.ip, "eth0", ns)
    yield Route(ip_network("::/0"), LAN.router.v6.ip, "eth0", ns)
