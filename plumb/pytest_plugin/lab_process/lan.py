"""The LAN before a lab's host.

A LAN with a router, another machine on it, and the internet behind the router.

    host      eth0 ── port-host ───┐
    client    eth0 ── port-client ─┴─ sw0, a bridge in the router: 192.0.2.1, 2001:db8:2::1

The router also has 198.51.100.1 and 2001:db8:64::1, "the internet".

The addresses are those that are kept for examples (RFC 5737, RFC 3849).

The router has routes for private addresses (RFC 1918, RFC 4193) through the host, so that each
machine outside has a route to the containers: the firewall alone then keeps them unreachable, no
accident of the routing. On a real LAN one hostile neighbour that adds such a route is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv6Address,
    IPv6Interface,
    ip_interface,
    ip_network,
)

from plumb.address import IPInterface
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import fake_host, namespaces
from plumb.plan import plan
from plumb.pytest_plugin.values import CLIENT, HOST, INTERNET, ROUTER, Interface
from plumb.things import Thing
from plumb.things.layer3 import Address, Route, Sysctl
from plumb.things.links import Bridge, Up, Veth

SWITCH = "sw0"
NETWORK, NETWORK6 = "192.0.2.{}/24", "2001:db8:2::{:x}/64"
NUMBERS = {ROUTER: 1, HOST: 10, CLIENT: 20}
MAC = "02:00:5e:00:53:{:02x}"
THERE = ("198.51.100.1/32", "2001:db8:64::1/128")
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
EVERYWHERE = ("0.0.0.0/0", "::/0")


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
    internet = [ip_interface(text).ip for text in THERE]
    assert isinstance(internet[0], IPv4Address)
    assert isinstance(internet[1], IPv6Address)
    return {
        **{node: _interface(node) for node in NUMBERS},
        INTERNET: Interface(INTERNET, "lan", "lo", internet[0], internet[1]),
    }


def _addresses(node: str) -> list[IPInterface]:
    return [ip_interface(pattern.format(NUMBERS[node])) for pattern in (NETWORK, NETWORK6)]


def _interface(node: str) -> Interface:
    v4, v6 = _addresses(node)
    assert isinstance(v4, IPv4Interface)
    assert isinstance(v6, IPv6Interface)
    return Interface(
        node, "lan", SWITCH if node == ROUTER else "eth0", v4.ip, v6.ip, MAC.format(NUMBERS[node])
    )


def _router() -> Iterator[Thing]:
    for name in ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"):
        yield Sysctl(name, "1")
    yield Bridge(SWITCH, MAC.format(NUMBERS[ROUTER]))
    for address in _addresses(ROUTER):
        yield Address(SWITCH, address)
    for text in THERE:
        yield Address("lo", ip_interface(text))
    yield Up(SWITCH)
    yield Up("lo")
    for text in PRIVATE:
        private = ip_network(text)
        yield Route(private, _addresses(HOST)[private.version == 6].ip, SWITCH)


def _machine(node: str, ns: str) -> Iterator[Thing]:
    """A machine on the LAN, whose way out is the router."""
    yield Veth(f"port-{node.strip('()')}", SWITCH, "eth0", ns, MAC.format(NUMBERS[node]))
    for address in _addresses(node):
        yield Address("eth0", address, ns)
    yield Up("eth0", ns)
    yield Up("lo", ns)
    for dst, address in zip(EVERYWHERE, _addresses(ROUTER), strict=True):
        yield Route(ip_network(dst), address.ip, "eth0", ns)
