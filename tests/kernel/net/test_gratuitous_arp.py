"""Announcements as a neighbour hears them.

Who has an address now says so, before anybody has to find out.

A packet socket in the neighbour's namespace is opened first; then containers come, and what they
say of their own accord is counted. A broadcast ARP request that asks for its sender's own address
tells everybody that address's MAC; for IPv6 an unsolicited neighbour advertisement with the
override flag does."""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from typing import NamedTuple

import pytest

from plumb.kernel import agent_socket
from plumb.kernel.net import announce_queue
from plumb.kernel.net.gratuitous_arp import Target
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from tests.host.trial_hosts import marked, plumb
from tests.labs import Lab, within
from tests.waiting import until

ALL_PROTOCOLS, ARP, IPV6, NEIGHBOUR_ADVERTISEMENT = 0x0003, 0x0806, 0x86DD, 136
OVERRIDE = 0x20000000
SO_TIMESTAMPNS = 35
MAC, OTHER_MAC = "02:00:00:00:00:aa", "02:00:00:00:00:bb"
NMSGS, MS = "com.docker.network.advertise_addr_nmsgs", "com.docker.network.advertise_addr_ms"


class Heard(NamedTuple):
    """An announcement.

    When it came (by the kernel's wall clock), and of which address at which MAC.
    """

    when: float
    ip: str
    mac: str


@dataclass
class Neighbour:
    """A container that listens: its lab, and its packet socket."""

    lab: Lab
    wire: socket.socket

    def hear(self, enough: Callable[[list[Heard]], bool], seconds: float = 30.0) -> list[Heard]:
        """Listen until it is enough, or until nothing has come for some time."""
        found: list[Heard] = []
        deadline = time.monotonic() + seconds
        while not enough(found) and time.monotonic() < deadline:
            self.wire.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                frame, extra, _, _ = self.wire.recvmsg(2048, 64)
            except TimeoutError:
                break
            whole, nanoseconds = struct.unpack("=qq", extra[0][2])
            found += announcements(frame, whole + nanoseconds / 1e9)
        return found

    def rest(self) -> list[Heard]:
        """What else was heard, when nobody is left who could say more."""
        until(lambda: not announcing(self.lab), "the announcers end")
        return self.hear(lambda found: False, 0.02)

    def knows(self, version: int, ip: str) -> str:
        """The MAC that the neighbour's kernel has for an address."""
        with self.lab.host() as host:
            line = self.lab.inside(host, "neighbour", f"ip -{version} neigh show {ip} dev eth0")
        return line.split("lladdr ")[1].split()[0] if "lladdr " in line else ""


def announcing(lab: Lab) -> bool:
    """Whether somebody still announces.

    The agent has a thread for that, and a host without an agent a process.
    """
    agent, _ = agent_socket.running(str(lab.root))
    threads = len(os.listdir(f"/proc/{agent}/task")) if agent else 0
    return threads > 1 or any("announce" in line for line in marked(lab).values())


def announcements(frame: bytes, when: float) -> list[Heard]:
    """What a frame announces: one address or none."""
    kind, mac = struct.unpack("!H", frame[12:14])[0], frame[6:12].hex(":")
    if kind == ARP and frame[:6] == b"\xff" * 6:
        hardware, protocol, _, _, op, sender, ip, _, target = struct.unpack(
            "!HHBBH6s4s6s4s", frame[14:42]
        )
        if (hardware, protocol, op, ip) == (1, 0x0800, 1, target) and sender.hex(":") == mac:
            return [Heard(when, str(ip_address(ip)), mac)]
    if kind == IPV6 and frame[20] == 58 and frame[54] == NEIGHBOUR_ADVERTISEMENT:
        flags, target, option, length, link = struct.unpack("!I16sBB6s", frame[58:86])
        to_all = frame[:6] == bytes.fromhex("333300000001") and ip_address(
            frame[38:54]
        ) == ip_address("ff02::1")
        if (
            to_all
            and frame[21] == 255
            and flags == OVERRIDE
            and (option, length) == (2, 1)
            and link.hex(":") == mac
        ):
            return [Heard(when, str(ip_address(target)), mac)]
    return []


