"""Faults on the host of a real Docker Engine: each is injected, explained, mended as printed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import pytest

from plumb.engine.reader import Reader
from plumb.kernel.netns.namespaces import entered
from plumb.trace.report import Report, Wishes
from plumb.trace.tracer import Tracer
from plumb.views import trace
from tests import labs
from tests.foreign.docker_faults import FAULTS, NO_PROXY, DockerFault
from tests.foreign.dockerd import MISSING, Dockerd, dockerd
from tests.labs import sh, within
from tests.waiting import until

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
TRUSTED = "--zone=trusted --add-interface={0}"
SERVED = ("httpd", "-f", "-h", "/www", "-p")


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    """An Engine with some containers; it may be restarted without them."""
    with dockerd(live_restore=True) as made:
        made.network("n1", "172.20.0.0/24")
        made.network("n2", "172.21.0.0/24")
        made.network("n4", "172.23.0.0/24", Internal=True)
        made.run("web", "n1", *SERVED, "80", publish={"80/tcp": "8080"})
        made.run("c2", "n1")
        made.run("far", "n2")
        made.run("shut", "n4")
        made.run("dflt", "bridge", publish={"80/tcp": "127.0.0.1:8081"})
        made.run("inner", "n1", *SERVED, "127.0.0.1:80", publish={"80/tcp": "8082"})
        made.run("silent", "n1", publish={"80/tcp": "8090"})
        made.listens("web", 80)
        made.listens("inner", 80)
        yield made


@pytest.fixture(scope="module")
def without_proxy() -> Iterator[Dockerd]:
    """An Engine without user-land proxies."""
    with dockerd(live_restore=True, userland_proxy=False) as made:
        made.network("n1", "172.20.0.0/24")
        made.network("n2", "172.21.0.0/24")
        made.run("web", "n1", *SERVED, "80", publish={"80/tcp": "8080"})
        made.run("c2", "n1")
        made.listens("web", 80)
        yield made


def lines(docker: Dockerd, text: str) -> None:
    """Run shell lines, and docker's, with words in braces."""
    if text != "true":
        run(docker, text if text.startswith("docker ") else text.format(**words(docker)))


def run(docker: Dockerd, line: str) -> None:
    """Run a shell line; the tests play docker and systemctl themselves."""
    if line.startswith(("docker ", "systemctl ")):
        docker.cli(line)
    else:
        sh(line)


def words(docker: Dockerd) -> dict[str, str]:
    """Words in braces."""
    found = {net: docker.link(net) for net in ("n1", "n2")}
    found |= {name: f"nsenter --net={docker.netns(name)}" for name in ("web", "c2")}
    shown = within(docker.netns("web"), "ip -o link show eth0", check=False)
    number = shown.partition("@if")[2].partition(":")[0]
    port = [line for line in sh("ip -o link").splitlines() if line.startswith(f"{number}: ")]
    found["port"] = port[0].split()[1].partition("@")[0] if number and port else ""
    return found | {"lan": docker.lab.lan}


@contextmanager
def asking(docker: Dockerd) -> Iterator[Reader]:
    """Reader on that Engine's host, with DOCKER_HOST naming the Engine."""
    with (
        pytest.MonkeyPatch.context() as patch,
        entered(docker.lab.netns),
        Reader(docker.lab.root, settings={}) as reader,
    ):
        for name, value in docker.environment.items():
            patch.setenv(name, value)
        yield reader


def traced(docker: Dockerd, fault: DockerFault) -> Report:
    """Trace a fault's question."""
    with asking(docker) as reader:
        source = fault.source.format(lan=docker.lab.lan)
        return Tracer(reader).trace(source, fault.target, Wishes())


def printed(report: Report) -> str:
    """What the command prints."""
    return "\n".join(row.text for row in trace.rows(report))


