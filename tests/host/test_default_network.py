"""The default network, as the settings say it."""

from __future__ import annotations

import pytest

from plumb import NotFound
from tests.labs import INTERNET, Lab, sh, state


def mac_of(link: str) -> str:
    """The MAC address of a link of the host."""
    return sh(f"ip -br link show {link}").split()[2]


def test_a_bridge_of_the_administrators(lan: Lab) -> None:
    """The setting `bridge` names it: its address is the gateway, and it is left as it was.

    Its MAC address too, which the kernel takes from the ports of a bridge that was given none.
    """
    sh("ip link add own0 type bridge; ip addr add 10.33.0.1/24 dev own0; ip link set own0 up")
    before, mac = state(), mac_of("own0")
    with lan.host(settings={"bridge": "own0"}) as host:
        box = host.run("c1")

        assert sh("sysctl -n net.ipv6.conf.own0.accept_ra").strip() == "0"
        assert mac_of("own0") == mac
        assert str(host.endpoints(box)[0].ip) == "10.33.0.2/24"
        assert "1 received" in lan.inside(host, box, f"ping -c1 -W10 {INTERNET}")
        host.reset()
    assert state() == before
    assert mac_of("own0") == mac


def test_a_bridge_of_the_administrators_without_ipv6(lan: Lab) -> None:
    """The kernel has no IPv6 settings of a link whose MTU is below 1280 (RFC 8200)."""
    sh("ip link add own0 mtu 1200 type bridge; ip addr add 10.33.0.1/24 dev own0")
    with lan.host(settings={"bridge": "own0"}) as host:
        assert str(host.endpoints(host.run("c1"))[0].ip) == "10.33.0.2/24"
        host.reset()


def test_a_bridge_that_is_not_there(lan: Lab) -> None:
    """A bridge of another name than plumb0 must be made by hand."""
    with (
        lan.host(settings={"bridge": "own0"}) as host,
        pytest.raises(NotFound, match="must be created manually"),
    ):
        host.run("c1")


def test_no_default_network_at_all(lan: Lab) -> None:
    """With `bridge: none` there is no network bridge, and a container that names no network has lo
    alone."""
    with lan.host(settings={"bridge": "none"}) as host:
        box = host.run("c1")

        assert [net.name for net in host.networks()] == ["host", "none"]
        assert [line.split()[0] for line in lan.inside(host, box, "ip -br link").splitlines()] == [
            "lo"
        ]
        host.reset()


def test_changed_settings_wait_for_the_last_container(lan: Lab) -> None:
    """The default network is made anew with the next change after nobody is on it any more."""
    with lan.host() as host:
        host.run("c1")
    with lan.host(settings={"bip": "10.44.0.1/24"}) as host:
        host.create_network("n1")
        assert "172.17.0.1/16" in sh("ip -br addr show plumb0")
    with lan.host(settings={"bip": "10.44.0.1/24", "mtu": 1400}) as host:
        host.remove("c1", force=True)
        box = host.run("c2")

        assert str(host.endpoints(box)[0].ip) == "10.44.0.2/24"
        assert "10.44.0.1/24" in sh("ip -br addr show plumb0")
        host.reset()
