"""Published ports, tried with real traffic on every firewall.

Who gets in, whom the container sees, and that it ends at once.

iptables, nf_tables     iptables-restore, as most hosts have it
iptables, legacy        python-iptables
nftables                plumb's own tables
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any

import pytest

from plumb import Conflict, Host, PlumbError
from plumb.engine.verbs import Transaction
from plumb.kernel import agent_client, agent_socket
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netfilter import conntrack_flush
from plumb.kernel.netns.namespaces import entered
from plumb.kernel.system import this_system
from plumb.kernel.writers import AGENT, WRITERS, Batches
from plumb.model.cnm import Status
from plumb.model.parse import BRIDGE
from plumb.probes.promises.published_ports import PublishingHost, published
from plumb.probes.promises.reachability import HOST, WORLD, Member, Promise, promises
from plumb.probes.traffic.observe import try_out
from plumb.store.change import Change
from plumb.things.host_ports import HostPort
from tests import cases, labs
from tests.labs import Lab, sh, within
from tests.waiting import until

FORWARDS = (
    "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
    "net.ipv6.conf.default.forwarding=1"
)
SUBNET = "172.20.0.0/24"


@dataclass(frozen=True)
class Firewall:
    """A back end: the settings for it, and the kind of iptables that the host has."""

    settings: Mapping[str, Any]
    iptables: str = "nf_tables"


FIREWALLS = {
    "iptables": Firewall({}),
    "legacy": Firewall({}, "legacy"),
    "nftables": Firewall({"firewall-backend": "nftables"}),
}


BACKENDS = [
    pytest.param(name, marks=[pytest.mark.needs("nf_tables")] if name == "nftables" else [])
    for name in FIREWALLS
]


@pytest.fixture(params=BACKENDS)
def wall(request: pytest.FixtureRequest) -> Iterator[Firewall]:
    """Each back end."""
    chosen = FIREWALLS[request.param]
    with labs.iptables(chosen.iptables):
        yield chosen


@pytest.fixture
def site(lan: Lab, wall: Firewall) -> Lab:
    """A host on a LAN that forwards already, as the nftables back end wants it, and whose LAN has a
    route to the containers."""
    sh(FORWARDS)
    within(
        lan.lan,
        f"""ip route add 172.20.0.0/15 via {labs.HOST_IP}
        ip -6 route add fd00::/16 via {labs.HOST_IP6}
        ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.0/8 via {labs.HOST_IP}
        sysctl -qw net.ipv4.conf.all.route_localnet=1
        sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.port0.rp_filter=0""",
    )
    return lan


def promised(lab: Lab, host: Host) -> tuple[list[Promise], dict[str, str]]:
    """All that is promised of what runs here, and where to try it."""
    running = [box for box in host.containers() if box.status is Status.RUNNING]
    members: list[Member] = [
        (box, [(end, host.network(end.network)) for end in host.endpoints(box)]) for box in running
    ]
    families = frozenset(version for version in (4, 6) if host.settings.firewall(version))
    publishing = PublishingHost(
        [ip_address(labs.HOST_IP), ip_address(labs.HOST_IP6)],
        host.settings.userland_proxy,
        families,
    )
    made = (
        promises(members, [ip_address(labs.INTERNET), ip_address(labs.INTERNET6)])
        if families
        else []
    )
    return [*made, *published(members, publishing)], {
        HOST: "",
        WORLD: lab.lan,
        **{box.name: host.namespace(box) for box in running},
    }


def broken(lab: Lab, host: Host, seconds: float = 0.6) -> list[str]:
    """The promises that are not kept in so many seconds."""
    made, places = promised(lab, host)
    assert any(promise.service and promise.reach for promise in made)
    return [
        f"{each.promise}; reached: {each.reached}, source: {each.source_address},"
        f" expected: {each.expected}"
        for each in try_out(made, places, seconds)
        if not each.kept
    ]


def broken_for_good(lab: Lab, host: Host) -> list[str]:
    """The same, after longer and longer waits: an answer may be late on a busy machine."""
    found: list[str] = []
    for seconds in (0.6, 2, 10):
        found = broken(lab, host, seconds)
        if not found:
            break
    return found


PUBLISHED: dict[str, tuple[Callable[[Transaction], None], dict[str, Any]]] = {
    "both families": (cases.published(*cases.PORTS, subnet=cases.DUAL, ipv6=True), {}),
    "IPv4 alone, reached by IPv6 too": (
        cases.published("8080:80", "8080:80/udp", subnet=SUBNET),
        {},
    ),
    "without the proxy": (
        cases.published(*cases.PORTS, subnet=cases.DUAL, ipv6=True),
        {"userland-proxy": False},
    ),
    "without masquerading": (
        cases.published(
            "8080:80", subnet=SUBNET, options={BRIDGE + "enable_ip_masquerade": "false"}
        ),
        {},
    ),
    "neighbours that do not reach each other": (
        cases.published("8080:80", subnet=SUBNET, options={BRIDGE + "enable_icc": "false"}),
        {},
    ),
    "without firewall rules": (
        cases.published("8080:80", subnet=cases.DUAL, ipv6=True),
        {"iptables": False, "ip6tables": False},
    ),
    "through the second network": (cases.published_elsewhere, {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_promise_is_kept(site: Lab, wall: Firewall, name: str) -> None:
    """From the LAN, the host, the neighbours, the container itself.

    The host's loopback ports from nowhere else.
    """
    build, settings = PUBLISHED[name]
    with site.host(settings={**wall.settings, **settings}) as host:
        with host.operation() as verbs:
            build(verbs)

        assert broken_for_good(site, host) == []
        assert host.check() == []
        host.reset()


def udp(place: str, to: tuple[str, int]) -> socket.socket:
    """A client that has asked once, from somewhere."""
    with entered(place):
        client = socket.socket(
            socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM
        )
    client.connect(to)
    client.settimeout(30)
    client.send(b"hello")
    return client


def answered(client: socket.socket) -> bool:
    """Whether an answer comes to a question soon."""
    client.settimeout(0.3)
    try:
        client.send(b"hello")
        return client.recv(100) == b"hello"
    except OSError:
        return False
    finally:
        client.settimeout(30)


def echo_in(place: str, port: int) -> socket.socket:
    """A UDP socket in a container."""
    with entered(place):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    server.settimeout(30)
    return server


def flows(port: int) -> list[str]:
    """Connection tracking's entries that came in for a port."""
    return [str(flow) for flow in conntrack_flush.dump() if flow.way.dport == port]


