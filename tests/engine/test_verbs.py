"""The library's edge.

What is misspelt or of another type is refused in one sentence, or just works.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from plumb import Attachment, Host, Invalid
from plumb.model.ports import PortBinding


def ask(verb: str, *args: Any, **named: Any) -> Callable[[Host], Any]:
    """A call that a type checker would not let pass."""
    return lambda host: getattr(host, verb)(*args, **named)


NO_SYSCTL = "sysctl 'kernel.pid_max=5' is not allowed"
ONLY_NET = "only settings of the network namespace, net.…=VALUE, can be given"
REFUSED = {
    "a misspelt keyword of run": (
        ask("run", "c1", netwrk="n1"),
        "unknown keyword 'netwrk' for a container",
        "did you mean network?",
    ),
    "of create_network": (
        ask("create_network", "n2", subnt="10.8.0.0/24"),
        "unknown keyword 'subnt' for a network",
        "did you mean subnet?",
    ),
    "of connect": (
        ask("connect", "n1", "c1", adress="10.9.0.9"),
        "unknown keyword 'adress' for an endpoint",
        "",
    ),
    "a number for a name": (ask("run", 5), "a container's name is text, not 5", ""),
    "for a network's name": (ask("create_network", 5), "a network's name is text, not 5", ""),
    "for a reference": (ask("start", 5), "a container's name is text, not 5", ""),
    "for a network to be on": (ask("run", "c1", network=5), "network is text, not 5", ""),
    "for one of several": (ask("run", "c1", network=[5]), "a network's name is text, not 5", ""),
    "for an address": (ask("connect", "n1", "c0", ip=5), "ip is text, not 5", ""),
    "for a subnet": (ask("create_network", "n2", subnet=10), "subnet is text, not 10", ""),
    "for a port": (ask("run", "c1", publish=80), "publish is text, not 80", ""),
    "in an option": (
        ask("create_network", "n2", options={"parent": 5}),
        "options is text, not 5",
        "",
    ),
    "text for a switch": (
        ask("run", "c1", privileged="yes"),
        "privileged is True or False, not 'yes'",
        "",
    ),
    "text for a number": (
        ask("connect", "n1", "c0", gw_priority="high"),
        "gw_priority is a whole number, not 'high'",
        "",
    ),
    "one text for words": (
        ask("run", "c1", command="sleep 1"),
        "command is a list, not 'sleep 1'",
        "",
    ),
    "text for pairs": (
        ask("run", "c1", labels="a=b"),
        "labels is a mapping, or pairs of name and value, not 'a=b'",
        "",
    ),
    "a setting of no namespace": (
        ask("run", "c1", sysctls={"kernel.pid_max": "5"}),
        NO_SYSCTL,
        ONLY_NET,
    ),
    "text for a port's value": (
        ask("run", "c1", ports=["80"]),
        "ports are PortBinding values, not ['80']",
        "publish= takes text",
    ),
}


@pytest.fixture
def host(host: Host) -> Host:
    host.create_network("n1", subnet="10.9.0.0/24")
    host.create("c0")
    return host


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(name: str, host: Host) -> None:
    """With one sentence, and nothing has changed."""
    call, words, hint = REFUSED[name]
    networks, containers = host.networks(), host.containers()
    with pytest.raises(Invalid) as caught:
        call(host)
    assert str(caught.value) == words
    assert hint in (caught.value.hint, "")
    assert (host.networks(), host.containers()) == (networks, containers)


def test_a_transaction_refuses_the_same(host: Host) -> None:
    """It has the same verbs."""
    with host.operation() as transaction, pytest.raises(Invalid, match="unknown keyword 'netwrk'"):
        ask("run", "c1", netwrk="n1")(transaction)  # type: ignore[arg-type]


def test_values_are_taken_where_names_are(host: Host) -> None:
    """Networks and containers as the verbs gave them."""
    net = host.create_network("n2", subnet="10.8.0.0/24")
    box = host.run("c1", network=[host.network("n1")])
    assert len(host.connect(net, box).attachments) == 2
    assert len(host.endpoints(host.container(box))) == 2
    assert len(host.disconnect(net, box).attachments) == 1
    assert host.network(net) == net
    host.restart(box)
    host.remove(host.stop(box))
    host.remove_network(net)


def test_sysctls_are_written_with_dots_or_with_slashes(host: Host) -> None:
    """As a mapping or in pairs."""
    dotted = host.create("c1", sysctls={"net.ipv4.ip_forward": "1"})
    slashed = host.create("c2", sysctls=[("net/ipv4/ip_forward", "1")])
    assert dotted.sysctls == slashed.sysctls == (("net/ipv4/ip_forward", "1"),)


def test_text_is_read_as_the_command_line_reads_it(host: Host) -> None:
    """One or several; what is plumb's own type is taken as it is."""
    box = host.create(
        "c1",
        network=[Attachment("n1"), "name=bridge,gw-priority=7"],
        publish="8080:80",
        ports=[PortBinding(81, "tcp")],
        exposed="7000-7001/udp",
        dns=["192.0.2.1", ip_address("192.0.2.2")],
        cap_add="CAP_NET_ADMIN",
        extra_hosts={"db": "10.0.0.1"},
        mac="02-42-AC-11-00-02",
    )
    assert [wish.gw_priority for wish in box.attachments] == [0, 7]
    assert box.ports == (PortBinding(81, "tcp"), PortBinding(80, "tcp", None, 8080, 8080))
    assert box.exposed == ("7000/udp", "7001/udp")
    assert box.dns == (ip_address("192.0.2.1"), ip_address("192.0.2.2"))
    assert (box.cap_add, box.mac) == (("NET_ADMIN",), "02:42:ac:11:00:02")
    assert box.extra_hosts == (("db", "10.0.0.1"),)
