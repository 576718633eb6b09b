"""IPAM by Docker's rules: which subnet, which address, and what nobody can have."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumb.address import IPAddress, IPNetwork, reserved
from plumb.errors import Exhausted, Invalid
from plumb.model import ipam
from plumb.model.cnm import Pool
from plumb.model.settings import AddressPool

net, addr = ip_network, ip_address


def nobody(ip: IPAddress) -> bool:
    """All addresses are free."""
    return False


def handed_out(pool: Pool, count: int) -> list[str]:
    """The first addresses that a pool hands out, one after the other."""
    taken: list[IPAddress] = []
    for _ in range(count):
        ip = ipam.lowest_free(pool, taken.__contains__)
        if ip is None:
            break
        taken.append(ip)
    return [str(ip) for ip in taken]


# -- subnets ---------------------------------------------------------------


def test_docker_s_pools_in_docker_s_order() -> None:
    """172.17 to 172.31 as /16s, then 192.168.0.0/16 in /20s, and then there is nothing left."""
    found: list[IPNetwork] = []
    for _ in range(15 + 16):
        found.append(ipam.choose_subnet(ipam.LOCAL_POOLS, found))
    with pytest.raises(Exhausted, match="all predefined address pools have been fully subnetted"):
        ipam.choose_subnet(ipam.LOCAL_POOLS, found)
    assert [str(one) for one in found] == [
        *(f"172.{n}.0.0/16" for n in range(17, 32)),
        *(f"192.168.{n}.0/20" for n in range(0, 256, 16)),
    ]


def test_a_freed_subnet_is_the_next_one() -> None:
    """The lowest that is free is chosen, also when it is in the middle."""
    taken = [net("172.17.0.0/16"), net("172.19.0.0/16")]
    assert ipam.choose_subnet(ipam.LOCAL_POOLS, taken) == net("172.18.0.0/16")


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        (["172.17.5.0/24"], "172.18.0.0/16"),
        (["172.16.0.0/12"], "192.168.0.0/20"),
        (["172.17.0.0/16", "172.18.255.255/32"], "172.19.0.0/16"),
        (["10.0.0.0/8", "fd00::/8"], "172.17.0.0/16"),
        (["0.0.0.0/1"], "172.17.0.0/16"),
        (["172.16.0.0/12", "192.168.1.0/24", "192.168.16.0/32"], "192.168.32.0/20"),
    ],
)
def test_overlap_is_avoided(taken: list[str], chosen: str) -> None:
    """A subnet that overlaps a taken one, be that larger or smaller, is passed over."""
    assert ipam.choose_subnet(ipam.LOCAL_POOLS, [net(text) for text in taken]) == net(chosen)


def test_configured_pools_replace_docker_s_family_by_family() -> None:
    """default-address-pools of one family leave the other family's default in place."""
    mine = (AddressPool(net("10.200.0.0/16"), 24),)
    assert ipam.pools(mine, 4, "host") == mine
    assert ipam.pools(mine, 6, "host") == (ipam.unique_local("host"),)
    assert ipam.pools((), 4, "host") == ipam.LOCAL_POOLS


def test_configured_pools_are_taken_from_the_lowest_address_up() -> None:
    """dockerd sorts default-address-pools, and drops those that are part of a larger one."""
    low, high = AddressPool(net("10.200.0.0/16"), 24), AddressPool(net("192.168.0.0/16"), 20)
    inner = AddressPool(net("10.200.128.0/17"), 28)
    assert ipam.pools((inner, high, low), 4, "host") == (low, high)


def test_a_pool_as_large_as_its_size_is_one_subnet() -> None:
    """The test case of Docker's own suite: 175.30.0.0/16 as one, then 175.33.0.0/16 in /24s."""
    mine = (AddressPool(net("175.30.0.0/16"), 16), AddressPool(net("175.33.0.0/16"), 24))
    found: list[IPNetwork] = []
    for _ in range(3):
        found.append(ipam.choose_subnet(mine, found))
    assert [str(one) for one in found] == ["175.30.0.0/16", "175.33.0.0/24", "175.33.1.0/24"]


def test_unique_local_addresses_are_the_host_s_own() -> None:
    """A /48 out of fd00::/8, the same for the same host and another for another, in /64s."""
    pool = ipam.unique_local("a")
    assert pool.base.subnet_of(IPv6Network("fd00::/8"))  # type: ignore[arg-type]  # a pool's base may be of either family
    assert (pool.base.prefixlen, pool.size) == (48, 64)
    assert ipam.unique_local("a") == pool != ipam.unique_local("b")


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=20))
def test_the_chosen_subnet_is_the_first_free_one(taken: list[tuple[int, int]]) -> None:
    """By the definition, tried against every candidate."""
    nets = [IPv4Network((f"10.0.{third}.0", length)) for third, length in taken]
    free = [
        one
        for one in IPv4Network("10.0.0.0/16").subnets(new_prefix=24)
        if not any(one.overlaps(other) for other in nets)
    ]
    pool = AddressPool(IPv4Network("10.0.0.0/16"), 24)
    assert ipam.choose_subnet([pool], nets) == free[0]


