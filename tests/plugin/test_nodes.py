"""Places of a lab: their addresses, and what runs there."""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_network
from typing import NoReturn

import pytest

from plumb import Attachment, NotFound
from plumb.pytest_plugin.commands import CommandFailed
from plumb.pytest_plugin.labs import Lab
from plumb.pytest_plugin.remote_calls import CallFailed
from plumb.pytest_plugin.waiting import Waited

SERVER = [sys.executable, "-m", "http.server", "80"]


def test_a_container_has_an_address_on_each_network(lab: Lab) -> None:
    """`on` finds an interface by the network; `ip` is that by which the container gets out."""
    lab.network("front", subnet="10.9.0.0/24")
    web = lab.container("web", networks=["front", lab.network("back", internal=True)])

    assert web.ip == web.on("front").ip
    assert web.ip in ip_network("10.9.0.0/24")
    assert web.on("back").dev == "eth1"
    assert web.on("front").mac in web.run("ip link show eth0").stdout
    with pytest.raises(NotFound, match="web is not on side"):
        web.on("side")


def test_addresses_are_the_same_in_every_lab() -> None:
    """What plumb allots, it allots in order: a second lab has the first one's addresses."""

    def addresses() -> list[object]:
        made = Lab()
        try:
            networks = [
                made.network("a"),
                made.network("b", ipv6=True, subnet=["10.9.0.0/24", "2001:db8:9::/64"]),
            ]
            box = made.container("box", networks=networks)
            return [
                made.lan().client.ip,
                made.host.ip,
                *((each.network, each.dev, each.ip, each.ip6) for each in box.interfaces),
            ]
        finally:
            made.close()

    assert addresses() == addresses()


def test_a_lab_of_ipv6_means_ipv6() -> None:
    """Where a test names no family, it is the lab's."""
    made = Lab(family=6)
    try:
        box = made.container("box", networks=made.network("net"))

        assert box.address() == box.ip6
    finally:
        made.close()


def test_the_host_has_its_lans_address(lab: Lab) -> None:
    """The host is found where the asker looks for it.

    On the LAN, or at the gateway of a network.
    """
    lab.network("net")
    assert lab.host.ip == lab.host.on("net").ip
    lab.lan()
    assert lab.host.ip == lab.host.on("lan").ip


def test_a_place_that_is_not_there(lab: Lab) -> None:
    """What is not there is plumb's own error, with its advice."""
    with pytest.raises(NotFound, match="No such container: web"):
        lab["web"]


def test_plumbs_errors_arrive_as_they_are(lab: Lab) -> None:
    """An error of plumb's is the same class, with the same hint, as if it had been raised here."""
    with pytest.raises(NotFound, match="network side not found") as caught:
        lab.container("web", networks="side")
    assert caught.value.hint


def test_an_operation_is_all_or_nothing(lab: Lab) -> None:
    """Networks and containers of a with block are made together when it ends.

    Of one that breaks off nothing is made.
    """
    with lab.operation():
        web = lab.container("web", networks=lab.network("net"))
    assert web.ip
    with pytest.raises(NotFound):
        half_an_operation(lab)
    assert "other" not in [net.name for net in lab.plumb.networks()]


def half_an_operation(lab: Lab) -> None:
    """A network, and then a container that cannot be had."""
    with lab.operation():
        lab.network("other")
        lab.container("db", networks="nosuch")


def test_plumbs_methods_are_the_labs(lab: Lab) -> None:
    """`lab.plumb` has what `plumb.Host` has, and its values."""
    web = lab.container("web", networks=lab.network("front"))
    lab.network("back")
    lab.plumb.connect("back", "web", Attachment("back", aliases=("shop",)))

    assert [each.network for each in web.interfaces] == ["back", "front"]
    assert lab.plumb.check() == []


def test_the_command_line_is_about_the_lab(lab: Lab) -> None:
    """`lab.cli` runs plumb's command line on the lab's host."""
    lab.network("net")

    assert "net" in lab.cli("network", "ls").stdout
    with pytest.raises(CommandFailed, match="nosuch"):
        lab.cli("network", "rm", "nosuch")


def test_a_command_runs_in_the_container(lab: Lab) -> None:
    """A command has the container's links, its name and its names of others, and root's rights."""
    web = lab.container("web", networks=lab.network("net"))
    db = lab.container("db", networks="net")

    assert str(web.ip) in web.run(["ip", "-4", "-o", "address", "show", "eth0"]).stdout
    assert str(db.ip) in web.run("getent hosts db").stdout
    assert web.run("ip link add br7 type bridge && cat", given="read").stdout == "read"
    assert web.run("echo $WORD", env={"WORD": "said"}).stdout == "said\n"


