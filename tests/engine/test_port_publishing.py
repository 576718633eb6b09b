"""Publishing in the intent: who gets which host port, when, and who does not."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

from plumb import Conflict, Exhausted, Host
from plumb.address import IPAddress
from plumb.kernel.memory import MemoryKernel
from plumb.kernel.system import System
from plumb.model.ports import Port
from plumb.plan import Step
from plumb.store.change import Change
from plumb.things.host_ports import Agent, HostPort, Proxy
from tests.memory_host import FRESH, MemoryHosts


@pytest.fixture
def host(host: Host) -> Host:
    host.create_network("n1", subnet="10.9.0.0/24")
    return host


def ports(host: Host, name: str) -> list[tuple[str, str]]:
    """A container's ports: "80/tcp" and where on the host."""
    return [
        (f"{port.port}/{port.protocol}", f"{port.host_ip} {port.host_port}")
        for end in host.endpoints(host.container(name))
        for port in end.ports
    ]


def test_a_running_container_has_its_ports(host: Host) -> None:
    """From start to stop."""
    host.create("c1", network="n1", publish="8080:80")
    assert ports(host, "c1") == []
    host.start("c1")
    assert ports(host, "c1") == [("80/tcp", "0.0.0.0 8080"), ("80/tcp", ":: 8080")]
    host.stop("c1")
    assert ports(host, "c1") == []
    assert not any(isinstance(thing, Agent | HostPort | Proxy) for thing in host.store.things())


def test_a_port_is_one_container_s(host: Host) -> None:
    """The error names the address, the port and who has it; nothing is left of the attempt."""
    host.run("c1", network="n1", publish="8080:80")
    with pytest.raises(
        Conflict,
        match=r"on endpoint c2 .*Bind for 127\.0\.0\.1:8080 failed: port is already allocated",
    ) as caught:
        host.run("c2", network="n1", publish="127.0.0.1:8080:80")
    assert caught.value.hint == "container c1 has it"
    assert [box.name for box in host.containers()] == ["c1"]


def test_a_port_twice_in_one_container(host: Host) -> None:
    """Is in its own way."""
    with pytest.raises(Conflict, match="port is already allocated"):
        host.run("c1", network="n1", publish=["8080:80", "8080:81"])


@pytest.mark.parametrize(
    "words",
    [
        ["8080:80", "8080:80"],
        ["8080:80", "0.0.0.0:8080:80"],
        ["8080:80", "127.0.0.1:8080:80"],
        ["80", "80"],
        ["80", "127.0.0.1::80"],
        ["8000-8001:80", "8000-8001:80"],
    ],
)
def test_the_same_port_twice_in_one_container(host: Host, words: list[str]) -> None:
    """Also where one address includes the other.

    The two would get one number, and one of them nothing.
    """
    with pytest.raises(Conflict, match="port is already allocated") as caught:
        host.run("c1", network="n1", publish=words)
    assert caught.value.hint == "80/tcp is published twice there"


def test_other_addresses_and_protocols_do_not_clash(host: Host) -> None:
    """127.0.0.1 and 127.0.0.2, tcp and udp."""
    host.run("c1", network="n1", publish=["127.0.0.1:80:80", "53:53/udp"])
    host.run("c2", network="n1", publish=["127.0.0.2:80:80", "53:53/tcp"])
    assert ("80/tcp", "127.0.0.2 80") in ports(host, "c2")


def test_any_port_is_the_next_one(host: Host) -> None:
    """In turn through the kernel's ephemeral range.

    One that was given back is not given out again at once.
    """
    host.run("c1", network="n1", publish=["80", "81"])
    assert [where for _, where in ports(host, "c1")] == [
        "0.0.0.0 32768",
        ":: 32768",
        "0.0.0.0 32769",
        ":: 32769",
    ]
    host.remove("c1", force=True)
    host.run("c2", network="n1", publish="80")
    assert ports(host, "c2")[0] == ("80/tcp", "0.0.0.0 32770")