def explained(docker: Dockerd, fault: DockerFault) -> None:
    """Inject a fault; the cause must be the right one, in the words of a Docker host."""
    try:
        lines(docker, fault.inject)
        report = traced(docker, fault)
    finally:
        lines(docker, fault.undo)

    found = report.cause or (report.after.cause if report.after else None)
    assert found is not None, printed(report)
    assert (found.id, fault.says in found.says) == (fault.cause, True), printed(report)
    assert "plumb " not in " ".join(found.remedies), printed(report)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_explained(docker: Dockerd, name: str) -> None:
    """Fault by fault."""
    explained(docker, FAULTS[name])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ufw", "ufw allow in on {} to any port 2222 proto tcp"),
        ("no-ipv6", "docker network create --ipv6 …, and docker network connect NETWORK c2"),
        ("firewalld", f"firewall-cmd {TRUSTED}; firewall-cmd --permanent {TRUSTED}"),
        ("ingress", "nft -a list ruleset netdev"),
        ("legacy-policy", "iptables-legacy -w -t filter -P FORWARD ACCEPT"),
    ],
)
def test_a_remedy_is_in_the_words_of_who_made_it(docker: Dockerd, name: str, expected: str) -> None:
    """A restart of Docker would leave ufw's policy, and the other variant's, as they are."""
    fault = FAULTS[name]
    try:
        lines(docker, fault.inject)
        found = traced(docker, fault).cause
    finally:
        lines(docker, fault.undo)
    assert found is not None
    assert found.remedies[0] == expected.format(docker.link("n1"))
    assert not any("restart docker" in each for each in found.remedies)


def runnable(report: Report) -> list[str]:
    """Remedies that are commands."""
    found = report.cause or (report.after.cause if report.after else None)
    return [
        each
        for each in (found.remedies if found else ())
        if (each.startswith(("docker ", "systemctl ")) and "…" not in each and "," not in each)
        or (
            shutil.which(each.split()[0])
            and each.startswith(("ip", "nft", "sysctl", "nsenter", "bridge"))
        )
    ]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.remedies])
def test_a_remedy_mends_it(docker: Dockerd, name: str) -> None:
    """Each command that is printed makes the same question pass, on its own."""
    mended(docker, FAULTS[name])


@pytest.mark.parametrize("name", NO_PROXY)
def test_a_host_without_proxy_is_explained_and_mended(without_proxy: Dockerd, name: str) -> None:
    """There NAT does all, for the host itself and for a container that asks its own port."""
    with entered(without_proxy.lab.netns):
        explained(without_proxy, NO_PROXY[name])
        mended(without_proxy, NO_PROXY[name])


def mended(docker: Dockerd, fault: DockerFault) -> None:
    """Apply each remedy that is a command; the question must pass."""
    number = 0
    while True:
        remedies: list[str] = []
        try:
            lines(docker, fault.inject)
            remedies = runnable(traced(docker, fault))[: fault.remedies]
            assert remedies
            if number < len(remedies):
                run(docker, remedies[number])
                until(lambda: traced(docker, fault).good)
        finally:
            lines(docker, fault.undo)
            if number < len(remedies):
                lines(docker, fault.mended or "true")
                _taken_back(remedies[number])
        number += 1
        if number >= len(remedies):
            return


def _taken_back(remedy: str) -> None:
    """Delete the rules that a remedy has added."""
    for command in remedy.split(" && "):
        for flag in (" -I ", " -A "):
            if flag in command:
                sh(command.replace(flag, " -D ", 1), check=False)


def test_an_address_that_nobody_has_is_no_container_s(docker: Dockerd) -> None:
    """It is not put down to NAT."""
    with asking(docker) as reader:
        report = Tracer(reader).trace("c2", "172.20.0.77:80", Wishes(seconds=5))

    assert report.request.question.ip == ip_address("172.20.0.77")
    assert report.cause is not None
    assert report.cause.id == "target-gone"
    assert "docker ps" in report.cause.remedies[0]


def test_traces_leave_docker_s_rules_alone(docker: Dockerd) -> None:
    """Before and after, all that the system's tools show is the same."""
    before = labs.state()
    for fault in (FAULTS["other-network"], FAULTS["nobody"]):
        traced(docker, fault)

    assert labs.state() == before
