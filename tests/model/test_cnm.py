"""The model: what follows from the values alone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_network

import pytest

from plumb.address import ip_on
from plumb.model.cnm import Endpoint, Network, Pool, Sandbox
from plumb.model.driver_options import BridgeOptions, IpvlanMode, IpvlanOptions, MacvlanOptions
from plumb.model.net.gateways import gateway_of, gateway_order

ID = "0123456789abcdef" * 4


def net(name: str, subnet: int = 1, *, six: bool = False, internal: bool = False) -> Network:
    """A network 10.SUBNET.0.0/24, with fd00:SUBNET::/64 too if asked for."""
    pools: tuple[Pool, ...] = (
        Pool(ip_network(f"10.{subnet}.0.0/24"), gateway=ip_address(f"10.{subnet}.0.1")),
    )
    if six:
        pools += (Pool(ip_network(f"fd00:{subnet}::/64"), gateway=ip_address(f"fd00:{subnet}::1")),)
    return Network(f"{subnet:064x}", name, "bridge", pools, ipv6=six, internal=internal)


def end(on: Network, priority: int = 0) -> Endpoint:
    """An endpoint with an address of each of the network's families."""
    subnet = int(on.id, 16)
    six = IPv6Interface(f"fd00:{subnet}::2/64") if on.ipv6 else None
    return Endpoint(
        on.name * 4,
        on.id,
        "box",
        "veth0",
        "eth0",
        "02:00:00:00:00:01",
        IPv4Interface(f"10.{subnet}.0.2/24"),
        six,
        gw_priority=priority,
    )


def order(*ends: tuple[Endpoint, Network]) -> list[str]:
    """The networks' names in gateway order, whichever way they are given."""
    found = [network.name for _, network in gateway_order(list(ends))]
    assert found == [network.name for _, network in gateway_order(list(reversed(ends)))]
    return found


def on(network: Network, priority: int = 0) -> tuple[Endpoint, Network]:
    """An endpoint and its network."""
    return end(network, priority), network


def test_the_bridge_s_name_is_given_or_derived() -> None:
    """br- and twelve digits of the id."""
    network = Network(ID, "n", "bridge")
    assert network.link == "br-0123456789ab"
    assert replace(network, bridge=BridgeOptions(name="br9")).link == "br9"


@pytest.mark.parametrize(
    ("name", "predefined"),
    [("bridge", True), ("host", True), ("none", True), ("default", False), ("shop", False)],
)
def test_predefined_networks(name: str, predefined: bool) -> None:
    """Three are always there."""
    assert Network(ID, name, "bridge").predefined is predefined


def test_an_internal_network_offers_no_gateway() -> None:
    """The bridge has its address all the same."""
    network = net("n", internal=True)
    assert network.router(end(network).ips[0]) is None
    assert network.pools[0].gateway == ip_address("10.1.0.1")


def test_a_network_without_a_family_offers_no_gateway_in_it() -> None:
    """Each family for itself."""
    assert net("n").router(IPv6Interface("fd00:1::2/64")) is None
    assert net("n", six=True).router(IPv6Interface("fd00:1::2/64")) == ip_address("fd00:1::1")


def test_priority_comes_first() -> None:
    """Higher before lower, and negative ones last."""
    assert order(on(net("a", 1), -1), on(net("b", 2)), on(net("c", 3), 5)) == ["c", "b", "a"]


def test_then_networks_that_lead_outside() -> None:
    """Internal ones come after all of the same priority."""
    assert order(on(net("a", 1, internal=True)), on(net("b", 2))) == ["b", "a"]


def test_then_those_with_both_families() -> None:
    """Two gateways before one."""
    assert order(on(net("a", 1)), on(net("b", 2, six=True))) == ["b", "a"]


def test_then_the_name() -> None:
    """In the alphabet's order."""
    assert order(on(net("b", 1)), on(net("a", 2)), on(net("c", 3))) == ["a", "b", "c"]