@pytest.fixture
def neighbour(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Neighbour]:
    """A neighbour on a dual-stack network whose containers announce themselves as often as the test
    says, every 100 ms."""
    count = str(getattr(request, "param", 3))
    plumb(
        lab,
        "network",
        "create",
        "net",
        "--subnet",
        "10.9.0.0/24",
        "--subnet",
        "2001:db8:9::/64",
        "--ipv6=true",
        "-o",
        f"{NMSGS}={count}",
        "-o",
        f"{MS}=100",
    )
    plumb(lab, "run", "-d", "--name", "neighbour", "--network", "net")
    until(lambda: not announcing(lab), "its own announcements end")
    with lab.host() as host, entered(host.namespace(host.container("neighbour"))):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        wire.bind(("eth0", ALL_PROTOCOLS))
    with wire:
        yield Neighbour(lab, wire)


def run(lab: Lab, mac: str = MAC) -> None:
    """A new container with these addresses, by the command line."""
    plumb(
        lab,
        "run",
        "-d",
        "--name",
        "new",
        "--network",
        "net",
        "--ip",
        "10.9.0.9",
        "--ip6",
        "2001:db8:9::9",
        "--mac-address",
        mac,
    )


def of(ip: str, heard: list[Heard]) -> list[Heard]:
    """The announcements of one address."""
    return [one for one in heard if one.ip == ip]


@pytest.mark.parametrize("neighbour", [1, 2, 3], indirect=True)
@pytest.mark.parametrize("ip", ["10.9.0.9", "2001:db8:9::9"])
def test_a_new_endpoint_announces_its_addresses(
    ip: str, neighbour: Neighbour, request: pytest.FixtureRequest
) -> None:
    """As often as advertise_addr_nmsgs says, advertise_addr_ms apart, with its MAC.

    And not once more.
    """
    count = request.node.callspec.params["neighbour"]
    run(neighbour.lab)
    heard = neighbour.hear(lambda found: len(of(ip, found)) == count)
    assert [one.mac for one in of(ip, heard)] == [MAC] * count
    times = [one.when for one in of(ip, heard)]
    assert all(0.08 < later - sooner < 1 for sooner, later in pairwise(times))
    assert of(ip, neighbour.rest()) == []


def test_the_first_announcement_is_made_before_the_command_returns(neighbour: Neighbour) -> None:
    """When `run` has returned, the neighbours know both addresses."""
    run(neighbour.lab)
    returned = time.time()
    heard = neighbour.hear(lambda found: len(found) >= 4)
    assert {one.ip for one in heard if one.when < returned} == {"10.9.0.9", "2001:db8:9::9"}


@pytest.mark.parametrize("neighbour", [0], indirect=True)
def test_nothing_is_announced_with_a_count_of_zero(neighbour: Neighbour) -> None:
    """advertise_addr_nmsgs=0 disables it: nothing is said, and nobody is left to say it later."""
    run(neighbour.lab)
    assert neighbour.rest() == []


def test_a_connect_announces_too(neighbour: Neighbour) -> None:
    """A running container that is connected to one more network announces its address there."""
    plumb(neighbour.lab, "run", "-d", "--name", "new")
    plumb(neighbour.lab, "network", "connect", "--ip", "10.9.0.9", "net", "new")
    assert len(of("10.9.0.9", neighbour.hear(lambda found: len(of("10.9.0.9", found)) == 3))) == 3


def test_a_program_announces_in_the_background(neighbour: Neighbour) -> None:
    """A program that uses the library goes on at once, and is announced for as often as a
    command."""
    with neighbour.lab.host() as host:
        host.run("new", network="net", mac=MAC)
        heard = neighbour.hear(lambda found: len(of("10.9.0.3", found)) == 3)
    assert [one.mac for one in of("10.9.0.3", heard)] == [MAC] * 3
    until(lambda: not announcing(neighbour.lab), "the announcers end")


def test_without_an_agent_a_process_announces(lab: Lab) -> None:
    """On the default network nobody needs an agent.

    The first time is the command's, the others a small process's, which ends.
    """
    plumb(lab, "run", "-d", "--name", "neighbour")
    with lab.host() as host, entered(host.namespace(host.container("neighbour"))):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        wire.bind(("eth0", ALL_PROTOCOLS))
    with wire:
        plumb(lab, "run", "-d", "--mac-address", MAC)
        heard = Neighbour(lab, wire).hear(lambda found: len(of("172.17.0.3", found)) == 3)
    assert [one.mac for one in of("172.17.0.3", heard)] == [MAC] * 3
    assert agent_socket.running(str(lab.root)) == (0, "")
    until(lambda: not announcing(lab), "the announcer ends")


