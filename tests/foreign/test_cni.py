"""CNI's plugins as Kubernetes' runtimes call them: a pod's namespace, its port, its rules.

The plugins of Debian are run, each with the network's configuration on its standard input and the
result of the one before it; results are kept as libcni keeps them.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plumb.explain.known_rules import known
from plumb.foreign import others, read_host
from plumb.foreign.values import ForeignContainer
from plumb.kernel.foreign import processes
from plumb.kernel.netfilter.iptables_save import saved
from plumb.kernel.netns import namespaces
from tests import labs
from tests.foreign.containerd import NETWORK, PLUGINS
from tests.labs import Lab, sh, within
from tests.programs import running
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    not Path(PLUGINS, "portmap").exists(), reason="CNI's plugins are not installed"
)
POD = "5f6e7d" * 10 + "abcd"
PORTS = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
ARGUMENTS = [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", "nginx-7bd8"]]


def added(folder: Path, ident: str, netns: str, ports: list[Any], arguments: list[Any]) -> None:
    """Run the plugins for a container, and keep the result."""
    result: Any = None
    for plugin in NETWORK["plugins"]:
        config = {**plugin, "cniVersion": NETWORK["cniVersion"], "name": NETWORK["name"]}
        if "ipam" in config:
            config["ipam"] = {**config["ipam"], "dataDir": f"{folder}/networks"}
        if "capabilities" in config:
            config["runtimeConfig"] = {"portMappings": ports}
        if result is not None:
            config["prevResult"] = result
        own = {
            "CNI_COMMAND": "ADD",
            "CNI_CONTAINERID": ident,
            "CNI_NETNS": netns,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": PLUGINS,
            "CNI_ARGS": ";".join(["IgnoreUnknown=1", *(f"{k}={v}" for k, v in arguments)]),
        }
        ran = subprocess.run(
            [f"{PLUGINS}/{plugin['type']}"],
            input=json.dumps(config).encode(),
            capture_output=True,
            check=False,
            env={**os.environ, **own},
        )
        assert ran.returncode == 0, f"{plugin['type']}: {ran.stdout!r} {ran.stderr!r}"
        result = json.loads(ran.stdout)
    kept = {
        "kind": "cniCacheV1",
        "containerId": ident,
        "config": base64.b64encode(json.dumps(NETWORK).encode()).decode(),
        "ifName": "eth0",
        "networkName": NETWORK["name"],
        "cniArgs": arguments,
        "capabilityArgs": {"portMappings": ports},
        "result": result,
    }
    (folder / "results").mkdir(exist_ok=True)
    (folder / f"results/mynet-{ident}-eth0").write_text(json.dumps(kept))


@pytest.fixture(scope="module")
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A host with the pod nginx-7bd8, whose port 80 is its 8080, and a container without a name."""
    folder = tmp_path_factory.mktemp("cni")
    spaces = [str(folder / f"cni-{number}") for number in (1, 2)]
    with pytest.MonkeyPatch.context() as patch, labs.lab(lan=True) as lab:
        patch.setattr(others, "CNI_RESULTS", f"{folder}/results")
        patch.setattr(others, "DOCKER_FOLDERS", ())
        for path in spaces:
            namespaces.make(path)
            within(path, "ip link set lo up")
        try:
            added(folder, POD, spaces[0], PORTS, ARGUMENTS)
            added(folder, "0a1b2c" * 10 + "abcd", spaces[1], [], [])
            yield lab
        finally:
            for path in spaces:
                namespaces.drop(path)


@pytest.fixture
def server(pods: Lab) -> Iterator[str]:
    """The pod's namespace, in which a program listens at port 80."""
    space = pod("nginx-7bd8").member.place.ns
    with running(["nsenter", f"--net={space}", "busybox", "httpd", "-f", "-p", "80"]):
        until(lambda: within(space, "ss -Hltn sport = :80"))
        yield space


