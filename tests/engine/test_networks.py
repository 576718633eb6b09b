"""Networks in the intent: what is chosen for them, who is in whose way, and what goes.

On a kernel that is a dict.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest

from plumb import Host
from plumb.errors import Conflict, Exhausted, Invalid, NotFound
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.system import System
from plumb.model.cnm import Network
from plumb.model.settings import Settings
from plumb.plan import Step
from plumb.things.iptables import Family, Policy
from plumb.things.layer3 import Address, Sysctl
from plumb.things.links import Bridge
from tests.memory_host import FRESH, MemoryHosts


def subnets(net: Network) -> list[str]:
    """A network's subnets."""
    return [str(pool.subnet) for pool in net.pools]


def gateways(net: Network) -> list[str]:
    """A network's gateways."""
    return [str(pool.gateway) for pool in net.pools]


def kernel_of(host: Host) -> MemoryKernel:
    """The dict behind it."""
    assert isinstance(host.kernel, MemoryKernel)
    return host.kernel


# -- what is chosen ---------------------------------------------------------------


def test_the_default_network_has_the_first_subnet(host: Host) -> None:
    """172.17.0.0/16 is plumb0's, so the first network of one's own has 172.18."""
    net = host.create_network("a")
    assert subnets(host.network("bridge")) == ["172.17.0.0/16"]
    assert (subnets(net), gateways(net)) == (["172.18.0.0/16"], ["172.18.0.1"])


def test_a_removed_network_s_subnet_is_the_next(host: Host) -> None:
    """The lowest free one, at once."""
    for name in ("a", "b", "c"):
        host.create_network(name)
    host.remove_network("b")
    assert subnets(host.create_network("d")) == ["172.19.0.0/16"]


def test_subnets_of_one_s_own_are_gone_around(host: Host) -> None:
    """What was named by somebody is not chosen for somebody else."""
    host.create_network("a", subnet="172.18.4.0/24")
    assert subnets(host.create_network("b")) == ["172.19.0.0/16"]


def test_many_networks_in_one_operation_have_subnets_of_their_own(host: Host) -> None:
    """An operation sees its own networks."""
    with host.operation() as verbs:
        made = [verbs.create_network(f"n{i}") for i in range(5)]
    assert len({subnets(net)[0] for net in made}) == 5


def test_all_pools_used_up(tmp_path: Path) -> None:
    """The words are Docker's, and nothing is left of the network."""
    pools = [{"base": "10.200.0.0/23", "size": 24}]
    with Host(tmp_path, settings={"default-address-pools": pools}, kernel=MemoryKernel()) as host:
        host.create_network("a")
        with pytest.raises(
            Exhausted, match="all predefined address pools have been fully subnetted"
        ):
            host.create_network("b")
        assert [net.name for net in host.networks()] == ["host", "none", "bridge", "a"]


def test_ipv6_is_chosen_from_the_host_s_own_prefix(host: Host) -> None:
    """Two networks, two /64s of one /48."""
    one, two = (host.create_network(name, ipv6=True).pools[1].subnet for name in ("a", "b"))
    assert one.prefixlen == two.prefixlen == 64
    assert one.supernet(new_prefix=48) == two.supernet(new_prefix=48)
    assert one != two


def test_the_gateway_is_the_first_of_the_range(host: Host) -> None:
    """Docker takes it from the range where one is given, be it the range's own first address."""
    net = host.create_network("a", subnet="172.28.0.0/16", ip_range="172.28.5.0/24")
    assert gateways(net) == ["172.28.5.0"]


@pytest.mark.parametrize(
    ("subnet", "span", "aux"),
    [
        ("10.9.0.0/24", "", "10.9.0.1"),
        ("10.9.0.0/24", "10.9.0.64/28", "10.9.0.64"),
        ("10.9.0.0/31", "", "10.9.0.0"),
        ("fd09::/64", "", "fd09::1"),
    ],
)
def test_the_gateway_is_chosen_before_auxiliary_addresses(
    host: Host, subnet: str, span: str, aux: str
) -> None:
    """So none can be the address that the gateway has by default, as in Docker."""
    with pytest.raises(
        Conflict, match=rf"secondary ip address \(router:{aux}\): Address already in use"
    ):
        host.create_network(
            "a", subnet=subnet, ip_range=span or (), aux_addresses={"router": aux}, ipv6=":" in aux
        )


