"""The same work by those who do it elsewhere.

Netavark (Podman's) and the CNI project's bridge plugin.

One more container on a bridge network that has some already: its namespace made, a cable, an
address, a default route, NAT. The address is given to netavark (Podman chooses it), chosen by CNI's
host-local, and by plumb. plumb also writes the container's files and keeps a journal; CNI as it is
set up here has no firewall but masquerading. Each has a lab host of its own."""

from __future__ import annotations

import json
import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from plumb.kernel.netns import namespaces
from plumb.kernel.netns.namespaces import entered
from tests.bench.bulk import cleaned, dismantle, fill, namespaces_now
from tests.bench.figures import Report, Section, rounds, timed
from tests.labs import Lab, lab

NETAVARK, BRIDGE_PLUGIN = Path("/usr/lib/podman/netavark"), Path("/usr/lib/cni/bridge")
SUBNET, FIRST = "172.30.0.0/16", IPv4Address("172.30.0.2")


class Tool(ABC):
    """Something that can put a container on a network and take it away.

    Its lab host is where the calling thread is.
    """

    name = ""

    def __init__(self, place: Lab) -> None:
        self.place = place

    def missing(self) -> str:
        """Why it cannot be measured, "" if it can."""
        return ""

    def fill(self, count: int) -> None:
        """Have so many more containers."""
        for number in range(count):
            self.up(number)

    @abstractmethod
    def up(self, number: int) -> None:
        """One more container."""

    @abstractmethod
    def down(self, number: int) -> None:
        """That one away."""


class Library(Tool):
    """plumb, in a process that goes on."""

    name = "plumb, library"

    def __init__(self, place: Lab) -> None:
        super().__init__(place)
        self._host = place.host()

    def fill(self, count: int) -> None:
        self._host.create_network("crowd", subnet=SUBNET)
        fill(self.place, "crowd", count)

    def up(self, number: int) -> None:
        self._host.run(f"c{number}", network="crowd")

    def down(self, number: int) -> None:
        self._host.remove(f"c{number}", force=True)


class Command(Library):
    """plumb, a new process each time."""

    name = "plumb, command"

    def up(self, number: int) -> None:
        self.place.command("run", "-d", "--name", f"c{number}", "--network", "crowd")

    def down(self, number: int) -> None:
        self.place.command("rm", "-f", f"c{number}")


class Program(Tool):
    """A program that reads JSON, and is given a namespace."""

    program = Path()

    def missing(self) -> str:
        return "" if self.program.exists() else f"{self.program} is not installed"

    def up(self, number: int) -> None:
        namespaces.make(self._box(number))
        self._tell(number, True)

    def down(self, number: int) -> None:
        self._tell(number, False)
        namespaces.drop(self._box(number))

    @abstractmethod
    def _tell(self, number: int, add: bool) -> None:
        """Run it for one container."""

    def _box(self, number: int) -> str:
        return f"{self.place.root}/netns/c{number}"

    def _run(self, arguments: list[str], wish: object, more: dict[str, str] | None = None) -> None:
        ran = subprocess.run(
            [str(self.program), *arguments],
            input=json.dumps(wish),
            env={**os.environ, **(more or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{self.program}: {ran.stdout}{ran.stderr}"


class Netavark(Program):
    """Podman's."""

    name, program = "netavark", NETAVARK

    def _tell(self, number: int, add: bool) -> None:
        network = {
            "name": "crowd",
            "id": "c" * 64,
            "driver": "bridge",
            "network_interface": "crowd0",
            "internal": False,
            "ipv6_enabled": False,
            "dns_enabled": False,
            "subnets": [{"subnet": SUBNET, "gateway": "172.30.0.1"}],
            "ipam_options": {"driver": "host-local"},
        }
        wish = {
            "container_id": f"{number:064x}",
            "container_name": f"c{number}",
            "network_info": {"crowd": network},
            "networks": {"crowd": {"interface_name": "eth0", "static_ips": [str(FIRST + number)]}},
        }
        self._run(
            [
                "--config",
                f"{self.place.root}/netavark",
                "setup" if add else "teardown",
                self._box(number),
            ],
            wish,
        )


class BridgePlugin(Program):
    """The CNI project's reference plugin."""

    name, program = "CNI bridge", BRIDGE_PLUGIN

    def _tell(self, number: int, add: bool) -> None:
        ipam = {
            "type": "host-local",
            "dataDir": f"{self.place.root}/cni",
            "ranges": [[{"subnet": SUBNET}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        wish = {
            "cniVersion": "0.4.0",
            "name": "crowd",
            "type": "bridge",
            "bridge": "crowd0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": ipam,
        }
        self._run(
            [],
            wish,
            {
                "CNI_COMMAND": "ADD" if add else "DEL",
                "CNI_CONTAINERID": f"c{number}",
                "CNI_NETNS": self._box(number),
                "CNI_IFNAME": "eth0",
                "CNI_PATH": str(self.program.parent),
            },
        )


TOOLS: tuple[type[Tool], ...] = (Library, Command, Netavark, BridgePlugin)


def measure(report: Report, present: int, wanted: int, seconds: float) -> None:
    """One more container with one there, then with many, by all tools in turn."""
    table = report.section("one more container", *(kind.name for kind in TOOLS))
    before = namespaces_now()
    for count in (1, present):
        with _tools(report if count == present else Report()) as tools:
            for tool in tools:
                with entered(tool.place.netns):
                    tool.fill(count)
            for _ in rounds(wanted, seconds):
                for tool in tools:
                    _once(table, tool, count)
        cleaned(before)


@contextmanager
def _tools(report: Report) -> Iterator[list[Tool]]:
    """Those that there are, each on a lab host of its own."""
    with ExitStack() as stack:
        tools = [kind(stack.enter_context(lab())) for kind in TOOLS]
        report.remarks += [
            f"skipped {tool.name}: {why}" for tool in tools if (why := tool.missing())
        ]
        try:
            yield [tool for tool in tools if not tool.missing()]
        finally:
            for tool in tools:
                dismantle(tool.place)


def _once(table: Section, tool: Tool, count: int) -> None:
    with entered(tool.place.netns):
        table.add(f"up, with {count} there", tool.name, timed(lambda: tool.up(count)))
        table.add(f"down, with {count} there", tool.name, timed(lambda: tool.down(count)))
