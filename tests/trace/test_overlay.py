"""Traces on an overlay of two hosts: in the network's namespace, on to the other host where that
is on this machine, and as far as the wire where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from plumb.kernel.netns.lab_host import NEIGHBOURS
from plumb.lab.hosts import Hosts, LabHost


@pytest.fixture(scope="module")
def pair() -> Iterator[Hosts]:
    """Network n1 with c1 and c3 on h1, c2 on h2."""
    with Hosts(2) as hosts:
        one, two = hosts
        one.plumb("swarm", "init", "--advertise-addr", one.address)
        token = one.plumb("swarm", "join-token", "-q", "worker").stdout.strip()
        own = ("--advertise-addr", two.address)
        two.plumb("swarm", "join", *own, "--token", token, f"{one.address}:2377")
        subnet = ("--subnet", "10.50.0.0/24")
        one.plumb("network", "create", "-d", "overlay", "--attachable", *subnet, "n1")
        for host, name in ((one, "c1"), (two, "c2"), (one, "c3")):
            host.plumb("run", "-d", "--name", name, "--network", "n1", "sleep", "1000")
        one.plumb("exec", "c1", "ping", "-c", "1", "-w", "20", "c2")
        yield hosts


def trace(hosts: Hosts, to: str, status: int = 0, seconds: int = 20) -> Any:
    """A trace from c1, as JSON.

    Args:
        seconds: for an answer, which a busy machine may need.
    """
    words = ("trace", "--json", "--wait", str(seconds), "c1", to)
    ran = hosts["h1"].plumb(*words, check=False)
    assert ran.returncode == status, ran.stderr
    return json.loads(ran.stdout)


def links(steps: list[Any]) -> list[tuple[str, str]]:
    """Namespaces and links that were crossed."""
    return [(step["Place"], step["Link"]) for step in steps if step["Kind"] == "link"]


def test_containers_of_one_host_meet_in_the_networks_namespace(pair: Hosts) -> None:
    found = trace(pair, "c3")

    assert found["Address"].startswith("10.50.0.")
    [first, enters, leaves, last] = links(found["There"])
    assert (first, last) == (("c1", "eth0"), ("c3", "eth0"))
    assert enters[0] == leaves[0] == "overlay n1"


def outer_packets(steps: list[Any]) -> list[Any]:
    """The VXLAN packets of one direction."""
    return [step for step in steps if step["Kind"] == "vxlan"]


@contextmanager
def alone(host: LabHost) -> Iterator[None]:
    """A host that does not know its lab's others, for the length of a with block."""
    host.run("mv", NEIGHBOURS, f"{NEIGHBOURS}.not")
    try:
        yield
    finally:
        host.run("mv", f"{NEIGHBOURS}.not", NEIGHBOURS)


def test_a_packet_is_followed_to_the_other_host_and_back(pair: Hosts) -> None:
    """Through both namespaces of the network to c2's interface; the outer packet at both ends."""
    found = trace(pair, "c2")

    there = [
        *(("c1", "eth0"), ("overlay n1", "veth0"), ("overlay n1", "vxlan0")),
        *(("overlay n1 on h2", "vxlan0"), ("overlay n1 on h2", "veth0"), ("c2 on h2", "eth0")),
    ]
    assert _same_places(links(found["There"]), there)
    assert _same_places(links(found["Back"]), there[::-1])
    sent, received = outer_packets(found["There"])
    ends = ("Source", "Destination", "Vni", "DestinationPort")
    assert [sent[key] for key in ends] == [received[key] for key in ends]
    assert [sent["In"], received["In"], received["Uplink"]] == [False, True, "eth0"]


def _same_places(crossed: list[tuple[str, str]], expected: list[tuple[str, str]]) -> bool:
    """Test for the same namespaces; a port's number depends on who came first."""
    ports = [(place, dev.rstrip("0123456789")) for place, dev in crossed]
    return ports == [(place, dev.rstrip("0123456789")) for place, dev in expected]