def test_a_gateway_of_one_s_own_leaves_the_first_address(host: Host) -> None:
    """An auxiliary address can be the default gateway's where another one is named."""
    aux = {"router": "10.9.0.1"}
    net = host.create_network("a", subnet="10.9.0.0/24", gateway="10.9.0.9", aux_addresses=aux)
    assert gateways(net) == ["10.9.0.9"]
    assert str(host.endpoints(host.run("x", network="a"))[0].ip) == "10.9.0.2/24"


def test_a_subnet_of_one_ipv6_address_has_no_room_for_a_gateway(host: Host) -> None:
    """Its first address is the routers' anycast address (RFC 4291), whatever its size."""
    with pytest.raises(Exhausted, match="no available addresses on this pool"):
        host.create_network("a", subnet="fd00:9::/128", ipv6=True)


def test_an_isolated_network_sets_no_address_aside(host: Host) -> None:
    """So that a /31 has room for two containers."""
    options = {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}
    net = host.create_network("a", subnet="10.9.0.0/31", internal=True, options=options)
    ips = [str(host.endpoints(host.run(name, network="a"))[0].ip) for name in ("x", "y")]
    assert net.pools[0].gateway is None
    assert ips == ["10.9.0.0/31", "10.9.0.1/31"]


def test_a_network_of_one_address_is_all_gateway(host: Host) -> None:
    """A /32 can be made; nobody can be on it."""
    host.create_network("a", subnet="10.9.0.1/32")
    with pytest.raises(
        Exhausted, match="no available IPv4 addresses on this network's address pools: a "
    ):
        host.run("x", network="a")


def test_the_bridge_has_the_gateway_s_address(host: Host) -> None:
    """What was chosen is what is built."""
    net = host.create_network("a", subnet="10.9.0.0/24")
    assert [
        str(thing.ip)
        for thing in kernel_of(host).things.values()
        if isinstance(thing, Address) and thing.dev == net.link
    ] == ["10.9.0.1/24"]


# -- who is in the way ---------------------------------------------------------------


@pytest.mark.parametrize("subnet", ["10.9.0.0/24", "10.9.0.0/25", "10.0.0.0/8"])
def test_overlapping_networks(host: Host, subnet: str) -> None:
    """The same, a part, or the whole of it."""
    host.create_network("a", subnet="10.9.0.0/24")
    with pytest.raises(Conflict, match="Pool overlaps with other one on this address space"):
        host.create_network("b", subnet=subnet)


def test_overlapping_networks_with_ranges(host: Host) -> None:
    """IPAM does not look where there is a range, but two bridges cannot have one subnet."""
    host.create_network("a", subnet="10.9.0.0/24", ip_range="10.9.0.0/25")
    with pytest.raises(Conflict, match="networks have overlapping IPv4"):
        host.create_network("b", subnet="10.9.0.0/24", ip_range="10.9.0.128/25")


def test_a_name_is_taken_once(host: Host) -> None:
    """The second is refused."""
    host.create_network("a")
    with pytest.raises(Conflict, match="network with name a already exists"):
        host.create_network("a")


@pytest.mark.parametrize("name", ["bridge", "host", "none", "default"])
def test_predefined_names(host: Host, name: str) -> None:
    """They can neither be made nor removed."""
    with pytest.raises(Conflict, match=f"operation is not permitted on predefined {name} network"):
        host.create_network(name)
    with pytest.raises((Conflict, NotFound), match=r"pre-defined network|not found"):
        host.remove_network(name)