CLOSING: dict[str, Callable[[Host], object]] = {
    "rm -f": lambda host: host.remove("c1", force=True),
    "stop": lambda host: host.stop("c1"),
    "network disconnect": lambda host: host.disconnect("n1", "c1"),
}


@pytest.mark.parametrize("way", CLOSING)
def test_what_was_open_is_closed_at_once(site: Lab, wall: Firewall, way: str) -> None:
    """UDP flows that were under way, TCP connections through the proxy, the port itself."""
    with site.host(settings=wall.settings) as host:
        host.create_network("n1", subnet=SUBNET)
        box = host.run("c1", network="n1", publish=["8080:80", "8053:53/udp"])
        with (
            echo_in(host.namespace(box), 53) as server,
            udp(site.lan, (labs.HOST_IP, 8053)) as client,
        ):
            data, peer = server.recvfrom(100)
            server.sendto(data, peer)
            assert client.recv(100) == b"hello"
            with entered(host.namespace(box)):
                web = socket.create_server(("0.0.0.0", 80))
            with closing(web), socket.create_connection(("127.0.0.1", 8080), 30) as held:
                through, _ = web.accept()
                with closing(through):
                    through.send(b"hi")
                    assert held.recv(2) == b"hi"
                    assert flows(8053)
                    CLOSING[way](host)

                    held.settimeout(30)
                    assert over(held), "the connection through the proxy is still there"
            assert flows(8053) == []
            assert not answered(client)
        with socket.socket() as mine:
            mine.bind(("0.0.0.0", 8080))
        host.reset()