def test_a_range_until_it_is_used_up(host: Host) -> None:
    """Each container takes one, the last one none."""
    for number in (1, 2):
        host.run(f"c{number}", network="n1", publish="8000-8001:80")
    assert [ports(host, name)[0][1] for name in ("c1", "c2")] == ["0.0.0.0 8000", "0.0.0.0 8001"]
    with pytest.raises(
        Exhausted,
        match=r"all ports are allocated: none of 8000-8001/tcp is free on 0\.0\.0\.0 and ::",
    ):
        host.run("c3", network="n1", publish="8000-8001:80")


def test_a_port_of_a_program_of_the_host(memory_host: MemoryHosts) -> None:
    """An exact one is an error that names the program, one of a range is passed over."""

    def trial(protocol: str, ip: IPAddress, port: int) -> int:
        return errno.EADDRINUSE if port == 8000 else 0

    host = memory_host(System(trial=trial, holder=lambda protocol, ip, port: "nginx (pid 12)"))
    host.create_network("n1", subnet="10.9.0.0/24")
    with pytest.raises(
        Conflict, match=r"failed to bind host port 0\.0\.0\.0:8000/tcp: address already in use"
    ) as caught:
        host.run("c1", network="n1", publish="8000:80")
    assert caught.value.hint == "nginx (pid 12) has it: stop that, or publish another port"
    host.run("c1", network="n1", publish="8000-8001:80")
    assert ports(host, "c1")[0] == ("80/tcp", "0.0.0.0 8001")


def test_what_one_gives_back_another_can_have(host: Host, memory_host: MemoryHosts) -> None:
    """In one operation too, though the port is bound until then: by plumb itself."""
    host.run("c1", network="n1", publish="8080:80")
    bound = memory_host(System(trial=lambda protocol, ip, port: errno.EADDRINUSE))
    with bound.operation() as verbs:
        verbs.remove("c1", force=True)
        verbs.run("c2", network="n1", publish="8080:80")
    assert ports(host, "c2")[0] == ("80/tcp", "0.0.0.0 8080")


def test_ports_follow_the_gateway(host: Host) -> None:
    """To the network that leads out, and back; an exact port is the same there."""
    host.create_network("n2", subnet="10.8.0.0/24")
    host.run("c1", network="n1", publish="8080:80")
    host.connect("n2", "c1", gw_priority=5)
    first, second = host.endpoints(host.container("c1"))
    assert first.ports == ()
    assert second.ports == (
        Port(80, "tcp", ip_address("0.0.0.0"), 8080),
        Port(80, "tcp", ip_address("::"), 8080),
    )
    host.disconnect("n2", "c1")
    assert len(host.endpoints(host.container("c1"))[0].ports) == 2
    assert any(isinstance(thing, Agent) for thing in host.store.things())


def test_an_internal_network_publishes_nothing(host: Host) -> None:
    """Until the container is on one that leads out."""
    host.create_network("inner", subnet="10.7.0.0/24", internal=True)
    host.run("c1", network="inner", publish="8080:80")
    assert ports(host, "c1") == []
    host.connect("n1", "c1")
    assert len(ports(host, "c1")) == 2


def test_the_families_part(host: Host) -> None:
    """A network with IPv6 that joins takes the IPv6 binding from the proxy of the one that has IPv4
    alone."""
    host.create_network("six", subnet="fd08::/64", ipv4=False, ipv6=True)
    host.run("c1", network="n1", publish="8080:80")
    host.connect("six", "c1")
    four, six = host.endpoints(host.container("c1"))
    assert [port.host_ip.version for port in four.ports] == [4]
    assert [port.host_ip.version for port in six.ports] == [6]


def test_what_stays_keeps_its_number(host: Host) -> None:
    """A network that joins without being the gateway changes nothing."""
    host.create_network("n2", subnet="10.8.0.0/24")
    host.run("c1", network="n1", publish="80")
    before = ports(host, "c1")
    host.connect("n2", "c1", gw_priority=-1)
    assert ports(host, "c1") == before