def test_one_bridge_is_one_network_s(host: Host) -> None:
    """Two networks cannot have the same link."""
    options = {"com.docker.network.bridge.name": "br9"}
    host.create_network("a", options=options)
    with pytest.raises(Conflict, match="networks have same bridge name"):
        host.create_network("b", options=options)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"ipv4": False}, "IPv4 or IPv6 must be enabled"),
        ({"subnet": "fd09::/64"}, "IPv6 is off"),
        ({"subnet": "10.9.0.0/24", "ipv4": False, "ipv6": True}, "IPv4 is off"),
        ({"subnet": ["10.9.0.0/24", "10.10.0.0/24"]}, "doesn't support multiple subnets"),
        (
            {"options": {"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}},
            "can only be used for an internal network",
        ),
        (
            {
                "subnet": "10.9.0.0/24",
                "internal": True,
                "aux_addresses": {"DefaultGatewayIPv4": "10.9.0.9"},
            },
            "no gateway can be set on an internal bridge network",
        ),
    ],
)
def test_what_does_not_go_together(host: Host, asked: dict[str, Any], message: str) -> None:
    """Each refused by its reason."""
    with pytest.raises(Invalid, match=message):
        host.create_network("a", **asked)
    assert "a" not in [net.name for net in host.networks()]


def test_a_router_of_the_other_family(host: Host) -> None:
    """The name says IPv6, the address is none."""
    with pytest.raises(Invalid):
        host.create_network(
            "a", subnet="10.9.0.0/24", aux_addresses={"DefaultGatewayIPv6": "10.9.0.9"}
        )


def test_ipv6_needs_an_mtu_of_1280(host: Host) -> None:
    """RFC 8200's least."""
    with pytest.raises(Invalid, match="1280"):
        host.create_network("a", ipv6=True, options={"com.docker.network.driver.mtu": "1279"})


def test_a_driver_that_there_is_not(host: Host) -> None:
    """Docker looks for a plugin then."""
    with pytest.raises(NotFound, match='plugin "nonsense" not found'):
        host.create_network("a", driver="nonsense")


# -- settings ---------------------------------------------------------------


def test_default_options_are_merged(tmp_path: Path) -> None:
    """Those of the settings, unless the network says otherwise."""
    options = {
        "com.docker.network.driver.mtu": "1400",
        "com.docker.network.bridge.enable_icc": "false",
    }
    with Host(
        tmp_path, settings={"default-network-opts": {"bridge": options}}, kernel=MemoryKernel()
    ) as host:
        net = host.create_network("a", options={"com.docker.network.driver.mtu": "1300"})
    assert (net.bridge.mtu, net.bridge.icc) == (1300, False)


def test_the_default_network_follows_the_settings(tmp_path: Path) -> None:
    """bip is its address and its subnet, fixed-cidr its range."""
    settings = {
        "bip": "10.77.0.1/24",
        "fixed-cidr": "10.77.0.128/25",
        "default-gateway": "10.77.0.254",
    }
    with Host(tmp_path, settings=settings, kernel=MemoryKernel()) as host:
        end = host.endpoints(host.run("x"))[0]
        pool = host.network("bridge").pools[0]
    assert (pool.gateway, pool.range, pool.router) == (
        ip_address("10.77.0.1"),
        ip_network("10.77.0.128/25"),
        ip_address("10.77.0.254"),
    )
    assert str(end.ip) == "10.77.0.128/24"