def test_each_family_has_its_own_gateway() -> None:
    """The network with the higher priority has no IPv6: so IPv6 leaves by the other."""
    ends = [on(net("a", 1), 10), on(net("b", 2, six=True))]
    chosen = [found[1].name if (found := gateway_of(ends, version)) else None for version in (4, 6)]
    assert chosen == ["a", "b"]


def test_a_network_without_gateway_is_none() -> None:
    """Where no network leads outside, there is no default route."""
    assert gateway_of([on(net("a", internal=True))], 4) is None
    assert gateway_of([], 4) is None


def test_modes_of_a_sandbox() -> None:
    """host and container:ID have no network stack of their own; none has."""
    boxes = {
        mode: Sandbox(ID, "box", mode) for mode in ("network", "host", "none", "container:abc")
    }
    assert {mode: box.shares for mode, box in boxes.items()} == {
        "network": False,
        "host": True,
        "none": False,
        "container:abc": True,
    }
    assert boxes["container:abc"].target == "abc"
    assert boxes["network"].target == ""


def test_a_sandbox_s_key_is_not_its_id() -> None:
    """As long-lived, as long, and another."""
    box = Sandbox(ID, "box")
    assert len(box.key) == 64
    assert box.key != box.id
    assert box.key == replace(box, name="other").key


def test_an_address_with_its_prefix() -> None:
    """In its own family."""
    assert str(ip_on(ip_address("10.0.0.2"), 24)) == "10.0.0.2/24"
    assert str(ip_on(ip_address("fd00::2"), 64)) == "fd00::2/64"


# -- macvlan and ipvlan ---------------------------------------------------------------


def on_a_parent(
    driver: str = "macvlan",
    *,
    parent: str = "eth0",
    gateway: str = "",
    mode: str = "l2",
    internal: bool = False,
) -> Network:
    """A network 10.1.0.0/24 and 10.2.0.0/24; the gateway is the first subnet's."""
    pools = (
        Pool(ip_network("10.1.0.0/24"), gateway=ip_address(gateway) if gateway else None),
        Pool(ip_network("10.2.0.0/24")),
    )
    return Network(
        ID,
        "n",
        driver,
        pools,
        internal=internal,
        macvlan=MacvlanOptions(parent),
        ipvlan=IpvlanOptions(parent, IpvlanMode(mode)),
    )


FIRST, SECOND = IPv4Interface("10.1.0.5/24"), IPv4Interface("10.2.0.5/24")


@pytest.mark.parametrize(
    ("driver", "link"), [("macvlan", "dm-0123456789ab"), ("ipvlan", "di-0123456789ab")]
)
def test_a_dummy_parent_is_called_after_the_network(driver: str, link: str) -> None:
    """As in Docker."""
    assert on_a_parent(driver, parent="").link == link
    assert on_a_parent(driver).link == "eth0"


def test_each_subnet_has_its_own_router() -> None:
    """One that was given none has none."""
    network = on_a_parent(gateway="10.1.0.1")
    assert (network.router(FIRST), network.router(SECOND)) == (ip_address("10.1.0.1"), None)


def test_a_real_parent_leads_out_even_without_a_gateway() -> None:
    """Docker counts it as external, so that names are asked for outside.

    There is just no default route.
    """
    assert on_a_parent().leads_out(FIRST)
    assert on_a_parent().router(FIRST) is None


def test_a_dummy_parent_leads_nowhere() -> None:
    """Nor does an internal network; a gateway that was named is not used."""
    for network in (
        on_a_parent(parent="", gateway="10.1.0.1"),
        on_a_parent(internal=True, gateway="10.1.0.1"),
    ):
        assert network.closed
        assert not network.leads_out(FIRST)
        assert network.router(FIRST) is None


@pytest.mark.parametrize(("mode", "router"), [("l2", "10.1.0.1"), ("l3", None), ("l3s", None)])
def test_layer_three_has_no_router(mode: str, router: str | None) -> None:
    """What leaves goes to the link, whatever gateway was named."""
    network = on_a_parent("ipvlan", gateway="10.1.0.1", mode=mode)
    assert network.router(FIRST) == (ip_address(router) if router else None)
    assert network.leads_out(FIRST)
