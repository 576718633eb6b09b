"""macvlan and ipvlan on the wire.

What every textbook says of them, seen by the LAN, the host and the containers themselves.

The parent is eth0 of a lab host, a cable to the LAN's router: what arrives at port0 there is what
is on the wire."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Dot1Q, Ether

from plumb import Host
from plumb.kernel.features.detect import able
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Attachment
from plumb.plan import StepFailed
from plumb.probes.packets import who_has
from tests import cases
from tests.labs import HOST_IP, LAN, ROUTER, SUBNET, Lab, sh, state, within
from tests.waiting import until

HOST, C1, C2 = (LAN.station(number).v4.ip for number in (10, 51, 52))
PACKET_AUXDATA, SOL_PACKET, ETH_P_ALL = 8, 263, 3


@contextmanager
def built(lab: Lab, name: str) -> Iterator[Host]:
    """A case, built, and taken down again."""
    with lab.host() as host:
        with host.operation() as verbs:
            cases.CASES[name].build(verbs)
        yield host
        host.reset()


def pings(lab: Lab, host: Host, box: str, address: str, seconds: int = 10) -> bool:
    """Whether a container reaches an address."""
    return "1 received" in lab.inside(host, box, f"ping -c1 -W{seconds} {address}", check=False)


def mac(lab: Lab, host: Host, box: str) -> str:
    """The MAC that a container's interface really has."""
    return link(host.namespace(host.container(box)), "eth0")


def link(namespace: str, dev: str) -> str:
    """A link's MAC."""
    return within(namespace, f"ip -br link show {dev}").split()[2]


@contextmanager
def tap(namespace: str, dev: str) -> Iterator[Callable[..., Any]]:
    """Listen on a link; gives a function that waits for a frame that a test is for.

    VLAN tags, which the kernel takes off, are put back.
    """
    with entered(namespace):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with wire:
        with entered(namespace):
            wire.bind((dev, ETH_P_ALL))
        wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

        def seen(wanted: Callable[[Any], bool], seconds: float = 30.0) -> Any:
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                if select.select([wire], [], [], left)[0] and wanted(frame := _tagged(wire)):
                    return frame
            return None

        yield seen


def _tagged(wire: socket.socket) -> Any:
    """A frame as it was on the wire.

    Struct tpacket_auxdata has the tag, where the status says that it is valid.
    """
    data, extra, _, _ = wire.recvmsg(4096, 64)
    frame = Ether(data)
    for level, kind, value in extra:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and int.from_bytes(
            value[:4], "little"
        ) & 0x10:
            tag = int.from_bytes(value[16:18], "little")
            return (
                Ether(src=frame.src, dst=frame.dst)
                / Dot1Q(vlan=tag & 0xFFF, type=frame.type)
                / frame.payload
            )
    return frame


# -- whose MAC is on the wire ---------------------------------------------------------------


def test_macvlan_containers_have_macs_of_their_own(lan: Lab) -> None:
    """The LAN sees three machines."""
    with built(lan, "macvlan") as host:
        macs = [who_has(lan.lan, "port0", ip) for ip in (HOST, C1, C2)]
        assert macs == [
            [own] for own in (link(lan.netns, "eth0"), mac(lan, host, "c1"), mac(lan, host, "c2"))
        ]
        assert len({each[0] for each in macs}) == 3


@pytest.mark.needs("ipvlan")
def test_ipvlan_containers_share_their_parents_mac(lan: Lab) -> None:
    """The LAN sees one machine with three addresses."""
    with built(lan, "ipvlan"):
        assert [who_has(lan.lan, "port0", ip) for ip in (HOST, C1, C2)] == [
            [link(lan.netns, "eth0")]
        ] * 3


def test_a_passthru_link_gives_its_parent_its_mac(lan: Lab) -> None:
    """And the parent has its own again when it is gone."""
    before = link(lan.netns, "eth0")
    with built(lan, "macvlan-passthru") as host:
        assert link(lan.netns, "eth0") == mac(lan, host, "c1") != before
        assert host.check() == []
    assert link(lan.netns, "eth0") == before


# -- who reaches whom ---------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["macvlan", pytest.param("ipvlan", marks=pytest.mark.needs("ipvlan"))]
)
def test_the_host_does_not_reach_its_own_containers(lan: Lab, name: str) -> None:
    """Nor they it; the LAN reaches both, and they reach the LAN."""
    with built(lan, name) as host:
        assert "1 received" not in sh(f"ping -c1 -W1 {C1}", check=False)
        assert not pings(lan, host, "c1", HOST_IP, 1)
        assert "1 received" in within(lan.lan, f"ping -c1 -W10 {C1}")
        assert pings(lan, host, "c1", ROUTER)


