"""Podman that really runs, on a lab host of its own: Debian's, with netavark and aardvark-dns.

It has its own folders and mount namespace; of the machine it shares the cgroups alone. Its image is
busybox and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any

import pytest

from plumb.foreign import others, read_host
from tests import labs
from tests.foreign.dockerd import ANSWER, DEADLINE, IMAGE, PATH
from tests.foreign.dockerd import image as root_file_system
from tests.foreign.mounts import end_all, private
from tests.labs import Lab, within
from tests.programs import running, stop
from tests.waiting import until

NETAVARK = Path("/usr/lib/podman/netavark")
NEEDED = ("podman", "conmon", "runc", "busybox")
MISSING = [f"{each} is not installed" for each in NEEDED if shutil.which(each, path=PATH) is None]
if not NETAVARK.exists():
    MISSING.append("netavark is not installed")
if not os.access("/sys/fs/cgroup", os.W_OK) or not os.listdir("/sys/fs/cgroup"):
    MISSING.append("there are no cgroups that can be written")
CNI = "/var/lib/cni"
OWN_RUN = ("/run/containers", "/run/netns", "/run/runc")
HIDDEN = (*OWN_RUN, "/dev/shm", CNI)
"""Folders of the machine's own Podman, if there is one; its locks are in /dev/shm."""
PLUGINS = "/usr/lib/cni"
FEW = 1024
"""Limit of open files and processes: Podman would raise them, which a machine may not allow."""
FOREVER = ("sleep", "1000000")


@dataclass
class Podman:
    """Podman on a host.

    Attributes:
        lab: its host; folder: where all of it lies.
        mounts: a process in its mount namespace.
        pids: first processes of its containers, by name.
    """

    lab: Lab
    folder: Path
    mounts: int
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """The socket of its API, while it is served."""
        return self.folder / "podman.sock"

    def words(self, *words: str) -> list[str]:
        """The words of a command in its mount namespace."""
        options = f"""nsenter -t {self.mounts} -m podman --root {self.folder}/storage
            --runroot {self.folder}/run --tmpdir {self.folder}/tmp --storage-driver vfs"""
        return [*options.split(), *words]

    @property
    def settings(self) -> dict[str, str]:
        """The environment of its commands."""
        own = {"CONTAINERS_CONF": f"{self.folder}/containers.conf", "NETAVARK_FW": "iptables"}
        return {**os.environ, **own}

    def podman(self, *words: str, data: bytes = b"") -> str:
        """As `podman WORDS` does; what it printed."""
        ran = subprocess.run(
            self.words(*words),
            input=data,
            capture_output=True,
            check=False,
            env=self.settings,
            timeout=DEADLINE,
        )
        assert ran.returncode == 0, f"podman {' '.join(words)}: {ran.stderr.decode()}"
        return ran.stdout.decode()

    def network(self, name: str, *subnets: str, options: tuple[str, ...] = ()) -> None:
        """As `podman network create` does."""
        made = [word for each in subnets for word in ("--subnet", each)]
        six = ("--ipv6",) if any(":" in each for each in subnets) else ()
        self.podman("network", "create", *made, *six, *options, name)

    def run(self, name: str, *options: str, command: tuple[str, ...] = FOREVER) -> None:
        """As `podman run -d` does."""
        self.podman("run", "-d", "--name", name, *options, IMAGE, *command)
        self.started(name)

    def started(self, name: str) -> None:
        """Read a container's process, once it runs."""
        self.pids[name] = self.inspect(name)["State"]["Pid"]

    def inspect(self, *names: str) -> Any:
        """As `podman inspect` does."""
        found = json.loads(self.podman("inspect", *names))
        return found[0] if len(names) == 1 else found

    def netns(self, name: str) -> str:
        """File of a container's namespace."""
        return f"/proc/{self.pids[name]}/ns/net"

    def link(self, network: str) -> str:
        """Name of a network's bridge."""
        (found,) = json.loads(self.podman("network", "inspect", network))
        return str(found["network_interface"])

    @property
    def aardvark(self) -> int:
        """The process of aardvark-dns; 0 without one."""
        number = HIDDEN.index("/run/containers")
        known = self.folder / f"hidden{number}/networks/aardvark-dns/aardvark.pid"
        return int(known.read_text()) if known.exists() else 0

    def listens(self, name: str, port: int) -> None:
        """Wait until a program in a container listens at a TCP port."""
        until(lambda: within(self.netns(name), f"ss -Hltn sport = :{port}"), seconds=DEADLINE)

    def cli(self, line: str) -> None:
        """Carry out a line of `podman`."""
        # The programs of the tests' containers do not end by themselves: no waiting for them.
        at_once = line.replace("podman restart ", "podman restart -t 0 ")
        self.podman(*at_once.split()[1:])
        for name in self.podman("ps", "--format", "{{.Names}}").split():
            self.started(name)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """As `podman system service` does, for the length of a with block."""
        words = self.words("system", "service", "--time", "0", f"unix://{self.socket}")
        with running(words, env=self.settings, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: self._answers() or process.poll() is not None)
                assert process.poll() is None, "podman system service has ended"
                yield
            finally:
                stop(process)
                self.socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        """Whether somebody listens at the socket: it is there a moment before."""
        with socket(AF_UNIX) as connection, suppress(OSError):
            connection.connect(str(self.socket))
            return True
        return False

    def remove_all(self) -> None:
        """Remove the containers and pods, running or not."""
        self.podman("pod", "rm", "-fa", "-t", "0")
        for name in self.podman("ps", "-aq").split():
            with suppress(AssertionError):  # gone with the one whose namespace it shared
                self.podman("rm", "-f", "--depend", "-t", "0", name)


@contextmanager
def podman(backend: str = "netavark") -> Iterator[Podman]:
    """Podman on a host on a LAN; all of it gone afterwards.

    Args:
        backend: what makes its networks: "netavark" or "cni".
    """
    folder = Path(tempfile.mkdtemp(prefix="plumb-podman-"))
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            labs.lab(lan=True) as lab,
            private(folder, HIDDEN, {}) as mounts,
        ):
            engine = Podman(lab, folder, mounts)
            patch.setattr(read_host, "SECONDS", ANSWER)
            patch.setattr(read_host, "PODMAN_SOCKET", str(engine.socket))
            patch.setattr(others, "PODMAN_FOLDER", str(folder))
            results = folder / f"hidden{HIDDEN.index(CNI)}/results"
            patch.setattr(others, "CNI_RESULTS", str(results))
            _configure(engine, backend)
            try:
                engine.podman("import", "-", IMAGE, data=root_file_system())
                yield engine
            finally:
                with suppress(AssertionError):
                    engine.remove_all()
                end_all(mounts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(engine: Podman, backend: str) -> None:
    folder = engine.folder
    (folder / "containers.conf").write_text(
        f"""[containers]
default_ulimits = ["nofile={FEW}:{FEW}", "nproc={FEW}:{FEW}"]
[network]
network_backend = "{backend}"
cni_plugin_dirs = ["{PLUGINS}"]
network_config_dir = "{folder}/networks"
firewall_driver = "iptables"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
    )
