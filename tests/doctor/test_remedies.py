"""Remedies: lines that a shell takes, in the words of the container's own engine."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from plumb.doctor import diagnose, remedies
from plumb.model.diagnosis.snapshot import (
    ChainState,
    ContainerState,
    EndState,
    NamespaceState,
    NetworkState,
    RuleState,
    Snapshot,
)

UP, DOWN = ("ip", "link", "set", "eth0", "up"), ("ip", "link", "set", "eth0", "down")


@pytest.mark.parametrize(
    ("engine", "container", "expected"),
    [
        ("docker", "docker:web", "docker restart web"),
        ("podman", "web", "podman restart web"),
        ("plumb", "plumb:web", "plumb restart web"),
        ("docker", "web;reboot", "docker restart 'web;reboot'"),
    ],
)
def test_a_container_has_its_engines_own_name(engine: str, container: str, expected: str) -> None:
    """Docker knows no docker:web, and a shell would take a semicolon for its own."""
    assert str(remedies.restart(engine, container)) == expected


def test_a_pod_of_containerd_has_no_words_of_dockers() -> None:
    """Docker knows nothing of it."""
    lines = (
        str(remedies.restart("containerd", "pod")),
        str(remedies.rebuild("containerd")),
        remedies.words_of("containerd"),
        str(remedies.inside("containerd", "pod", "pod", UP, DOWN)),
    )
    assert not any("docker" in line for line in lines)
    assert lines[3].startswith("nsenter -t PID -n ip link set eth0 up")


def test_a_link_with_a_dot_has_a_slash_in_its_sysctl() -> None:
    """sysctl(8) takes either for the separator, by the one that comes first."""
    name = "net/ipv4/conf/eth0.100/rp_filter"
    line = remedies.setting(NamespaceState("host", settings=((name, "1"),)), name, "2")
    assert line.steps[0].undo == (("sysctl", "-w", "net.ipv4.conf.eth0/100.rp_filter=1"),)
    assert str(line) == "sysctl -w net.ipv4.conf.eth0/100.rp_filter=2"


EVIL = "b;reboot"


def test_names_of_a_snapshot_are_words_of_a_shell() -> None:
    """A link, a route, a table and a rule of somebody's file run nothing of theirs."""
    net = NetworkState(
        "n",
        "shop",
        "docker",
        "bridge",
        EVIL,
        "",
        (ip_network("172.20.0.0/24"),),
        bridge_in_host=True,
    )
    end = EndState("n", "", ip_interface("172.20.0.2/24"))
    chains = (
        ChainState("nft", "inet", EVIL, "forward", (), "forward", 0, "drop"),
        ChainState(
            "iptables-nft",
            "ip",
            "nat",
            "POSTROUTING",
            (RuleState("-j MASQUERADE; reboot"),),
            "postrouting",
            100,
            "accept",
        ),
    )
    host = NamespaceState("host", chains=chains)
    bad = Snapshot(host, (), (ContainerState("web", "docker", "web", (end,)),), (net,))

    found = diagnose.diagnose(bad)

    lines = {each.id: tuple(map(str, each.remedies)) for each in found}
    assert lines["second-firewall"] == ("have it accept them",)
    assert lines["stray-masquerade"] == (
        "iptables-nft -t nat -D POSTROUTING -j 'MASQUERADE;' reboot",
    )
