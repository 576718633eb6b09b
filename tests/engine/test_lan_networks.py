"""Networks on a parent (macvlan, ipvlan) in the intent.

Which parents there are, who shares one, which addresses. On a dict.
"""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from plumb import Host
from plumb.errors import Conflict, Exhausted, Invalid, NotFound
from plumb.kernel.system import System
from plumb.model.cnm import Attachment
from plumb.things.links import Dummy, Ipvlan, Macvlan, Vlan
from tests.memory_host import MemoryHosts

DRIVERS = ("macvlan", "ipvlan")


ETH0 = System(kind_of={"eth0": "", "eth0.5": "vlan"}.get)
"""It has a link eth0 and a VLAN of it, eth0.5, that are not plumb's."""


@pytest.fixture
def host(memory_host: MemoryHosts) -> Host:
    return memory_host(ETH0)


def links(host: Host) -> list[str]:
    """The parents that plumb has made."""
    return [thing.name for thing in host.store.things() if isinstance(thing, Vlan | Dummy)]


# -- which parents ---------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("parent", "words"),
    [
        ("lo", "loopback interface is not a valid {} parent link"),
        ("nosuch0", "invalid subinterface vlan name nosuch0, example formatting is eth0.10"),
        ("eth0.x", r"unable to parse a valid vlan id from: x \(ex. eth0.10 for vlan 10\)"),
        ("eth0.", r"unable to parse a valid vlan id from: +\(ex. eth0.10 for vlan 10\)"),
        ("eth0.0", "vlan id must be between 1-4094, received: 0"),
        ("eth0.4095", "vlan id must be between 1-4094, received: 4095"),
        (
            "eth0.1.2",
            (
                "required interface name format is: name.vlan_id, ex. "
                "eth0.10 for vlan 10, instead received eth0.1.2"
            ),
        ),
        ("missing.10", "-o parent interface was not found on the host: missing"),
    ],
)
def test_a_parent_that_cannot_be(host: Host, driver: str, parent: str, words: str) -> None:
    """Docker's words."""
    with pytest.raises((Invalid, NotFound), match=words.format(driver)):
        host.create_network("n1", driver=driver, options={"parent": parent})


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_link_of_the_host_is_used_and_not_made(host: Host, driver: str) -> None:
    """eth0 and eth0.5 are there already."""
    for number, parent in enumerate(("eth0", "eth0.5")):
        assert host.create_network(f"n{number}", driver=driver, options={"parent": parent}).foreign
    assert links(host) == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_vlan_is_made_with_the_network(host: Host, driver: str) -> None:
    """And goes with it."""
    host.create_network("n1", driver=driver, options={"parent": "eth0.10"})
    assert host.store.thing(("link", "", "eth0.10")) == Vlan("eth0.10", "eth0", 10)
    host.remove_network("n1")
    assert links(host) == []


def test_a_vlan_that_two_networks_share_goes_with_the_last(host: Host) -> None:
    """Whichever of them made it."""
    host.create_network("first", driver="macvlan", options={"parent": "eth0.10"})
    host.create_network("second", driver="macvlan", options={"parent": "eth0.10"})
    host.remove_network("first")
    assert links(host) == ["eth0.10"]
    host.remove_network("second")
    assert links(host) == []


def test_a_vlan_is_shared_by_networks_of_one_operation(host: Host) -> None:
    """The second sees that the first is about to make it."""
    with host.operation() as verbs:
        verbs.create_network("first", driver="macvlan", options={"parent": "eth0.10"})
        verbs.create_network("second", driver="macvlan", options={"parent": "eth0.10"})
    host.remove_network("first")
    assert links(host) == ["eth0.10"]


@pytest.mark.parametrize(("driver", "prefix"), [("macvlan", "dm-"), ("ipvlan", "di-")])
def test_without_a_parent_there_is_a_dummy(host: Host, driver: str, prefix: str) -> None:
    """Called after the network, which Docker does not call internal."""
    net = host.create_network("n1", driver=driver)
    assert links(host) == [prefix + net.id[:12]]
    assert not net.internal
    host.remove_network("n1")
    assert links(host) == []