# -- addresses ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("subnet", "given_out"),
    [
        ("10.0.0.0/29", ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]),
        ("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"]),
        ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.7/32", ["10.0.0.7"]),
        ("fd00::/126", ["fd00::1", "fd00::2", "fd00::3"]),
        ("fd00::/127", ["fd00::1"]),
        ("fd00::7/128", []),
    ],
)
def test_what_a_subnet_hands_out(subnet: str, given_out: list[str]) -> None:
    """The first and last of IPv4, the first of IPv6 are nobody's.

    In the two smallest subnets all count.
    """
    assert handed_out(Pool(net(subnet)), 99) == given_out


def test_a_range_s_ends_are_ordinary_addresses() -> None:
    """Only the subnet's own ends are reserved, not the range's."""
    assert handed_out(Pool(net("172.28.0.0/16"), net("172.28.5.0/30")), 9) == [
        "172.28.5.0",
        "172.28.5.1",
        "172.28.5.2",
        "172.28.5.3",
    ]


def test_a_range_at_the_subnet_s_end_does_not_give_its_ends() -> None:
    """Where the range's end is the subnet's, it is reserved."""
    assert handed_out(Pool(net("10.0.0.0/24"), net("10.0.0.0/30")), 9) == [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
    ]
    assert handed_out(Pool(net("10.0.0.0/24"), net("10.0.0.252/30")), 9) == [
        "10.0.0.252",
        "10.0.0.253",
        "10.0.0.254",
    ]


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [
        ("fd00::ffff:ffff:ffff:fffe/127", "fd00::ffff:ffff:ffff:fffe", "fd00::ffff:ffff:ffff:ffff"),
        ("fd00:0:0:1::/127", "fd00:0:0:1::", "fd00:0:0:1::1"),
    ],
)
def test_ranges_at_a_64_bit_boundary(span: str, first: str, last: str) -> None:
    """Nothing happens where the low 64 bits are all ones or all zeros."""
    assert handed_out(Pool(net("fd00::/56"), net(span)), 9) == [first, last]


def test_a_range_of_more_than_64_bits() -> None:
    """The size of a range costs nothing."""
    assert handed_out(Pool(net("fd00::/8"), net("fd80::/9")), 2) == ["fd80::", "fd80::1"]


def test_a_search_may_begin_higher() -> None:
    """A hint is where to begin; one below the range does no harm."""
    pool = Pool(net("10.0.0.0/24"), net("10.0.0.128/25"))
    assert ipam.lowest_free(pool, nobody, addr("10.0.0.200")) == addr("10.0.0.200")
    assert ipam.lowest_free(pool, nobody, addr("10.0.0.3")) == addr("10.0.0.128")


def test_nothing_is_left() -> None:
    """A subnet that is handed out whole has no address."""
    assert ipam.lowest_free(Pool(net("10.0.0.0/24")), lambda ip: True) is None


def test_the_last_address_of_all_is_not_run_over() -> None:
    """The search ends at the end of the address space."""
    assert ipam.lowest_free(Pool(net("255.255.255.254/31")), lambda ip: True) is None
    assert ipam.lowest_free(Pool(IPv6Network((2**128 - 2, 127))), lambda ip: True) is None


@given(st.integers(24, 32), st.sets(st.integers(0, 255)))
def test_the_lowest_free_address_is_handed_out(length: int, taken: set[int]) -> None:
    """By the definition, tried against all of the subnet's hosts."""
    subnet = IPv4Network(f"10.0.0.0/{length}")
    used = {IPv4Address("10.0.0.0") + n for n in taken}
    hosts = [ip for ip in subnet.hosts() if ip not in used]
    assert ipam.lowest_free(Pool(subnet), used.__contains__) == (hosts[0] if hosts else None)


# -- what was asked for ---------------------------------------------------------------


def planned(
    *, subnets: str = "", ranges: str = "", gateways: str = "", aux: dict[str, str] | None = None
) -> tuple[Pool, ...]:
    """`plan_pools` of words."""
    return ipam.plan_pools(
        [net(word) for word in subnets.split()],
        [net(word) for word in ranges.split()],
        [addr(word) for word in gateways.split()],
        aux or {},
    )


def test_each_word_goes_to_the_subnet_that_holds_it() -> None:
    """Ranges, gateways and auxiliary addresses are given in any order."""
    pools = planned(
        subnets="10.9.0.0/24 fd09::/64",
        ranges="fd09::/96 10.9.0.0/25",
        gateways="fd09::1 10.9.0.254",
        aux={"a": "fd09::5", "b": "10.9.0.5"},
    )
    assert pools == (
        Pool(
            net("10.9.0.0/24"), net("10.9.0.0/25"), addr("10.9.0.254"), (("b", addr("10.9.0.5")),)
        ),
        Pool(net("fd09::/64"), net("fd09::/96"), addr("fd09::1"), (("a", addr("fd09::5")),)),
    )


def test_a_gateway_may_be_outside_the_range() -> None:
    """The range is for containers; the gateway is the subnet's."""
    assert planned(subnets="10.9.0.0/24", ranges="10.9.0.128/25", gateways="10.9.0.1")[
        0
    ].gateway == addr("10.9.0.1")


