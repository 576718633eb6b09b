"""Proxies in front of containers and services: the files of docs/balancers.md, run as they are
written there, with Debian's haproxy and nginx in containers."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY, labs
from tests.labs import Lab, sh
from tests.waiting import until

PAGE = REPOSITORY / "docs/balancers.md"
SERVER = """
import http.server, os, socket, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sick = self.path == '/health' and os.path.exists(sys.argv[1] + '.sick')
        self.send_response(503 if sick else 200)
        self.end_headers()
        self.wfile.write((socket.gethostname() + '\\n').encode())
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer.address_family = socket.AF_INET
http.server.ThreadingHTTPServer(('0.0.0.0', 8080), Answer).serve_forever()
"""
"""A program that answers with its host name; it is ill while the file NAME.sick is there."""


def written(kind: str) -> str:
    """The file of that kind that the page shows."""
    found = re.search(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/balancers.md shows no {kind}"
    return found[1]


def needs(program: str) -> pytest.MarkDecorator:
    """Skip where a program is not installed; `make` installs all of them."""
    missing = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None
    return pytest.mark.skipif(missing, reason=f"{program} is not installed")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Lab]:
    """A network with the containers api1, api2 and api3, which answer on port 8080.

    The name tasks.api stands for all three, as it does for the tasks of a service.
    """
    (tmp_path / "api.py").write_text(SERVER)
    with labs.lab() as made:
        made.plumb("network", "create", "shop")
        for name in ("api1", "api2", "api3"):
            words = ("--hostname", name, "--network", "name=shop,alias=tasks.api")
            server = ("python3", f"{tmp_path}/api.py", f"{tmp_path}/{name}")
            made.plumb("run", "-d", "--name", name, *words, *server)
        yield made
        made.plumb("reset", "--force")


def asked(times: int, url: str = "http://127.0.0.1/", more: str = "") -> Counter[str]:
    """Answers of status 200 to requests from the host, by the name that they give."""
    curl = f"curl -sk -m 5 {more} -w '%{{http_code}}\\n' {url} | tr '\\n' ' '"
    said = sh(f"for n in $(seq {times}); do {curl}; echo; done")
    return Counter(line.split()[0] for line in said.splitlines() if line.endswith("200 "))


@needs("haproxy")
def test_haproxy_goes_round_three_containers(shop: Lab, tmp_path: Path) -> None:
    """The configuration of the course, word for word; one that ends is left out."""
    (tmp_path / "haproxy.cfg").write_text(written("haproxy"))
    run = ("run", "-d", "--name", "lb", "--network", "shop", "-p", "80:80")
    shop.plumb(*run, "haproxy", "-f", f"{tmp_path}/haproxy.cfg")
    until(lambda: len(asked(3)) == 3, "all three answer")
    assert asked(30) == {"api1": 10, "api2": 10, "api3": 10}

    shop.plumb("stop", "-t", "0", "api2")
    until(lambda: asked(10) == {"api1": 5, "api3": 5}, "api2 is left out")
    assert "Server api_back/api2 is DOWN" in shop.plumb("logs", "lb").stdout


EDGE = "https://127.0.0.1/"


@pytest.fixture
def certificate(tmp_path: Path) -> None:
    """A certificate and its key, in one file for HAProxy and in two for nginx."""
    sh(
        f"cd {tmp_path} && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=edge "
        "-keyout edge.key -out edge.crt 2>/dev/null && cat edge.crt edge.key >edge.pem"
    )


@pytest.fixture
def haproxy(shop: Lab, tmp_path: Path, certificate: None) -> Lab:
    """HAProxy as the edge, which has found all three."""
    (tmp_path / "service.cfg").write_text(written("haproxy-service"))
    edge = ("run", "-d", "--name", "edge", "--network", "shop", "-p", "80:80", "-p", "443:443")
    shop.plumb(*edge, "sh", "-c", f"cd {tmp_path} && exec haproxy -f service.cfg")
    until(lambda: len(asked(9, EDGE)) == 3, "all three answer")
    return shop


@needs("haproxy")
def test_haproxy_has_tls_at_the_edge(haproxy: Lab) -> None:
    """A request in the clear is sent to where it is encrypted."""
    said = sh("curl -s -o /dev/null -w '%{http_code} %{redirect_url}' http://127.0.0.1/")
    assert said == f"302 {EDGE}"
    assert asked(1, "http://127.0.0.1/", "-L").total() == 1


@needs("haproxy")
def test_haproxy_keeps_a_client_on_its_task(haproxy: Lab, tmp_path: Path) -> None:
    """By its cookie; another client gets another task."""
    jar = f"-c {tmp_path}/jar -b {tmp_path}/jar"
    assert len(asked(12, EDGE, jar)) == 1
    assert len(asked(12, EDGE)) == 3


@needs("haproxy")
def test_haproxy_sends_nothing_to_a_task_that_is_ill(haproxy: Lab, tmp_path: Path) -> None:
    """Its process runs, and answers its check with 503."""
    (tmp_path / "api2.sick").touch()
    until(lambda: set(asked(9, EDGE)) == {"api1", "api3"}, "api2 is left out")
    assert asked(30, EDGE).total() == 30
    (tmp_path / "api2.sick").unlink()
    until(lambda: len(asked(9, EDGE)) == 3, "api2 is back")


@needs("haproxy")
def test_haproxy_follows_the_names(haproxy: Lab) -> None:
    """One that ends is gone, and none of the requests since fails."""
    haproxy.plumb("rm", "-f", "api1")
    assert asked(30, EDGE).total() == 30
    until(lambda: set(asked(9, EDGE)) == {"api2", "api3"}, "api1 is gone")


@needs("nginx")
def test_nginx_follows_the_names(shop: Lab, tmp_path: Path, certificate: None) -> None:
    """With TLS at the edge; a task that has ended costs no request."""
    (tmp_path / "nginx.conf").write_text(written("nginx"))
    edge = ("run", "-d", "--name", "edge", "--network", "shop", "-p", "80:80", "-p", "443:443")
    shop.plumb(*edge, "nginx", "-p", str(tmp_path), "-c", "nginx.conf")
    until(lambda: len(asked(12, EDGE)) == 3, "all three answer")
    shop.plumb("rm", "-f", "api1")
    assert asked(30, EDGE).total() == 30
    until(lambda: set(asked(9, EDGE)) == {"api2", "api3"}, "api1 is gone")
