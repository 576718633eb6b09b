"""The leak gate: whatever a test leaves behind on the real host fails that test, with what it
is."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plumb.kernel.netns import namespaces
from plumb.pytest_plugin import leaks
from plumb.pytest_plugin.labs import Lab
from tests import labs
from tests.labs import sh
from tests.plugin.runs import Runs

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def real_host() -> Iterator[None]:
    """A host that plays the one which pytest runs on."""
    with labs.lab():
        yield


def caught(plant: Callable[[], object]) -> str:
    """What the gate says about something that a test does."""
    watch = leaks.Watch(patience=0.05)
    plant()
    with pytest.raises(pytest.fail.Exception) as failed:
        watch.judge("test_it.py::test_leaky")
    assert "test_it.py::test_leaky has changed the host" in str(failed.value)
    return str(failed.value)


SHELL = {
    "a link": ("ip link add leak0 type bridge", r"links:\n    \+ leak0 "),
    "a link's state": ("ip link set lo down", r"links:\n    - lo UP.*\n    \+ lo mtu"),
    "an address": ("ip address add 10.1.2.3/24 dev lo", r"addresses:\n    \+ 10.1.2.3/24 dev lo"),
    "a route": ("ip route add 10.7.0.0/16 dev lo", r"routes:\n    \+ 10.7.0.0/16 dev lo"),
    "a rule of routing": (
        "ip rule add fwmark 7 table 77",
        r"rules:\n    \+ .* fwmark 0x7 table 77",
    ),
    "a table of nft": ("nft add table inet leaky", r"nftables:\n    \+ table inet leaky"),
    "a rule of iptables": (
        "iptables-nft -A INPUT -s 10.1.2.3 -j DROP",
        r"nftables:\n(.*\n)*.*10\.1\.2\.3",
    ),
    "a sysctl": (
        "sysctl -qw net.ipv4.ip_forward=1",
        r"sysctls:\n(.*\n)*    \+ net/ipv4/ip_forward = 1",
    ),
}


@pytest.mark.parametrize(("command", "said"), SHELL.values(), ids=SHELL)
def test_what_a_command_leaves_is_caught(command: str, said: str) -> None:
    """A link, an address, a route, a rule, a table, a sysctl."""
    assert re.search(said, caught(lambda: sh(command)))


def test_a_legacy_rule_is_caught() -> None:
    """A rule of the legacy tables, which no netlink message tells of."""
    if subprocess.run(["iptables-legacy", "-L", "-n"], capture_output=True, check=False).returncode:
        pytest.skip("this kernel has no legacy tables, or there is no iptables-legacy")

    assert "+ iptables filter: " in caught(
        lambda: sh("iptables-legacy -A INPUT -s 10.1.2.3 -j DROP")
    )


def test_counters_are_no_change() -> None:
    """Packets that are counted by a rule, legacy or not, change nothing."""
    sh(
        "iptables-nft -A INPUT -i lo -j ACCEPT; "
        "iptables-legacy -A INPUT -i lo -j ACCEPT 2>/dev/null; nft add table inet t",
        check=False,
    )
    watch = leaks.Watch()
    sh("ping -c1 -W10 127.0.0.1")
    watch.judge("test_it.py::test_clean")


def test_a_mount_is_caught(tmp_path: Path) -> None:
    """Something that is mounted and stays so."""
    try:
        assert f"+ tmpfs on {tmp_path} type tmpfs" in caught(
            lambda: sh(f"mount -t tmpfs tmpfs {tmp_path}")
        )
    finally:
        sh(f"umount {tmp_path}")


def test_a_process_is_caught() -> None:
    """A child that still runs."""
    with started() as running:
        assert "+ pid " in caught(lambda: running.append(subprocess.Popen(["sleep", "60"])))


def test_a_child_that_nobody_waits_for_is_caught() -> None:
    """A child that has ended stays in the table of processes until somebody asks how."""

    def plant() -> None:
        running.append(subprocess.Popen(["true"]))
        os.waitid(os.P_PID, running[-1].pid, os.WEXITED | os.WNOWAIT)

    with started() as running:
        assert re.search(r"processes:\n    \+ pid \d+: ", caught(plant))


def test_a_descriptor_is_caught() -> None:
    """A socket, or a file, that is still open."""
    left: list[socket.socket] = []
    try:
        assert "descriptors:\n    + " in caught(lambda: left.append(socket.socket()))
    finally:
        left.pop().close()


def test_a_namespace_that_is_held_is_caught(tmp_path: Path) -> None:
    """A network namespace that a descriptor keeps alive."""

    def plant() -> None:
        namespaces.make(str(tmp_path / "held"))
        left.append(os.open(tmp_path / "held", os.O_RDONLY | os.O_CLOEXEC))
        namespaces.drop(str(tmp_path / "held"))

    left: list[int] = []
    try:
        assert "namespaces:\n    + [" in caught(plant)
    finally:
        os.close(left.pop())


def test_a_change_that_is_taken_back_is_none() -> None:
    """The ruleset's generation has changed, and the ruleset has not."""
    watch = leaks.Watch()
    sh("nft add table inet t; nft delete table inet t; ip link add b0 type bridge; ip link del b0")
    watch.judge("test_it.py::test_clean")


def test_a_lab_is_no_leak() -> None:
    """What a lab that lives on needs is not held against the test."""
    watch = leaks.Watch()
    made = Lab()
    made.container("web", networks=made.network("net"), publish=["8080:80"])
    made.close()
    watch.judge("test_it.py::test_clean")


@pytest.mark.alone
def test_looking_is_cheap() -> None:
    """Two looks at the host take less than 20 ms, on this machine when it is not busy.

    Here 100 ms would be too many.
    """
    leaks.Watch()
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        leaks.Watch().judge("test_it.py::test_clean")
        took.append(time.perf_counter() - begun)

    assert min(took) < 0.1


def test_the_test_that_leaks_is_named_and_no_other(runs: Runs) -> None:
    """The gate fails the test that has changed the host.

    The tests around it pass, and one without a lab is not watched.
    """
    found = runs("""
        import socket, subprocess, pytest

        @pytest.fixture(scope="module")
        def server():
            with socket.socket() as listening:
                listening.bind(("127.0.0.1", 0))
                yield listening

        def test_before(lab): lab.network("net")
        def test_leaky(lab): subprocess.check_call("ip link add leak0 type bridge".split())
        def test_with_a_modules_own(lab, server): assert server.fileno() > 0
        def test_after(lab, server): lab.network("net")
        def test_without_a_lab(): subprocess.check_call("ip link add leak1 type bridge".split())
    """)

    found.assert_outcomes(passed=5, errors=1)
    found.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaky*",
            "test_it.py::test_leaky has changed the host that pytest runs on:",
            "*+ leak0 *",
        ]
    )


def test_the_gate_can_be_opened(runs: Runs) -> None:
    """--plumb-leaks=off is for a host that others change meanwhile."""
    found = runs(
        """
        import subprocess
        def test_leaky(lab): subprocess.check_call("ip link add leak0 type bridge".split())
    """,
        "--plumb-leaks=off",
    )

    found.assert_outcomes(passed=1)


@contextmanager
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Programs that are ended afterwards."""
    running: list[subprocess.Popen[bytes]] = []
    try:
        yield running
    finally:
        for program in running:
            program.kill()
            program.wait()
