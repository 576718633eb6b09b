"""The public interface as a type checker sees it: mypy --strict reads this file, nobody runs it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface
from typing import assert_type

from plumb import Attachment, Endpoint, Host, Network, Sandbox, Transaction


def one_operation_each(host: Host) -> None:
    """Verbs of a host, with text and with values."""
    net = assert_type(host.create_network("n1", subnet="10.9.0.0/24", labels={"a": "b"}), Network)
    assert_type(
        host.create_network("n2", subnet=["10.8.0.0/24"], ipv6=None, internal=True), Network
    )
    box = assert_type(host.create("c1", network=["n1", net, Attachment("n2")]), Sandbox)
    assert_type(host.run("c2", network=net, publish="8080:80", sysctls={"net.a.b": "1"}), Sandbox)
    assert_type(host.connect(net, box, ip="10.9.0.9", aliases=["web"], gw_priority=1), Sandbox)
    assert_type(host.connect("n1", "c1", ip=IPv4Address("10.9.0.9")), Sandbox)
    assert_type(host.disconnect(net, box, force=True), Sandbox)
    assert_type(host.start(box), Sandbox)
    assert_type(host.restart("c1"), Sandbox)
    assert_type(host.stop(box, exit_code=1), Sandbox)
    assert_type(host.remove(box, force=True), Sandbox)
    assert_type(host.remove_network(net), Network)
    assert_type(host.prune_networks(lambda each: each.internal), list[Network])


def many_in_one(host: Host) -> None:
    """The same verbs, of a transaction."""
    with host.operation() as transaction:
        assert_type(transaction, Transaction)
        assert_type(transaction.create_network("n1"), Network)
        assert_type(transaction.run("c1", network="n1", command=["sleep", "1"]), Sandbox)


def read(host: Host) -> None:
    """What is there."""
    assert_type(host.networks(), list[Network])
    assert_type(host.containers(), list[Sandbox])
    found = assert_type(host.endpoints(host.container("c1")), list[Endpoint])
    assert_type(found[0].ip, IPv4Interface | None)


def refused(host: Host) -> None:
    """What a checker finds: each line would be an error without its comment."""
    host.run("c1", netwrk="n1")  # type: ignore[call-arg]
    host.run(5)  # type: ignore[arg-type]
    host.run("c1", privileged="yes")  # type: ignore[arg-type]
    host.create_network("n1", subnt="10.9.0.0/24")  # type: ignore[call-arg]
    host.connect("n1", "c1", ip=5)  # type: ignore[arg-type]
