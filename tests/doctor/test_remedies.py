"""Remedies: lines that a shell takes, in the words of the container's own engine."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

import pytest

from plumb.doctor import diagnose, remedies
from plumb.foreign.values import RESTART_DOCKER
from plumb.frozen import replace
from plumb.model.diagnosis.snapshot import ChainState, NamespaceState, Snapshot
from plumb.model.foreign_firewall import ForeignFirewall, openings
from tests import labs
from tests.doctor.made import SHOP, chain, found, rule, web
from tests.programs import running
from tests.waiting import until

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


def test_a_restart_of_docker_s_says_what_it_costs() -> None:
    """Each that doctor proposes, with a comment that a shell passes over."""
    found = diagnose.diagnose(Snapshot(NamespaceState("host"), (), (web("tcp"),), (SHOP,)))
    lines = [str(each) for one in found for each in one.remedies if "restart docker" in str(each)]
    assert len(lines) > 1
    assert all(RESTART_DOCKER in each for each in lines)


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


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        ("iptables", "iptables -w -I FORWARD -i br0 -j ACCEPT"),
        ("ip6tables-legacy", "ip6tables-legacy -w -I FORWARD -i br0 -j ACCEPT"),
        ("iptables-nft", "iptables-nft -I FORWARD -i br0 -j ACCEPT"),
    ],
)
def test_iptables_waits_for_the_lock_of_xtables(tool: str, line: str) -> None:
    """Somebody else's iptables-restore may have it just then; nf_tables has no such lock."""
    firewall = ForeignFirewall(tool, "ip", "filter", "FORWARD", "forward", 0, "drop")
    words = ("filter", "FORWARD", "-i", "br0", "-j", "ACCEPT")
    assert str(remedies.iptables(tool, *words, head=True)) == line
    assert openings(firewall, ["br0"])[0] == line
    assert remedies.opened(line).steps[0].undo == (tuple(line.replace("-I", "-D").split()),)


@pytest.mark.needs("ip_tables")
def test_a_remedy_is_applied_while_another_program_has_the_lock(tmp_path: Path) -> None:
    """It waits until the lock is free, and takes effect then."""
    path = tmp_path / "xtables.lock"
    env = {**os.environ, "XTABLES_LOCKFILE": str(path)}
    with labs.lab(), path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remedy = remedies.iptables("iptables-legacy", "filter", "INPUT", "-j", "ACCEPT")
        with running(remedy.steps[0].argv, env=env) as waits:
            try:
                until(lambda: _opened(waits.pid, "xtables.lock"), "iptables asks for the lock")
                assert waits.poll() is None
                fcntl.flock(lock, fcntl.LOCK_UN)
                assert waits.wait(60) == 0
            finally:
                fcntl.flock(lock, fcntl.LOCK_UN)


def _opened(pid: int, name: str) -> bool:
    """True if a process has a file of this name open; it may close others meanwhile."""
    with suppress(OSError):
        for each in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{each}").endswith(name):
                    return True
    return False


@pytest.mark.parametrize(
    ("table", "expected"),
    [("filter", "nft -a list chain inet filter c"), ("x; flush ruleset", "nft -a list ruleset")],
)
def test_a_name_of_nft_is_no_further_command(table: str, expected: str) -> None:
    """The kernel takes any, and nft reads its arguments as one line of its language."""
    assert " ".join(remedies.nft_listing(("inet", table, "c"), "-a")) == expected


EVIL = "b;reboot"


def test_names_of_a_snapshot_are_words_of_a_shell() -> None:
    """A link, a route, a table and a rule of somebody's file run nothing of theirs."""
    chains = (
        ChainState("nft", "inet", EVIL, "forward", (), "forward", 0, "drop"),
        chain("POSTROUTING", rule("-j MASQUERADE; reboot"), table="nat"),
    )
    host = NamespaceState("host", chains=chains)
    every = found(Snapshot(host, (), (web(),), (replace(SHOP, link=EVIL),)))

    lines = {ident: tuple(map(str, each.remedies)) for ident, each in every.items()}
    assert lines["second-firewall"] == ("have it accept them",)
    assert lines["stray-masquerade"] == (
        "iptables-nft -t nat -D POSTROUTING -j 'MASQUERADE;' reboot",
    )