def test_a_parent_that_is_gone_when_a_container_comes(host: Host, memory_host: MemoryHosts) -> None:
    """Docker's words."""
    host.create_network("n1", driver="macvlan", options={"parent": "eth0"})
    gone = memory_host(System())
    with pytest.raises(
        NotFound, match="the requested parent interface eth0 was not found on the Docker host"
    ):
        gone.run("c1", network="n1")


# -- who shares one ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (
            "passthru",
            "bridge",
            "macvlan network {} is already using parent interface eth0 in mode passthru",
        ),
        (
            "bridge",
            "passthru",
            "cannot use mode passthru, macvlan network {} is already using parent interface eth0",
        ),
    ],
)
def test_a_passthru_network_has_its_parent_for_itself(
    host: Host, first: str, second: str, words: str
) -> None:
    """Whoever comes first."""
    net = host.create_network(
        "first", driver="macvlan", options={"parent": "eth0", "macvlan_mode": first}
    )
    with pytest.raises(Conflict, match=words.format(net.id)):
        host.create_network(
            "second", driver="macvlan", options={"parent": "eth0", "macvlan_mode": second}
        )


def test_other_macvlan_networks_share_a_parent(host: Host) -> None:
    """In whatever modes."""
    for mode in ("bridge", "private", "vepa"):
        host.create_network(
            f"in-{mode}", driver="macvlan", options={"parent": "eth0", "macvlan_mode": mode}
        )
    assert [net.macvlan.mode for net in host.networks() if net.driver == "macvlan"] == [
        "bridge",
        "private",
        "vepa",
    ]


def test_an_ipvlan_network_shares_its_parent_with_no_other(host: Host) -> None:
    """The mode is the parent's; Docker names the other network as it names its dummy."""
    net = host.create_network("first", driver="ipvlan", options={"parent": "eth0"})
    with pytest.raises(
        Conflict, match=f"network di-{net.id[:12]} is already using parent interface eth0"
    ):
        host.create_network("second", driver="ipvlan", options={"parent": "eth0"})


# -- options ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("driver", "options", "words"),
    [
        (
            "macvlan",
            {"macvlan_mode": "source"},
            (
                "requested macvlan mode 'source' is not valid, "
                "'bridge' mode is the macvlan driver default"
            ),
        ),
        (
            "ipvlan",
            {"ipvlan_mode": "l4"},
            "requested ipvlan mode 'l4' is not valid, 'l2' mode is the ipvlan driver default",
        ),
        (
            "ipvlan",
            {"ipvlan_flag": "x"},
            "requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default",
        ),
        ("macvlan", {"ipvlan_mode": "l2"}, "unknown option 'ipvlan_mode' of the macvlan driver"),
    ],
)
def test_an_option_that_cannot_be(
    host: Host, driver: str, options: dict[str, str], words: str
) -> None:
    """Docker's words, but for a key that the driver does not have."""
    with pytest.raises(Invalid, match=words):
        host.create_network("n1", driver=driver, options=options)


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_mtu_is_the_parent_s(host: Host, driver: str) -> None:
    """Docker takes the option and does nothing with it."""
    host.create_network(
        "n1", driver=driver, options={"parent": "eth0", "com.docker.network.driver.mtu": "1400"}
    )
    host.run("c1", network="n1")
    made = [thing for thing in host.store.things() if isinstance(thing, Macvlan | Ipvlan)]
    assert len(made) == 1
    assert "1400" not in repr(made)


@pytest.mark.parametrize("driver", DRIVERS)
def test_neither_family_is_a_network_too(host: Host, driver: str) -> None:
    """As in Docker, which asks for one of a bridge only.

    Its containers speak what they like below IP.
    """
    host.create_network("n1", driver=driver, ipv4=False, options={"parent": "eth0"})
    host.run("c1", network="n1")
    assert [end.ips for end in host.endpoints(host.container("c1"))] == [()]


# -- addresses ---------------------------------------------------------------


@pytest.mark.parametrize("driver", DRIVERS)
def test_no_address_is_set_aside_for_a_gateway_that_was_not_named(host: Host, driver: str) -> None:
    """The first container has the first address."""
    host.create_network("n1", driver=driver, subnet="10.1.0.0/24", options={"parent": "eth0"})
    host.run("c1", network="n1")
    assert [str(end.ip) for end in host.endpoints(host.container("c1"))] == ["10.1.0.1/24"]