def test_without_the_proxy_the_port_is_bound_all_the_same(memory_host: MemoryHosts) -> None:
    """So that it is nobody else's."""
    with memory_host(userland_proxy=False) as host:
        host.create_network("n1", subnet="10.9.0.0/24")
        host.run("c1", network="n1", publish="8080:80")
        things = host.store.things()
        assert [thing for thing in things if isinstance(thing, Proxy)] == []
        assert [str(thing) for thing in things if isinstance(thing, HostPort)] == [
            "port 0.0.0.0:8080/tcp"
        ]


def test_the_agent_is_there_as_long_as_a_port_is(host: Host) -> None:
    """It goes with the last one."""
    host.run("c1", network="n1", publish="8080:80")
    host.run("c2", network="n1", publish="8081:80")
    host.remove("c1", force=True)
    assert sum(isinstance(thing, Agent) for thing in host.store.things()) == 1
    host.remove("c2", force=True)
    assert sum(isinstance(thing, Agent) for thing in host.store.things()) == 0


def test_the_default_network_publishes_where_the_host_s_settings_say(
    memory_host: MemoryHosts,
) -> None:
    """The setting `ip`: another address than all.

    What names an address itself is left alone, and so are other networks.
    """
    with memory_host(ip="127.0.0.1") as host:
        host.create_network("n1", subnet="10.9.0.0/24")
        host.run("c1", publish=["8080:80", "192.0.2.10:8081:80"])
        host.run("c2", network="n1", publish="8082:80")
        assert [where for _, where in ports(host, "c1")] == ["127.0.0.1 8080", "192.0.2.10 8081"]
        assert [where for _, where in ports(host, "c2")] == ["0.0.0.0 8082", ":: 8082"]


def test_all_that_is_exposed(host: Host) -> None:
    """-P: on ports of the kernel's choice, but for what is published by name."""
    host.run("c1", network="n1", publish="8080:80", exposed=("80/tcp", "53/udp"), publish_all=True)
    assert ports(host, "c1") == [
        ("80/tcp", "0.0.0.0 8080"),
        ("80/tcp", ":: 8080"),
        ("53/udp", "0.0.0.0 32768"),
        ("53/udp", ":: 32768"),
    ]


def test_the_proxy_takes_its_bindings_along(memory_host: MemoryHosts) -> None:
    """Switched off, an IPv4 container has no IPv6 binding any more.

    Switched on, it has one again.
    """
    with memory_host() as host:
        host.create_network("n1", subnet="10.9.0.0/24")
        host.run("c1", network="n1", publish="8080:80")
    for proxy, expected in ((False, [4]), (True, [4, 6])):
        with memory_host(userland_proxy=proxy) as host:
            host.create_network(f"n{proxy}")
            assert [
                port.host_ip.version for port in host.endpoints(host.container("c1"))[0].ports
            ] == expected


class Remembering(MemoryKernel):
    """A kernel that remembers the steps that it was asked for."""

    def __init__(self) -> None:
        super().__init__(FRESH)
        self.steps: list[Step] = []

    def take(self, steps: Sequence[Step]) -> None:
        """Take them, and note them."""
        self.steps += steps
        super().take(steps)


def test_a_release_that_was_begun_is_done_once_more(tmp_path: Path) -> None:
    """Who was killed after the port was gone may not have told connection tracking.

    So whoever recovers releases it again.
    """
    kernel = Remembering()
    with Host(tmp_path / "root", settings={}, kernel=kernel) as host:
        host.create_network("n1", subnet="10.9.0.0/24")
        port = HostPort("/run", "udp", ip_address("0.0.0.0"), 53, ip_address("10.9.0.2"), 53)
        host.store.begin([port], [], Change())
        kernel.steps.clear()
        host.create_network("n2")
    assert kernel.steps[0] == Step(port, None)
