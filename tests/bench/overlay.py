"""Overlay networks on lab hosts: from `run` on one host to a ping from another, and what they cost.

All hosts are on this machine and share its processors, which a real cluster's do not."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from plumb.lab.hosts import ROOT, Hosts, LabHost
from plumb.root import IMPORT_PATH
from tests.bench.figures import Report, Section, rounds
from tests.host.swarm_hosts import SUBNET, entries, pid, pings, run, swarm
from tests.waiting import until

REACHED, RATE = "run to ping", "endpoints a second, all hosts at once"
VXLAN, BARE = "over VXLAN", "bare veth"
ETCD = ("requests", "bytes sent", "bytes received")
BUSY = ("of the manager", "of a worker")
EACH = 4
"""Containers that each host starts when all do at once."""
TRAFFIC = (
    "import json; from plumb.engine.cluster.swarm import SwarmClient; "
    "from plumb.model.paths import Layout; "
    f"print(json.dumps(SwarmClient(Layout('{ROOT}')).status()['traffic']))"
)
PARTS = ("agent", "cluster process", "etcd")
TRY = "until ping -n -q -c 1 -W 0.05 {ip} >/dev/null; do ip neigh flush dev eth0; done"
"""Without the flush the kernel would wait a second after each question (ARP) without an answer."""
TAKE = """
import socket
with socket.create_server(("0.0.0.0", 9)) as server:
    peer = server.accept()[0]
    while peer.recv(1 << 20):
        pass
    peer.send(b".")
"""
GIVE = """
import socket, sys, time
for _ in range(200):
    try:
        peer = socket.create_connection((sys.argv[1], 9), 5)
        break
    except OSError:
        time.sleep(0.02)
block, count, begun = bytes(1 << 20), int(sys.argv[2]), time.perf_counter()
for _ in range(count):
    peer.sendall(block)
peer.shutdown(socket.SHUT_WR)
peer.recv(1)
print(count / (time.perf_counter() - begun))
"""


def measure(
    report: Report, counts: tuple[int, ...], wanted: int, mebibytes: int, seconds: float
) -> None:
    """For each number of hosts, a cluster of its own."""
    reached = report.section("overlay: from run on one host to a ping from another", REACHED)
    rate = report.section("overlay: containers that join", RATE, unit="per second")
    etcd = report.section(
        "overlay: a manager's requests to etcd, per container", *ETCD, unit="number"
    )
    busy = report.section("overlay: CPU of cluster processes, per container", *BUSY)
    memory = report.section("overlay: memory of a node, PSS", *PARTS, unit="MiB")
    speed = report.section("overlay: one TCP connection", VXLAN, BARE, unit="MiB/s")
    for count in counts:
        with swarm(count) as hosts:
            row = f"{count} hosts"
            _settle(hosts)
            _reach(reached, row, hosts, wanted, seconds)
            asked, used = traffic(hosts["h1"]), [processor(hosts[name]) for name in ("h1", "h2")]
            _join_at_once(rate, row, hosts)
            joined = count * EACH
            for column, was, now in zip(ETCD, asked, traffic(hosts["h1"]), strict=True):
                etcd.add(row, column, (now - was) / joined)
            for column, host, before in zip(BUSY, hosts, used, strict=False):
                busy.add(row, column, (processor(host) - before) * 1000 / joined)
            weight = _weigh(memory, f"manager of {row}", hosts["h1"])
            _weigh(memory, f"worker of {row}", hosts["h2"])
            if count == counts[0]:
                _stream(speed, hosts["h1"], hosts["h2"], mebibytes)
        samples = reached.samples[row, REACHED]
        slow = percentile(samples, 0.99)
        report.target(f"run to ping at {row}, p99", slow, 1000 if count <= 10 else 2000)
        report.target(f"agent and cluster process of a manager of {row}", weight, 60, "MiB")
        load = os.getloadavg()[0]
        report.remarks.append(
            f"run to ping at {row}: p50 {percentile(samples, 0.5):,.0f} ms, p99 {slow:,.0f} ms of "
            f"{len(samples)}; load of the machine {load:.0f}"
        )


def percentile(samples: list[float], part: float) -> float:
    """The smallest sample that so great a part of them does not exceed."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * part))]


