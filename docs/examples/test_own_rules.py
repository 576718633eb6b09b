"""A site's own firewall rules: they hold whatever plumb does.

On every driver and address family that they are meant for.
"""

import pytest


@pytest.fixture
def guarded(lab):
    """A published port that only one machine outside may use.

    A rule in PLUMB-USER says so (Docker's DOCKER-USER).
    """
    lab.container("web", networks=lab.network("net"), publish="8080:80")
    router = lab.lan().router.ip
    lab.host.run(f"iptables -I PLUMB-USER -i eth0 -p tcp --dport 80 ! -s {router} -j DROP")
    return lab


def test_the_rule_holds(guarded):
    assert guarded.lan().router.reaches(guarded.host, tcp=8080)
    assert not guarded.lan().client.reaches(guarded.host, tcp=8080)


def test_the_rule_outlives_a_restart(guarded):
    guarded.plumb.restart("web")
    assert not guarded.lan().client.reaches(guarded.host, tcp=8080)


@pytest.mark.plumb_drivers("bridge", "macvlan", "ipvlan")
@pytest.mark.plumb_families(4, 6)
def test_neighbours_on_every_kind_of_network(lab):
    net = lab.network("net")
    a, b = lab.container("a", networks=net), lab.container("b", networks=net)
    assert a.reaches(b, tcp=80)


@pytest.mark.plumb_firewalls("iptables", "nftables")
def test_a_cable_that_is_pulled(lab):
    net = lab.network("net")
    a, b = lab.container("a", networks=net), lab.container("b", networks=net)
    b.run("ip link set eth0 down")
    with pytest.raises(AssertionError, match="b has no link that works"):
        bool(a.reaches(b, tcp=80))
    b.run("ip link set eth0 up")
    a.wait_reachable(b, tcp=80)
