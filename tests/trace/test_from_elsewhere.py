"""What comes from beyond the namespaces that a trace watches: clients' packets, ICMP errors."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests import labs
from tests.labs import Lab, sh, within

CLIENT = "203.0.113.9"


@pytest.fixture
def strict() -> Iterator[Lab]:
    """A host with a strict rp_filter, whose route to the LAN's client leads elsewhere."""
    with labs.lab(lan=True) as lab:
        sh(
            f"ip link add up2 type dummy 2>/dev/null || ip link add up2 type bridge;"
            f" ip link set up2 up; ip route add {CLIENT} dev up2;"
            " sysctl -qw net.ipv4.conf.eth0.rp_filter=1"
        )
        [link] = json.loads(sh("ip -j link show eth0"))
        mac = link["address"]
        for line in (
            f"ip addr add {CLIENT}/32 dev lo",
            f"ip route change 192.0.2.0/24 dev port0 src {CLIENT}",
            f"ip neigh replace {labs.HOST_IP} lladdr {mac} dev port0 nud permanent",
        ):
            within(lab.lan, line)
        yield lab


def test_a_datagram_that_rp_filter_discards_has_not_arrived(strict: Lab) -> None:
    """No ICMP error tells of it, as of a port that is closed; the routing does."""
    said = strict.plumb("trace", "--wait", "0.3", strict.lan, "host:5399/udp", status=1).stdout
    assert "somebody listens" not in said
    assert "rp_filter = 1" in said


def test_an_icmp_error_from_elsewhere_has_its_sender() -> None:
    """The router's, which has no route to an address of the internet's."""
    with labs.lab(lan=True) as lab:
        said = lab.plumb("trace", "host", "203.0.113.77:80", status=1).stdout
    assert f"turned back by {labs.ROUTER}, behind host:eth0, with an ICMP error" in said