def traffic(manager: LabHost) -> tuple[int, int, int]:
    """A manager's requests to etcd up to now, with the bytes sent and received for them."""
    script = f"import sys; sys.path.insert(0, {IMPORT_PATH!r}); {TRAFFIC}"
    found = json.loads(manager.run(sys.executable, "-c", script).stdout)
    return found["requests"], found["sent"], found["received"]


def processor(host: LabHost) -> float:
    """Processor time of a host's cluster process up to now, seconds."""
    said = host.run("cat", f"/proc/{pid(host, 'cluster')}/stat").stdout.rpartition(")")[2].split()
    return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")


def _settle(hosts: Hosts) -> None:
    """A container on each host, a prefork server on the first, all known everywhere."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda host: run(host, f"here-{host.name}"), hosts))
    one, two = hosts["h1"], hosts["h2"]
    until(lambda: pings(two, "here-h2", "here-h1"), "the hosts reach each other")

    def served() -> bool:
        one.plumb("ps")
        return "plumb-warm" in one.run("ps", "-eo", "comm").stdout

    until(served, "a prefork server runs")
    wanted = 3 * (len(hosts) - 1)  # a container and two balancers of each
    for host in hosts:
        until(lambda: entries(host) == wanted, f"{host.name} knows all", 300)  # noqa: B023


def _reach(table: Section, row: str, hosts: Hosts, wanted: int, seconds: float) -> None:
    one, two = hosts["h1"], hosts["h2"]
    netns = namespace(two, "here-h2")
    with ThreadPoolExecutor(1) as pool:
        for number in rounds(wanted, seconds):
            ip = f"{SUBNET.rpartition('.')[0][:-1]}9.{number + 1}"
            begun = time.perf_counter()
            answered = pool.submit(
                two.run, "nsenter", f"--net={netns}", "sh", "-c", TRY.format(ip=ip)
            )
            words = ("run", "-d", "--name", f"new{number}", "--network", "n1", "--ip", ip)
            one.plumb(*words)
            answered.result()
            table.add(row, REACHED, (time.perf_counter() - begun) * 1000)


def namespace(host: LabHost, name: str) -> str:
    """Path of a container's network namespace on its host."""
    ident = host.plumb("inspect", "--format", "{{.Id}}", name).stdout.strip()
    return f"{ROOT}/netns/{ident[:12]}"


def _join_at_once(table: Section, row: str, hosts: Hosts, each: int = EACH) -> None:
    begun = time.perf_counter()
    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(lambda host: _fill(host, each), hosts))
    table.add(row, RATE, len(hosts) * each / (time.perf_counter() - begun))


def _fill(host: LabHost, each: int) -> None:
    for number in range(each):
        run(host, f"{host.name}-{number}")


def _weigh(table: Section, row: str, host: LabHost) -> float:
    """Note a node's memory; MiB of its agent and its cluster process."""
    etcd = host.run("pidof", "etcd", check=False).stdout.split()
    found = (pid(host, "agent"), pid(host, "cluster"), int(etcd[0]) if etcd else 0)
    for part, process in zip(PARTS, found, strict=True):
        if process:
            said = host.run("sh", "-c", f"grep ^Pss: /proc/{process}/smaps_rollup").stdout
            table.add(row, part, int(said.split()[1]) / 1024)
    return sum(table.median(row, part) for part in PARTS[:2])


def _stream(table: Section, one: LabHost, two: LabHost, mebibytes: int) -> None:
    inside = [("nsenter", f"--net={namespace(host, f'here-{host.name}')}") for host in (one, two)]
    ip = two.plumb(
        "inspect", "--format", "{{.NetworkSettings.Networks.n1.IPAddress}}", "here-h2"
    ).stdout.strip()
    for column, target, (giver, taker) in ((VXLAN, ip, inside), (BARE, two.address, ((), ()))):
        with ThreadPoolExecutor(1) as pool:
            taking = pool.submit(two.run, *taker, "python3", "-c", TAKE)
            said = one.run(*giver, "python3", "-c", GIVE, target, str(mebibytes)).stdout
            taking.result()
        table.add(f"{mebibytes} MiB", column, float(said))