def test_a_flooded_packet_is_followed_by_the_tunnel(pair: Hosts) -> None:
    """A bridge forgets after five minutes where a MAC address is, and has three other ports."""
    inside = pair["h1"].run("sh", "-c", "ls -d /run/plumb-lab/root/netns/1-*").stdout.split()
    forget = "for ns in $0 $@; do nsenter --net=$ns ip link set br0 type bridge ageing_time "
    pair["h1"].run("sh", "-c", f"{forget} 0; done", *inside)
    try:
        found = trace(pair, "c2")
    finally:
        pair["h1"].run("sh", "-c", f"{forget} 30000; done", *inside)

    assert ("overlay n1", "vxlan0") in links(found["There"])
    assert [step["In"] for step in outer_packets(found["There"])] == [False, True]


def test_a_refusal_on_the_other_host_has_its_cause_there(pair: Hosts) -> None:
    found = trace(pair, "c2:80", status=1)

    assert found["End"]["Place"] == "c2 on h2"
    assert "nobody listens" in found["Cause"]["Says"]


@pytest.fixture
def beginning(pair: Hosts) -> Iterator[str]:
    """The first digits of c3's id, as a container elsewhere may be called; c2 is such a name."""
    digits = pair["h1"].plumb("inspect", "--format", "{{.Id}}", "c3").stdout[:5]
    yield digits
    for host, name in zip(pair, ("namesake", digits), strict=True):
        host.plumb("rm", "-f", name, check=False)


def test_a_name_on_the_network_stands_before_the_beginning_of_an_id(
    pair: Hosts, beginning: str
) -> None:
    assert trace(pair, f"{beginning}:80", status=1)["End"]["Place"] == "c3"
    one, two = pair
    words = ("run", "-d", "--network", "n1")
    two.plumb(*words, "--name", beginning, "sleep", "1000")
    one.plumb("exec", "c1", "ping", "-c", "1", "-w", "60", beginning)
    assert trace(pair, f"{beginning}:80", status=1)["End"]["Place"] == f"{beginning} on h2"


def test_an_alias_stands_before_the_beginning_of_an_id(pair: Hosts, beginning: str) -> None:
    one, _ = pair
    alias = ("--name", "namesake", "--network", "n1", "--network-alias", beginning)
    one.plumb("run", "-d", *alias, "sleep", "1000")
    assert trace(pair, f"{beginning}:80", status=1)["End"]["Place"] == "namesake"


@pytest.mark.needs("nft-trace")
def test_a_rule_of_the_other_host_that_drops_is_named(pair: Hosts) -> None:
    """One in c2's own namespace."""
    pair["h2"].plumb(
        "exec", "--privileged", "c2", "iptables", "-A", "INPUT", "-p", "icmp", "-j", "DROP"
    )
    try:
        found = trace(pair, "c2", status=1)
    finally:
        pair["h2"].plumb("exec", "--privileged", "c2", "iptables", "-F", "INPUT")

    assert found["End"]["Place"] == "c2 on h2"
    assert "-j DROP" in found["End"]["Rule"]["Text"]


def test_a_packet_to_a_host_elsewhere_is_followed_to_the_wire(pair: Hosts) -> None:
    with alone(pair["h1"]):
        found = trace(pair, "c2")

    assert links(found["There"])[-1] == ("overlay n1", "vxlan0")
    outer = found["There"][-1]
    assert outer["Mac"] == "02:42:" + ":".join(f"{int(x):02x}" for x in found["Address"].split("."))
    ends = [outer[key] for key in ("Source", "Destination", "DestinationPort", "Vni", "Uplink")]
    assert ends == ["192.0.2.10", "192.0.2.11", 4789, 4097, "eth0"]
    assert found["Back"][0]["Source"] == "192.0.2.11"


def test_a_capture_file_has_the_outer_packet_as_a_comment(pair: Hosts) -> None:
    said = pair["h1"].run("sh", "-c", "mktemp").stdout.strip()
    pair["h1"].plumb("trace", "--pcap", said, "c1", "c2")

    assert pair["h1"].run("grep", "-c", "VXLAN, VNI 4097, 192.0.2.10 to 192.0.2.11", said).stdout
    pair["h1"].run("rm", said)


