"""A host with nftables of plumb's own.

Checked, mended, switched to and from, its ports published.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path

import pytest

from plumb import Host, Unsupported
from plumb.drivers import bridge_nftables as driver
from plumb.errors import Invalid
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Endpoint, Network
from plumb.model.driver_options import BridgeOptions, GatewayMode
from plumb.model.parse import BRIDGE
from plumb.model.ports import Port
from plumb.model.settings import Settings
from plumb.plan import Step
from plumb.things.nftables import NftRule
from tests import labs
from tests.cases import FORWARDS
from tests.labs import HOST_IP, Lab, sh, state, within

NATIVE = {"firewall-backend": "nftables"}
IN = "filter-forward-in__N1"


@pytest.fixture
def native(lan: Lab) -> Iterator[Host]:
    """A host that forwards, with this back end, the network n1 (172.20.0.0/24) and the container c1
    on it."""
    sh(FORWARDS)
    with lan.host(settings=NATIVE) as host:
        host.create_network("n1", subnet="172.20.0.0/24")
        host.run("c1", network="n1")
        yield host
        host.reset()


@pytest.mark.parametrize(
    "damage",
    [
        "nft flush ruleset",
        f"nft delete table ip {driver.TABLE}",
        f"nft flush chain ip {driver.TABLE} raw-PREROUTING",
        f"nft flush map ip {driver.TABLE} filter-forward-in-jumps",
        f"nft 'chain ip {driver.TABLE} filter-FORWARD {{ policy drop; }}'",
        (
            f"nft delete rule ip {driver.TABLE} {IN} handle "
            f"$(nft -a list chain ip {driver.TABLE} {IN} | sed -n 's/.*ICC.*handle //p')"
        ),
    ],
)
def test_check_finds_it_and_repair_mends_it(native: Host, damage: str) -> None:
    """Whatever somebody takes away or changes comes back, in its order."""
    before = state()
    sh(damage.replace(IN, f"filter-forward-in__{native.network('n1').link}"))

    assert native.check() != []
    native.repair()
    assert native.check() == []
    assert state() == before


def test_rules_out_of_order_are_put_right(native: Host) -> None:
    """A wall that stands first is a wall to all."""
    br = native.network("n1").link
    chain = f"filter-forward-in__{br}"
    sh(f"nft flush chain ip {driver.TABLE} {chain}")
    for spec in (
        driver.DROP_UNPUBLISHED,
        f'iifname "{br}" counter accept comment "ICC"',
        driver.ANSWERS,
    ):
        sh(f"nft add rule ip {driver.TABLE} {chain} '{spec}'")

    assert {drift.state for drift in native.check()} == {"out of order"}
    native.repair()
    assert native.check() == []
    assert (
        driver.DROP_UNPUBLISHED
        in sh(f"nft -s list chain ip {driver.TABLE} {chain}").splitlines()[-3]
    )


def test_from_one_back_end_to_the_other_and_back(lan: Lab) -> None:
    """The rules of the one go when those of the other come.

    A container that runs keeps its connections to the world.
    """
    sh(FORWARDS)
    own = {"iptables": "PLUMB", "nftables": driver.TABLE}
    with lan.host() as host:
        host.create_network("n1", subnet=["172.20.0.0/24", "fd00:20::/64"], ipv6=True)
        host.run("c1", network="n1")
    for backend, other in (("nftables", "iptables"), ("iptables", "nftables")):
        with lan.host(settings={"firewall-backend": backend}) as host:
            with host.operation():
                pass
            now = {
                "iptables": sh("iptables-save; ip6tables-save"),
                "nftables": sh("nft list tables"),
            }

            assert own[backend] in now[backend]
            assert own[other] not in now[other]
            assert host.check() == []
            for address in (labs.INTERNET, labs.INTERNET6):
                assert "1 received" in lan.inside(host, "c1", f"ping -c1 -W10 {address}")
    with lan.host() as host:
        host.reset()


@pytest.mark.parametrize(
    ("sysctl", "ipv6", "said"),
    [
        (
            "net.ipv4.ip_forward=0",
            False,
            (
                "IPv4 forwarding is disabled: check your host's firewalling and set sysctl "
                "net.ipv4.ip_forward=1"
            ),
        ),
        (
            "net.ipv6.conf.all.forwarding=0",
            True,
            "IPv6 global forwarding is disabled: .*net.ipv6.conf.all.forwarding=1",
        ),
        (
            "net.ipv6.conf.default.forwarding=0",
            True,
            "IPv6 global forwarding is disabled: .*net.ipv6.conf.default.forwarding=1",
        ),
    ],
)
def test_the_host_must_forward_already(lab: Lab, sysctl: str, ipv6: bool, said: str) -> None:
    """plumb does not open a host here; it says what to set, and leaves nothing behind."""
    sh(f"{FORWARDS}; sysctl -qw {sysctl}")
    before = state()
    with lab.host(settings=NATIVE) as host, pytest.raises(Unsupported, match=said):
        host.create_network("n1", ipv6=ipv6)

    with lab.host(settings={**NATIVE, "ip-forward": False}) as host:
        host.create_network("n1", ipv6=ipv6)
        host.reset()
    assert state() == before


def test_a_bridge_name_that_no_chain_can_have(lab: Lab) -> None:
    """It is refused: nft could not even print such a chain."""
    sh(FORWARDS)
    with lab.host(settings=NATIVE) as host, pytest.raises(Invalid, match="invalid bridge name a@b"):
        host.create_network("n1", options={BRIDGE + "name": "a@b"})


def test_forwarding_that_is_plumbs_own_does_not_count(lab: Lab) -> None:
    """What plumb turned on for iptables goes off with it.

    Better to refuse than to cut everybody off.
    """
    with lab.host() as host:
        host.create_network("n1")
    before = state()
    with (
        lab.host(settings=NATIVE) as host,
        pytest.raises(Unsupported, match="forwarding is disabled") as caught,
    ):
        host.create_network("n2")

    assert "plumb turned it on" in caught.value.hint
    assert state() == before
    with lab.host() as host:
        host.reset()


# -- published ports ---------------------------------------------------------------


def told(
    port: Port, *, ip6: bool = True, proxy: bool = True, mode: GatewayMode = GatewayMode.NAT
) -> list[str]:
    """The rules of one published port of an endpoint on br0, of both families."""
    net = Network(
        "1" * 64, "n1", "bridge", bridge=BridgeOptions(name="br0", mode4=mode, mode6=mode)
    )
    end = Endpoint(
        "2" * 64,
        net.id,
        "3" * 64,
        "veth0",
        "eth0",
        "02:00:00:00:00:02",
        IPv4Interface("172.20.0.2/24"),
        IPv6Interface("fd00:20::2/64") if ip6 else None,
    )
    things = driver.published(
        net, end, port, Settings(userland_proxy=proxy, firewall_backend="nftables")
    )
    return [
        f"{thing.family} {thing.chain} {thing.spec}"
        for thing in things
        if isinstance(thing, NftRule)
    ]


HOLE4 = "ip filter-forward-in__br0 ip daddr 172.20.0.2 tcp dport 80 counter accept"
NAT4 = (
    'ip nat-prerouting-and-output iifname != "br0" {}tcp dport 8080 counter '
    'dnat to 172.20.0.2:80 comment "DNAT"'
)
OWN = (
    'ip raw-PREROUTING iifname != "lo" ip daddr 127.0.0.1 tcp dport 8080 counter '
    'drop comment "DROP REMOTE LOOPBACK"'
)
HOLE6 = "ip6 filter-forward-in__br0 ip6 daddr fd00:20::2 tcp dport 80 counter accept"

NAT6 = (
    'ip6 nat-prerouting-and-output iifname != "br0" ip6 saddr != fe80::/10 {}tcp dport 8080 '
    'counter dnat to [fd00:20::2]:80 comment "DNAT"'
)


@pytest.mark.parametrize(
    ("host_ip", "rules"),
    [
        ("0.0.0.0", [HOLE4, NAT4.format("")]),
        ("192.0.2.10", [HOLE4, NAT4.format("ip daddr 192.0.2.10 ")]),
        ("127.0.0.1", [HOLE4, NAT4.format("ip daddr 127.0.0.1 "), OWN]),
        ("::", [HOLE6, NAT6.format("")]),
        ("::1", [HOLE6, NAT6.format("ip6 daddr ::1 ")]),
    ],
)
def test_rules_of_a_published_port(host_ip: str, rules: list[str]) -> None:
    """Docker's: a port let in, a rewriting, and 127.0.0.1 is nobody else's."""
    assert told(Port(80, "tcp", ip_address(host_ip), 8080)) == rules


def test_an_ipv6_address_of_the_host_and_a_container_without() -> None:
    """NAT stays within a family.

    The proxy needs the port let in for the container's family, no more.
    """
    assert told(Port(80, "tcp", ip_address("::"), 8080), ip6=False) == [HOLE4]


def test_without_the_proxy_a_container_reaches_itself() -> None:
    """What comes from the bridge is rewritten too, and then must seem to come from the host."""
    assert told(Port(80, "udp", ip_address("0.0.0.0"), 8080), proxy=False)[1:] == [
        'ip nat-prerouting-and-output udp dport 8080 counter dnat to 172.20.0.2:80 comment "DNAT"',
        (
            "ip nat-postrouting-in__br0 ip saddr 172.20.0.2 ip daddr 172.20.0.2 udp dport 80 "
            'counter masquerade comment "MASQ TO OWN PORT"'
        ),
    ]


def test_a_routed_port_is_a_hole_and_an_unprotected_one_a_rewriting() -> None:
    """The world knows the way to the one, and the other has no wall."""
    assert told(Port(80, "tcp", ip_address("0.0.0.0"), 0), mode=GatewayMode.ROUTED) == [HOLE4]
    assert [
        line.split()[1]
        for line in told(
            Port(80, "tcp", ip_address("0.0.0.0"), 8080), mode=GatewayMode.NAT_UNPROTECTED
        )
    ] == ["nat-prerouting-and-output"]


@pytest.mark.skipif(
    not Path("/proc/sys/net/bridge").exists(),
    reason="br_netfilter is not there: no rule sees what stays on a bridge",
)
def test_icc_is_off_for_published_ports_too(lan: Lab) -> None:
    """A neighbour on the bridge is dropped before the rule that lets the port in.

    Without that rule it would get in.
    """
    sh(FORWARDS)
    with lan.host(settings=NATIVE) as host:
        net = host.create_network(
            "n1", subnet="172.20.0.0/24", options={BRIDGE + "enable_icc": "false"}
        )
        c1, c2 = host.run("c1", network="n1"), host.run("c2", network="n1")
        icc = next(
            thing
            for thing in host.store.things()
            if isinstance(thing, NftRule) and thing.spec.endswith('drop comment "ICC"')
        )
        holes = list(
            driver.published(
                net, host.endpoints(c1)[0], Port(80, "tcp", ip_address("0.0.0.0"), 0), host.settings
            )
        )
        host.kernel.take([Step(None, hole) for hole in holes])
        with entered(host.namespace(c1)):
            listener = socket.create_server(("0.0.0.0", 80))
        with listener, entered(host.namespace(c2)):
            with pytest.raises(TimeoutError):
                socket.create_connection(("172.20.0.2", 80), timeout=0.3)
            with entered(lan.netns):
                host.kernel.take([Step(icc, None)])
            socket.create_connection(("172.20.0.2", 80), timeout=30).close()
        host.reset()


def test_a_published_port_is_reached(lan: Lab, native: Host) -> None:
    """From outside at the host's address, with the client's own.

    The container's address and other ports stay behind the wall.
    """
    box = native.container("c1")
    net, end = native.network("n1"), native.endpoints(box)[0]
    assert end.ip is not None
    rules = [
        *driver.published(net, end, Port(80, "tcp", ip_address("0.0.0.0"), 8080), native.settings)
    ]
    native.kernel.take([Step(None, rule) for rule in rules])
    with entered(native.namespace(box)):
        listener = socket.create_server(("0.0.0.0", 80))
    within(lan.lan, f"ip route add 172.20.0.0/24 via {HOST_IP}")

    with entered(lan.lan), listener:
        with (
            socket.create_connection((labs.HOST_IP, 8080), timeout=30),
            listener.accept()[0] as reached,
        ):
            assert reached.getpeername()[0] == labs.ROUTER
        for address in ((labs.HOST_IP, 80), (str(end.ip.ip), 80)):
            with pytest.raises(OSError, match=r"refused|timed out"):
                socket.create_connection(address, timeout=0.3)
    native.kernel.take([Step(rule, None) for rule in rules])
    assert native.check() == []
