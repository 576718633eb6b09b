"""Nodes come into a cluster and go: tokens, roles, what is refused."""

from __future__ import annotations

import ssl
import time
from typing import Any

import pytest

from plumb.agent.cluster import managers
from plumb.agent.cluster.certificates import signing, tokens
from plumb.agent.cluster.identity import Papers
from plumb.agent.cluster.member import NODE
from plumb.errors import Conflict, Invalid, PlumbError, Unsupported
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import NodeRole
from tests.agent.cluster.hosts import Machine
from tests.waiting import until


def test_a_token_stands_for_a_role(machines: list[Machine]) -> None:
    first, second, third = machines
    tokens = first.init()

    assert second.join(tokens["worker"], first) == "worker"
    assert third.join(tokens["manager"], first) == "manager"
    roles = {name: node.role for name, node in third.nodes().items()}
    assert roles == {"h1": NodeRole.MANAGER, "h2": NodeRole.WORKER, "h3": NodeRole.MANAGER}


def test_a_wrong_secret_does_not_join(machines: list[Machine]) -> None:
    first, second, _ = machines
    token = first.init()["worker"]
    wrong = token[:-25] + "0" * 25

    with pytest.raises(Invalid, match="A valid join token is necessary to join this cluster"):
        second.join(wrong, first)
    assert set(first.nodes()) == {"h1"}
    assert second.client.node() is None


def test_a_node_tells_its_secret_to_no_other_cluster(machines: list[Machine]) -> None:
    first, second, third = machines
    token = first.init()["worker"]
    second.init()

    with pytest.raises(Invalid, match="remote CA does not match fingerprint"):
        third.join(token, second)


def test_a_rotated_token_is_worth_nothing(machines: list[Machine]) -> None:
    first, second, _ = machines
    old = first.init()["worker"]
    new = first.ask("rotate-token", role="worker")["worker"]

    with pytest.raises(Invalid, match="A valid join token"):
        second.join(old, first)
    assert second.join(new, first) == "worker"


def test_a_node_is_in_one_swarm(machines: list[Machine]) -> None:
    first = machines[0]
    first.init()

    with pytest.raises(Unsupported, match="This node is already part of a swarm"):
        first.init()


def test_a_worker_leaves_and_is_down(machines: list[Machine]) -> None:
    first, second, _ = machines
    second.join(first.init()["worker"], first)
    until(lambda: first.nodes()["h2"].alive)

    second.ask("leave")

    assert not first.nodes()["h2"].alive
    assert second.client.node() is None
    first.ask("node-remove", node="h2")
    assert set(first.nodes()) == {"h1"}


def test_a_join_whose_answer_was_lost_makes_one_node(machines: list[Machine]) -> None:
    """The node asks again with the same key, and gets the same place."""
    first, second, _ = machines
    token = tokens.parse(first.init()["worker"])
    place, wish = f"{first.address}:2377", asked(second, token.secret)
    with entered(second.netns):
        pinned = managers.authorities(place, token)
        answers = [managers.ask_as_stranger(place, pinned, "join", wish) for _ in range(2)]

    assert answers[0]["node"]["id"] == answers[1]["node"]["id"]
    assert len(first.ask("nodes")) == 2


def asked(machine: Machine, secret: str) -> dict[str, Any]:
    """What a host asks a manager for when it joins."""
    own = str(machine.address)
    return {
        "secret": secret,
        "request": signing.request(signing.new_key()),
        "hostname": machine.name,
        "address": own,
        "data_path": own,
        "port": 2377,
    }


def test_a_worker_without_managers_leaves_at_once_by_force(machines: list[Machine]) -> None:
    first, second, _ = machines
    second.join(first.init()["worker"], first)
    first.within("ip link set eth0 down")
    until(lambda: not second.ask("status")["connected"])

    begun = time.monotonic()
    second.ask("leave", force=True)

    assert time.monotonic() - begun < 15
    assert second.client.node() is None


def test_the_last_manager_does_not_leave_unless_forced(machines: list[Machine]) -> None:
    first = machines[0]
    first.init()

    with pytest.raises(Unsupported, match="Removing the last manager erases all current state"):
        first.ask("leave")
    first.ask("leave", force=True)
    assert first.client.node() is None


def test_a_node_that_is_not_down_is_not_removed(pair: tuple[Machine, Machine]) -> None:
    manager, _ = pair
    until(lambda: manager.nodes()["h2"].alive)

    with pytest.raises(Conflict, match="is not down and can't be removed"):
        manager.ask("node-remove", node="h2")


def test_a_removed_node_is_out_at_once(machines: list[Machine]) -> None:
    first, second, _ = machines
    second.join(first.init()["worker"], first)

    first.ask("node-remove", node="h2", force=True)

    with pytest.raises(PlumbError, match=r"not in the cluster any more|not found"):
        second.ask("swarm")
    until(lambda: second.ask("status")["removed"])


def test_a_worker_becomes_a_manager_and_a_worker_again(machines: list[Machine]) -> None:
    first, second, _ = machines
    second.join(first.init()["worker"], first)

    first.ask("node-update", node="h2", role="manager")
    until(lambda: second.ask("status")["role"] == "manager")
    assert second.nodes()["h2"].role is NodeRole.MANAGER
    assert second.within("ss -ltnH 'sport = :2377'")

    second.ask("node-update", node="h2", role="worker")
    until(lambda: second.ask("status")["role"] == "worker")
    until(lambda: not second.within("ss -ltnH 'sport = :2377 or sport = :2380'"), seconds=180)
    until(lambda: not certified_manager(second))
    assert first.nodes()["h2"].role is NodeRole.WORKER


def certified_manager(machine: Machine) -> bool:
    """Whether its certificate is a manager's, by which it could pass for one."""
    _, mark, rest = Papers(machine.layout).read(NODE).partition("-----BEGIN CERTIFICATE-----")
    end = "-----END CERTIFICATE-----\n"
    return b"swarm-manager" in ssl.PEM_cert_to_DER_cert(mark + rest.partition(end)[0] + end)


def test_a_certificate_that_was_not_renewed_after_a_demotion_is_later(
    machines: list[Machine],
) -> None:
    """The node may have been killed between the two."""
    first, second, _ = machines
    second.join(first.init()["manager"], first)
    papers = Papers(second.layout)
    old = papers.read(NODE)
    second.ask("node-update", node="h2", role="worker")
    until(lambda: second.ask("status")["role"] == "worker" and not certified_manager(second))

    papers.write(NODE, old)
    until(lambda: not certified_manager(second))


def test_the_last_manager_is_not_demoted(pair: tuple[Machine, Machine]) -> None:
    manager, _ = pair

    with pytest.raises(Conflict, match="attempting to demote the last manager of the swarm"):
        manager.ask("node-update", node="self", role="worker")


def test_a_manager_that_leaves_leaves_a_quorum(machines: list[Machine]) -> None:
    first, second, _ = machines
    second.join(first.init()["manager"], first)

    first.ask("leave", force=True)

    assert second.nodes()["h1"].role is NodeRole.WORKER
    assert not second.nodes()["h1"].alive


def test_nodes_renew_their_certificates_when_the_ca_is_rotated(machines: list[Machine]) -> None:
    first, second, third = machines
    token = first.init()["worker"]
    second.join(token, first)

    assert len(first.ask("rotate-ca")) == 2
    until(lambda: len(second.ask("authorities")) == 1)

    with pytest.raises(Invalid, match="remote CA does not match fingerprint"):
        third.join(token, first)
    assert third.join(first.ask("tokens")["worker"], first) == "worker"
