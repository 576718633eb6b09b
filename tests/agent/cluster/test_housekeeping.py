"""What a cluster sees to unasked: keys move on, and nobody keeps what nobody has."""

from __future__ import annotations

import os
import secrets
import socket
import stat
from dataclasses import replace

import pytest

from plumb.engine.lookup import ENCRYPTION
from plumb.errors import Conflict, PlumbError
from plumb.kernel.features import detect
from plumb.kernel.netns.namespaces import entered
from plumb.model.cluster import AttachRequest, Encryption, Node, RemoteEndpoint
from plumb.model.cnm import Network
from plumb.model.driver_options import OverlayOptions
from plumb.store import codec
from plumb.store.change import Change
from plumb.store.sqlite import SqliteStore
from tests.agent.cluster.hosts import FIRST, Machine
from tests.waiting import until


@pytest.fixture
def swarm(machines: list[Machine]) -> list[Machine]:
    """A manager and a worker; a third host is in no swarm."""
    machines[1].join(machines[0].init()["worker"], machines[0])
    return machines


def network(manager: Machine, name: str = "n1") -> Network:
    asked = Network(secrets.token_hex(32), name, "overlay", attachable=True)
    return manager.client.create_network(asked)


def reserve(machine: Machine, net: Network) -> AttachRequest:
    """Reserve addresses as a command does that is killed right afterwards."""
    wish = AttachRequest(secrets.token_hex(32), net.id, secrets.token_hex(32), ("web",))
    machine.client.attach(wish)
    return wish


# -- keys of encrypted networks ----------------------------------------------------------


def has_encrypted(machine: Machine) -> None:
    """Write down an encrypted network in a host's record; the kernel needs no ESP for that."""
    options = OverlayOptions(vnis=(4100,), encrypted=True)
    change = Change(put=(Network("e" * 64, "n1", "overlay", overlay=options),))
    store = SqliteStore(machine.layout)
    store.finish(store.begin([], [], change), change)
    store.close()


def recorded(machine: Machine) -> str:
    """Numbers of the keys in a host's record, empty without any."""
    store = SqliteStore(machine.layout)
    text = store.meta(ENCRYPTION)
    store.close()
    return codec.loads(Encryption, text).numbers if text else ""


def rotate(machine: Machine) -> None:
    """Begin a rotation, as soon as all nodes have reported that they use the present keys."""

    def begun() -> bool:
        try:
            machine.ask("rotate-encryption")
        except Conflict as error:
            if "no report of the present keys from " not in str(error):
                raise
            return False
        return True

    until(begun)


def test_keys_come_to_hosts_with_an_encrypted_network_and_rotate(swarm: list[Machine]) -> None:
    first, second, _ = swarm
    has_encrypted(second)
    second.kill()
    second.ask("status")
    until(lambda: recorded(second) == "1,2,3/2")

    rotate(first)

    until(lambda: recorded(second) == "2,3,4/3")
    assert recorded(first) == ""


def test_every_node_has_the_same_keys(swarm: list[Machine]) -> None:
    first, second, _ = swarm
    assert second.ask("encryption") == first.ask("encryption")


def test_keys_are_in_no_file_that_others_may_read(swarm: list[Machine]) -> None:
    has_encrypted(swarm[0])
    rotate(swarm[0])
    until(lambda: recorded(swarm[0]))
    keys = [key.encode() for _, key in swarm[0].ask("encryption")["keys"]]

    for folder, _, names in os.walk(swarm[0].layout.root):
        for name in names:
            path = f"{folder}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISREG(mode) and mode & 0o077 and not os.path.ismount(path):
                with open(path, "rb") as file:
                    text = file.read()
                assert not any(key in text for key in keys), path
    with open(f"{swarm[0].layout.run}/cluster/cluster.log", "rb") as log:
        said = log.read()
    assert not any(key in said for key in keys)


# -- reservations --------------------------------------------------------------------------


def test_what_a_killed_command_has_reserved_is_given_back(swarm: list[Machine]) -> None:
    first, second, _ = swarm
    wish = reserve(second, network(first))
    assert second.ask("reservations") == [wish.endpoint]

    second.kill()
    second.ask("status")

    until(lambda: second.ask("reservations") == [])


def test_what_is_published_stays_reserved(swarm: list[Machine]) -> None:
    first, second, _ = swarm
    net = network(first)
    lost, kept = reserve(second, net), reserve(second, net)
    got = second.client.attach(kept)
    end = RemoteEndpoint(kept.endpoint, net.id, "", FIRST, got.mac, got.ip, sandbox=kept.sandbox)
    second.record(end)
    second.client.publish([end])

    second.kill()
    second.ask("status")

    until(lambda: lost.endpoint not in second.ask("reservations"))
    assert second.ask("reservations") == [kept.endpoint]


# -- nodes that go --------------------------------------------------------------------------


def test_a_removed_node_has_nothing_any_more(swarm: list[Machine]) -> None:
    """Its addresses are free at once, though it was alive."""
    first, second, _ = swarm
    net = network(first)
    wish = reserve(second, net)
    address = second.client.attach(wish).ip
    assert address is not None

    first.ask("node-remove", node="h2", force=True)

    again = AttachRequest(secrets.token_hex(32), net.id, secrets.token_hex(32), ip=address.ip)
    assert first.client.attach(again).ip == address
    assert set(first.nodes()) == {"h1"}


def alive(manager: Machine, ident: str) -> bool:
    rows = {row["id"]: codec.decode(Node, row) for row in manager.ask("nodes")}
    return rows[ident].alive


def test_a_host_that_is_installed_anew_joins_as_another_node(swarm: list[Machine]) -> None:
    """It has its name and its address, and knows nothing of what it was."""
    first, second, bare = swarm
    before = first.nodes()["h2"].id
    second.within("ip link set eth0 down")
    bare.within(f"ip addr flush dev eth0; ip addr add {second.address}/24 dev eth0")
    anew = replace(bare, name="h2", address=second.address)

    anew.join(first.ask("tokens")["worker"], first)
    until(lambda: not alive(first, before))
    first.ask("node-remove", node=before)

    assert first.nodes()["h2"].alive
    assert first.nodes()["h2"].id != before


def test_a_joining_that_fails_leaves_no_node(machines: list[Machine]) -> None:
    """Here a manager's: port 2377 is taken on its host, which is seen when all else is done."""
    first, second, _ = machines
    token = first.init()["manager"]
    with entered(second.netns):
        taken = socket.create_server(("0.0.0.0", 2377))
    with taken, pytest.raises(PlumbError, match="2377"):
        second.join(token, first)

    assert set(first.nodes()) == {"h1"}
    assert network(first).name == "n1"  # etcd has its quorum
    assert not os.path.exists(second.layout.membership)


def test_a_kernel_without_esp_joins_no_encrypted_network(swarm: list[Machine]) -> None:
    """It is one line, and nothing is left: no addresses, no container, no keys."""
    if all(one.able for one in detect.tried(("xfrm", "esp4", "aes-gcm", "bpf", "policy", "mark"))):
        pytest.skip("this kernel encrypts")
    first, second, _ = swarm
    made = ("network", "create", "-d", "overlay", "--attachable", "--opt", "encrypted", "n1")
    first.plumb(*made)

    said = second.plumb("run", "-d", "--name", "c1", "--network", "n1", "sleep", "9", status=125)

    assert "cannot join an encrypted network: this kernel has no" in said
    assert len(said.strip().splitlines()) == 1
    assert second.ask("reservations") == []
    assert recorded(second) == ""
    assert second.plumb("ps", "-aq") == ""