def test_the_second_subnet_is_used_when_the_first_is_full(host: Host) -> None:
    """In the order in which they were given."""
    host.create_network(
        "n1", driver="macvlan", subnet=["10.1.0.0/31", "10.2.0.0/31"], options={"parent": "eth0"}
    )
    for name in ("c1", "c2", "c3", "c4"):
        host.run(name, network="n1")
    found = sorted(
        str(end.ip)
        for name in ("c1", "c2", "c3", "c4")
        for end in host.endpoints(host.container(name))
    )
    assert found == ["10.1.0.0/31", "10.1.0.1/31", "10.2.0.0/31", "10.2.0.1/31"]
    with pytest.raises(Exhausted, match="no available IPv4 addresses"):
        host.run("c5", network="n1")


def test_networks_share_a_subnet_where_a_range_parts_them(host: Host) -> None:
    """No address is handed out twice, not even where the ranges overlap."""
    ranges = {"a": "192.0.2.64/26", "b": "192.0.2.64/27"}
    for name, span in ranges.items():
        host.create_network(
            name, driver="macvlan", subnet="192.0.2.0/24", ip_range=span, options={"parent": "eth0"}
        )
    with host.operation() as verbs:
        for number in range(4):
            verbs.run(f"c{number}", network="ab"[number % 2])
    found = sorted(
        str(end.ip) for number in range(4) for end in host.endpoints(host.container(f"c{number}"))
    )
    assert found == [f"192.0.2.{number}/24" for number in range(64, 68)]


def test_a_container_is_on_one_of_the_networks_that_share_a_subnet(host: Host) -> None:
    """Its second link would have a route to where the first one leads (Docker's words)."""
    for name, span in {"a": "192.0.2.64/27", "b": "192.0.2.96/27"}.items():
        host.create_network(
            name, driver="macvlan", subnet="192.0.2.0/24", ip_range=span, options={"parent": "eth0"}
        )
    host.run("c1", network="a")
    words = r"cannot program address 192\.0\.2\.96/24 in sandbox interface because it conflicts"
    with pytest.raises(Conflict, match=words):
        host.connect("b", "c1")
    with pytest.raises(Conflict, match=r"conflicts with existing route 192\.0\.2\.0/24"):
        host.run("c2", network=["a", "b"])


def test_the_same_range_twice_is_an_overlap(host: Host) -> None:
    """And so is a subnet without a range."""
    host.create_network(
        "a",
        driver="macvlan",
        subnet="192.0.2.0/24",
        ip_range="192.0.2.64/26",
        options={"parent": "eth0"},
    )
    for span in ("192.0.2.64/26", ()):
        with pytest.raises(Conflict, match="Pool overlaps with other one"):
            host.create_network(
                "b",
                driver="macvlan",
                subnet="192.0.2.0/24",
                ip_range=span,
                options={"parent": "eth0"},
            )


def test_an_address_in_the_second_subnet_can_be_asked_for(host: Host) -> None:
    """It comes with that subnet's prefix length."""
    host.create_network(
        "n1", driver="macvlan", subnet=["10.1.0.0/24", "10.2.0.0/16"], options={"parent": "eth0"}
    )
    host.run("c1", network=Attachment("n1", ip=IPv4Address("10.2.7.7")))
    assert [str(end.ip) for end in host.endpoints(host.container("c1"))] == ["10.2.7.7/16"]


def test_an_ipvlan_container_has_no_mac_of_its_own(host: Host) -> None:
    """Asking for one is refused in Docker's words."""
    host.create_network("n1", driver="ipvlan", options={"parent": "eth0"})
    with pytest.raises(
        Invalid, match="ipvlan interfaces do not support custom mac address assignment"
    ):
        host.run("c1", network=Attachment("n1", mac="02:00:00:00:00:01"))
    host.run("c2", network="n1")
    assert [end.mac for end in host.endpoints(host.container("c2"))] == [""]


@pytest.mark.parametrize("driver", DRIVERS)
def test_ports_are_not_published(host: Host, driver: str) -> None:
    """Who reaches the LAN reaches all of them."""
    host.create_network("n1", driver=driver, options={"parent": "eth0"})
    host.run("c1", network="n1", publish="8080:80")
    assert [end.ports for end in host.endpoints(host.container("c1"))] == [()]
