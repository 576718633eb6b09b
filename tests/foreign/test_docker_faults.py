"""Faults on the host of a real Docker Engine: each is injected, explained, mended as printed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from plumb.engine.reader import Reader
from plumb.trace.report import Report, Wishes
from plumb.trace.tracer import Tracer
from plumb.views import trace
from tests import labs
from tests.agent.cluster.state.waiting import until
from tests.foreign.docker_faults import FAULTS, DockerFault
from tests.foreign.dockerd import MISSING, Dockerd, dockerd
from tests.labs import sh, within

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)}: not installed")
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
        yield made


@pytest.fixture(autouse=True)
def endpoint(docker: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_HOST names that Engine."""
    for name, value in docker.environment.items():
        monkeypatch.setenv(name, value)


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


def traced(docker: Dockerd, fault: DockerFault) -> Report:
    """Trace a fault's question."""
    with Reader(docker.lab.root, settings={}) as reader:
        source = fault.source.format(lan=docker.lab.lan)
        return Tracer(reader).trace(source, fault.target, Wishes())


def printed(report: Report) -> str:
    """What the command prints."""
    return "\n".join(row.text for row in trace.rows(report))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_explained(docker: Dockerd, name: str) -> None:
    """The cause is the right one, in the words of a Docker host."""
    fault = FAULTS[name]
    try:
        lines(docker, fault.inject)
        report = traced(docker, fault)
    finally:
        lines(docker, fault.undo)

    found = report.cause or (report.after.cause if report.after else None)
    assert found is not None, printed(report)
    assert (found.id, fault.says in found.says) == (fault.cause, True), printed(report)
    assert "plumb " not in " ".join(found.remedies), printed(report)


def runnable(report: Report) -> list[str]:
    """Remedies that are commands."""
    found = report.cause or (report.after.cause if report.after else None)
    return [
        each
        for each in (found.remedies if found else ())
        if (each.startswith(("docker ", "systemctl ")) and "…" not in each and "," not in each)
        or (shutil.which(each.split()[0]) and each.startswith(("ip", "nft", "sysctl", "nsenter")))
    ]


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.remedies])
def test_a_remedy_mends_it(docker: Dockerd, name: str) -> None:
    """Each command that is printed makes the same question pass, on its own."""
    fault, number = FAULTS[name], 0
    while True:
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
    with Reader(docker.lab.root, settings={}) as reader:
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
