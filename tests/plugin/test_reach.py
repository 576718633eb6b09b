"""Who reaches whom: the outcome of a question, and what a failed assertion about it says."""

from __future__ import annotations

import sys

import pytest

from plumb import Invalid
from plumb.pytest_plugin.labs import Lab
from plumb.pytest_plugin.reach import Unfounded, asked_in


def test_neighbours_reach_each_other(lab: Lab) -> None:
    """By ping, TCP and UDP, also where nobody listens: a listener is brought along."""
    web, db = (
        lab.container(name, networks=net)
        for name, net in (("web", lab.network("net")), ("db", "net"))
    )

    assert web.reaches(db)
    assert web.reaches(db, tcp=5432)
    assert web.reaches(db, udp=53)
    assert web.reaches(db.on("net"), tcp=5432)


def test_other_networks_are_not_reached(lab: Lab) -> None:
    """No answer is an outcome as well, and says what was promised."""
    web = lab.container("web", networks=lab.network("front"))
    db = lab.container("db", networks=lab.network("back", internal=True))
    found = web.reaches(db, tcp=5432)

    assert not found
    assert "web must not reach db" in found.facts()
    assert repr(found).startswith(
        f"<web does not reach db ({db.ip}) by tcp 5432: no answer within 0.5 s"
    )


def test_a_promised_answer_that_does_not_come_is_asked_for_once_more(lab: Lab) -> None:
    """A busy host's answer may be late; that of a rule which drops it is late for ever."""
    web, db = (
        lab.container(name, networks=net)
        for name, net in (("web", lab.network("net")), ("db", "net"))
    )
    db.run(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "80", "-j", "DROP"])
    found = web.reaches(db, tcp=80)
    assert not found
    assert "no answer within 2 s" in repr(found)


def test_a_published_port_is_the_containers(lab: Lab) -> None:
    """Whoever asks the host for a published port is answered by the container, even if nothing runs
    there yet."""
    web = lab.container("web", networks=lab.network("front"), publish=["8080:80"])
    client = lab.lan().client

    assert client.reaches(lab.host, tcp=8080)
    assert not client.reaches(web, tcp=80)
    assert lab.host.reaches(web, tcp=80)


def test_who_listens_already_is_asked(lab: Lab) -> None:
    """A server that runs answers for itself."""
    web, db = (
        lab.container(name, networks=net)
        for name, net in (("web", lab.network("net")), ("db", "net"))
    )
    web.popen([sys.executable, "-m", "http.server", "80"], ready=80)

    assert "who listens there accepted" in repr(db.reaches(web, tcp=80))


def test_the_internet_is_reached_through_the_router(lab: Lab) -> None:
    """A container gets out by NAT: out there the host is seen."""
    web = lab.container("web", networks=lab.network("front"))
    internet = lab.lan().internet

    assert f"seen coming from {lab.host.ip}" in repr(web.reaches(internet, tcp=443))


def test_by_ipv6(lab: Lab) -> None:
    """The family can be named with the question."""
    web, db = (
        lab.container(name, networks=net)
        for name, net in (("web", lab.network("net", ipv6=True)), ("db", "net"))
    )

    assert web.reaches(db, tcp=80, family=6)
    with pytest.raises(Invalid):
        web.reaches(db, tcp=80, udp=80)


@pytest.mark.parametrize(
    ("whom", "reason"),
    [
        ("web", "web has no link that works for IPv4: eth0 is down"),
        ("db", "db has no link that works for IPv4: eth0 is down"),
    ],
)
def test_silence_of_somebody_who_is_down_proves_nothing(lab: Lab, whom: str, reason: str) -> None:
    """Neither `assert` nor `assert not` passes where the asker, or who is asked for, is not on the
    network at all."""
    web, db = (
        lab.container("web", networks=lab.network("front")),
        lab.container("db", networks=lab.network("back")),
    )
    lab[whom].run("ip link set eth0 down")
    found = web.reaches(db, tcp=5432)

    with pytest.raises(Unfounded, match=reason):
        assert not found


def test_silence_of_somebody_who_hears_nobody_proves_nothing(lab: Lab) -> None:
    """The asker must be answered by somebody whom it must reach."""
    web, db = (
        lab.container("web", networks=lab.network("front")),
        lab.container("db", networks=lab.network("back")),
    )
    web.run("iptables -A OUTPUT -j DROP")

    with pytest.raises(Unfounded, match="web reaches nobody, not even"):
        bool(web.reaches(db, tcp=5432))


def test_a_failure_is_about_what_its_message_shows(lab: Lab) -> None:
    """The story is told of the outcomes that an assertion's message has in it, and of no others."""
    web, db = (
        lab.container(name, networks=net)
        for name, net in (("web", lab.network("net")), ("db", "net"))
    )
    first, second = web.reaches(db), web.reaches(db, tcp=80)

    assert asked_in(f"assert not {first!r}", [first, second]) == [first]
    assert asked_in("assert 1 == 2", [first, second]) == []
    assert asked_in("", [first, second]) == [second]
