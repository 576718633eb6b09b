"""The oracle: what a namespace would do with a packet, told without sending one."""

from __future__ import annotations

import socket

import pytest

from plumb.errors import KernelRefused
from plumb.kernel.net.route_lookup import RouteLookup, meaning, moved
from plumb.kernel.netns.namespaces import entered
from plumb.model.netns_state import Listener, RouteAnswer
from plumb.model.observations import Flow
from tests.kernel.capture.router_lab import BOX, BOX_IP, HOST, PORT, Crossroads, flow, ip
from tests.labs import ROUTER, ROUTER6, sh, within

LAN = {4: ROUTER, 6: ROUTER6}
NOWHERE = {4: "198.51.100.9", 6: "2001:db8:bad::9"}


def asked(crossroads: Crossroads, to: str, source: str = "", iif: str = "") -> RouteAnswer:
    """The host's routing."""
    with RouteLookup(crossroads.host) as oracle:
        return oracle.route(ip(to), ip(source) if source else None, iif)


@pytest.mark.parametrize("iif", ["", "eth0"])
@pytest.mark.parametrize("version", [4, 6])
def test_a_route_is_told_with_the_destinations_that_it_is_for(
    crossroads: Crossroads, version: int, iif: str
) -> None:
    """To the box: by the bridge, whether from here or from the LAN."""
    found = asked(crossroads, BOX[version], LAN[version] if iif else "", iif)
    assert (found.type, found.dev, found.via, found.error) == ("unicast", "br0", None, "")
    assert found.net == {4: "10.77.0.0/24", 6: "fd77::/64"}[version]


@pytest.mark.parametrize("version", [4, 6])
def test_a_gateway_is_told(crossroads: Crossroads, version: int) -> None:
    """By default: to the LAN's router."""
    found = asked(crossroads, NOWHERE[version])
    assert (found.dev, found.via, found.net) == ("eth0", ip(LAN[version]), "default")


@pytest.mark.parametrize("version", [4, 6])
def test_its_own_address_is_local(crossroads: Crossroads, version: int) -> None:
    """It is delivered here."""
    assert asked(crossroads, HOST[version], LAN[version], "eth0").type == "local"


@pytest.mark.parametrize("iif", ["", "br0"])
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(
    ("kind", "error"),
    [("blackhole", "EINVAL"), ("prohibit", "EACCES"), ("unreachable", "EHOSTUNREACH")],
)
def test_a_route_that_says_no(
    crossroads: Crossroads, kind: str, error: str, version: int, iif: str
) -> None:
    """It has a type of its own, which an errno alone does not tell."""
    sh(f"ip -{version} route add {kind} {NOWHERE[version]}")
    found = asked(crossroads, NOWHERE[version], BOX[version] if iif else "", iif)
    assert (found.error, found.type) == (error, kind)
    assert meaning(found) == f"the route says {kind}"


@pytest.mark.parametrize("version", [4, 6])
def test_there_is_no_route(crossroads: Crossroads, version: int) -> None:
    """Without a default route."""
    sh(f"ip -{version} route del default")
    found = asked(crossroads, NOWHERE[version])
    assert (found.error, found.type) == ("ENETUNREACH", "")
    assert "no route" in meaning(found)


def test_forwarding_that_is_off_is_part_of_the_answer(crossroads: Crossroads) -> None:
    """For what comes in by a link; what is sent from here needs none."""
    sh("sysctl -qw net.ipv4.ip_forward=0")
    found = asked(crossroads, BOX_IP, ROUTER, "eth0")
    assert (found.error, found.type) == ("EHOSTUNREACH", "")
    assert asked(crossroads, BOX_IP).error == ""


def test_a_source_that_cannot_come_by_that_link(crossroads: Crossroads) -> None:
    """rp_filter: EXDEV on older kernels, EINVAL on newer ones."""
    sh("sysctl -qw net.ipv4.conf.all.rp_filter=1")
    found = asked(crossroads, BOX_IP, "10.77.0.9", "eth0")
    assert found.error in ("EINVAL", "EXDEV")
    assert found.type == ""
    assert "rp_filter" in meaning(found)


def test_a_link_that_is_not_there(crossroads: Crossroads) -> None:
    """A question about it has an answer."""
    assert asked(crossroads, BOX_IP, ROUTER, "eth9").error == "ENODEV"


def test_policy_routing_is_asked_too(crossroads: Crossroads) -> None:
    """A firewall mark leads to another table."""
    sh("ip rule add fwmark 7 table 77; ip route add default dev br0 table 77")
    with RouteLookup(crossroads.host) as oracle:
        found = oracle.route(ip(NOWHERE[4]), mark=7)
    assert (found.dev, found.table) == ("br0", 77)


