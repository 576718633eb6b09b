"""containerd that really runs, on a lab host of its own, with CNI's plugins: Debian's.

Its containers are made by `ctr run`, which calls the plugins as nerdctl does. It has its own
folders and mount namespace; of the machine it shares the cgroups alone."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from plumb.foreign import others, read_host
from tests import labs
from tests.foreign.dockerd import DEADLINE, PATH, image
from tests.foreign.mounts import end_all, private
from tests.labs import Lab, within
from tests.programs import stop
from tests.waiting import until

PLUGINS = "/usr/lib/cni"
NEEDED = ("containerd", "ctr", "runc", "busybox")
MISSING = [f"{each} is not installed" for each in NEEDED if shutil.which(each, path=PATH) is None]
if not Path(PLUGINS, "bridge").exists():
    MISSING.append("CNI's plugins are not installed")
if not os.access("/sys/fs/cgroup", os.W_OK) or not os.listdir("/sys/fs/cgroup"):
    MISSING.append("there are no cgroups that can be written")
HIDDEN = ("/run/containerd", "/run/netns", "/var/lib/cni", "/etc/cni/net.d")
NETWORK: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "mynet",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.22.0.0/16"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "firewall"},
    ],
}
"""A network as an administrator configures it, with the plugins that nerdctl has as well."""


@dataclass
class Containerd:
    """A containerd that runs.

    Attributes:
        lab: its host; folder: where all of it lies; mounts: a process in its mount namespace.
        pids: first processes of its containers, by name.
    """

    lab: Lab
    folder: Path
    mounts: int
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def cni(self) -> Path:
        """What is /var/lib/cni there: the plugins' results and leases."""
        return self.folder / f"hidden{HIDDEN.index('/var/lib/cni')}"

    def ctr(self, *words: str, check: bool = True) -> str:
        """As `ctr WORDS` does; what it printed."""
        line = ["nsenter", "-t", str(self.mounts), "-m", "ctr", "-a", f"{self.folder}/socket"]
        ran = subprocess.run(
            [*line, *words], capture_output=True, text=True, check=False, timeout=DEADLINE
        )
        assert ran.returncode == 0 or not check, f"ctr {' '.join(words)}: {ran.stderr}"
        return ran.stdout

    def run(self, name: str, *command: str, option: str = "--cni", namespace: str = "") -> None:
        """As `ctr run -d` does."""
        words = ("-n", namespace or "default")
        rootfs = ("--rootfs", str(self.folder / "rootfs"))
        program = command or ("/bin/sleep", "1000000")
        options = [option] if option else []
        self.ctr(*words, "run", "-d", *options, *rootfs, name, *program)
        rows = [line.split() for line in self.ctr(*words, "task", "ls").splitlines()]
        self.pids[name] = next(int(row[1]) for row in rows if row[0] == name)

    def netns(self, name: str) -> str:
        """File of a container's namespace."""
        return f"/proc/{self.pids[name]}/ns/net"

    def listens(self, name: str, port: int) -> None:
        """Wait until a program in a container listens at a TCP port."""
        until(lambda: within(self.netns(name), f"ss -Hltn sport = :{port}"), seconds=DEADLINE)


@contextmanager
def containerd() -> Iterator[Containerd]:
    """Start containerd on a host on a LAN; stopped, and all of it gone, afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="plumb-containerd-"))
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            labs.lab(lan=True) as lab,
            private(folder, HIDDEN, {"/opt/cni/bin": PLUGINS}) as mounts,
        ):
            engine = Containerd(lab, folder, mounts)
            patch.setattr(others, "CNI_RESULTS", str(engine.cni / "results"))
            patch.setattr(read_host, "DOCKER_SOCKET", "/nowhere")
            _configure(engine)
            with (folder / "log").open("wb") as log:
                words = f"nsenter -t {mounts} -m containerd -c {folder}/config.toml".split()
                process = subprocess.Popen(words, stdout=log, stderr=log)
            try:
                until(lambda: process.poll() is not None or engine.ctr("version", check=False))
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                yield engine
            finally:
                stop(process)
                for pid in engine.pids.values():
                    with suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                end_all(mounts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(engine: Containerd) -> None:
    folder = engine.folder
    networks = folder / f"hidden{HIDDEN.index('/etc/cni/net.d')}"
    (networks / "10-mynet.conflist").write_text(json.dumps(NETWORK))
    with tarfile.open(fileobj=io.BytesIO(image())) as tar:
        tar.extractall(folder / "rootfs")
    (folder / "config.toml").write_text(
        f"""version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/socket"
"""
    )
