"""A proxy in a process of its own, and the box behind it.

127.0.0.1, ::1, 192.0.2.10, …  host 172.20.0.1 ── 172.20.0.2 box
"""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

from plumb.agent.descriptors import Budget
from plumb.agent.loop import Loop
from plumb.agent.proxy.tcp import StreamProxy
from plumb.agent.proxy.udp import DatagramProxy
from plumb.kernel.netns import namespaces
from plumb.kernel.ports import host_ports
from tests import labs
from tests.labs import sh, within

BOX, BOX6, NOBODY = "172.20.0.2", "fd00:20::2", "172.20.0.9"
SECONDS = 30.0
Address = tuple[str, int]


@contextmanager
def boxed() -> Iterator[str]:
    """A host with several addresses; the namespace of a box on a cable of it."""
    with labs.lab() as made:
        path = f"{made.root}/netns/box"
        namespaces.make(path)
        sh(f"""ip link add cable type veth peer name eth0 netns {path}
            ip addr add 172.20.0.1/24 dev cable; ip addr add fd00:20::1/64 dev cable nodad
            ip link set cable up
            for ip in 192.0.2.10/32 192.0.2.11/32 2001:db8::10/128 2001:db8::11/128
            do ip addr add $ip dev lo; done""")
        within(
            path,
            f"""ip link set lo up; ip addr add {BOX}/24 dev eth0
            ip addr add {BOX6}/64 dev eth0 nodad
            ip link set eth0 up; ip route add default via 172.20.0.1
            ip -6 route add default via fd00:20::1""",
        )
        yield path


@dataclass
class Running:
    """A proxy that runs: where it takes clients, and its process."""

    address: Address
    pid: int

    def dial(self, ip: str = "") -> socket.socket:
        """A TCP connection to it."""
        return socket.create_connection((ip or self.address[0], self.address[1]), SECONDS)

    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self) -> int:
        """KiB of it that are in memory."""
        return int(
            next(
                line.split()[1]
                for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
                if "VmRSS" in line
            )
        )

    def cpu(self) -> float:
        """Seconds that it has computed."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    protocol: str,
    ip: str,
    serve: Callable[[Loop, socket.socket, Budget], object],
    room: int = 0,
    counted: int = 0,
) -> Iterator[Running]:
    """A process with a proxy on that address of the host.

    Args:
        serve: makes the proxy.
        room: how many descriptors it may have, 0 for as many as there are.
        counted: how many it believes that it may have, 0 for as many as it may.
    """
    port = random.randrange(20000, 30000)
    while host_ports.trial(protocol, ip_address(ip), port):
        port += 1
    listener = host_ports.bind(protocol, ip, port)
    host_ports.accept_packets(listener)
    ready, began = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            kept = sorted((2, listener.fileno(), began, 4096))
            for low, high in pairwise(kept):
                os.closerange(low + 1, high)
            most = room or resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            loop = Loop()
            _kept = serve(loop, listener, Budget(counted or most))
            os.close(began)
            loop.run()
        finally:
            os._exit(1)
    listener.close()
    os.close(began)
    os.read(ready, 1)
    os.close(ready)
    try:
        yield Running((ip, port), pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "the proxy has ended by itself"


def stream(
    target: Address, ip: str = "127.0.0.1", protocol: str = "tcp", room: int = 0, counted: int = 0
) -> AbstractContextManager[Running]:
    """A proxy for TCP or SCTP."""
    return running(
        protocol,
        ip,
        lambda loop, listener, budget: StreamProxy(
            loop, listener, target, budget.pipes, budget.proxies.party(protocol)
        ),
        room,
        counted,
    )


def datagrams(
    target: Address, ip: str = "127.0.0.1", idle: float = 90, clients: int = 4096
) -> AbstractContextManager[Running]:
    """A proxy for UDP.

    Args:
        clients: how many of all addresses it remembers; of one address it is three quarters.
    """
    return running(
        "udp",
        ip,
        lambda loop, listener, budget: DatagramProxy(
            loop, listener, target, budget.proxies.party("udp", most=clients), idle
        ),
    )


def serving(box: str, ip: str = "0.0.0.0", port: int = 0) -> socket.socket:
    """A TCP socket that listens in a box."""
    with namespaces.entered(box):
        server = socket.create_server(
            (ip, port), family=socket.AF_INET6 if ":" in ip else socket.AF_INET, backlog=2000
        )
    server.settimeout(SECONDS)
    return server


def bound(box: str, ip: str = "0.0.0.0", port: int = 0) -> socket.socket:
    """A UDP socket in a box."""
    with namespaces.entered(box):
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((ip, port))
    sock.settimeout(SECONDS)
    return sock
