"""Three tiers, in a lab that all tests of the file share: who sees whom, and under which name."""

import socket
import sys

import pytest


@pytest.fixture(scope="module")
def shop(lab_factory):
    with lab_factory() as lab:
        with lab.operation():
            lab.network("front")
            lab.network("back", internal=True)
            lab.network("data", internal=True)
            lab.container("db", networks="data")
            lab.container("api", networks=["data", "back"])
            lab.container("web", networks=["back", "front"], publish="8080:80")
        lab["web"].popen([sys.executable, "-m", "http.server", "80"], ready=80)
        lab.lan()
        yield lab


@pytest.mark.parametrize(
    ("source", "target"), [("web", "api"), ("api", "db"), ("api", "web"), ("db", "api")]
)
def test_neighbours_reach_each_other(shop, source, target):
    assert shop[source].reaches(shop[target], tcp=4000)


@pytest.mark.parametrize(("source", "target"), [("web", "db"), ("db", "web")])
def test_the_others_do_not(shop, source, target):
    assert not shop[source].reaches(shop[target], tcp=4000)


def test_only_the_frontend_gets_out(shop):
    internet = shop.lan().internet
    assert shop["web"].reaches(internet, tcp=443)
    assert not shop["api"].reaches(internet, tcp=443)


def test_names(shop):
    assert shop["api"].call(socket.gethostbyname, "db") == str(shop["db"].ip)
    with pytest.raises(socket.gaierror):
        shop["web"].call(socket.gethostbyname, "db")


def test_the_page_is_served_to_the_world(shop):
    client = shop.lan().client
    assert "Directory listing" in client.run([sys.executable, "-c", FETCH, f"http://{shop.host.ip}:8080/"]).stdout


FETCH = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())
"""