def over(connection: socket.socket) -> bool:
    """Whether the other side has ended it."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_a_flow_that_began_before_is_not_lost(site: Lab, wall: Firewall) -> None:
    """Who asked before the port was there, and got no answer, gets one as soon as it is.

    Nothing remembers the way before.
    """
    with site.host(settings=wall.settings) as host:
        host.create_network("n1", subnet=SUBNET)
        with udp(site.lan, (labs.HOST_IP, 8053)) as client:
            assert not answered(client)
            box = host.run("c1", network="n1", publish="8053:53/udp")
            with echo_in(host.namespace(box), 53) as server:
                client.send(b"hello")
                data, peer = server.recvfrom(100)
                assert peer[0] == labs.ROUTER
                server.sendto(data, peer)
                assert client.recv(100) == b"hello"
        host.reset()


def test_a_port_is_the_hosts_own_as_long_as_it_is_published(site: Lab, wall: Firewall) -> None:
    """No program can bind it; who has it already is named, and nothing is left of the attempt."""
    with site.host(settings=wall.settings) as host:
        host.create_network("n1", subnet=SUBNET)
        host.run("c1", network="n1", publish="8080:80")
        before = labs.state()
        with socket.socket() as mine, pytest.raises(OSError, match="in use"):
            mine.bind(("0.0.0.0", 8080))
        taken = r"0\.0\.0\.0:8081/tcp: address already in use"
        with (
            socket.create_server(("0.0.0.0", 8081)),
            pytest.raises(Conflict, match=taken) as caught,
        ):
            host.run("c2", network="n1", publish="8081:80")

        assert "pid" in caught.value.hint
        assert labs.state() == before
        host.reset()


MODES: dict[str, tuple[dict[str, str], dict[str, Any], bool]] = {
    "protected": ({}, {}, False),
    "direct routing is allowed": ({}, {"allow-direct-routing": True}, True),
    "the interface is trusted": ({BRIDGE + "trusted_host_interfaces": "eth0"}, {}, True),
    "another interface is trusted": ({BRIDGE + "trusted_host_interfaces": "eth7"}, {}, False),
    "routed": (
        {BRIDGE + "gateway_mode_ipv4": "routed", BRIDGE + "gateway_mode_ipv6": "routed"},
        {},
        True,
    ),
    "unprotected": (
        {
            BRIDGE + "gateway_mode_ipv4": "nat-unprotected",
            BRIDGE + "gateway_mode_ipv6": "nat-unprotected",
        },
        {},
        True,
    ),
}


def connects(place: str, address: str, port: int, seconds: float) -> bool:
    """Whether a TCP connection comes about in so many seconds."""
    with entered(place):
        client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    client.settimeout(seconds)
    with closing(client):
        return client.connect_ex((address, port)) == 0


@pytest.mark.parametrize("mode", MODES)
def test_who_routes_to_a_container_directly(site: Lab, wall: Firewall, mode: str) -> None:
    """A published port at the container's own address, and one that is not published.

    By the mode of the network, on both families.
    """
    options, settings, open_ = MODES[mode]
    with site.host(settings={**wall.settings, **settings}) as host:
        host.create_network("n1", subnet=cases.DUAL, ipv6=True, options=options)
        box = host.run("c1", network="n1", publish="8080:80")
        with entered(host.namespace(box)):
            servers = [
                socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
                for port in (80, 81)
            ]
        try:
            for ip in host.endpoints(box)[0].ips:
                assert connects(site.lan, str(ip.ip), 80, 30 if open_ else 0.4) == open_
                bare = mode == "unprotected"
                assert connects(site.lan, str(ip.ip), 81, 30 if bare else 0.4) == bare
        finally:
            for server in servers:
                server.close()
        host.reset()


def flush(wall: Firewall) -> None:
    """Take away all rules and chains, as an administrator does who knows no other way."""
    if wall.settings:
        sh("nft flush ruleset")
    kind = "legacy" if wall.iptables == "legacy" else "nft"
    for command in (
        f"{tool}-{kind} -t {table}"
        for tool in ("iptables", "ip6tables")
        for table in ("filter", "nat", "raw")
    ):
        sh(f"{command} -F; {command} -X")


def test_a_flush_is_found_and_mended(site: Lab, wall: Firewall) -> None:
    """What firewalld's reload or `iptables -F` takes away, check misses and repair brings back, in
    its order."""
    with site.host(settings=wall.settings) as host:
        with host.operation() as verbs:
            cases.published(*cases.PORTS, subnet=cases.DUAL, ipv6=True)(verbs)
        before = labs.state()
        flush(wall)

        assert host.check()
        assert broken(site, host)
        host.repair()
        assert host.check() == []
        assert broken_for_good(site, host) == []
        assert labs.state() == before
        host.reset()


def test_a_killed_agent_is_brought_back_by_the_next_command(lan: Lab) -> None:
    """DNAT goes on without it; check tells.

    Whatever is done next, the ports are held and served again.
    """
    with lan.host() as host:
        host.create_network("n1", subnet=SUBNET)
        host.run("c1", network="n1", publish="8080:80")
        pid, _ = agent_socket.running(str(lan.root))
        os.kill(pid, signal.SIGKILL)
        until(lambda: not agent_socket.running(str(lan.root))[0], "it is gone")

        assert {str(drift).split()[1] for drift in host.check()} == {
            "agent",
            "port",
            "proxy",
            "resolver",
            "names",
        }
        assert any(HOST in line for line in broken(lan, host))
        assert not any(WORLD in line and labs.HOST_IP in line for line in broken(lan, host))
        host.create_network("n2")
        assert host.check() == []
        assert broken_for_good(lan, host) == []
        host.reset()


def test_connections_by_dnat_outlive_an_agent_that_was_killed(lan: Lab) -> None:
    """They never went through it.

    When it is brought back, connection tracking does not forget them.
    """
    with lan.host() as host:
        host.create_network("n1", subnet=SUBNET)
        box = host.run("c1", network="n1", publish="8080:80")
        with entered(host.namespace(box)):
            server = socket.create_server(("0.0.0.0", 80))
        with entered(lan.lan):
            client = socket.create_connection((labs.HOST_IP, 8080), 30)
        with client, closing(server):
            through, _ = server.accept()
            with closing(through):
                os.kill(agent_socket.running(str(lan.root))[0], signal.SIGKILL)
                host.create_network("n2")
                through.send(b"still here")
                assert client.recv(100) == b"still here"
        host.reset()


def hasty() -> LinuxKernel:
    """The machine's kernel, with little time for agents that hang.

    The agents that are started in place of one that hangs must answer in that time as well.
    """
    short = agent_client.Deadlines(answer=2.0, end=0.3)
    writer = Batches(
        "agent",
        partial(agent_client.look, deadlines=short),
        partial(agent_client.take, deadlines=short),
    )
    theirs = [thing for thing, usual in WRITERS.items() if usual is AGENT]
    return LinuxKernel({**WRITERS, **dict.fromkeys(theirs, writer)})


def test_an_agent_that_hangs_is_replaced(lan: Lab) -> None:
    """It lives and does not answer: the next command ends it and starts another.

    Reset needs no second try.
    """
    with lan.host(kernel=hasty(), system=this_system()) as host:
        host.create_network("n1", subnet=SUBNET)
        host.run("c1", network="n1", publish="8080:80")
        os.kill(agent_socket.running(str(lan.root))[0], signal.SIGSTOP)
        with pytest.raises(PlumbError, match="ask the agent") as caught:
            host.check()
        assert "repair" in caught.value.hint
        host.create_network("n2")
        assert host.check() == []
        host.store.begin(
            host.store.things_of(HostPort), [], Change()
        )  # and somebody has died over his ports
        os.kill(agent_socket.running(str(lan.root))[0], signal.SIGSTOP)
        host.repair()
        assert host.check() == []
        os.kill(agent_socket.running(str(lan.root))[0], signal.SIGSTOP)
        host.reset()
    assert labs.state()["listeners"] == []


def test_a_trusted_interface_with_an_at_sign(lan: Lab) -> None:
    """A name that the kernel takes is one that nftables takes as well."""
    sh(FORWARDS)
    with lan.host(settings={"firewall-backend": "nftables"}) as host:
        host.create_network(
            "n1", subnet=SUBNET, options={BRIDGE + "trusted_host_interfaces": "eth@1"}
        )
        host.run("c1", network="n1", publish="8080:80")
        assert host.check() == []
        host.reset()


def test_the_users_rules_stay(lan: Lab) -> None:
    """PLUMB-USER is the administrator's.

    Whatever plumb does, what stands there stays, before all else.
    """
    with lan.host() as host:
        host.create_network("n1", subnet=SUBNET)
        sh(
            f"""iptables -A PLUMB-USER -s {labs.INTERNET} -j DROP
            iptables -A PLUMB-USER -p tcp --dport 9999 -j DROP"""
        )
        mine = sh("iptables -S PLUMB-USER")

        host.run("c1", network="n1", publish="8080:80")
        host.create_network("n2", subnet="172.21.0.0/24")
        host.connect("n2", "c1", gw_priority=5)
        host.disconnect("n1", "c1")
        host.restart("c1")
        host.remove("c1", force=True)
        host.repair()
        assert sh("iptables -S PLUMB-USER") == mine
        assert sh("iptables -S FORWARD").splitlines()[1:] == [
            "-A FORWARD -j PLUMB-USER",
            "-A FORWARD -j PLUMB-FORWARD",
        ]
        sh("iptables -F PLUMB-USER")
        host.reset()


def test_many_ports_in_one_container(site: Lab, wall: Firewall) -> None:
    """Hundreds, in one operation; each leads where it should."""
    with site.host(settings=wall.settings) as host:
        host.create_network("n1", subnet=SUBNET)
        box = host.run("c1", network="n1", publish="20000-20299:1000-1299")
        with entered(host.namespace(box)):
            server = socket.create_server(("0.0.0.0", 1299))
        with closing(server):
            assert connects(site.lan, labs.HOST_IP, 20299, 30)
            server.accept()[0].close()
        host.remove("c1", force=True)
        assert not connects(site.lan, labs.HOST_IP, 20299, 0.4)
        assert host.check() == []
        host.reset()


# python-iptables asks modprobe for the legacy modules, where there are modules, and leaves the pipe
# open.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.needs("sctp")
@pytest.mark.parametrize("proxy", [True, False])
def test_an_sctp_port_leads_in(site: Lab, wall: Firewall, proxy: bool) -> None:
    """As one of TCP: from the LAN by DNAT, from the host itself by the proxy or by DNAT."""
    with site.host(settings={**wall.settings, "userland-proxy": proxy}) as host:
        host.create_network("n1", subnet=SUBNET)
        box = host.run("c1", network="n1", publish="9002:81/sctp")
        with entered(host.namespace(box)):
            server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)
        with closing(server):
            server.bind(("0.0.0.0", 81))
            server.listen(5)
            for place in (site.lan, site.netns):
                with (
                    entered(place),
                    socket.socket(
                        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP
                    ) as client,
                ):
                    client.settimeout(10)
                    client.connect((labs.HOST_IP, 9002))
                    connection, _ = server.accept()
                    connection.close()
        host.reset()