def pod(name: str) -> ForeignContainer:
    """A container by its name."""
    return next(each for each in read_host.read().containers if each.name == name)


def plumb(lab: Lab, *argv: str, status: int | None = 0) -> str:
    """What a command prints on that host."""
    ran = lab.plumb(*argv, status=status)
    return ran.stdout + ran.stderr


def test_a_pod_has_its_name_namespace_address_and_port(pods: Lab) -> None:
    """Its namespace stands among the result's interfaces."""
    found = pod("nginx-7bd8")
    ((end, net),) = found.member.ends
    shown = json.loads(within(found.member.place.ns, "ip -j addr show eth0"))[0]
    own = next(each for each in shown["addr_info"] if each["family"] == "inet")

    assert (str(end.ip), end.mac) == (f"{own['local']}/{own['prefixlen']}", shown["address"])
    assert [(port.host_port, port.port, port.protocol) for port in end.ports] == [(8080, 80, "tcp")]
    assert (net.name, net.link, net.bridge.masquerade) == ("mynet", "cni0", True)
    assert pod("0a1b2c0a1b2c").member.ends[0][0].ports == ()


def test_a_result_that_a_container_has_left_is_no_container(pods: Lab) -> None:
    """A process's number may be another one's since."""
    folder = Path(others.CNI_RESULTS)
    kept = json.loads(next(folder.iterdir()).read_text())
    kept["containerId"] = "left"
    for interface in kept["result"]["interfaces"]:
        if interface.get("sandbox"):
            interface["sandbox"] = processes.namespace_file(os.getpid())
    (folder / "mynet-left-eth0").write_text(json.dumps(kept))
    try:
        names = {each.name for each in read_host.read().containers}
    finally:
        (folder / "mynet-left-eth0").unlink()
    assert names == {"nginx-7bd8", "0a1b2c0a1b2c"}


def test_a_published_port_is_followed(pods: Lab, server: str) -> None:
    """By portmap's rules into the pod, from the LAN and from this host."""
    story = plumb(pods, "trace", pods.lan, "host:8080")

    assert "is nginx-7bd8's port 80/tcp, on mynet" in story
    assert "CNI: published: the destination is rewritten to a container's" in story
    assert "nginx-7bd8   eth0 in" in " ".join(story.split()).replace(
        "nginx-7bd8 eth0", "nginx-7bd8   eth0"
    )
    assert "answered" in plumb(pods, "trace", "host", "127.0.0.1:8080")
    assert "DNAT" in plumb(pods, "network", "ports", "mynet")


def test_each_rule_has_a_reason(pods: Lab) -> None:
    """bridge's, portmap's and firewall's."""
    rules = [
        (table, chain, spec)
        for table, chains in saved("iptables-save").items()
        for chain, (_, specs) in chains.items()
        for spec in specs
    ]

    assert any("DNAT" in spec for *_, spec in rules)
    for rule in rules:
        assert known(*rule).startswith("CNI: "), rule


def test_a_clean_host_has_no_finding(pods: Lab, server: str) -> None:
    """And is the same afterwards."""
    before = labs.state()
    assert "no problem found" in plumb(pods, "doctor")
    assert "CNI" in plumb(pods, "explain", "CNI-HOSTPORT-DNAT")
    assert labs.state() == before


def test_a_published_port_without_its_rules_is_refused(pods: Lab, server: str) -> None:
    """Nobody holds it, and no program is missing there."""
    specs = saved("iptables-save", "nat")["nat"]["PREROUTING"][1]
    for spec in specs:
        sh(f"iptables -t nat -D PREROUTING {spec}")
    try:
        story = " ".join(plumb(pods, "trace", pods.lan, "host:8080", status=1).split())
    finally:
        for spec in specs:
            sh(f"iptables -t nat -A PREROUTING {spec}")
    assert "port 8080 is published for nginx-7bd8, and no rule of nat leads there" in story
    assert "the container made anew" in story
