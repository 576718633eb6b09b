"""Faults on the host of a real Podman: each is injected, explained, mended as printed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from plumb.engine.reader import Reader
from plumb.kernel.netns.namespaces import entered
from plumb.trace.report import Report, Wishes
from plumb.trace.tracer import Tracer
from plumb.views import trace
from tests.foreign.podman import MISSING, Podman, podman
from tests.labs import INTERNET, sh, within
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
SERVED = ("httpd", "-f", "-h", "/www", "-p", "80")
RELOAD = "podman network reload web c2"


@dataclass(frozen=True)
class PodmanFault:
    """A fault, as `tests.foreign.docker_faults` has Docker's.

    Words in braces: n1 is a bridge; web, c2 run a command in that container's namespace; lan is the
    LAN router's namespace; port is web's end of its veth pair in the host.

    Attributes:
        inject, undo: shell lines, or one of podman's.
        source, target: as `trace` takes them.
        cause: the id of the cause; says: words that the explanation has.
        remedies: how many of those that can be run are tried; each must make the packet pass.
        mended: what undoes a remedy.
    """

    inject: str
    undo: str
    source: str
    target: str
    cause: str
    says: str = ""
    remedies: int = 9
    mended: str = "true"


FAULTS = {
    "isolated": PodmanFault(
        "true",
        "true",
        "apart",
        "other:80",
        "other-network",
        "apart is not on n6",
        1,
        "podman network disconnect n6 apart",
    ),
    "no-masquerade": PodmanFault(
        "iptables -t nat -F POSTROUTING",
        RELOAD,
        "c2",
        INTERNET,
        "no-masquerade",
        "c2's own address",
        1,
    ),
    "port-held": PodmanFault(
        "iptables -t nat -F PREROUTING",
        RELOAD,
        "{lan}",
        "host:8080",
        "port-held",
        "conmon only holds port 8080 for web",
    ),
    "port-held-for-the-host": PodmanFault(
        "iptables -t nat -F OUTPUT",
        RELOAD,
        "host",
        "127.0.0.1:8080",
        "port-held",
        "conmon only holds port 8080 for web",
    ),
    "flushed": PodmanFault(
        "iptables -F; iptables -P FORWARD DROP",
        "iptables -P FORWARD ACCEPT; {reload}",
        "c2",
        INTERNET,
        "forward-policy",
        "Podman's own rules for this network are not there",
    ),
    "policy": PodmanFault(
        "iptables -P FORWARD DROP",
        "iptables -P FORWARD ACCEPT",
        "{lan}",
        "host:8080",
        "forward-policy",
        "the policy drops what nothing accepts",
    ),
    "users-rule": PodmanFault(
        "iptables -I FORWARD -s 172.20.0.0/24 -j DROP",
        "iptables -D FORWARD -s 172.20.0.0/24 -j DROP || true",
        "c2",
        INTERNET,
        "dropped",
    ),
    "second-firewall": PodmanFault(
        "nft add table inet mine; nft add chain inet mine forward"
        " '{{ type filter hook forward priority 10; policy drop; }}'",
        "nft delete table inet mine",
        "c2",
        INTERNET,
        "second-firewall",
    ),
    "ip-forward": PodmanFault(
        "sysctl -qw net.ipv4.ip_forward=0",
        "sysctl -qw net.ipv4.ip_forward=1",
        "c2",
        INTERNET,
        "ip-forward",
    ),
    "internal": PodmanFault("true", "true", "shut", INTERNET, "no-route", "shut", 0),
    "off-bridge": PodmanFault(
        "ip link set {port} nomaster",
        "ip link set {port} master {n1}",
        "c2",
        "web:80",
        "off-bridge",
        "not attached to podman",
        1,
    ),
    "inside-down": PodmanFault(
        "{web} ip link set eth0 down",
        "podman restart web",
        "c2",
        "web:80",
        "peer-down",
        "eth0 in web is down",
    ),
    "no-default-route": PodmanFault(
        "{web} ip route del default",
        "podman restart web",
        "{lan}",
        "host:8080",
        "no-reply-route",
        "web has no route to",
    ),
    "rule-inside": PodmanFault(
        "{c2} iptables -A OUTPUT -p tcp --dport 80 -j DROP",
        "{c2} iptables -F OUTPUT",
        "c2",
        "web:80",
        "output-drop",
        "c2",
    ),
    "bridge-down": PodmanFault(
        "ip link set {n1} down",
        "ip link set {n1} up",
        "c2",
        "web:80",
        "bridge-down",
        "bridge of n1",
    ),
    "gateway-gone": PodmanFault(
        "ip addr del 172.20.0.1/24 dev {n1}",
        "ip addr replace 172.20.0.1/24 dev {n1}",
        "c2",
        INTERNET,
        "gateway-gone",
        "does not have 172.20.0.1 any more",
    ),
    "on-loopback": PodmanFault(
        "true", "true", "{lan}", "host:8082", "listens-on-loopback", "in inner port 80", 0
    ),
    "nobody": PodmanFault(
        "true", "true", "host", "127.0.0.1:8090", "nobody-listens", "in silent", 0
    ),
    "published-on-loopback": PodmanFault(
        "true", "true", "{lan}", "host:8081", "published-on-loopback", "leads to dflt", 0
    ),
    "name-server": PodmanFault(
        "kill -9 {aardvark}; while test -e /proc/{aardvark}/fd/0; do :; done",
        RELOAD,
        "c2",
        "172.20.0.1:53/udp",
        "name-server-gone",
        "aardvark-dns, does not run",
    ),
    "route-localnet": PodmanFault(
        "sysctl -qw net.ipv4.conf.{n1}.route_localnet=0",
        "sysctl -qw net.ipv4.conf.{n1}.route_localnet=1",
        "host",
        "127.0.0.1:8080",
        "route-localnet",
        "it was rewritten to web",
    ),
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Podman]:
    """Podman with networks of several kinds."""
    with podman() as made:
        made.network("n1", "172.20.0.0/24")
        made.network("n4", "172.23.0.0/24", options=("--internal",))
        for name, subnet in (("n5", "172.25.0.0/24"), ("n6", "172.26.0.0/24")):
            made.network(name, subnet, options=("--opt", "isolate=true"))
        made.run("web", "--network", "n1", "-p", "8080:80", command=SERVED)
        made.run("c2", "--network", "n1")
        made.run("shut", "--network", "n4")
        made.run("apart", "--network", "n5")
        made.run("other", "--network", "n6", command=SERVED)
        made.run("dflt", "-p", "127.0.0.1:8081:80", command=SERVED)
        inner = ("httpd", "-f", "-h", "/www", "-p", "127.0.0.1:80")
        made.run("inner", "--network", "n1", "-p", "8082:80", command=inner)
        made.run("silent", "--network", "n1", "-p", "8090:80")
        for name in ("web", "other", "inner"):
            made.listens(name, 80)
        yield made


def words(engine: Podman) -> dict[str, str]:
    """Words in braces."""
    found = {"n1": engine.link("n1"), "lan": engine.lab.lan, "reload": ":"}
    found["aardvark"] = str(engine.aardvark)
    found |= {name: f"nsenter --net={engine.netns(name)}" for name in ("web", "c2")}
    shown = within(engine.netns("web"), "ip -o link show eth0", check=False)
    number = shown.partition("@if")[2].partition(":")[0]
    port = [line for line in sh("ip -o link").splitlines() if line.startswith(f"{number}: ")]
    return found | {"port": port[0].split()[1].partition("@")[0] if number and port else ""}


def run(engine: Podman, line: str) -> None:
    """Run a shell line, or one of podman's, with words in braces."""
    if line.startswith("podman "):
        engine.cli(line)
        engine.listens("web", 80)
    elif line != "true":
        sh(line)