def on_default(tmp_path: Path, addresses: list[str], **settings: Any) -> Network:
    """The default network with these settings, on a bridge own0 that has these addresses."""
    named = {key.replace("_", "-"): value for key, value in settings.items()}
    found = [ip_interface(text) for text in addresses]
    system = System(
        kind_of=lambda name: "bridge" if name == "own0" else None,
        addresses_of=lambda name, version: [ip for ip in found if ip.version == version],
    )
    bridge = [Bridge("own0", "02:00:00:00:00:01"), *(Address("own0", ip) for ip in found)]
    with Host(tmp_path, settings=named, kernel=MemoryKernel(bridge), system=system) as host:
        host.run("x")
        return host.network("bridge")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bip": "172.17.0.1/16"},
        {"fixed_cidr": "172.17.0.0/16"},
        {"default_address_pools": [{"base": "172.17.0.0/16", "size": 16}]},
    ],
)
def test_a_default_gateway_holds_whatever_chose_the_subnet(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    """It is an auxiliary address of the network, as in Docker."""
    net = on_default(tmp_path, [], default_gateway="172.17.0.77", **settings)
    assert net.pools[0].aux == (("DefaultGatewayIPv4", ip_address("172.17.0.77")),)
    assert net.pools[0].router == ip_address("172.17.0.77")


def test_a_default_gateway_on_a_bridge_of_one_s_own(tmp_path: Path) -> None:
    """The bridge's address stays the bridge's."""
    net = on_default(tmp_path, ["10.66.0.1/24"], bridge="own0", default_gateway="10.66.0.254")
    assert (net.pools[0].gateway, net.pools[0].router) == (
        ip_address("10.66.0.1"),
        ip_address("10.66.0.254"),
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"default_gateway": "10.9.9.9"},
        {"ipv6": True, "default_gateway_v6": "fd00:99::1"},
        {"ipv6": True, "bip6": "fd00:77::1/64", "default_gateway_v6": "fd00:99::1"},
    ],
)
def test_a_default_gateway_elsewhere(tmp_path: Path, settings: dict[str, Any]) -> None:
    """It must be in the subnet, chosen or given; dockerd does not start then."""
    with pytest.raises(Invalid, match="must be part of the network"):
        on_default(tmp_path, [], **settings)


def test_a_default_gateway_cannot_be_the_bridge(tmp_path: Path) -> None:
    """The bridge has its address first, by default as well."""
    with pytest.raises(Conflict, match=r"DefaultGatewayIPv4:172.17.0.1\): Address already in use"):
        on_default(tmp_path, [], default_gateway="172.17.0.1")


def test_the_default_network_s_own_ipv6_address(tmp_path: Path) -> None:
    """bip6 is to IPv6 what bip is to IPv4; without ipv6 it is nothing."""
    settings = {"bip6": "fd00:77::5/64", "fixed_cidr_v6": "fd00:77::/80"}
    net = on_default(tmp_path, [], ipv6=True, **settings)
    pool = net.pool(6)
    assert pool is not None
    assert (str(pool.subnet), str(pool.range), str(pool.gateway)) == (
        "fd00:77::/64",
        "fd00:77::/80",
        "fd00:77::5",
    )


def test_a_bip6_without_ipv6(tmp_path: Path) -> None:
    """As in Docker, the key alone enables nothing."""
    assert on_default(tmp_path, [], bip6="fd00:77::5/64").pool(6) is None


def test_a_range_larger_than_the_default_subnet_narrows_nothing(tmp_path: Path) -> None:
    """fixed-cidr outside bip is taken, and shown."""
    settings = {"bip": "10.77.0.1/24", "fixed-cidr": "10.77.0.0/16"}
    with Host(tmp_path, settings=settings, kernel=MemoryKernel()) as host:
        ips = [str(host.endpoints(host.run(name))[0].ip) for name in ("x", "y")]
        assert str(host.network("bridge").pools[0].range) == "10.77.0.0/16"
    assert ips == ["10.77.0.2/24", "10.77.0.3/24"]


def test_a_range_beside_the_default_subnet_has_no_address(tmp_path: Path) -> None:
    """The network can be made, as in Docker; no container can be on it."""
    with pytest.raises(Exhausted, match="no available IPv4 addresses"):
        on_default(tmp_path, [], bip="10.77.0.1/24", fixed_cidr="10.99.0.0/24")


