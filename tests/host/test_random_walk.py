"""A random walk: verbs, foreign hands, kills, a full disk and reboots, over one root.

Whatever has happened: after `plumb repair`, `check` is silent and every promise holds; after
`plumb reset --force`, the host is bare.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from plumb.kernel.netns import namespaces
from plumb.model.paths import Layout
from plumb.store.sqlite import SqliteStore
from tests import labs, sampling
from tests.host.trial_hosts import MARK, end_all, fork_plumb, host, marked, output_of, plumb, tried
from tests.labs import Lab, sh
from tests.waiting import until

NETWORKS, CONTAINERS = ("n0", "n1", "n2"), ("c0", "c1", "c2", "c3")
QUICK = ("-o", "com.docker.network.advertise_addr_ms=100")
KINDS: tuple[tuple[str, ...], ...] = ((), ("--internal",), ("--ipv6",))
PORTS: tuple[tuple[str, ...], ...] = ((), ("-p", "8080:80"), ("-p", "8443:443", "-p", "53/udp"))
RUN, COMMAND = ("run", "-d", "--name"), ("-e", MARK, "sleep", "1000")
COMMANDS: tuple[tuple[str, ...], ...] = ((), COMMAND)
EACH = "for link in $(ls /sys/class/net | grep ^{} | {} -1); do ip {}; done"
HANDS = (
    "iptables -F",
    "iptables -t nat -F; iptables -t raw -F",
    "ip6tables -F FORWARD",
    "iptables -P FORWARD ACCEPT",
    "sysctl -qw net.ipv4.ip_forward=0",
    EACH.format("veth", "head", "link del $link"),
    EACH.format("br-", "head", "link del $link"),
    EACH.format("br-", "tail", "address flush dev $link"),
    EACH.format("br-", "tail", "route flush dev $link"),
    EACH.format("veth", "tail", "link set $link down nomaster"),
    EACH.format("veth", "tail", "link set $link down name other0"),
)
"""What others do to a host, as shell lines."""
HANDS_INSIDE = (
    "ip link set eth0 down",
    "ip address flush dev eth0",
    "ip route flush table main",
    "iptables -t nat -F",
    "ip link del eth0",
)
"""What a container's own root does to it."""
ANSWERS = frozenset({0, 1, 2, 125, 126, 127})
"""Exit statuses of a command that has said what is wrong; 70 is a traceback."""


