"""A Docker Engine that really runs, on a lab host of its own: Debian's dockerd.

It has its own folders, socket, containerd and mount namespace; of the machine it shares the cgroups
alone. Its image is busybox and nothing else."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any

import pytest

from plumb.foreign import read_host
from plumb.kernel.foreign import processes
from tests import labs, programs
from tests.foreign.mounts import private
from tests.labs import Lab, within
from tests.waiting import until

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = ("dockerd", "containerd", "runc", "busybox")
MISSING = [f"{each} is not installed" for each in NEEDED if shutil.which(each, path=PATH) is None]
if not os.access("/sys/fs/cgroup", os.W_OK) or not os.listdir("/sys/fs/cgroup"):
    MISSING.append("there are no cgroups that can be written")
APPLETS = ("sh", "sleep", "httpd", "nslookup", "ping", "ip", "nc")
IMAGE = "busybox"
HIDDEN = ("/run/docker", "/run/containerd")
"""Folders of the machine's own engine, if there is one."""
DEADLINE, A_TRY = 300.0, 10.0
"""Seconds that an Engine on a busy machine has to start, and that each question of it has."""
ANSWER = 30.0
"""Seconds that plumb gives an Engine which answers, but on a busy machine."""


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket(AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass
class Dockerd:
    """An Engine that runs.

    Attributes:
        lab: its host; folder: where all of it lies.
        settings: its daemon.json; mounts: a process in its mount namespace.
        in_file: its folders and its socket stand in daemon.json, not on its command line.
        pids: first processes of its containers, by name.
    """

    lab: Lab
    folder: Path
    process: subprocess.Popen[bytes]
    settings: Mapping[str, Any]
    mounts: int
    in_file: bool = False
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        """The socket of its API."""
        return self.folder / "docker.sock"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
        seconds: float = DEADLINE,
    ) -> Any:
        """Make a request of its API, and return the document."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = _Connection(str(self.socket), seconds)
        try:
            connection.request(method, path, data, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 400, f"{method} {path}: {answer.status} {text!r}"
        return json.loads(text) if text.startswith((b"{", b"[")) else None

    def network(self, name: str, subnet: str, **wishes: Any) -> str:
        """As `docker network create` does; the network's id."""
        ipam = {"Config": [{"Subnet": subnet}]}
        made = self.ask("POST", "/networks/create", {"Name": name, "IPAM": ipam, **wishes})
        return str(made["Id"])

    def run(
        self,
        name: str,
        network: str,
        *command: str,
        publish: Mapping[str, str] | None = None,
        start: bool = True,
        **wishes: Any,
    ) -> None:
        """As `docker run -d` does.

        Args:
            publish: host port, or address and port, by the container's "80/tcp".
            wishes: of the container's HostConfig.
        """
        bindings = {
            port: [dict(zip(("HostPort", "HostIp"), at.split(":")[::-1], strict=False))]
            for port, at in (publish or {}).items()
        }
        host = {"NetworkMode": network, "PortBindings": bindings, **wishes}
        wish = {
            "Image": IMAGE,
            "Cmd": list(command or ("sleep", "1000000")),
            "ExposedPorts": {key: {} for key in bindings},
            "HostConfig": host,
        }
        self.ask("POST", f"/containers/create?name={name}", wish)
        if start:
            self.start(name)

    def start(self, name: str) -> None:
        """As `docker start` does."""
        self.ask("POST", f"/containers/{name}/start")
        self.started(name)

    def listens(self, name: str, port: int) -> None:
        """Wait until a program in a container listens at a TCP port."""
        until(lambda: within(self.netns(name), f"ss -Hltn sport = :{port}"), seconds=DEADLINE)

    def link(self, network: str) -> str:
        """Name of a network's bridge."""
        return f"br-{self.ask('GET', f'/networks/{network}')['Id'][:12]}"

    def cli(self, line: str) -> None:
        """Carry out a line of `docker`, or of systemctl about it, as far as tests need them."""
        match shlex.split(line, comments=True):
            case ["docker", "network", "connect", network, name]:
                self.ask("POST", f"/networks/{network}/connect", {"Container": name})
            case ["docker", "network", "disconnect", network, name]:
                self.ask("POST", f"/networks/{network}/disconnect", {"Container": name})
            case ["docker", "restart", name]:
                self.ask("POST", f"/containers/{name}/restart?t=0")
                self.started(name)
            case ["systemctl", "restart", "docker"]:
                _stop(self.process)
                self.process = self._started()
                until(lambda: _answers(self), seconds=DEADLINE)
            case _:
                raise AssertionError(f"tests cannot run {line}")

    def resume(self) -> None:
        """Have dockerd answer again, after it was stopped or killed."""
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            return
        (self.folder / "pid").unlink(missing_ok=True)
        known = self.folder / "exec/containerd/containerd.pid"
        with suppress(OSError):  # dockerd's own, which serves nobody now
            os.kill(int(known.read_text()), signal.SIGKILL)
        known.unlink(missing_ok=True)
        self.process = self._started()
        until(lambda: _answers(self), seconds=DEADLINE)

    def _started(self) -> subprocess.Popen[bytes]:
        return _started(self.folder, self.mounts, self.settings, self.in_file)

    def started(self, name: str) -> None:
        """Read a container's process, once it runs."""
        self.pids[name] = self.ask("GET", f"/containers/{name}/json")["State"]["Pid"]

    def netns(self, name: str) -> str:
        """File of a container's namespace."""
        return f"/proc/{self.pids[name]}/ns/net"

    def remove_all(self) -> None:
        """Remove the containers, running or not."""
        for each in self.ask("GET", "/containers/json?all=1"):
            self.ask("DELETE", f"/containers/{each['Id']}?force=1")

    @property
    def environment(self) -> dict[str, str]:
        """What points a command at this Engine."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}


@contextmanager
def dockerd(in_file: bool = False, **settings: Any) -> Iterator[Dockerd]:
    """Start an Engine on a host on a LAN; stopped, and all of it gone, afterwards.

    Args:
        in_file: its folders and its socket stand in daemon.json, not on its command line.
        settings: as in daemon.json, with underscores.
    """
    folder = Path(tempfile.mkdtemp(prefix="plumb-docker-"))
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            labs.lab(lan=True) as lab,
            private(folder, HIDDEN, {}) as mounts,
        ):
            patch.setattr(read_host, "SECONDS", ANSWER)
            process = _started(folder, mounts, settings, in_file)
            engine = Dockerd(lab, folder, process, settings, mounts, in_file)
            try:
                until(lambda: _answers(engine), seconds=DEADLINE)
                engine.ask(
                    "POST", f"/images/create?fromSrc=-&repo={IMAGE}", image(), "application/x-tar"
                )
                yield engine
            finally:
                with suppress(OSError, AssertionError):
                    engine.remove_all()
                _stop(engine.process)
                _end_containers(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(
    folder: Path, mounts: int, settings: Mapping[str, Any], in_file: bool
) -> subprocess.Popen[bytes]:
    config = folder / "daemon.json"
    own = {"data-root": f"{folder}/data", "exec-root": f"{folder}/exec"}
    socket_url = f"unix://{folder}/docker.sock"
    given = {key.replace("_", "-"): at for key, at in settings.items()}
    config.write_text(json.dumps({**given, **own, "hosts": [socket_url]} if in_file else given))
    placed = "" if in_file else " ".join(f"--{key} {at}" for key, at in own.items())
    asked = "" if in_file else f"-H {socket_url}"
    words = f"""nsenter -t {mounts} -m dockerd --config-file {config} {placed} {asked}
        --pidfile {folder}/pid --storage-driver vfs --log-level warn"""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(words.split(), stdout=log, stderr=log, start_new_session=True)


def _answers(engine: Dockerd) -> bool:
    log = engine.folder / "log"
    assert engine.process.poll() is None, f"dockerd has ended: {log.read_text()[-2000:]}"
    with suppress(OSError):
        engine.ask("GET", "/_ping", seconds=A_TRY)
        return True
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End dockerd, which ends its containerd."""
    programs.stop(process)


def _end_containers(folder: Path) -> None:
    """Kill what a dockerd that has ended too early has left: containers, and their shims."""
    running = processes.running()
    shims = {
        each.pid
        for each in running
        if each.name.startswith("containerd-shim")
        and str(folder) in " ".join(processes.command_line(each.pid))
    }
    for each in running:
        if each.pid in shims or each.parent in shims:
            with suppress(OSError):
                os.kill(each.pid, signal.SIGKILL)


def image() -> bytes:
    """A root file system: busybox, statically linked, under some of its names."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in ("bin", "etc", "www"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(str(shutil.which("busybox", path=PATH)), "bin/busybox")
        for name in APPLETS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    return made.getvalue()


@contextmanager
def in_swarm() -> Iterator[Dockerd]:
    """An Engine that manages a swarm, with an overlay network, mesh, on which a container is."""
    with dockerd() as made, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{made.socket}")
        listens = {"ListenAddr": f"{labs.HOST_IP}:2377", "AdvertiseAddr": labs.HOST_IP}
        made.ask("POST", "/swarm/init", listens)
        made.network("mesh", "10.50.0.0/24", Driver="overlay", Attachable=True)
        made.run("web", "mesh")
        yield made
