r"""A throw-away lab: hosts on a LAN, all in namespaces, and plumb's command line on each host.

    internet ── router, sw0 ──┬── eth0 of h1
                              └── eth0 of h2, where a scenario asks for it

The addresses are the LAN's of tests/labs.py; the router knows no way back to a container.
A host is a network, a mount and a UTS namespace: its resolv.conf names the LAN's resolver, its /run
and /sys are its own, and it is called vm, as the recorded one was. A process that waits for its
input to end holds them, so that a killed test leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plumb.kernel.netns.fake_host import CLONE_NEWNS, CLONE_NEWUTS
from plumb.kernel.netns.namespaces import call
from plumb.kernel.netns.setns import CLONE_NEWNET
from tests import REPOSITORY, forked
from tests.labs import LAN, ROUTER, router, station, within
from tests.programs import line, running

_LAN = f"""set -e
    sysctl -qw net.ipv6.conf.default.accept_dad=0
    ip link add sw0 type bridge; ip link set sw0 up
    {router("sw0")}"""

_MOUNTS = """set -e
    hostname {hostname}; ip link set lo up
    mkdir cgroup; mount --rbind /sys/fs/cgroup cgroup; mount -t sysfs sysfs /sys
    mount --rbind cgroup /sys/fs/cgroup
    mount -t tmpfs tmpfs /run
    resolv=$(readlink -m /etc/resolv.conf)
    case $resolv in /run/*) mkdir -p "${resolv%/*}"; : >"$resolv";; esac
    mount --bind resolv.conf "$resolv"; mount --bind hosts /etc/hosts"""

_HOST = """set -e
    sysctl -qw net.ipv6.conf.default.accept_dad=0
    ip link add eth0 type veth peer name port{number} netns {lan}
    {station}"""


@dataclass(frozen=True)
class Host:
    """A host: what holds its namespaces, its addresses, and the folder with plumb's root and
    settings."""

    name: str
    pid: int
    v4: str
    v6: str
    folder: Path

    @property
    def netns(self) -> str:
        """The file of its network namespace."""
        return f"/proc/{self.pid}/ns/net"

    def plumb(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run the command line on this host."""
        env = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "PLUMB_ROOT": f"{self.folder}/root",
            "PLUMB_CONFIG": f"{self.folder}/daemon.json",
        }
        return forked.run(argv, env, self._enter)

    def _enter(self) -> None:
        """Move a process that has one thread to this host: its network, mounts and host name."""
        holder = os.pidfd_open(self.pid)
        call("setns", holder, CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWUTS, doing="enter the host")
        os.close(holder)
        os.chdir("/")

    def asked(self, *argv: str) -> str:
        """What plumb prints; it must not refuse."""
        ran = self.plumb(*argv)
        assert ran.returncode == 0, f"plumb {' '.join(argv)}: {ran.stderr}"
        return ran.stdout

    def listed(self, *kind: str, listing: str, flags: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Every object of a kind, newest first, as `inspect` has it."""
        ids = self.asked(*kind, listing, "-q", "--no-trunc").split()
        shown = self.asked(*kind, "inspect", *flags, *ids) if ids else "[]"
        found: list[dict[str, Any]] = json.loads(shown)
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes of its swarm, as `node inspect` has them; none where it is no manager."""
        return self._of_swarm("node")

    def services(self) -> list[dict[str, Any]]:
        """The services, the same way."""
        return self._of_swarm("service")

    def _of_swarm(self, kind: str) -> list[dict[str, Any]]:
        listing = self.plumb(kind, "ls", "-q")
        if listing.returncode or not listing.stdout.strip():
            return []
        found: list[dict[str, Any]] = json.loads(
            self.asked(kind, "inspect", *listing.stdout.split())
        )
        return found

    def tasks(self, service: str) -> list[dict[str, Any]]:
        """The tasks of a service, as `service ps` lists them."""
        rows = self.asked("service", "ps", "--no-trunc", "--format", "{{json .}}", service)
        return [json.loads(row) for row in rows.splitlines()]

    def container_netns(self, box: dict[str, Any], boxes: Sequence[dict[str, Any]]) -> str:
        """The file of a container's network namespace, as this process sees it."""
        mode: str = box["HostConfig"].get("NetworkMode", "")
        if mode == "host":
            return self.netns
        if mode.startswith("container:"):
            other = mode.removeprefix("container:")
            return self.container_netns(
                next(b for b in boxes if other in (b["Id"], b["Name"].lstrip("/"))), boxes
            )
        return f"/proc/{self.pid}/root{box['NetworkSettings']['SandboxKey']}"

    def mounted(self) -> list[str]:
        """The network namespaces that are mounted on this host, as this process sees them."""
        text = Path(f"/proc/{self.pid}/mountinfo").read_text()
        return [
            f"/proc/{self.pid}/root{path}"
            for path in re.findall(r" net:\[\d+\] (\S+) .* - nsfs ", text)
        ]


@dataclass
class Rig:
    """The lab: its hosts, and the LAN's namespace file."""

    lan: str
    hosts: dict[str, Host] = field(default_factory=dict)


@contextmanager
def rig(names: Sequence[str], daemon: dict[str, Any], hostname: str = "vm") -> Iterator[Rig]:
    """A lab with bare hosts of these names; the settings are every host's.

    `hostname` is what every host is called in its UTS namespace, "{name}": by its own name, and
    then none of them forwards before an engine comes, whatever the machine does.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="plumb-rig-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        lan = stack.enter_context(_held("true", folder))
        made = Rig(f"/proc/{lan}/ns/net")
        within(made.lan, _LAN)
        for number, name in enumerate(names):
            made.hosts[name] = stack.enter_context(
                _host(folder / name, name, number, lan, daemon, hostname)
            )
            if hostname != "vm":
                within(made.hosts[name].netns, "sysctl -qw net.ipv4.ip_forward=0")
            within(made.lan, f"ip link set port{number} master sw0 up")
        yield made


@contextmanager
def _host(
    folder: Path, name: str, number: int, lan: int, daemon: dict[str, Any], hostname: str
) -> Iterator[Host]:
    folder.mkdir()
    (folder / "resolv.conf").write_text(f"nameserver {ROUTER}\n")
    (folder / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (folder / "daemon.json").write_text(json.dumps(daemon))
    mounts = _MOUNTS.replace("{hostname}", hostname.format(name=name))
    with _held(mounts, folder) as pid:
        own = LAN.station(10 + number)
        host = Host(name, pid, str(own.v4.ip), str(own.v6.ip), folder)
        within(host.netns, _HOST.format(number=number, lan=lan, station=station(own)))
        try:
            yield host
        finally:
            host.plumb("reset", "--force")  # it has been, unless the scenario broke off


@contextmanager
def _held(setup: str, folder: Path) -> Iterator[int]:
    """Namespaces of their own, for as long as the process lives whose pid this gives."""
    argv = [
        "unshare",
        "-n",
        "-m",
        "-u",
        "--propagation",
        "private",
        "sh",
        "-c",
        f"{setup}\necho ready; exec cat",
    ]
    with running(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as holder:
        assert line(holder) == "ready\n", "the namespaces could not be made"
        yield holder.pid