@pytest.mark.parametrize(
    ("fixed", "gateway", "span"),
    [
        (None, "10.66.0.1", None),
        ("10.67.0.128/25", "10.67.0.1", "10.67.0.128/25"),
        ("10.64.0.0/13", "10.66.0.1", None),
        ("10.99.0.0/24", "10.66.0.1", None),
    ],
)
def test_a_bridge_of_one_s_own_with_several_addresses(
    tmp_path: Path, fixed: str | None, gateway: str, span: str | None
) -> None:
    """The one around fixed-cidr, else the first; a range that does not fit in it is left out."""
    settings = {"fixed_cidr": fixed} if fixed else {}
    net = on_default(tmp_path, ["10.66.0.1/24", "10.67.0.1/24"], bridge="own0", **settings)
    pool = net.pools[0]
    assert (str(pool.gateway), pool.range) == (gateway, ip_network(span) if span else None)


def test_a_bridge_of_one_s_own_with_ipv6(tmp_path: Path) -> None:
    """The kernel's own link-local address names no subnet, another IPv6 address does."""
    addresses = ["fe80::1/64", "fd00:66::1/64", "10.66.0.1/24"]
    pool = on_default(tmp_path, addresses, bridge="own0", ipv6=True).pool(6)
    assert pool is not None
    assert (str(pool.subnet), str(pool.gateway)) == ("fd00:66::/64", "fd00:66::1")


def test_an_ipv6_range_beside_the_bridge_s(tmp_path: Path) -> None:
    """For IPv6 Docker is strict."""
    with pytest.raises(Invalid, match="is outside any subnet implied by addresses"):
        on_default(
            tmp_path, ["fd00:66::1/64"], bridge="own0", ipv6=True, fixed_cidr_v6="fd00:99::/80"
        )


def test_a_setting_of_a_link_goes_when_nobody_wants_it(tmp_path: Path) -> None:
    """Without the proxy, loopback addresses are routed on the bridge; with it again, no more."""
    kernel = MemoryKernel(FRESH)
    with Host(tmp_path, settings={"userland-proxy": False}, kernel=kernel) as host:
        setting = Sysctl(f"net/ipv4/conf/{host.create_network('a').link}/route_localnet", "1")
        assert kernel.look([setting]) == [setting]
    with Host(tmp_path, settings={}, kernel=kernel) as host:
        host.create_network("b")
    assert kernel.look([setting]) != [setting]


def test_a_network_goes_without_the_proxy(tmp_path: Path) -> None:
    """The setting of its link goes with it, by `rm` and by `prune`; restored, it would fail."""
    kernel = MemoryKernel(FRESH)
    with Host(tmp_path, settings={"userland-proxy": False}, kernel=kernel) as host:
        host.create_network("first")
        before = dict(kernel.things)
        host.create_network("a")
        host.remove_network("a")
        assert kernel.things == before
        host.create_network("a")
        host.create_network("b", ipv4=False, ipv6=True)
        assert [net.name for net in host.prune_networks(lambda net: net.name == "first")] == [
            "a",
            "b",
        ]
        assert kernel.things == before


def test_a_foreign_bridge_may_be_gone_before_its_network(tmp_path: Path) -> None:
    """Nothing of a link that another hand took away is put back."""
    kernel = MemoryKernel([*FRESH, Bridge("lab0", "02:00:00:00:00:01")])
    kernel.take([Step(None, Sysctl("net/ipv4/conf/lab0/route_localnet", "0"))])
    system = System(kind_of={"lab0": "bridge"}.get)
    settings = {"userland-proxy": False}
    with Host(tmp_path, settings=settings, kernel=kernel, system=system) as host:
        host.create_network("a", options={"com.docker.network.bridge.name": "lab0"})
        kernel.take([Step(Bridge("lab0", "02:00:00:00:00:01"), None)])
        assert host.remove_network("a").name == "a"


def test_no_default_network_if_the_settings_say_so(tmp_path: Path) -> None:
    """bridge: none."""
    with Host(tmp_path, settings=Settings(bridge="none"), kernel=MemoryKernel()) as host:
        host.create_network("a")
        assert sorted(net.name for net in host.networks()) == ["a", "host", "none"]


# -- what goes ---------------------------------------------------------------


