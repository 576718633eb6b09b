"""The embedded DNS server: answers a second, and memory for each sandbox.

A sandbox as the driver builds it, with the rules that rewrite port 53, and dnsperf in it; the agent
is the real one. All of it runs on as many processors as the machine has, dnsperf beside the server
that it measures. What is forwarded is answered by a little server on the host's loopback, a third
process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from plumb.kernel import agent_client, agent_socket
from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from plumb.plan import Step
from plumb.things import Thing
from plumb.things.dns import Names, Resolver, Upstream
from tests.bench.figures import Report, Section, rounds
from tests.labs import Lab, lab, sh, within

ADDRESS, UDP, TCP = "127.0.0.11", 5300, 5301
CLIENTS = 4
LEAST = 40_000.0
MOST = 30.0
SHORTEST = 0.2
"""Seconds of one run."""
AGENT = "PSS"
WORDS = re.compile(r"Queries per second:\s+([\d.]+)")
LOST = re.compile(r"Queries lost:\s+(\d+)")


def measure(report: Report, sandboxes: int, wanted: int, seconds: float) -> None:
    """Answers a second in one sandbox, then the memory of one and of many."""
    _speed(report, wanted, seconds / 2)
    _memory(report, sandboxes)


# -- answers a second ---------------------------------------------------------------


def _speed(report: Report, wanted: int, seconds: float) -> None:
    if not shutil.which("dnsperf"):
        report.remarks.append("no answers a second: there is no dnsperf")
        return
    table = report.section(f"DNS, {CLIENTS} clients", "UDP", "TCP", unit="answers/s")
    with lab() as place, _agent(place) as folder, _elsewhere():
        box = _sandbox(place, 0)
        within(box, _rules())
        _add(_serve(folder, box), *(_name(folder, number) for number in range(100)))
        asked = {
            "names of the zone": "".join(
                f"c{number} A\nc{number}.shop AAAA\n" for number in range(100)
            ),
            "one name with 100 addresses": "all A\n",
            "forwarded": "".join(f"host{number}.example.com A\n" for number in range(100)),
        }
        for row, lines in asked.items():
            for column in table.columns:
                _once(
                    Section("warming up", table.columns), row, column, place, box, lines, SHORTEST
                )
        length = max(SHORTEST, min(2.0, seconds / wanted / len(table.columns) / len(asked)))
        for _ in rounds(wanted, seconds):
            for row, lines in asked.items():
                for (
                    column
                ) in table.columns:  # many addresses do not fit into a datagram, and are cut off
                    _once(table, row, column, place, box, lines, length)
        report.least(
            "names of the zone, UDP", table.median("names of the zone", "UDP"), LEAST, "answers/s"
        )


def _once(
    table: Section, row: str, column: str, place: Lab, box: str, lines: str, seconds: float
) -> None:
    data = place.root / "questions"
    data.write_text(lines)
    said = within(
        box, f"dnsperf -W -m {column.lower()} -s {ADDRESS} -d {data} -l {seconds} -c {CLIENTS} -T 1"
    )
    found, lost = WORDS.search(said), LOST.search(said)
    assert found is not None, said
    assert lost is not None, said
    assert lost[1] == "0", said
    table.add(row, column, float(found[1]))


def _rules() -> str:
    """Docker's rules in a sandbox."""
    lines = ["ip link set lo up"]
    for chain, side in (("OUTPUT", "OUTPUT"), ("POSTROUTING", "POSTROUTING")):
        lines += [
            f"iptables -t nat -N PLUMB_{side}",
            f"iptables -t nat -A {chain} -d {ADDRESS}/32 -j PLUMB_{side}",
        ]
    for protocol, port in (("tcp", TCP), ("udp", UDP)):
        match = f"-p {protocol} -m {protocol}"
        lines += [
            (
                f"iptables -t nat -A PLUMB_OUTPUT -d {ADDRESS}/32 {match} --dport 53 "
                f"-j DNAT --to-destination {ADDRESS}:{port}"
            ),
            (
                f"iptables -t nat -A PLUMB_POSTROUTING -s {ADDRESS}/32 {match} --sport {port} "
                "-j SNAT --to-source :53"
            ),
        ]
    return "\n".join(lines)


