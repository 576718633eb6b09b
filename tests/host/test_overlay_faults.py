"""Overlay networks whose hosts fail: processes killed, cables pulled, managers gone.

Whatever it was, afterwards all containers reach each other, no entry leads to what is gone, and
`check` has nothing to say; each test states within what time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from plumb.lab.hosts import ROOT, Hosts, LabHost
from plumb.root import IMPORT_PATH
from tests.host.swarm_hosts import (
    address,
    entries,
    findings,
    join,
    kill,
    listed_entries,
    pings,
    run,
    swarm,
)
from tests.sampling import complete, dice
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("vxlan")]
LEASE = 10
"""Seconds without a word after which a node counts as down."""
KILLS = 200 if complete() else 6


@pytest.fixture
def pair() -> Iterator[Hosts]:
    with swarm(2) as hosts:
        yield hosts


def quiet(hosts: Sequence[LabHost] | Hosts) -> bool:
    """Whether `check` is silent on all hosts."""
    return not any(findings(host) for host in hosts)


def agree(hosts: Hosts, names: Sequence[tuple[str, str]], seconds: float = 30) -> None:
    """Wait until all containers reach each other, and nothing else is known of."""
    for place, name in names:
        for _, other in names:
            until(lambda: pings(hosts[place], name, other), f"{name} reaches {other}", seconds)  # noqa: B023
    for host in hosts:
        there = {other for other, _ in names if other != host.name}
        mine = sum(1 for other, _ in names if other == host.name)
        # A container, a balancer per host on n1 where this host has a part in it, and on ingress.
        wanted = (len(names) - mine + len(there) if mine else 0) + len(hosts) - 1
        try:
            until(lambda: entries(host) == wanted, f"{host.name} has {wanted} entries", seconds)  # noqa: B023
        except AssertionError as missed:
            log = host.run("tail", "-n", "20", f"{ROOT}/cluster/cluster.log", check=False).stdout
            raise AssertionError(f"{missed}, but {listed_entries(host)}; {log}") from None
    until(lambda: quiet(hosts), "check is silent", seconds)


def churn(host: LabHost, name: str, ended: threading.Event) -> None:
    """Run and remove a container, again and again; commands may fail."""
    while not ended.is_set():
        words = ("run", "-d", "--name", name, "--network", "n1", "sleep", "100000")
        host.plumb(*words, check=False)
        host.plumb("rm", "-f", name, check=False)


def test_processes_killed_at_random_moments_lose_nothing(pair: Hosts) -> None:
    """The agent's or the cluster process of either host, while both run and remove containers."""
    random_, hit = dice("overlay kills"), 0
    for host in pair:
        run(host, f"stay-{host.name}")
    ended = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(churn, host, f"come-{host.name}", ended) for host in pair]
        try:
            for _ in range(KILLS):
                time.sleep(random_.uniform(0.0, 1.5))  # what is killed is at a random place
                victim = random_.choice(list(pair)), random_.choice(("agent", "cluster"))
                hit += kill(*victim)
        finally:
            ended.set()
        for each in work:
            each.result()
    for host in pair:
        host.plumb("rm", "-f", f"come-{host.name}", check=False)
        host.plumb("repair")
    began = time.monotonic()
    agree(pair, [("h1", "stay-h1"), ("h2", "stay-h2")])
    print(
        f"{hit} of {KILLS} hit a process, converged {time.monotonic() - began:.1f} s after repair"
    )


def test_a_host_that_was_cut_off_comes_back_with_its_addresses(pair: Hosts) -> None:
    """Longer than its lease: the others drop its endpoints, and take them back within 15 s."""
    one, two = pair
    run(one, "c1")
    run(two, "c2")
    agree(pair, [("h1", "c1"), ("h2", "c2")])
    was = address(two, "c2")
    two.cut()
    gone = until(lambda: entries(one) == 0, "h1 has dropped h2's endpoints", 2 * LEASE + 10)
    two.plumb("run", "-d", "--name", "local", "sleep", "100000")  # local networks go on
    assert "no manager of the cluster answers" in findings(two)
    two.mend()
    back = until(lambda: pings(one, "c1", "c2"), "c1 reaches c2 again", 30)
    assert address(two, "c2") == was
    agree(pair, [("h1", "c1"), ("h2", "c2")])
    print(f"gone after {gone:.1f} s, back after {back:.1f} s")
    assert gone > LEASE / 2


def test_a_watcher_that_was_away_during_a_compaction_learns_all(pair: Hosts) -> None:
    one, two = pair
    run(one, "c1")
    run(two, "c2")
    agree(pair, [("h1", "c1"), ("h2", "c2")])
    two.cut()
    one.plumb("rm", "-f", "c1")
    run(one, "c3")
    compact(one)
    two.mend()
    until(lambda: pings(two, "c2", "c3"), "c2 reaches what came while it was away")
    agree(pair, [("h1", "c3"), ("h2", "c2")])


FORGET = f"""
from plumb.agent.cluster.state.etcd import Etcd, UnixSocket
etcd = Etcd(UnixSocket("{ROOT}/cluster/etcd:0"))
etcd.compact(etcd.status().revision)
"""


