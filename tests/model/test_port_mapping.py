"""Which ports are published where, as a matter of values."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_network
from typing import Any

import pytest

from plumb.model import port_mapping
from plumb.model.cnm import Endpoint, Network, Pool, Sandbox
from plumb.model.container_options import published
from plumb.model.driver_options import BridgeOptions, GatewayMode
from plumb.model.port_mapping import Request, candidates, clash
from plumb.model.ports import PortBinding

ANY, ANY6 = ip_address("0.0.0.0"), ip_address("::")
POOLS = (
    Pool(ip_network("10.9.0.0/24"), gateway=ip_address("10.9.0.1")),
    Pool(ip_network("fd09::/64"), gateway=ip_address("fd09::1")),
)


def network(
    name: str = "n", *, six: bool = True, internal: bool = False, **options: Any
) -> Network:
    """A network, of both families unless told."""
    return Network(
        name * 64,
        name,
        "bridge",
        POOLS if six else POOLS[:1],
        ipv6=six,
        internal=internal,
        bridge=BridgeOptions(**options),
    )


def endpoint(net: Network, *, four: bool = True, six: bool = True) -> Endpoint:
    """A container's place on it."""
    return Endpoint(
        "e" + net.id[1:],
        net.id,
        "box",
        "veth0",
        "eth0",
        "",
        IPv4Interface("10.9.0.2/24") if four else None,
        IPv6Interface("fd09::2/64") if six else None,
    )


def asked(
    *words: str,
    end: Endpoint | None = None,
    net: Network | None = None,
    proxy: bool = True,
    ipv6: bool = True,
) -> list[Request]:
    """What those -p words come to, for a gateway of both families."""
    net = net or network()
    bindings = [binding for word in words for binding in published(word)]
    return port_mapping.requests(
        bindings, end or endpoint(net), net, (4, 6), proxy=proxy, ipv6=ipv6
    )


def test_without_an_address_it_is_all_of_both_families() -> None:
    """0.0.0.0 and ::, side by side, for one port number."""
    assert asked("8080:80") == [
        Request(False, 80, "tcp", 8080, 8080, ANY),
        Request(False, 80, "tcp", 8080, 8080, ANY6),
    ]
    assert [len(group) for group in port_mapping.groups(asked("8080:80"))] == [2]


def test_a_host_address_is_the_only_one() -> None:
    """Of its own family."""
    assert [r.host_ip for r in asked("127.0.0.1:8080:80", "[::1]:8081:80")] == [
        ip_address("127.0.0.1"),
        ip_address("::1"),
    ]


def test_an_ipv4_address_in_ipv6_s_spelling_is_the_ipv4_address() -> None:
    """As in Docker."""
    assert [r.host_ip for r in asked("[::ffff:127.0.0.1]:8080:80")] == [ip_address("127.0.0.1")]


@pytest.mark.parametrize("own", ["::", "::1", "2001:db8::1"])
def test_the_network_s_own_ipv6_address_stands_in(own: str) -> None:
    """Alone, as Docker's manual has it; the proxy leads from there to a container without IPv6."""
    net = network(host_binding=ip_address(own))
    assert [r.host_ip for r in asked("8080:80", net=net)] == [ip_address(own)]
    assert [r.host_ip for r in asked("8080:80", net=net, ipv6=False)] == [ip_address(own)]
    assert [r.host_ip for r in asked("0.0.0.0:8080:80", net=net)] == [ANY]
    four = network(six=False, host_binding=ip_address(own))
    end = endpoint(four, six=False)
    assert [r.host_ip for r in asked("8080:80", end=end, net=four)] == [ip_address(own)]
    assert asked("8080:80", end=end, net=four, proxy=False) == []


def test_a_routed_network_is_open_in_the_family_of_its_own_address() -> None:
    """Nothing of the host is bound there, so that it is the family alone that counts."""
    routed = GatewayMode.ROUTED
    net = network(host_binding=ip_address("::1"), mode4=routed, mode6=routed)
    assert [(r.routed, r.host_ip) for r in asked("8080:80", net=net)] == [(True, ANY6)]


def test_the_network_s_own_address_stands_in() -> None:
    """host_binding_ipv4 says where to publish what names no address.

    Then there is no IPv6 binding.
    """
    net = network(host_binding=IPv4Address("127.0.0.1"))
    assert [r.host_ip for r in asked("8080:80", net=net)] == [ip_address("127.0.0.1")]
    assert [
        r.host_ip for r in asked("8080:80", net=network(host_binding=IPv4Address("0.0.0.0")))
    ] == [ANY, ANY6]


def test_a_host_without_ipv6_has_no_second_binding() -> None:
    """But one that was asked for by name."""
    assert [r.host_ip for r in asked("8080:80", ipv6=False)] == [ANY]
    assert [r.host_ip for r in asked("[::]:8080:80", ipv6=False)] == [ANY6]