@contextmanager
def _elsewhere() -> Iterator[None]:
    """A server that says the same of every name, in a process of its own."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener = socket.create_server(("127.0.0.1", 53), backlog=1024)
    server.bind(("127.0.0.1", 53))
    children = [_forked(lambda: _answer(server)), _forked(lambda: _answer_streams(listener))]
    server.close()
    listener.close()
    try:
        yield
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _forked(serve: Any) -> int:
    child = os.fork()
    if child == 0:
        try:
            serve()
        finally:
            os._exit(1)
    return child


def _answered(packet: bytes) -> bytes:
    end = packet.index(b"\0", 12) + 5
    return (
        packet[:2]
        + b"\x81\x80\0\1\0\1\0\0\0\0"
        + packet[12:end]
        + b"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\x0a\0\0\1"
    )


def _answer(server: socket.socket) -> None:
    while True:
        packet, client = server.recvfrom(4096)
        server.sendto(_answered(packet), client)


def _answer_streams(listener: socket.socket) -> None:
    while True:
        client, _ = listener.accept()
        with client:
            packet = client.recv(4096)
            if packet:
                answer = _answered(packet[2:])
                client.sendall(len(answer).to_bytes(2, "big") + answer)


# -- memory ---------------------------------------------------------------


def _memory(report: Report, sandboxes: int) -> None:
    table = report.section("DNS, the agent's memory", AGENT, unit="KiB")
    with lab() as place, _agent(place) as folder:
        table.add("no sandbox", AGENT, _pss(folder))
        boxes = [_sandbox(place, number) for number in range(sandboxes)]
        for first, last in ((0, 1), (1, sandboxes)):
            _add(
                *(_serve(folder, box) for box in boxes[first:last]),
                *(_name(folder, number) for number in range(first, last)),
            )
            for box in boxes[first:last]:
                _ask(box)
            table.add(
                f"{last:,} sandbox{'es' if last > 1 else ''}, each asked once", AGENT, _pss(folder)
            )
        one, many = (table.samples[row, AGENT][0] for row in table.rows()[1:])
        report.target(
            "memory for each sandbox with a DNS server", (many - one) / (sandboxes - 1), MOST, "KiB"
        )
        for box in boxes:
            namespaces.drop(box)


def _pss(folder: str) -> float:
    """KiB of the agent, what it shares with others counted in part."""
    lines = Path(f"/proc/{agent_socket.running(folder)[0]}/smaps_rollup").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("Pss:")))


def _ask(box: str) -> None:
    """Ask for a name, and for another family of it."""
    with entered(box), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        for kind in (b"\1", b"\x1c"):
            client.sendto(b"\0\1\1\0\0\1\0\0\0\0\0\0\2c0\0\0" + kind + b"\0\1", (ADDRESS, UDP))
            assert client.recv(512)[3] & 15 == 0


# -- the place ---------------------------------------------------------------


@contextmanager
def _agent(place: Lab) -> Iterator[str]:
    agent_client.start(str(place.root))
    yield str(place.root)
    agent_client.stop(str(place.root))


def _sandbox(place: Lab, number: int) -> str:
    path = f"{place.root}/netns/box{number}"
    namespaces.make(path)
    with entered(path):
        sh("ip link set lo up")
    return path


def _serve(folder: str, box: str) -> Resolver:
    return Resolver(
        folder, box, UDP, TCP, ("n",), upstreams=(Upstream(ip_address("127.0.0.1"), inside=False),)
    )


def _name(folder: str, number: int) -> Names:
    ips = ip_address(f"172.20.{number >> 8}.{number & 255}"), ip_address(f"fd00::{number:x}")
    return Names(
        folder, f"{number:064x}", "n", "shop", (f"c{number}", f"{number:012x}", "all"), ips
    )


def _add(*things: Thing) -> None:
    agent_client.take([Step(None, thing) for thing in things], [])
