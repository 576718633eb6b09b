"""Containers of CNI's networks, and namespaces that no engine has told of."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from plumb.doctor import read
from plumb.engine.targets import TargetResolver
from plumb.foreign import cni, namespaces, others, read_host
from plumb.foreign.values import Engine, ForeignHost
from plumb.kernel.foreign import processes
from plumb.model.observations import Netns
from plumb.model.ports import Port
from tests.labs import Lab, sh
from tests.waiting import until

CONFIG = {
    "name": "mynet",
    "plugins": [{"type": "bridge", "bridge": "cni-my", "ipMasq": True}, {"type": "portmap"}],
}


def result(netns: str, **more: Any) -> dict[str, Any]:
    """What libcni keeps of a plugin's result."""
    return {
        "kind": "cniCacheV1",
        "containerId": "5f6e7d" * 8,
        "config": base64.b64encode(json.dumps(CONFIG).encode()).decode(),
        "ifName": "eth0",
        "networkName": "mynet",
        "netns": netns,
        "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", "nginx-7bd8"]],
        "capabilityArgs": {
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "TCP"}]
        },
        "result": {"ips": [{"address": "10.22.0.2/16", "gateway": "10.22.0.1"}]},
        **more,
    }


def test_a_pod_without_a_process_has_not_the_host_s_name_servers(
    lan: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """plumb knows none of its files then."""
    monkeypatch.setattr(others, "CNI_RESULTS", str(tmp_path))
    (tmp_path / "mynet-pod-eth0").write_text(json.dumps(result(lan.lan)))
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    sh(f"mount --bind {tmp_path}/resolv.conf /etc/resolv.conf")
    try:
        with lan.host() as host:
            snapshot = read.read(host)
    finally:
        sh("umount /etc/resolv.conf")

    assert snapshot.host.resolv == "nameserver 192.0.2.53\n"
    assert [(each.name, each.resolv) for each in snapshot.spaces] == [("nginx-7bd8", "")]


def test_a_namespace_s_name_is_no_path(
    lan: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of its files lies in that of `ip netns`."""
    for each in ("netns/red", "other"):
        (tmp_path / each).mkdir(parents=True)
    monkeypatch.setattr(namespaces, "ETC", f"{tmp_path}/netns")

    with lan.host() as host:
        targets = TargetResolver(host)
        assert targets.name_files("x", Netns("red", lan.lan)) == f"{tmp_path}/netns/red"
        assert targets.name_files("x", Netns("../other", lan.lan)) == "/etc"


@pytest.fixture
def pods(lan: Lab, tmp_path: Path) -> ForeignHost:
    """A pod in a namespace, and what is left of one that is gone."""
    for name, document in {
        "mynet-pod-eth0": result(lan.lan),
        "mynet-gone-eth0": result("/run/netns/gone", containerId="gone"),
        "mynet-torn-eth0": {"kind": "cniCacheV1"},
    }.items():
        (tmp_path / name).write_text(json.dumps(document))
    (tmp_path / "mynet-half-eth0").write_text('{"kind": "cniC')
    return cni.read([], str(tmp_path))


def test_a_pod_has_its_name_namespace_address_and_ports(pods: ForeignHost, lan: Lab) -> None:
    """As the plugins' results say."""
    (pod,) = pods.containers
    ((end, net),) = pod.member.ends

    assert (pod.name, pod.member.place) == ("nginx-7bd8", Netns("nginx-7bd8", lan.lan))
    assert (str(end.ip), end.ifname) == ("10.22.0.2/16", "eth0")
    assert end.ports == (Port(80, "tcp", ip_address("0.0.0.0"), 8080),)
    assert (net.name, net.link, net.bridge.masquerade) == ("mynet", "cni-my", True)
    assert net.pools[0].gateway == ip_address("10.22.0.1")
    assert pod.source.age >= 0


def sleeps(pid: int) -> bool:
    """Whether a program that enters another namespace, and becomes sleep there, has done so."""
    found = processes.process(pid)
    return found is not None and found.name == "sleep"


@pytest.fixture
def sleeper(lan: Lab) -> Iterator[int]:
    """A process in the LAN's namespace, which shares a link with the host."""
    process = subprocess.Popen(["nsenter", f"--net={lan.lan}", "sleep", "1000"])
    try:
        until(lambda: sleeps(process.pid))
        yield process.pid
    finally:
        process.kill()
        process.wait()


def found(pid: int) -> list[str]:
    """Names of what is in a process's namespace."""
    identity = processes.identity(processes.namespace_file(pid))
    return [
        each.name
        for each in read_host.read_all().containers
        if processes.identity(each.member.place.ns) == identity
    ]


def test_a_process_in_a_namespace_of_its_own_is_called_by_its_command(sleeper: int) -> None:
    """With its number."""
    assert found(sleeper) == [f"pid:{sleeper} (sleep)"]


def test_a_namespace_of_ip_netns_is_called_as_there(
    sleeper: int, lan: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever runs in it."""
    monkeypatch.setattr(namespaces, "NAMED", str(Path(lan.lan).parent))

    assert found(sleeper) == [Path(lan.lan).name]


def test_what_is_somebody_s_already_is_left_out(sleeper: int, lan: Lab) -> None:
    """Plumb's own containers are."""
    own = read_host.read_all(known=[lan.lan]).containers

    assert not [each for each in own if each.pid == sleeper]


def test_a_namespace_without_a_link_to_this_host_is_none_of_its(lab: Lab) -> None:
    """A service may have shut itself off the network."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
    try:
        until(lambda: sleeps(process.pid))
        names = [each.name for each in read_host.read_all().containers]
    finally:
        process.kill()
        process.wait()

    assert f"pid:{process.pid} (sleep)" not in names
    assert all(each.source.engine is not Engine.PROCESS for each in read_host.read_all().containers)