def test_a_command_that_fails(lab: Lab) -> None:
    """It is an error that says where, what and how; unless that is what one wants to know."""
    with pytest.raises(CommandFailed, match=r"in \(host\): echo no >&2; exit 3: exit status 3\nno"):
        lab.host.run("echo no >&2; exit 3")
    assert lab.host.run("exit 3", check=False).returncode == 3


def test_a_command_that_takes_too_long(lab: Lab) -> None:
    """It is killed, and the error has what it had printed."""
    with pytest.raises(Waited, match=r"did not end within 0\.2 s\nbegun"):
        lab.host.run("echo begun; sleep 60", seconds=0.2)


def test_a_function_runs_in_the_container(lab: Lab) -> None:
    """`call` runs a function there, with what it closes over, and brings back what it returns."""
    web = lab.container("web", networks=lab.network("net"))
    db = lab.container("db", networks="net")
    asked, here = "db", os.readlink("/proc/thread-self/ns/net")

    def look(number: int, word: str = "") -> tuple[str, str, str, int]:
        return socket.gethostbyname(asked), os.readlink("/proc/self/ns/net"), word, number

    found, there, word, number = web.call(look, 7, word="so")
    assert (found, word, number) == (str(db.ip), "so", 7)
    assert there != here == os.readlink("/proc/thread-self/ns/net")


def test_what_a_function_raises_arrives(lab: Lab) -> None:
    """An error comes back as it was, with its traceback from there as a note."""

    def fail() -> NoReturn:
        raise KeyError("there")

    with pytest.raises(KeyError, match="there") as caught:
        lab.host.call(fail)
    assert "in fail" in "".join(caught.value.__notes__)


def test_what_cannot_be_brought_back_is_told(lab: Lab) -> None:
    """A result that cannot be pickled, and an end without a result, are errors that say so."""
    with pytest.raises(CallFailed, match="cannot be brought back"):
        lab.host.call(lambda: lambda: None)
    with pytest.raises(CallFailed, match="has ended its process"):
        lab.host.call(os._exit, 3)


def test_a_function_that_takes_too_long(lab: Lab) -> None:
    """It is killed."""
    import time

    with pytest.raises(Waited, match=r"has not returned within 0\.2 s"):
        lab.host.call(time.sleep, 60, seconds=0.2)


def test_a_server_is_ready_when_it_listens(lab: Lab) -> None:
    """`popen` comes back when somebody listens on the port."""
    web = lab.container("web", networks=lab.network("net"))
    db = lab.container("db", networks="net")
    server = web.popen(SERVER, ready=80)

    assert (
        "Directory listing"
        in db.run(
            f"{sys.executable} -c 'import urllib.request as u; print(u.urlopen(\"http://web\").read())'"
        ).stdout
    )
    server.terminate()
    assert server.wait() == 128 + 15
    assert "GET / HTTP" in server.stderr


def test_a_server_that_never_gets_ready(lab: Lab) -> None:
    """The error has what it printed, and does not wait when it has ended."""
    with pytest.raises(Waited, match="ended with 7 and has not printed"):
        lab.host.popen("echo starting; exit 7", ready="ready")
    with pytest.raises(Waited, match=r"ended with 7 and does not listen on tcp 80\nstarting"):
        lab.host.popen("echo starting; exit 7", ready=80)


def test_a_socket_of_a_container(lab: Lab) -> None:
    """A socket made in a container's namespace is used from the test itself."""
    web = lab.container("web", networks=lab.network("net"))
    db = lab.container("db", networks="net")
    with db.socket() as server, web.socket() as client:
        server.bind((str(db.ip), 5432))
        server.listen()
        client.connect((str(db.ip), 5432))
        with server.accept()[0] as connection:
            assert connection.getpeername()[0] == str(web.ip)


def test_pytest_stays_where_it_is(lab: Lab) -> None:
    """Nothing that a test does with a lab brings pytest into another namespace."""
    before = {
        name: os.readlink(f"/proc/thread-self/ns/{name}")
        for name in os.listdir("/proc/thread-self/ns")
    }
    web = lab.container("web", networks=lab.network("net"))
    lab.lan()
    assert web.reaches(lab.host)
    web.call(os.getpid)
    web.run("true")

    assert {
        name: os.readlink(f"/proc/thread-self/ns/{name}")
        for name in os.listdir("/proc/thread-self/ns")
    } == before