def test_a_container_without_ipv6_needs_the_proxy() -> None:
    """It speaks IPv4 to the container; without it there is no IPv6 binding."""
    four = endpoint(network(), six=False)
    assert [r.host_ip for r in asked("8080:80", end=four)] == [ANY, ANY6]
    assert [r.host_ip for r in asked("8080:80", "[::1]:81:81", end=four, proxy=False)] == [ANY]


def test_a_container_without_ipv4_is_published_on_ipv6_only() -> None:
    """No proxy leads from IPv4 to IPv6."""
    assert [
        r.host_ip for r in asked("8080:80", "127.0.0.1:81:81", end=endpoint(network(), four=False))
    ] == [ANY6]


def test_a_routed_network_binds_nothing() -> None:
    """Whatever address was asked for; the other family is as it was."""
    net = network(mode4=GatewayMode.ROUTED)
    assert asked("127.0.0.1:8080:80", net=net) == [Request(True, 80, "tcp", 8080, 8080, ANY)]
    assert [(r.routed, r.host_ip) for r in asked("80", net=net)] == [(False, ANY6), (True, ANY)]


def test_a_routed_family_is_not_proxied_to_the_other() -> None:
    """An IPv4 network with gateway_mode_ipv6=routed binds no port of :: (Docker's rule)."""
    net = network(six=False, mode6=GatewayMode.ROUTED)
    found = asked("8080:80", end=endpoint(net, six=False), net=net)
    assert [(r.routed, r.host_ip) for r in found] == [(False, ANY), (True, ANY6)]


def test_exact_ports_come_before_ranges_and_any() -> None:
    """Then container ports, protocols, host ports, addresses: Docker's order."""
    words = ("8000-8010:80", "80", "9001:80/udp", "9001:80", "127.0.0.1:8081:80", "8084:81")
    found = [(r.port, r.protocol, r.first) for r in asked(*words) if r.host_ip.version == 4]
    assert found == [
        (80, "tcp", 8081),
        (80, "tcp", 9001),
        (80, "udp", 9001),
        (81, "tcp", 8084),
        (80, "tcp", 0),
        (80, "tcp", 8000),
    ]


def test_one_number_for_what_differs_in_the_address_alone() -> None:
    """Two addresses, one port, chosen once."""
    assert [
        len(group) for group in port_mapping.groups(asked("127.0.0.1::80", "192.0.2.10::80", "81"))
    ] == [2, 2]


@pytest.mark.parametrize(
    ("previous", "expected"), [(0, [5, 6, 7]), (5, [6, 7, 5]), (7, [5, 6, 7]), (99, [5, 6, 7])]
)
def test_ports_are_given_out_in_turn(previous: int, expected: list[int]) -> None:
    """Behind the last one, and from the beginning again."""
    assert list(candidates(5, 7, previous)) == expected
    assert list(candidates(5, 7, previous, frozenset({6}))) == [
        port for port in expected if port != 6
    ]


def test_all_addresses_include_each() -> None:
    """Within a family."""
    local, other = ip_address("127.0.0.1"), ip_address("127.0.0.2")
    assert clash(ANY, local)
    assert clash(local, ANY)
    assert clash(local, local)
    assert not clash(local, other)
    assert not clash(ANY, ANY6)


def test_publish_all_adds_what_is_exposed_and_not_published() -> None:
    """-P."""
    box = Sandbox(
        "i", "c", exposed=("80/tcp", "53/udp"), ports=(PortBinding(80, "tcp", None, 8080, 8080),)
    )
    assert port_mapping.wanted(box) == box.ports
    everything = Sandbox("i", "c", exposed=("80/tcp", "53/udp"), ports=box.ports, publish_all=True)
    assert port_mapping.wanted(everything) == (*box.ports, PortBinding(53, "udp"))


def test_the_gateway_publishes_for_its_family() -> None:
    """Each family for itself; IPv6 is IPv4's gateway's where nobody leads out by IPv6."""
    four, both = network("a", six=False), network("b")
    ends = [(endpoint(four, six=False), four), (endpoint(both), both)]
    assert [port_mapping.families(end, net, ends) for end, net in ends] == [
        frozenset(),
        {4, 6},
    ]  # b has more families
    assert port_mapping.families(*ends[0], ends[:1]) == {4, 6}
    internal = network("c", internal=True)
    assert (
        port_mapping.families(endpoint(internal), internal, [(endpoint(internal), internal)])
        == frozenset()
    )


def test_a_routed_endpoint_publishes_without_being_the_gateway() -> None:
    """Nothing of the host is bound for it, and its clients have a route to it."""
    routed, both = network("z", six=False, mode4=GatewayMode.ROUTED), network("b")
    ends = [(endpoint(both), both), (endpoint(routed, six=False), routed)]
    assert [port_mapping.families(end, net, ends) for end, net in ends] == [{4, 6}, {4}]
