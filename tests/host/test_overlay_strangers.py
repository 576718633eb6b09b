"""VXLAN that is not another node's: frames that a container makes itself reach no overlay network.

    xx ── plumb0 ── h1 ── switch ── h2 ── vxlan0 ── br0 ── c2

xx is on no overlay network. It knows all that there is to know, the VNI, both hosts' addresses and
c2's, and sends UDP to port 4789 with a frame for c2 in it. Without a rule against it, the packet
would leave h1 with h1's own address, as h1's tunnels do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.lab.hosts import Hosts, LabHost
from tests.host.swarm_hosts import address, pings, swarm
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("vxlan", "rpfilter")]
SEND = """
import socket, struct, sys
outer, source, inner, payload = sys.argv[1:]
def summed(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack(">H", ~total & 0xffff)
def ip(src, dst, body):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, 17, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + summed(head) + head[12:] + body
def udp(port, body):
    return struct.pack(">HHHH", 40000, port, 8 + len(body), 0) + body
mac = b"\\x02\\x42" + socket.inet_aton(inner)
frame = mac + bytes.fromhex("02420a3200630800") + ip("10.50.0.99", inner, udp(9, payload.encode()))
packet = struct.pack(">II", 8 << 24, 4097 << 8) + frame
if source == "own":
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(packet, (outer, 4789))
else:
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.sendto(ip(source, outer, udp(4789, packet)), (outer, 0))
"""
HEAR = """
import socket, sys
heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
heard.bind(("0.0.0.0", 9))
while True:
    print(heard.recv(100).decode(), flush=True)
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Hosts]:
    with swarm(2) as hosts:
        for host in hosts:
            name = host.name.replace("h", "c")
            words = ("run", "-d", "--name", name, "--network", "n1", "python3", "-c", HEAR)
            host.plumb(*words)
        hosts["h1"].plumb("run", "-d", "--name", "xx", "sleep", "100000")
        until(lambda: pings(hosts["h1"], "c1", "c2"), "c1 reaches c2")
        yield hosts


def heard(host: LabHost, name: str) -> str:
    """What has come in at a container's UDP port."""
    return host.plumb("logs", name).stdout


def send(host: LabHost, *words: str) -> None:
    """Send a frame in VXLAN: from the host itself, or `exec xx` first."""
    host.run("python3", "-c", SEND, *words)


def send_from_xx(host: LabHost, *words: str) -> None:
    """The same from the container."""
    host.plumb("exec", "xx", "python3", "-c", SEND, *words)


def test_a_frame_of_another_node_comes_in(pair: Hosts) -> None:
    """What the others below send is well formed: from the node itself, it arrives."""
    one, two = pair
    send(one, two.address, "own", address(two, "c2"), "from a node")
    until(lambda: "from a node" in heard(two, "c2"), "the frame is in")


def passed_by(host: LabHost, target: LabHost, name: str) -> None:
    """Wait for a frame that comes after all others that were sent."""
    send(host, target.address, "own", address(target, name), "last")
    until(lambda: "last" in heard(target, name), "the last frame is in")


def test_a_container_s_frame_does_not_leave_in_its_host_s_name(pair: Hosts) -> None:
    one, two = pair
    send_from_xx(one, two.address, "own", address(two, "c2"), "from xx")
    passed_by(one, two, "c2")
    assert "from xx" not in heard(two, "c2")


@pytest.mark.parametrize("source", ["own", "spoofed"])
def test_a_container_s_frame_does_not_enter_its_own_host(pair: Hosts, source: str) -> None:
    """Not even with another node's address as its source."""
    one, two = pair
    send_from_xx(
        one,
        one.address,
        two.address if source == "spoofed" else "own",
        address(one, "c1"),
        f"{source} from xx",
    )
    passed_by(two, one, "c1")
    assert "from xx" not in heard(one, "c1")


def test_a_stranger_s_frame_does_not_come_in() -> None:
    """A host that is no node, on the same switch."""
    with swarm(2) as hosts:
        one, two = hosts
        words = ("run", "-d", "--name", "c1", "--network", "n1", "python3", "-c", HEAR)
        one.plumb(*words)
        inner = address(one, "c1")
        two.plumb("swarm", "leave")
        script = f"iptables -t raw -S PLUMB-OVERLAY | grep -c {two.address}"
        until(lambda: one.run("sh", "-c", script, check=False).stdout.strip() == "0", "h2 is gone")
        send(two, one.address, "own", inner, "from a stranger")
        two.run("ping", "-c", "1", "-W", "5", one.address)
        assert "stranger" not in heard(one, "c1")
