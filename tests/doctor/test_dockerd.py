"""A real Docker Engine: a clean one has no fault, and faults are mended in Docker's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plumb.doctor import read
from plumb.model.diagnosis.finding import Finding
from plumb.model.diagnosis.remedy import Remedy
from tests import waiting as wait
from tests.doctor import faults
from tests.foreign.dockerd import MISSING, Dockerd, dockerd
from tests.labs import sh
from tests.programs import running

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
SERVED = ("httpd", "-f", "-h", "/www", "-p")


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    """An Engine with containers on networks of each kind, one with a published port."""
    with dockerd(live_restore=True) as made:
        made.network("n1", "172.20.0.0/24")
        made.network("n2", "172.21.0.0/24", Internal=True)
        made.run("web", "n1", *SERVED, "80", publish={"80/tcp": "8080"})
        made.run("c2", "n1")
        made.run("shut", "n2")
        made.run("plain", "bridge")
        yield made


@pytest.fixture(autouse=True)
def asked(docker: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have DOCKER_HOST name that Engine."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{docker.socket}")


def until(docker: Dockerd, *ids: str) -> list[Finding]:
    """Diagnose the Engine's host until these are the findings, or until the deadline."""
    return faults.until(docker.lab, lambda found: {each.id for each in found} == set(ids))


def test_a_clean_docker_host_has_no_fault(docker: Dockerd) -> None:
    """All of its containers are read, and nothing is found."""
    assert until(docker) == []
    with docker.lab.host() as host:
        assert {box.engine for box in read.read(host).containers} == {"docker"}


def test_a_flushed_docker_host_is_told_to_restart_docker(docker: Dockerd) -> None:
    """The rules of Docker are gone, and Docker writes them again."""
    sh("iptables -t nat -F POSTROUTING")
    mine = until(docker, "no-masquerade")
    assert {each.id for each in mine} == {"no-masquerade"}
    assert str(mine[0].remedies[0]).startswith("systemctl restart docker  # ")
    docker.cli("systemctl restart docker")
    assert until(docker) == []


def test_a_published_port_without_its_rule_is_found(docker: Dockerd) -> None:
    """docker-proxy serves it on, under the bridge's address."""
    sh("iptables -t nat -F DOCKER")
    (mine,) = until(docker, "port-not-rewritten")
    assert mine.subject.startswith("port 8080/tcp leads to web by a proxy alone")
    docker.cli(str(mine.remedies[0]))
    assert until(docker) == []


def test_a_rule_of_a_container_that_is_gone_is_found(docker: Dockerd) -> None:
    """It stands before web's own, as those that a killed dockerd has left."""
    dnat = "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.20.0.99:80"
    sh(f"iptables -t nat -I DOCKER ! -i {docker.link('n1')} {dnat}")
    (mine,) = until(docker, "port-rule-stale")
    assert mine.grade == "proven"
    assert mine.subject == "port 8080/tcp of web leads to 172.20.0.99, which no container has"
    sh(str(mine.remedies[0]))
    assert until(docker) == []


def test_a_port_that_kept_a_container_from_starting_is_found(docker: Dockerd) -> None:
    """Docker's error names the port, and another container publishes it; then a program has it."""
    docker.run("late", "n1", publish={"80/tcp": "8080"}, start=False)
    docker.run("later", "n1", publish={"80/tcp": "8085"}, start=False)
    with running(["busybox", "nc", "-l", "-p", "8085"]):
        wait.until(lambda: sh("ss -Hltn sport = :8085"))
        for name in ("late", "later"):
            with pytest.raises(AssertionError, match=r"already"):
                docker.start(name)
        mine = {each.about[0]: each for each in until(docker, "port-in-use")}
    assert {each.grade for each in mine.values()} == {"proven"}
    assert mine["late"].subject.endswith("port 8080/tcp, which it publishes, is web's")
    assert "which it publishes, is busybox, pid" in mine["later"].subject
    docker.start("later")
    docker.ask("DELETE", "/containers/late?force=1")
    docker.ask("DELETE", "/containers/later?force=1")
    assert until(docker) == []


def test_rules_inside_a_container_are_found(docker: Dockerd) -> None:
    """They are in no listing of the host's; the remedy is a command in the namespace."""
    inside = f"nsenter --net={docker.netns('web')} iptables"
    sh(f"{inside} -P INPUT DROP")
    (mine,) = until(docker, "port-dropped-inside")
    assert mine.subject.startswith("web itself drops what comes to its port 80/tcp")
    assert str(mine.remedies[0]).startswith("nsenter -t $(docker inspect")
    assert isinstance(mine.remedies[0], Remedy)
    sh(f"nsenter --net={docker.netns('web')} {mine.remedies[0].steps[0]}")
    assert [each.id for each in until(docker, "firewall-inside")] == ["firewall-inside"]
    sh(f"{inside} -P INPUT ACCEPT; {inside} -F INPUT")
    assert until(docker) == []


def test_a_port_without_hairpin_mode_is_found_where_docker_has_no_proxy() -> None:
    """A container does not reach itself by its published port then."""
    with dockerd(userland_proxy=False) as docker, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{docker.socket}")
        docker.network("n1", "172.20.0.0/24")
        docker.run("web", "n1", *SERVED, "80", publish={"80/tcp": "8080"})
        assert until(docker) == []
        (port,) = (line.split()[1] for line in sh("bridge link").splitlines())
        sh(f"bridge link set dev {port.partition('@')[0].rstrip(':')} hairpin off")

        (found,) = until(docker, "hairpin-off")

        sh(str(found.remedies[0]))
        assert until(docker) == []

        sh("iptables -t nat -F DOCKER")
        (held,) = until(docker, "port-held")
        assert held.subject == "port 8080/tcp of web leads to nobody: dockerd only holds it"
