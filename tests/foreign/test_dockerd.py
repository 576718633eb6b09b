"""Commands on the host of a real Docker Engine: its containers are taken by name."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from plumb.foreign import read_host
from tests import labs
from tests.foreign.dockerd import MISSING, Dockerd, dockerd
from tests.labs import within

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    """An Engine with two networks.

    n1: web, which listens at port 80, published as 8080, and c2; n2: far; bridge: dflt. side shares
    web's namespace, hosty the host's; idle does not run; silent's published port leads to nobody.
    """
    with dockerd(live_restore=True) as made:
        made.network("n1", "172.20.0.0/24")
        made.network("n2", "172.21.0.0/24")
        made.run("web", "n1", "httpd", "-f", "-p", "80", "-h", "/www", publish={"80/tcp": "8080"})
        made.run("c2", "n1", Dns=["192.0.2.99"])
        made.run("far", "n2")
        made.run("dflt", "bridge", publish={"80/tcp": "127.0.0.1:8081"})
        made.run("side", "container:web")
        made.run("hosty", "host")
        made.run("idle", "n1", start=False)
        made.run("silent", "n1", publish={"80/tcp": "8090"})
        made.listens("web", 80)
        yield made


def plumb(docker: Dockerd, *argv: str, status: int | None = 0) -> str:
    """What a command prints on that host."""
    ran = docker.lab.plumb(*argv, status=status, env=docker.environment)
    return ran.stdout + ran.stderr


def test_containers_are_named(docker: Dockerd) -> None:
    """In the question, and wherever a packet comes by."""
    story = plumb(docker, "trace", "c2", "web:80")

    assert "c2 → web:80   172.20.0.2:80/tcp" in story
    assert "bridge of n1" not in story  # the packet stays between two ports of it
    assert "host  veth" in story
    assert "web's port on n1" in story
    assert "web   eth0 in" in story


def test_a_namespace_that_two_share_has_its_owner_s_name(docker: Dockerd) -> None:
    """`docker run --network container:web`."""
    assert "web → web:80" in plumb(docker, "trace", "side", "web:80")
    assert "host → web:80" in plumb(docker, "trace", "hosty", "web:80")


def test_a_process_s_namespace_is_its_container(docker: Dockerd) -> None:
    """pid:N is called what its container is."""
    assert "c2 → web:80" in plumb(
        docker, "trace", f"pid:{docker.pids['c2']}", f"pid:{docker.pids['web']}:80"
    )


def test_a_container_that_does_not_run_is_known(docker: Dockerd) -> None:
    """It has no namespace to send from."""
    assert "container idle is not running; 'docker start idle'" in plumb(
        docker, "trace", "idle", "web", status=1
    )


def test_a_published_port_that_leads_to_nobody_is_no_success(docker: Dockerd) -> None:
    """docker-proxy accepts the connection; plumb asks on in its stead."""
    story = plumb(docker, "trace", "host", "127.0.0.1:8090", status=1)

    assert "refused by silent" in story
    assert "nobody listens at port 80/tcp in silent" in story


def test_a_published_port_is_followed_from_the_lan(docker: Dockerd) -> None:
    """Into the container that it leads to, which refuses."""
    story = plumb(docker, "trace", docker.lab.lan, "host:8090", status=1)

    assert "refused by silent" in story
    assert "nobody listens at port 80/tcp in silent" in story


def test_an_answer_that_is_lost_in_the_container_is_explained(docker: Dockerd) -> None:
    """A container without a default route answers nobody outside."""
    namespace = docker.netns("web")
    within(namespace, "ip route del default")
    try:
        story = plumb(docker, "trace", docker.lab.lan, "host:8080", status=1)
    finally:
        within(namespace, "ip route add default via 172.20.0.1")

    assert f"web has no route to {labs.ROUTER}" in story
    assert "ip route add default via 172.20.0.1 dev eth0" in story


def test_the_default_port_on_loopback_is_docker_s(docker: Dockerd) -> None:
    """From the LAN nobody gets to -p 127.0.0.1:8081:80."""
    story = plumb(docker, "trace", docker.lab.lan, "host:8081", status=1)

    assert "port 8081 is published on 127.0.0.1 only: it leads to dflt" in story


def test_probes_take_names(docker: Dockerd) -> None:
    """And pid:N."""
    assert "web   172.20.0.2:80/tcp   answered" in plumb(docker, "probe", "c2", "web:80")
    assert "172.20.0.2:80/tcp   answered" in plumb(
        docker, "probe", "c2", f"pid:{docker.pids['web']}:80"
    )


def test_a_container_s_own_name_servers_are_asked(docker: Dockerd) -> None:
    """Docker's resolver knows web, and nobody else does; 192.0.2.99 is no name server."""
    assert "172.20.0.2" in plumb(docker, "probe", "c2", "web/dns", status=None)
    assert "by 127.0.0.11" in plumb(docker, "probe", "c2", "external.test/dns", status=1)