def test_a_network_in_use_stays(host: Host) -> None:
    """A running container keeps it; a stopped one does not count."""
    host.create_network("a")
    host.run("x", network="a")
    with pytest.raises(Conflict, match=r'network a has active endpoints \(name:"x"'):
        host.remove_network("a")
    host.stop("x")
    assert host.remove_network("a").name == "a"


def test_prune_takes_what_nobody_is_on(host: Host) -> None:
    """Not the predefined, not those with running containers, not those to keep."""
    for name in ("a", "b", "c"):
        host.create_network(name)
    host.run("x", network="b")
    gone = host.prune_networks(lambda net: net.name == "c")
    assert [net.name for net in gone] == ["a"]
    assert sorted(net.name for net in host.networks()) == ["b", "bridge", "c", "host", "none"]


def test_what_was_made_goes_whole(host: Host) -> None:
    """The kernel is as it was before the network."""
    host.create_network("first")
    before = dict(kernel_of(host).things)
    host.create_network("a", ipv6=True, internal=True)
    host.remove_network("a")
    assert kernel_of(host).things == before


def test_forwarding_is_put_back(host: Host) -> None:
    """The first network with IPv6 opens the host for it and shuts the policy.

    With the last of them both are as they were.
    """
    kernel = kernel_of(host)
    host.create_network("a", ipv6=True)
    policy, forwarding = (
        Policy(Family.V6, "filter", "FORWARD", "DROP"),
        Sysctl("net/ipv6/conf/all/forwarding", "1"),
    )
    assert kernel.look([policy, forwarding]) == [policy, forwarding]
    host.remove_network("a")
    assert kernel.look([policy, forwarding]) == [
        Policy(Family.V6, "filter", "FORWARD", "ACCEPT"),
        Sysctl("net/ipv6/conf/all/forwarding", "0"),
    ]


def test_a_reset_host_is_as_before(host: Host) -> None:
    """All that is plumb's goes, and what it changed is put back."""
    host.create_network("a", ipv6=True)
    host.run("x", network="a")
    host.reset()
    assert set(kernel_of(host).things.values()) == set(FRESH)


def test_many_verbs_are_one_operation(host: Host) -> None:
    """If the last is refused, the first has not happened."""
    host.create_network("first")
    before = dict(kernel_of(host).things)

    def build() -> None:
        with host.operation() as verbs:
            verbs.create_network("a")
            verbs.run("x", network="nosuch")

    with pytest.raises(NotFound, match="network nosuch not found"):
        build()
    assert kernel_of(host).things == before
    assert "a" not in [net.name for net in host.networks()]


# -- names ---------------------------------------------------------------


def test_a_network_is_found_by_name_id_and_prefix(host: Host) -> None:
    """A prefix of any length that only one has."""
    net = host.create_network("a-network")
    assert all(
        host.network(reference) == net for reference in (net.name, net.id, net.id[:12], net.id[:16])
    )
    with pytest.raises(NotFound, match="network a-netw not found"):
        host.network("a-netw")


def test_a_name_goes_before_a_prefix(host: Host) -> None:
    """And an id before a name."""
    one = host.create_network("one")
    two = host.create_network(one.id[:6])
    three = host.create_network(one.id)
    assert host.network(one.id[:6]) == two
    assert host.network(one.id) == one
    assert host.network("one") == one
    assert three.name == one.id


def test_a_prefix_of_several_is_nobody_s(host: Host, memory_host: MemoryHosts) -> None:
    """The message says how many there are."""
    ids = iter(("ab" + "0" * 62, "ab" + "1" * 62))
    host.create_network("first")
    counted = memory_host(System(token_hex=lambda size: next(ids)))
    for name in ("x", "y"):
        counted.create_network(name)
    with pytest.raises(Conflict, match=r"ambiguous \(2 matches found based on ID prefix"):
        host.network("ab")


def test_to_look_before_anything_is_built_is_no_obstacle(host: Host) -> None:
    """What was read while there was no root yet is read anew when there is one."""
    assert "bridge" in [net.name for net in host.networks()]
    host.create_network("n1")
    assert "n1" in [net.name for net in host.networks()]