def test_a_loss_behind_the_wire_points_at_the_check_of_peers(pair: Hosts) -> None:
    rule = ["INPUT", "-p", "udp", "--dport", "4789", "-j", "DROP"]
    pair["h2"].run("iptables", "-I", *rule)
    try:
        found = trace(pair, "c2", status=1, seconds=1)
    finally:
        pair["h2"].run("iptables", "-D", *rule)

    assert found["Cause"]["Id"] == "behind-vxlan"
    assert "plumb check --peers" in found["Cause"]["Remedies"]


def test_a_mac_address_that_the_vxlan_link_does_not_know(pair: Hosts) -> None:
    mac = outer_packets(trace(pair, "c2")["There"])[0]["Mac"]
    for netns in pair["h1"].run("sh", "-c", "ls -d /run/plumb-lab/root/netns/1-*").stdout.split():
        delete = f"nsenter --net={netns} bridge fdb del {mac} dev vxlan0 dst 192.0.2.11 self"
        pair["h1"].run(*delete.split(), check=False)
    try:
        found = trace(pair, "c2", status=1, seconds=1)
    finally:
        pair["h1"].plumb("repair")

    assert found["Cause"]["Id"] == "no-fdb-entry"
    assert found["Cause"]["Remedies"] == ["plumb repair"]


@pytest.mark.needs("xfrm", "esp4", "aes-gcm", "bpf", "policy", "mark")
def test_an_encrypted_packet_has_its_spi(pair: Hosts) -> None:
    """That of the sender's policy, in both directions."""
    one, two = pair
    create = ("network", "create", "-d", "overlay", "--attachable", "--opt", "encrypted")
    one.plumb(*create, "--subnet", "10.60.0.0/24", "secret")
    for host, name in ((one, "d1"), (two, "d2")):
        host.plumb("run", "-d", "--name", name, "--network", "secret", "sleep", "1000")
    one.plumb("exec", "d1", "ping", "-c", "1", "-w", "60", "d2")
    ran = one.plumb("trace", "--json", "d1", "d2")
    found = json.loads(ran.stdout)

    spis = {step["Spi"] for way in ("There", "Back") for step in outer_packets(found[way])}
    policies = "".join(host.run("ip", "xfrm", "policy").stdout for host in pair)
    assert len(spis) == 2
    assert all(f"spi {spi:#010x}" in policies for spi in spis)


@pytest.mark.needs("xfrm", "esp4", "aes-gcm", "bpf", "policy", "mark")
def test_beside_an_encrypted_network_one_in_the_clear_has_no_spi(pair: Hosts) -> None:
    pair["h1"].plumb("network", "inspect", "secret")  # the test above has made it
    assert {step["Spi"] for step in outer_packets(trace(pair, "c2")["There"])} == {None}


def test_a_packet_in_the_clear_has_no_spi(pair: Hosts) -> None:
    assert {step["Spi"] for step in outer_packets(trace(pair, "c2")["There"])} == {None}


def promises(host: LabHost, status: int = 0) -> list[Any]:
    """What `plumb matrix` has tried."""
    ran = host.plumb("matrix", "--json", check=False)
    assert ran.returncode == status, ran.stdout + ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_all_is_as_promised_on_both_hosts_and_between_them(pair: Hosts) -> None:
    for host in pair:
        promises(host)
        assert "all as promised" in host.plumb("matrix").stdout
    reach = [row for row in promises(pair["h1"]) if row["kind"] == "reach"]
    assert [row["verdict"] for row in reach if (row["from"], row["to"]) == ("c1", "c2")] == ["kept"]


def test_a_container_of_another_host_that_is_not_reached_breaks_a_promise(pair: Hosts) -> None:
    rule = ["INPUT", "-p", "udp", "--dport", "4789", "-j", "DROP"]
    pair["h2"].run("iptables", "-I", *rule)
    try:
        ran = pair["h1"].plumb("matrix", check=False)
    finally:
        pair["h2"].run("iptables", "-D", *rule)

    assert ran.returncode == 1
    assert "both are on n1, c2 on host 192.0.2.11" in ran.stdout