def test_an_error_of_a_name_that_nobody_has(docker: Dockerd) -> None:
    """It is asked of the container's own resolver, too."""
    assert "c2 does not know nosuch" in plumb(docker, "trace", "c2", "nosuch:80", status=1)


def test_a_story_as_a_document_has_the_names(docker: Dockerd) -> None:
    """For programs."""
    document = json.loads(plumb(docker, "trace", "--json", "c2", "web:80"))

    assert "web" in json.dumps(document)


@pytest.fixture(params=[signal.SIGSTOP, signal.SIGKILL], ids=["hung", "dead"])
def silent_daemon(
    request: pytest.FixtureRequest, docker: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dockerd]:
    """The Engine, whose dockerd does not answer; its containers go on."""
    monkeypatch.setattr(read_host, "SECONDS", 0.5)
    docker.process.send_signal(request.param)
    try:
        yield docker
    finally:
        docker.resume()


def test_without_its_daemon_docker_s_files_are_read(silent_daemon: Dockerd) -> None:
    """A dockerd that is hung or dead costs a second at most, and its containers go on."""
    assert "web's port on n1" in plumb(silent_daemon, "trace", "c2", "web:80")
    assert "refused by silent" in plumb(
        silent_daemon, "trace", silent_daemon.lab.lan, "host:8090", status=1
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in silent_daemon.environment.items():
            patch.setenv(name, value)
        found = read_host.read()
    web = next(each for each in found.containers if each.name == "web")
    ((end, net),) = web.member.ends
    assert web.source.origin.startswith(str(silent_daemon.folder))
    assert web.source.age > 0
    assert (str(end.ip), net.name) == ("172.20.0.2/24", "n1")
    assert {port.host_port for port in end.ports} == {8080}
    assert found.missing


def test_stats_count_at_docker_s_interfaces(docker: Dockerd) -> None:
    """Of all, or of those that are named."""
    plumb(docker, "trace", "c2", "web:80")
    rows = [json.loads(line) for line in plumb(docker, "stats", "--json", "web").splitlines()]

    assert [(row["Container"], row["Network"], row["Interface"]) for row in rows] == [
        ("web", "n1", "eth0")
    ]
    assert "far" in plumb(docker, "stats")


def test_published_ports_are_listed(docker: Dockerd) -> None:
    """Of one container, of a network, of the host."""
    assert "80/tcp -> 0.0.0.0:8080" in plumb(docker, "port", "web")
    assert "80/tcp -> 127.0.0.1:8081" in plumb(docker, "port", "docker:dflt")
    listed = plumb(docker, "network", "ports", "n1")
    assert "0.0.0.0:8080" in listed
    assert "8081" not in listed
    assert "this host alone" in plumb(docker, "port")


def test_what_plumb_does_not_know_is_no_success(docker: Dockerd) -> None:
    """A check or a matrix that looked at nothing says so."""
    assert "7 containers of docker" in plumb(docker, "check")
    tried = plumb(docker, "matrix")
    assert "nothing was tried: plumb has no running container here" in tried
    assert "not tried: 7 containers of docker" in tried


def test_commands_leave_the_host_as_it_was(docker: Dockerd) -> None:
    """Rules, links, routes and sysctls."""
    before = labs.state()

    for line in ("trace c2 web:80", "trace far web:80", "probe c2 web:80", "check", "stats", "ps"):
        plumb(docker, *line.split(), status=None)

    assert labs.state() == before


def test_draw_shows_docker_s_containers_where_they_are(docker: Dockerd) -> None:
    """Beside their ports, with the ports that they publish; those that share a namespace once."""
    picture = json.loads(plumb(docker, "draw", "--json"))
    boxes = {box["name"]: box for box in picture["boxes"]}
    assert {"host", "web", "c2", "far", "dflt", "silent"} <= set(boxes)
    assert set(boxes["web"]["containers"]) == {"web", "side"}
    assert "idle" not in boxes
    assert {boxes[name]["engine"] for name in ("web", "c2", "far")} == {"docker"}
    wires = [(wire["kind"], wire["one"], wire["other"]) for wire in picture["wires"]]
    published = {one["interface"] for kind, one, other in wires if kind == "published"}
    assert {"0.0.0.0:8080/tcp", "127.0.0.1:8081/tcp"} <= published
    assert sum(kind == "veth" for kind, *_ in wires) >= 5
    nat = {one["interface"] for kind, one, _ in wires if kind == "nat"}
    assert "docker0" in nat
    assert "web's port on n1" in plumb(docker, "draw")
