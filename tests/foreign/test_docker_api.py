"""Docker's containers and networks, from answers of its Engine API that were recorded."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from typing import Any

import pytest

from plumb import cli
from plumb.engine.foreign import containers
from plumb.engine.reader import Reader
from plumb.engine.targets import TargetResolver
from plumb.errors import Conflict
from plumb.foreign import read_host
from plumb.foreign.values import Engine, ForeignContainer, ForeignHost
from plumb.kernel.netns.namespaces import entered
from plumb.model.observations import HOST, Netns
from plumb.model.ports import Port
from tests.foreign import api
from tests.labs import Lab


@pytest.fixture
def endpoint(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of the socket that DOCKER_HOST names, on a host of its own; engines have time."""
    monkeypatch.setattr(read_host, "SECONDS", 30.0)
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    return path


@pytest.fixture(params=["docker-20.10", "docker-main"])
def docker(endpoint: Path, request: pytest.FixtureRequest) -> Iterator[ForeignHost]:
    """What an Engine told of its containers: Debian's, and one in the forms of today's main."""
    with api.served(endpoint, api.recorded(request.param)):
        yield read_host.read()


def named(host: ForeignHost, name: str) -> ForeignContainer:
    """The container of that name."""
    return next(each for each in host.containers if each.member.box.name == name)


def test_a_container_has_name_process_namespace_and_address(docker: ForeignHost) -> None:
    """The namespace is that of its first process."""
    web = named(docker, "web")

    ((end, net),) = web.member.ends
    assert web.member.place == Netns("web", f"/proc/{web.pid}/ns/net")
    assert (end.ip, net.name) == (ip_interface("172.20.0.2/24"), "n1")
    assert web.source.engine is Engine.DOCKER
    assert web.source.age == 0


def test_aliases_and_name_servers_are_known(docker: ForeignHost) -> None:
    """As they were given to `docker run`."""
    box = named(docker, "web").member.box

    assert "www" in (box.attachments[0].aliases or ())
    assert box.dns == (ip_address("192.0.2.99"),)


def test_published_ports_belong_to_an_endpoint(docker: ForeignHost) -> None:
    """Each as it is, at an address of the host."""
    ((end, _),) = named(docker, "dflt").member.ends

    assert end.ports == (Port(80, "tcp", ip_address("127.0.0.1"), 8081),)


def test_a_namespace_that_containers_share_is_one(docker: ForeignHost) -> None:
    """`--network container:web` and `--network host` make no namespace."""
    assert named(docker, "side").member.place == named(docker, "web").member.place
    assert named(docker, "hosty").member.place == Netns(HOST, "")


def test_what_does_not_run_is_known_by_its_name(docker: ForeignHost) -> None:
    """It has no namespace."""
    assert [box.name for box, _ in docker.stopped] == ["idle"]


def test_networks_have_their_subnets_bridge_and_options(docker: ForeignHost) -> None:
    """Docker 20.10 tells the default network's gateway with its containers only."""
    nets = {each.network.name: each.network for each in docker.networks}

    assert nets["bridge"].link == "docker0"
    assert nets["bridge"].pools[0].gateway == ip_address("172.17.0.1")
    assert nets["n1"].link == f"br-{nets['n1'].id[:12]}"
    assert nets["n2"].internal
    assert [pool.subnet for pool in nets["n2"].pools] == [
        ip_network("172.21.0.0/24"),
        ip_network("fd21::/64"),
    ]


@pytest.fixture
def two_engines(endpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TargetResolver]:
    """Docker and Podman, each with a web."""
    path = endpoint.parent / "podman.sock"
    monkeypatch.setattr(read_host, "PODMAN_SOCKET", str(path))
    podman = api.recorded("podman-4.3", {"web": 1})
    with (
        api.served(endpoint, api.recorded("docker-20.10")),
        api.served(path, podman),
        Reader(endpoint.parent / "root", settings={}) as reader,
    ):
        yield TargetResolver(reader)


def test_a_name_that_two_engines_share_is_qualified(two_engines: TargetResolver) -> None:
    """A bare name says which there are."""
    assert two_engines.place("docker:web").name == "docker:web"
    assert two_engines.place("podman:web").name == "podman:web"
    with pytest.raises(Conflict) as refused:
        two_engines.place("web")
    assert refused.value.hint == "name one of them: docker:web, podman:web"