def test_a_bridge_tells_who_is_behind_which_port(crossroads: Crossroads) -> None:
    """Learned from what has passed."""
    crossroads.knock(flow(), seconds=0.3)
    mac = (
        within(crossroads.box.ns, "cat /proc/net/arp >/dev/null; ip -o link show eth0")
        .split("link/ether ")[1]
        .split()[0]
    )
    with RouteLookup(crossroads.host) as oracle:
        (entry,) = [entry for entry in oracle.fdb() if entry.mac == mac]
    assert (entry.dev, entry.bridge, entry.own) == ("v1", "br0", False)


def test_a_sysctl_is_that_of_its_place(crossroads: Crossroads) -> None:
    """And empty where there is none of that name."""
    with RouteLookup(crossroads.host) as host, RouteLookup(crossroads.box) as box:
        assert [each.setting("net/ipv4/ip_forward") for each in (host, box)] == ["1", "0"]
        assert host.setting("net/ipv4/no_such_thing") == ""


def test_connection_tracking_shows_what_was_rewritten(crossroads: Crossroads) -> None:
    """The way as it came in, and the way of the answers."""
    sh(f"iptables-nft -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to {BOX_IP}:80")
    mine = Flow(4, "tcp", flow().token, 8080)
    with crossroads.listening():
        assert crossroads.knock(mine, HOST[4]) == ""
    crossroads.knock(flow(), seconds=0.1)
    with RouteLookup(crossroads.host) as oracle:
        (entry,) = oracle.tracked(mine)
    assert (str(entry.way), str(entry.reply)) == (
        f"{ROUTER}:{mine.token} > {HOST[4]}:8080",
        f"{BOX_IP}:80 > {ROUTER}:{mine.token}",
    )
    assert entry.answered


@pytest.mark.parametrize("version", [4, 6])
def test_an_echo_is_tracked_by_its_identifier(crossroads: Crossroads, version: int) -> None:
    """It has no ports."""
    sh(
        f"{'iptables' if version == 4 else 'ip6tables'}-nft -A FORWARD -m conntrack "
        "--ctstate INVALID -j DROP"
    )
    within(
        crossroads.lan.ns,
        f"ping -c 1 -W 10 -e 4711 {BOX[version]}; ping -c 1 -W 10 -e 4712 {BOX[version]}",
    )
    with RouteLookup(crossroads.host) as oracle:
        assert [entry.way.dst for entry in oracle.tracked(Flow(version, "icmp", 4711))] == [
            ip(BOX[version])
        ]


def test_without_tracking_nothing_is_remembered(crossroads: Crossroads) -> None:
    """Nobody's rules need it there, so there are no entries."""
    with RouteLookup(crossroads.box) as oracle:
        assert oracle.tracked(flow()) == []


def test_who_listens_and_where(crossroads: Crossroads) -> None:
    """Addresses tell a program that hears everybody from one that hears itself."""
    with (
        crossroads.listening(),
        crossroads.listening(port=81, ip="127.0.0.1"),
        RouteLookup(crossroads.box) as oracle,
    ):
        everybody, itself = oracle.listeners("tcp")
    assert (everybody.ip, everybody.port, itself.ip, itself.port) == (
        ip("::"),
        PORT,
        ip("127.0.0.1"),
        81,
    )
    assert "pid" in everybody.who
    assert everybody.takes(ip(BOX_IP))
    assert not itself.takes(ip(BOX_IP))


def test_datagrams_are_waited_for_without_listening(crossroads: Crossroads) -> None:
    """A UDP socket that is connected to nobody."""
    with entered(crossroads.box.ns), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 53))
        with RouteLookup(crossroads.box) as oracle:
            (only,) = oracle.listeners("udp")
    assert only == Listener("udp", ip("0.0.0.0"), 53, who=only.who)


def test_nobody_listens(crossroads: Crossroads) -> None:
    """An empty list, not an error."""
    with RouteLookup(crossroads.box) as oracle:
        assert oracle.listeners("tcp") == []


@pytest.mark.parametrize(
    ("version", "name"), [(4, "Ip.ForwDatagrams"), (6, "Ip6.OutForwDatagrams")]
)
def test_counters_tell_what_has_happened(crossroads: Crossroads, version: int, name: str) -> None:
    """The difference of two readings, in the words of the kernel."""
    with RouteLookup(crossroads.host) as host, RouteLookup(crossroads.box) as box:
        before = host.counters(), box.counters()
        crossroads.knock(flow(version), seconds=0.3)
        assert moved(before[0], host.counters())[name] >= 2
        assert moved(before[1], box.counters())["Tcp.OutRsts"] == 1


def test_a_place_that_is_not_there_is_refused(crossroads: Crossroads) -> None:
    """With its name."""
    from plumb.model.observations import Netns

    with pytest.raises(KernelRefused, match="/run/nowhere"):
        RouteLookup(Netns("nowhere", "/run/nowhere"))
