"""What dockerd is told: on its command line, or in its daemon.json."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plumb.foreign import others, read_host
from plumb.kernel.diagnosis import machine, tunnels
from plumb.kernel.foreign import dockerd as settings
from plumb.kernel.foreign.dockerd import Dockerd as Daemon
from plumb.kernel.foreign.dockerd import among
from tests.doctor import faults
from tests.foreign.dockerd import MISSING, Dockerd, dockerd


def told(line: str = "dockerd", **document: Any) -> Daemon:
    """A dockerd of a command line, and of a daemon.json with underscores."""
    file = {key.replace("_", "-"): value for key, value in document.items()}
    return Daemon(1, tuple(line.split()), settings.CONFIG, tuple(file.items()))


def test_a_setting_stands_on_the_command_line_or_in_the_file() -> None:
    assert told("dockerd --exec-root /x").text("exec-root") == "/x"
    assert told("dockerd --data-root=/x").text("data-root") == "/x"
    assert told("dockerd -g /x").text("data-root") == "/x"
    assert told(exec_root="/y").text("exec-root") == "/y"
    assert told().text("exec-root", "/run/docker") == "/run/docker"


def test_namespaces_are_in_its_exec_root() -> None:
    assert told(exec_root="/y").namespaces == "/proc/1/root/y/netns"
    assert told().namespaces == "/proc/1/root/run/docker/netns"


@pytest.mark.parametrize(
    "daemon",
    [
        told("dockerd -H unix:///s -H tcp://127.0.0.1:2375"),
        told("dockerd -Hunix:///s"),
        told("dockerd -H=unix:///s"),
        told("dockerd --host unix:///s"),
        told(hosts=["tcp://127.0.0.1:2375", "unix:///s"]),
    ],
    ids=["-H", "-Hvalue", "-H=value", "--host", "hosts"],
)
def test_its_sockets_are_the_unix_hosts(daemon: Daemon) -> None:
    assert daemon.sockets == ("/proc/1/root/s",)


def test_a_socket_of_systemd_is_named_nowhere() -> None:
    assert told("dockerd -H fd://").sockets == ()


def test_what_is_refused_has_its_place() -> None:
    assert told("dockerd --iptables=false").refused("iptables") == "dockerd --iptables=false"
    assert (
        told(iptables=False).refused("iptables") == '"iptables": false in /etc/docker/daemon.json'
    )
    assert told("dockerd --iptables=true", iptables=True).refused("iptables") == ""
    assert told().refused("iptables") == ""


def test_a_file_of_other_types_says_nothing() -> None:
    daemon = told(exec_root=5, hosts="unix:///s", iptables="false", data_root="/a\x1b[2J")
    assert daemon.text("exec-root", "/run/docker") == "/run/docker"
    assert daemon.text("data-root") == ""
    assert daemon.refused("iptables") == ""


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    """An Engine whose folders, socket and iptables=false are in daemon.json alone, with web."""
    if MISSING:
        pytest.skip(", ".join(MISSING))
    with dockerd(in_file=True, iptables=False) as made:
        made.network("n1", "172.20.0.0/24")
        made.run("web", "n1", "httpd", "-f", "-p", "80", publish={"80/tcp": "8080"})
        made.listens("web", 80)
        yield made


def test_the_files_of_namespaces_are_found(docker: Dockerd) -> None:
    """`doctor` and `draw` look for overlay networks there."""
    (folder,) = (each for each in tunnels.folders(machine.managers()) if str(docker.folder) in each)
    assert any(tunnels.is_namespace(str(each)) for each in Path(folder).iterdir())


def test_the_data_root_is_found(docker: Dockerd) -> None:
    (daemon,) = among(machine.managers())
    assert daemon.text("data-root") == f"{docker.folder}/data"


def test_its_socket_is_asked_without_docker_host(
    docker: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "DOCKER_FOLDERS", (str(docker.folder),))
    monkeypatch.setattr(read_host, "DOCKER_SOCKET", "/nonexistent")
    found = read_host.read()
    assert [each.name for each in found.containers] == ["web"]
    assert found.sources[0].origin.endswith(f"{docker.folder}/docker.sock")


def test_rules_that_it_was_told_not_to_write_are_a_hint(
    docker: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its published port, which the proxy serves alone, is no finding."""
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)
    (mine,) = faults.found(docker.lab)
    assert (mine.id, mine.grade) == ("no-masquerade", "hint")
    assert mine.read[0] == f'"iptables": false in {docker.folder}/daemon.json'