def test_podman_s_bridges_have_its_names_for_them(two_engines: TargetResolver) -> None:
    """And its default network that by which its own commands have it."""
    nets = {
        each.network.name: each.network.link
        for each in two_engines.foreign.networks
        if each.source.engine is Engine.PODMAN
    }

    assert (nets["podman"], nets["n1"]) == ("podman0", "podman1")


def test_a_network_of_a_driver_that_plumb_does_not_have_has_no_link(endpoint: Path) -> None:
    """A plugin's, say; its options are not plumb's to read."""
    answers = api.recorded("docker-main")
    answers["/networks"][0] |= {"Driver": "weave", "Options": {"works.weave.multicast": "1"}}

    with api.served(endpoint, answers):
        nets = {each.driver: each.network for each in read_host.read().networks}

    assert nets["weave"].link == ""


def test_a_daemon_that_does_not_answer_costs_a_second(endpoint: Path) -> None:
    """It is among what could not be read."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(endpoint))
        silent.listen()
        begun = time.monotonic()
        found = read_host.read(seconds=0.2)

    assert time.monotonic() - begun < 5
    assert found.missing == (f"cannot ask {endpoint} for /version: no answer in time",)


def test_a_docker_that_does_not_answer_leaves_time_for_podman(
    endpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half of it."""
    path = endpoint.parent / "podman.sock"
    monkeypatch.setattr(read_host, "PODMAN_SOCKET", str(path))
    with socket.socket(socket.AF_UNIX) as silent, api.served(path, api.recorded("podman-4.3")):
        silent.bind(str(endpoint))
        silent.listen()
        found = read_host.read(seconds=8)

    assert {each.source.engine for each in found.containers} == {Engine.PODMAN}


class Counted(dict[str, Any]):
    """Answers that count how often each was asked for."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        super().__init__(answers)
        self.asked: Counter[str] = Counter()

    def get(self, path: str, default: Any = None) -> Any:
        """Answer."""
        self.asked[path] += 1
        return super().get(path, default)


def test_an_engine_is_asked_once_for_many_names(endpoint: Path) -> None:
    """One that hangs is waited for once."""
    answers = Counted(api.recorded("docker-main"))
    with api.served(endpoint, answers), Reader(endpoint.parent / "root", settings={}) as reader:
        own, others = containers.chosen(reader, ["web", "far", "dflt"])

    assert not own
    assert [each.box.name for each in others] == ["web", "far", "dflt"]
    assert answers.asked["/version"] == 1


def test_an_engine_in_another_network_namespace_is_of_another_host(
    endpoint: Path, lan: Lab
) -> None:
    """A lab does not see the containers of the machine that it runs on."""
    with api.served(endpoint, api.recorded("docker-20.10")):
        assert not ThreadPoolExecutor().submit(_read_in, lan.lan).result()


def _read_in(namespace: str) -> ForeignHost:
    """Read the engines of a namespace; on the main thread the whole process would be in it."""
    with entered(namespace):
        return read_host.read()


def test_no_text_of_an_answer_reaches_the_terminal_as_a_command(endpoint: Path) -> None:
    """A name or label may hold anything."""
    answers = api.recorded("docker-20.10")
    answers["/networks"][0]["Name"] = "\x1b[31mred"

    with api.served(endpoint, answers):
        nets = [each.network.name for each in read_host.read().networks]

    assert "\ufffd[31mred" in nets


@pytest.mark.parametrize("answer", [[], [1, None], {"a": 1}, "x", [{"Id": 5, "IPAM": []}]])
def test_an_answer_of_another_shape_is_no_error(endpoint: Path, answer: object) -> None:
    """Whatever is missing is left out."""
    answers = api.recorded("docker-20.10") | {"/networks": answer}

    with api.served(endpoint, answers):
        assert named(read_host.read(), "web").pid


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("exec web true", "docker has a container of that name: 'docker exec web'"),
        ("logs web", "'docker logs web'"),
        ("inspect web", "'docker inspect web'"),
        ("stop idle", "'docker stop idle'"),
        ("rm docker:web", "'docker rm web'"),
        ("exec nosuch true", "'plumb ps -a' shows those that there are"),
    ],
)
def test_an_unknown_container_of_dockers_is_told_with_dockers_command(
    lab: Lab,
    endpoint: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    advice: str,
) -> None:
    """One line, and plumb touches nothing of it."""
    monkeypatch.setenv("PLUMB_ROOT", str(lab.root))
    with api.served(endpoint, api.recorded("docker-20.10")):
        assert cli.main(line.split()) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip().endswith(advice), said