def injected(engine: Podman, line: str) -> None:
    """Run a line of a fault."""
    run(engine, line if line.startswith("podman ") else line.format(**words(engine)))
    if "{reload}" in line:
        run(engine, RELOAD)


def traced(engine: Podman, fault: PodmanFault) -> Report:
    """Trace a fault's question."""
    with entered(engine.lab.netns), Reader(engine.lab.root, settings={}) as reader:
        return Tracer(reader).trace(fault.source.format(lan=engine.lab.lan), fault.target, Wishes())


def printed(report: Report) -> str:
    """What the command prints."""
    return "\n".join(row.text for row in trace.rows(report))


def runnable(report: Report) -> list[str]:
    """Remedies that are commands."""
    return [
        each
        for each in (report.cause.remedies if report.cause else ())
        if (each.startswith("podman ") and "…" not in each and "," not in each)
        or (
            shutil.which(each.split()[0])
            and each.startswith(("ip", "nft", "sysctl", "nsenter", "bridge"))
        )
    ]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_explained_and_mended(engine: Podman, name: str) -> None:
    """The cause is the right one, in Podman's words; each command that is printed mends it."""
    fault = FAULTS[name]
    number, remedies = 0, [""]
    while number < len(remedies):
        try:
            injected(engine, fault.inject)
            report = traced(engine, fault)
            found = report.cause
            assert found is not None, printed(report)
            assert (found.id, fault.says in found.says) == (fault.cause, True), printed(report)
            assert not {"plumb", "docker"} & set(" ".join(found.remedies).split())
            remedies = runnable(report)[: fault.remedies]
            assert bool(remedies) == bool(fault.remedies), printed(report)
            if remedies:
                run(engine, remedies[number])
                until(
                    lambda: traced(engine, fault).good, lambda: printed(traced(engine, fault)), 30
                )
        finally:
            injected(engine, fault.undo)
            if remedies and remedies[0]:
                injected(engine, fault.mended)
                _taken_back(remedies[min(number, len(remedies) - 1)])
        number += 1


def _taken_back(remedy: str) -> None:
    """Delete the rules that a remedy has added."""
    for command in remedy.split(" && "):
        for flag in (" -I ", " -A "):
            if flag in command:
                sh(command.replace(flag, " -D ", 1), check=False)