@pytest.mark.parametrize(
    ("words", "aux", "message"),
    [
        (["10.9.0.0/24 10.9.0.0/25", "", ""], {}, "multiple overlapping subnet"),
        (["10.9.0.0/24 10.9.0.0/24", "", ""], {}, "multiple overlapping subnet"),
        (["10.9.0.0/24", "10.8.0.0/25", ""], {}, "no matching subnet for range 10.8.0.0/25"),
        (["10.9.0.0/24", "10.9.0.0/16", ""], {}, "CIDR block is bigger than its parent subnet"),
        (
            ["10.9.0.0/24", "10.9.0.0/25 10.9.0.128/25", ""],
            {},
            "every ip-range or gateway must have",
        ),
        (["10.9.0.0/24", "", "10.8.0.1"], {}, "no matching subnet for gateway 10.8.0.1"),
        (["10.9.0.0/24", "", "fd00::1"], {}, "no matching subnet for gateway fd00::1"),
        (["", "", "10.9.0.1"], {}, "every ip-range or gateway must have"),
        (["10.9.0.0/24", "", "10.9.0.1 10.9.0.2"], {}, "every ip-range or gateway must have"),
        (["10.9.0.0/24", "", "10.9.0.0"], {}, "network or broadcast address"),
        (["10.9.0.0/24", "", "10.9.0.255"], {}, "network or broadcast address"),
        (["10.9.0.0/24", "", ""], {"a": "10.8.0.1"}, "no matching subnet for aux-address"),
        (
            ["10.9.0.0/24", "", ""],
            {"a": "somewhere"},
            "no matching subnet for aux-address somewhere",
        ),
        (["10.9.0.0/24", "", ""], {"a": "10.9.0.255"}, "network or broadcast address"),
        (["10.9.0.0/24", "", ""], {"a": "10.9.0.5", "b": "10.9.0.5"}, "Address already in use"),
        (["10.9.0.0/24", "", "10.9.0.5"], {"a": "10.9.0.5"}, "Address already in use"),
        (["0.0.0.0/0", "", ""], {}, "no host can have an address"),
        (["127.0.0.0/8", "", ""], {}, "no host can have an address"),
        (["224.0.0.0/24", "", ""], {}, "no host can have an address"),
        (["ff02::/64", "", ""], {}, "no host can have an address"),
        (["fe80::/10", "", ""], {}, "link-local"),
        (["fe80::/65", "", ""], {}, "link-local"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: list[str], aux: dict[str, str], message: str
) -> None:
    """With words that say which of them it is."""
    subnets, ranges, gateways = words
    with pytest.raises(Invalid, match=message):
        planned(subnets=subnets, ranges=ranges, gateways=gateways, aux=aux)


def test_the_link_local_subnet_itself_is_allowed() -> None:
    """fe80::/64 as a whole is a subnet like others, as in Docker."""
    assert planned(subnets="fe80::/64")[0].subnet == net("fe80::/64")


@pytest.mark.parametrize(
    "subnet", [pytest.param("126.0.0.0/7"), pytest.param("192.0.0.0/2"), "f000::/4"]
)
def test_a_subnet_that_holds_what_nobody_can_have_is_refused(subnet: str) -> None:
    """One that reaches into loopback or multicast is no better than one that lies in it."""
    with pytest.raises(Invalid):
        planned(subnets=subnet)


@pytest.mark.parametrize(
    ("ip", "subnet", "nobodys"),
    [
        ("10.0.0.0", "10.0.0.0/24", True),
        ("10.0.0.255", "10.0.0.0/24", True),
        ("10.0.0.1", "10.0.0.0/24", False),
        ("10.0.0.0", "10.0.0.0/31", False),
        ("10.0.0.1", "10.0.0.0/31", False),
        ("10.0.0.0", "10.0.0.0/32", False),
        ("fd00::", "fd00::/64", True),
        ("fd00::ffff:ffff:ffff:ffff", "fd00::/64", False),
        ("fd00::", "fd00::/127", True),
        ("fd00::1", "fd00::/127", False),
        ("fd00::7", "fd00::7/128", True),
    ],
)
def test_reserved(ip: str, subnet: str, nobodys: bool) -> None:
    """IPv4: network and broadcast, not in point-to-point subnets; IPv6: the anycast address."""
    assert reserved(addr(ip), net(subnet)) is nobodys


def test_the_router_may_be_another_than_the_bridge() -> None:
    """`--aux-address DefaultGatewayIPv4=…` is whom the containers use."""
    assert planned(
        subnets="10.9.0.0/24", gateways="10.9.0.1", aux={"DefaultGatewayIPv4": "10.9.0.254"}
    )[0].router == addr("10.9.0.254")


def test_addresses_are_of_the_pool_s_family() -> None:
    """An IPv6 pool gives IPv6 addresses, also where their numbers are small."""
    assert ipam.lowest_free(Pool(IPv6Network("::5:0/112")), nobody) == IPv6Address("::5:1")