class Walk(RuleBasedStateMachine):
    """One root on one host, and whatever comes."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        made = self._stack.enter_context(labs.lab())
        self._stack.enter_context(namespaces.entered(made.netns))
        disk = made.root.parent / "disk"
        disk.mkdir()
        sh(f"mount -t tmpfs -o mode=700,size=24m small {disk}")
        self._stack.callback(sh, f"umount -l {disk}", check=False)
        self._disk = disk
        self._lab: Lab = replace(made, root=disk)
        self._before = host(self._lab)

    # -- verbs ----------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """Two networks, and a container on each."""
        for number in (0, 1):
            plumb(self._lab, "network", "create", *QUICK, f"n{number}")
            plumb(self._lab, *RUN, f"c{number}", "--network", f"n{number}", *COMMAND)

    @rule(argv=st.deferred(lambda: BUILDING))
    def building(self, argv: tuple[str, ...]) -> None:
        """A verb that makes something, or says in a line why not."""
        self._answered(argv)

    @rule(argv=st.deferred(lambda: VERBS))
    def verb(self, argv: tuple[str, ...]) -> None:
        """A verb, sensible or not: it succeeds, or says in a line why not."""
        self._answered(argv)

    @rule(argv=st.deferred(lambda: VERBS), moment=st.floats(0, 0.25))
    def killed_verb(self, argv: tuple[str, ...], moment: float) -> None:
        """A verb that is killed at any moment of it."""
        pid = fork_plumb(self._lab, *argv)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    @rule(argv=st.deferred(lambda: VERBS))
    def verb_on_a_full_disk(self, argv: tuple[str, ...]) -> None:
        """A verb that finds no room: it says so, and the next one finds all as it was."""
        ballast = self._disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        try:
            self._answered(argv)
        finally:
            ballast.unlink()

    def _answered(self, argv: Sequence[str]) -> None:
        status, said = tried(self._lab, *argv)
        words = f"plumb {' '.join(argv)}: {status}: {said}"
        assert status in ANSWERS, words
        assert "Traceback" not in said, words

    # -- others ---------------------------------------------------------------

    @rule(line=st.sampled_from(HANDS))
    def foreign_hand(self, line: str) -> None:
        """Somebody else changes the host."""
        sh(line, check=False)

    @rule(line=st.sampled_from(HANDS_INSIDE), which=st.integers(0, 11))
    def hand_in_a_container(self, line: str, which: int) -> None:
        """A container's root changes its own network."""
        for path in self._containers(which):
            with namespaces.entered(path):
                sh(line, check=False)

    @rule(which=st.integers(0, 11))
    def lost_namespace(self, which: int) -> None:
        """Somebody unmounts a container's namespace."""
        for path in self._containers(which):
            sh(f"umount -l {path}", check=False)

    @rule()
    def killed_agent(self) -> None:
        """The agent is killed."""
        for pid in self._agents():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @rule()
    def reboot(self) -> None:
        """The machine boots again: what the kernel had is gone, the record is there."""
        end_all(self._lab)
        until(lambda: not marked(self._lab), "processes end", 60)
        for path in self._namespaces():
            sh(f"umount -l {path}", check=False)
        sh(
            "for link in $(ls /sys/class/net); do ip link del $link; done; nft flush ruleset; "
            "sysctl -qw net.ipv4.ip_forward=0; ip link set lo alias ''",
            check=False,
        )
        layout = Layout.of(self._lab.root)
        if os.path.exists(layout.database):
            store = SqliteStore(layout, create=True)
            store.remark("boot", "another")
            store.close()

    def _agents(self) -> list[int]:
        return [pid for pid, words in marked(self._lab).items() if "plumb.agent" in words]

    def _containers(self, which: int) -> list[str]:
        """The namespace file of one container, none where there is none.

        The walk draws a number whether there is one or not: what it draws does not depend on the
        host.
        """
        there = self._namespaces()
        return there[which % len(there) :][:1] if there else []

    def _namespaces(self) -> list[str]:
        folder = self._lab.root / "netns"
        there = sorted(map(str, folder.iterdir())) if folder.is_dir() else []
        return [path for path in there if namespaces.is_namespace(path)]

    # -- what must hold -------------------------------------------------------

    @rule()
    def repaired(self) -> None:
        """After repair, check is silent."""
        plumb(self._lab, "repair")
        status, said = tried(self._lab, "check")
        assert (status, said) == (0, ""), said

    def teardown(self) -> None:
        """Promises hold after repair, and nothing is left after reset."""
        try:
            self.repaired()
            plumb(self._lab, "matrix")
            plumb(self._lab, "reset", "--force")
            until(lambda: not marked(self._lab), "processes end", 60)
            # What others have changed of the host's own stays changed.
            left, before = host(self._lab), self._before
            for what in ("links", "addresses", "iptables", "ip6tables", "nft", "mounts", "files"):
                assert left[what] == before[what], what
        finally:
            end_all(self._lab)
            output_of(self._lab).unlink(missing_ok=True)
            self._stack.close()


NETWORK, CONTAINER = st.sampled_from(NETWORKS), st.sampled_from(CONTAINERS)
BUILDING: st.SearchStrategy[tuple[str, ...]] = st.one_of(
    st.tuples(NETWORK, st.sampled_from(KINDS)).map(
        lambda drawn: ("network", "create", *QUICK, *drawn[1], drawn[0])
    ),
    st.tuples(CONTAINER, NETWORK, st.sampled_from(PORTS), st.sampled_from(COMMANDS)).map(
        lambda drawn: (*RUN, drawn[0], "--network", drawn[1], *drawn[2], *drawn[3])
    ),
    st.tuples(NETWORK, CONTAINER).map(lambda drawn: ("network", "connect", *drawn)),
    CONTAINER.map(lambda name: ("start", name)),
)
VERBS: st.SearchStrategy[tuple[str, ...]] = st.one_of(
    BUILDING,
    CONTAINER.map(lambda name: ("restart", name)),
    CONTAINER.map(lambda name: ("stop", name)),
    CONTAINER.map(lambda name: ("rm", "-f", name)),
    st.tuples(NETWORK, CONTAINER).map(lambda drawn: ("network", "disconnect", *drawn)),
    NETWORK.map(lambda name: ("network", "rm", name)),
    st.just(("network", "prune", "-f")),
)
EXAMPLES, STEPS = sampling.share(20), 30


@pytest.mark.slow
def test_whatever_happens_it_can_be_repaired_and_reset() -> None:
    """Verbs, kills, foreign hands, full disks, lost namespaces."""
    run_state_machine_as_test(
        Walk, settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None)
    )