def compact(host: LabHost) -> None:
    """Let a manager's etcd forget the past."""
    paths = f"import sys; sys.path.insert(0, {IMPORT_PATH!r})"
    host.run(sys.executable, "-c", f"{paths}\n{FORGET}")


def test_etcd_killed_under_use_loses_nothing(pair: Hosts) -> None:
    one, two = pair
    run(two, "c2")
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(fill, one, 4)
        for _ in range(3):
            one.run("sh", "-c", "kill -9 $(pidof etcd)", check=False)
            time.sleep(1.0)  # the time that a process takes to be there again
        made.result()
    agree(pair, [("h2", "c2"), *(("h1", f"h1-{number}") for number in range(4))])


def test_a_quorum_is_lost_and_regained() -> None:
    """Three managers survive one; with two gone, local networks go on, and `check` says so."""
    with swarm(3, managers=3) as hosts:
        one, two, three = hosts
        run(one, "c1")
        run(two, "c2")
        agree(hosts, [("h1", "c1"), ("h2", "c2")])
        three.cut()
        run(one, "c3")
        until(lambda: pings(two, "c2", "c3"), "an endpoint that came with two of three")
        two.cut()
        until(lambda: "no manager" in findings(one), "check says that there is no manager", 60)
        one.plumb("run", "-d", "--name", "local", "sleep", "100000")
        refused = one.plumb("run", "-d", "--name", "c4", "--network", "n1", "sleep", check=False)
        assert refused.returncode
        assert pings(one, "c1", "c3")
        for host in (two, three):
            host.mend()
        run(one, "c5")
        agree(hosts, [("h1", "c1"), ("h2", "c2"), ("h1", "c3"), ("h1", "c5")], 60)


def test_a_host_installed_anew_joins_under_its_old_name(pair: Hosts) -> None:
    """All its files are gone, nobody has said goodbye: its old endpoints go with its lease."""
    one, two = pair
    run(one, "c1")
    run(two, "c2")
    agree(pair, [("h1", "c1"), ("h2", "c2")])
    two.cut()
    two.plumb("reset", "--force")
    two.mend()
    join(two, one, one.plumb("swarm", "join-token", "-q", "worker").stdout.strip())
    run(two, "c2")
    until(lambda: pings(one, "c1", "c2"), "the new c2 is reached")
    agree(pair, [("h1", "c1"), ("h2", "c2")], 60)
    states = one.plumb("node", "ls", "--format", "{{.Hostname}} {{.Status}}").stdout.split("\n")
    assert sorted(filter(None, states)) == ["h1 Ready", "h2 Down", "h2 Ready"]


def test_hosts_that_allocate_at_once_share_no_address() -> None:
    """Five hosts with four containers each here, ten with fifty in the long form."""
    count, each = (10, 50) if complete() else (5, 4)
    with swarm(count) as hosts:
        began = time.monotonic()
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(lambda host: fill(host, each), hosts))
        took = time.monotonic() - began
        found = [
            ip
            for host in hosts
            for ip in host.plumb(
                "inspect",
                "--format",
                "{{.NetworkSettings.Networks.n1.IPAddress}}",
                *(f"{host.name}-{number}" for number in range(each)),
            ).stdout.split()
        ]
        assert len(found) == len(set(found)) == count * each
        wanted = (count - 1) * (each + 2)  # balancers on n1 and on ingress
        converged = max(
            until(lambda: entries(host) == wanted, f"{host.name}: {wanted}", 120)  # noqa: B023
            for host in hosts
        )
        assert quiet(hosts)
    print(f"{count} x {each}: {took:.1f} s, {count * each / took:.1f}/s, {converged:.1f} s more")


def fill(host: LabHost, each: int) -> None:
    """Run so many containers there, one after the other."""
    for number in range(each):
        run(host, f"{host.name}-{number}")


LEFT = (
    f"ip -br link | cut -d@ -f1 | tr -d ' '; ip netns; find {ROOT} -mindepth 1; ss -Hlntuxp;"
    " iptables-save | grep -- -A; ip xfrm policy; sysctl -n net.ipv4.neigh.default.gc_thresh3;"
    " ls -d /proc/[0-9]* | wc -l"
)


def left(host: LabHost) -> str:
    """List links, namespaces, files, sockets, rules, settings; count processes."""
    return host.run("sh", "-c", LEFT, check=False).stdout


def test_leave_and_reset_leave_nothing(pair: Hosts) -> None:
    """No link, namespace, process, file, rule or socket."""
    with Hosts(1) as fresh:
        wanted = left(fresh["h1"])
    one, two = pair
    for host in pair:
        run(host, f"stay-{host.name}")
    two.plumb("swarm", "leave")
    two.plumb("reset", "--force")
    one.plumb("swarm", "leave", "--force")
    one.plumb("reset", "--force")
    for host in pair:
        # The kernel takes the links of a container away some time after its namespace has gone.
        until(lambda: left(host) == wanted, lambda: left(host))  # noqa: B023