def test_a_macvlan_link_of_the_hosts_own_reaches_them(lan: Lab) -> None:
    """What one does who needs it."""
    with built(lan, "macvlan"):
        sh(
            f"""ip link add shim link eth0 type macvlan mode bridge; ip link set shim up
            ip addr add {LAN.station(60).v4.ip}/32 dev shim; ip route add {C1}/32 dev shim"""
        )
        assert "1 received" in sh(f"ping -c1 -W10 {C1}")


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("macvlan", True),
        ("macvlan-private", False),
        ("macvlan-vepa", False),
        *(
            pytest.param(name, reached, marks=pytest.mark.needs("ipvlan"))
            for name, reached in (
                ("ipvlan", True),
                ("ipvlan-private", False),
                ("ipvlan-vepa", False),
            )
        ),
    ],
)
def test_the_mode_parts_siblings(lan: Lab, name: str, reached: bool) -> None:
    """bridge lets them reach each other, private and vepa do not, where the LAN sends nothing back.

    All reach the LAN.
    """
    with built(lan, name) as host:
        assert pings(lan, host, "c1", str(C2), 10 if reached else 1) is reached
        assert pings(lan, host, "c1", ROUTER)


def test_vepa_siblings_reach_each_other_by_a_switch_that_sends_frames_back(lan: Lab) -> None:
    """A hairpin port: the frame leaves by eth0, comes back by eth0, and goes to the other."""
    within(
        lan.lan,
        "ip link add sw0 type bridge; ip link set port0 master sw0; "
        "ip link set port0 type bridge_slave hairpin on; "
        f"ip link set sw0 up; ip addr flush dev port0; ip addr add {ROUTER}/24 dev sw0",
    )
    with built(lan, "macvlan-vepa") as host:
        assert pings(lan, host, "c1", str(C2))


def test_containers_in_bridge_mode_talk_without_the_wire(lan: Lab) -> None:
    """The parent hands the frame over; nothing of it is on the LAN."""
    with built(lan, "macvlan") as host, tap(lan.lan, "port0") as seen:
        assert pings(lan, host, "c1", str(C2))
        assert seen(lambda frame: ICMP in frame and frame[IP].dst == str(C2), 0.3) is None


# -- layer 3 ---------------------------------------------------------------


@pytest.mark.needs("ipvlan")
@pytest.mark.parametrize("name", ["ipvlan-l3", "ipvlan-l3s"])
def test_layer_three_has_no_arp_and_no_broadcast(lan: Lab, name: str) -> None:
    """A container asks nobody for a MAC, hears no broadcast, and reaches another subnet's container
    all the same."""
    with built(lan, name) as host:
        assert "NOARP" in lan.inside(host, "c1", "ip -br link show eth0")
        inside = host.namespace(host.container("c1"))
        with tap(inside, "eth0") as heard, tap(lan.lan, "port0") as seen:
            assert pings(lan, host, "c1", "10.21.0.5")
            assert pings(lan, host, "c1", "fd00:21::5")
            within(lan.lan, "ping -c1 -W1 -b 255.255.255.255 -I port0", check=False)
            lan.inside(host, "c1", "ping -c1 -W1 -b 10.20.0.255", check=False)
            assert seen(lambda frame: ARP in frame and frame[ARP].psrc == "10.20.0.1", 0.3) is None
            assert (
                heard(lambda frame: frame.dst == "ff:ff:ff:ff:ff:ff" and ARP in frame, 0.3) is None
            )
        neighbours = lan.inside(host, "c1", "ip neigh show dev eth0 nud all").split("\n")
        assert {line.split()[-1] for line in neighbours if line} <= {"NOARP"}


@pytest.mark.needs("ipvlan")
def test_the_lan_reaches_a_layer_three_subnet_by_way_of_the_host(lan: Lab) -> None:
    """With a route to it, as to any network behind a router."""
    with built(lan, "ipvlan-l3") as host:
        within(lan.lan, f"ip route add 10.20.0.0/24 via {HOST_IP}")
        assert "1 received" in within(lan.lan, "ping -c1 -W10 10.20.0.1")
        assert pings(lan, host, "c1", ROUTER)


# -- VLANs ---------------------------------------------------------------