# -- the agent's announcer ---------------------------------------------------------------


@pytest.fixture
def alone(lab: Lab) -> Iterator[Neighbour]:
    """A namespace with a link, and a packet socket at the link's other end."""
    path = f"{lab.root}/netns/alone"
    namespaces.make(path)
    # v0 comes up last: with its peer up it sends at once, without it only when the kernel has come
    # to look at the carrier again.
    within(
        path,
        f"ip link add v0 address {MAC} type veth peer name v1; ip link set v1 up; "
        "ip link set v0 up",
    )
    with entered(path):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_PROTOCOLS))
        wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        wire.bind(("v1", ALL_PROTOCOLS))
    with wire:
        yield Neighbour(lab, wire)
    namespaces.drop(path)


def targets(alone: Neighbour, count: int, times: int) -> list[Target]:
    """So many addresses, to be announced so often."""
    return [
        Target(f"{alone.lab.root}/netns/alone", "v0", MAC, (f"10.9.0.{number}",), times, 1)
        for number in range(count)
    ]


def over() -> bool:
    """Whether the announcer's thread has ended: it has nothing more to say."""
    return not any(thread.name == "announcements" for thread in threading.enumerate())


def test_only_so_many_announcements_wait(alone: Neighbour) -> None:
    """What was announced at once beyond that is not announced again."""
    known = targets(alone, 5, 2)
    announce_queue.Announcer(most=3).announce(known, [announce_queue.said(each) for each in known])
    until(over, "the thread ends")
    heard = alone.hear(lambda found: False, 0.02)
    assert [len(of(f"10.9.0.{number}", heard)) for number in range(5)] == [2, 2, 2, 1, 1]


def test_many_are_announced_by_the_thread_as_far_as_they_may_wait(alone: Neighbour) -> None:
    """Of those beyond nothing is said: they are found as everything else is."""
    announce_queue.Announcer(most=3).announce(targets(alone, 5, 2))
    until(over, "the thread ends")
    heard = alone.hear(lambda found: False, 0.02)
    assert [len(of(f"10.9.0.{number}", heard)) for number in range(5)] == [2, 2, 2, 0, 0]


def test_without_a_descriptor_nothing_is_said(alone: Neighbour) -> None:
    """It is no error: the others' turn comes, and its own when there are some again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert announce_queue.said(targets(alone, 1, 1)[0]) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wire = announce_queue.said(targets(alone, 1, 1)[0])
    assert wire is not None
    wire.close()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # it is what this is about
def test_an_error_does_not_end_the_announcements_for_good(
    alone: Neighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the thread.

    The next announcement starts another, which says what the first has left as well.
    """

    def fail(target: Target) -> None:
        raise OSError(f"nothing can be said of {target.dev}")

    first, second, third = targets(alone, 3, 1)
    with monkeypatch.context() as broken:
        broken.setattr(announce_queue, "said", fail)
        speaker = announce_queue.Announcer()
        speaker.announce([first, second])
        until(over, "the thread ends")
    speaker.announce([third])
    until(over, "the thread ends")
    assert [one.ip for one in alone.hear(lambda found: False, 0.02)] == ["10.9.0.1", "10.9.0.2"]


# -- a neighbour's cache ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("neighbour", "expected"), [(3, OTHER_MAC), (0, MAC)], indirect=["neighbour"]
)
@pytest.mark.parametrize(("version", "ip"), [(4, "10.9.0.9"), (6, "2001:db8:9::9")])
def test_a_stale_neighbour_entry_is_refreshed(
    version: int, ip: str, expected: str, neighbour: Neighbour
) -> None:
    """When an address moves to a container with another MAC, the neighbours have it at once.

    Without announcements they do not.
    """
    run(neighbour.lab)
    with neighbour.lab.host() as host:
        neighbour.lab.inside(host, "neighbour", f"ping -q -c1 -W10 {ip}")
    assert neighbour.knows(version, ip) == MAC
    plumb(neighbour.lab, "rm", "-f", "new")
    run(neighbour.lab, OTHER_MAC)
    assert neighbour.knows(version, ip) == expected