@pytest.mark.needs("8021q")
@pytest.mark.parametrize(
    "name", ["macvlan-vlan", pytest.param("ipvlan-vlan", marks=pytest.mark.needs("ipvlan"))]
)
def test_a_vlan_s_frames_carry_its_tag_on_the_parent(lan: Lab, name: str) -> None:
    """The tag is 10, and the LAN's own VLAN 10 reaches the container by it."""
    within(
        lan.lan,
        """ip link add link port0 name port0.10 type vlan id 10; ip link set port0.10 up
        ip addr add 10.10.0.200/24 dev port0.10""",
    )
    with built(lan, name) as host, tap(lan.lan, "port0") as seen:
        assert pings(lan, host, "c1", "10.10.0.200")
        frame = seen(
            lambda frame: Dot1Q in frame and IP in frame and frame[IP].dst == "10.10.0.200"
        )
        assert frame is not None
        assert frame[Dot1Q].vlan == 10


# -- parents that go and come, and what cannot be
# ---------------------------------------------------------------


def test_a_parent_may_be_down(lan: Lab) -> None:
    """The container is there, and is reached when the parent is up."""
    sh("ip link set eth0 down")
    with built(lan, "macvlan"):
        sh("ip link set eth0 up")
        until(
            lambda: "1 received" in within(lan.lan, f"ping -c1 -W1 {C1}", check=False),
            "c1 is reached",
        )


@pytest.mark.parametrize(
    "driver", ["macvlan", pytest.param("ipvlan", marks=pytest.mark.needs("ipvlan"))]
)
def test_a_container_comes_back_at_once_as_it_was(lan: Lab, driver: str) -> None:
    """The parent takes the same MAC and address again only when the old link is really gone."""
    own = "02:00:00:00:00:77" if driver == "macvlan" else ""
    with lan.host() as host:
        host.create_network(
            "n1", driver=driver, subnet=SUBNET, gateway=ROUTER, options={"parent": "eth0"}
        )
        host.run("c1", network=Attachment("n1", ip=C1, mac=own))
        for _ in range(5):
            host.restart("c1")
            assert pings(lan, host, "c1", ROUTER)
        host.reset()


def test_a_parent_that_was_taken_away_and_came_back(lan: Lab) -> None:
    """Its links go with it: `check` says so, and `repair` makes them again on the new one."""
    sh(
        "ip link add parent0 type veth peer name other0; ip link set parent0 up; "
        "ip link set other0 up"
    )
    with lan.host() as host:
        host.create_network(
            "n1", driver="macvlan", subnet="10.5.0.0/24", options={"parent": "parent0"}
        )
        for name in ("c1", "c2"):
            host.run(name, network="n1")
        sh("ip link del parent0")
        assert any("macvlan" in str(drift) for drift in host.check())
        sh(
            "ip link add parent0 type veth peer name other0; ip link set parent0 up; "
            "ip link set other0 up"
        )
        host.repair()
        assert host.check() == []
        assert pings(lan, host, "c1", "10.5.0.2")
        host.reset()


def test_a_container_in_an_ipvlan_and_a_macvlan_parent_at_once(lan: Lab) -> None:
    """A parent has links of one kind; who comes second is told so in a line."""
    before = state()
    with lan.host() as host:
        host.create_network("n1", driver="macvlan", subnet=SUBNET, options={"parent": "eth0"})
        sh("ip link add br9 type bridge; ip link set eth0 master br9")
        with pytest.raises(StepFailed, match="Device or resource busy") as caught:
            host.run("c1", network="n1")
        assert "is a bridge's port" in caught.value.hint
        sh("ip link set eth0 nomaster; ip link del br9")
        host.reset()
    assert state() == before


def test_a_second_container_on_a_passthru_parent(lan: Lab) -> None:
    """There is room for one."""
    with built(lan, "macvlan-passthru") as host:
        with pytest.raises(StepFailed) as caught:
            host.run("c2", network="n1")
        assert "room for one container" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "argv"),
    [
        ("ipvlan", "-d ipvlan -o parent=eth0"),
        ("8021q", "-d macvlan -o parent=eth0.10"),
        ("dummy", "-d macvlan"),
    ],
)
def test_what_the_kernel_lacks_is_named_in_one_line(lan: Lab, kind: str, argv: str) -> None:
    """Never a bare EOPNOTSUPP: the module and the option, and all is as before."""
    if able(kind).able:
        pytest.skip(f"this kernel has {kind}")
    lan.plumb("network", "create", *argv.split(), "--subnet", SUBNET, "n1", status=None)
    ran = (
        lan.plumb("run", "-d", "--name", "c1", "--network", "n1", status=None)
        if kind == "ipvlan"
        else lan.plumb("network", "create", *argv.split(), "n2", status=None)
    )
    assert ran.returncode != 0
    assert f"modprobe {kind}" in ran.stderr
    assert "CONFIG_" in ran.stderr
    assert len(ran.stderr.strip().splitlines()) <= 2
    lan.plumb("reset", "--force")
