"""The files by which programs in a container find names."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface, ip_address

import pytest

from plumb.cnm import Endpoint, Ends, Network, Sandbox
from plumb.services import names
from plumb.settings import Settings

BOX = Sandbox("0123456789ab" + "0" * 52, "web", hostname="web1")
NET = Network("1" * 64, "shop", "bridge")
FOUR: Ends = [(Endpoint("e", NET.id, BOX.id, "v", "eth0", "02:00:00:00:00:01", IPv4Interface("10.9.0.2/24")), NET)]
BOTH: Ends = [(Endpoint("e", NET.id, BOX.id, "v", "eth0", "02:00:00:00:00:01", IPv4Interface("10.9.0.2/24"), IPv6Interface("fd09::2/64")),
    NET)]


def box(**asked: object) -> Sandbox:
    """The box with something else asked for."""
    return Sandbox(BOX.id, "web", **{"hostname": "web1", **asked})  # type: ignore[arg-type]  # the keywords are Sandbox's own


def directives(text: str) -> list[str]:
    """A resolv.conf without its comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def resolv(source: str, ends: Ends = FOUR, settings: Settings = Settings(), **asked: object) -> list[str]:  # noqa: B008  # frozen
    """The directives of the resolv.conf that is made."""
    return directives(names.resolv_conf(box(**asked), ends, source, settings))


# -- hosts ---------------------------------------------------------------


def test_a_container_finds_itself() -> None:
    """localhost first, its own addresses last."""
    lines = names.hosts(BOX, BOTH).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[1] == "::1\tlocalhost ip6-localhost ip6-loopback"
    assert lines[-2:] == ["10.9.0.2\tweb1", "fd09::2\tweb1"]


def test_extra_hosts_and_links_stand_between() -> None:
    """In the order in which they were given."""
    lines = names.hosts(box(extra_hosts=(("a", "192.0.2.1"), ("b", "fd00::1"))), FOUR, [("172.17.0.3", "db mysql")]).splitlines()
    assert lines[-4:] == ["192.0.2.1\ta", "fd00::1\tb", "172.17.0.3\tdb mysql", "10.9.0.2\tweb1"]


@pytest.mark.parametrize(("asked", "line"), [({"domainname": "lab.test"}, "10.9.0.2\tweb1.lab.test web1"), ({"hostname": "web1.lab.test"},
    "10.9.0.2\tweb1.lab.test web1")])
def test_a_long_name_and_a_short(asked: dict[str, object], line: str) -> None:
    """Wherever the domain comes from."""
    assert names.hosts(box(**asked), FOUR).splitlines()[-1] == line


def test_without_ipv6_no_ipv6_localhost() -> None:
    """Where it is switched off in the whole container."""
    assert "::1" not in names.hosts(box(sysctls=(("net/ipv6/conf/all/disable_ipv6", "1"),)), FOUR)


# -- resolv.conf ---------------------------------------------------------------


def test_the_host_s_own_is_taken_over() -> None:
    """Name servers, search, options and what else is in it, without comments."""
    source = "# by hand\nnameserver 192.0.2.53 ; first\nsearch lab.test example.org\noptions ndots:2 edns0\nsortlist 10.0.0.0\n"
    assert resolv(source) == ["nameserver 192.0.2.53", "search lab.test example.org", "options ndots:2 edns0", "sortlist 10.0.0.0"]


def test_servers_on_the_host_s_loopback_are_left_out() -> None:
    """A container has a loopback of its own."""
    assert resolv("nameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver ::1\n") == ["nameserver 192.0.2.53"]


@pytest.mark.parametrize(("ends", "servers"), [(FOUR, ["8.8.8.8", "8.8.4.4"]), (BOTH, ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888",
    "2001:4860:4860::8844"])])
def test_where_nobody_is_left_docker_s_fallback_is_asked(ends: Ends, servers: list[str]) -> None:
    """Of the families that the container has."""
    assert resolv("nameserver 127.0.0.1\n", ends) == [f"nameserver {server}" for server in servers]


def test_ipv6_servers_need_ipv6() -> None:
    """They are left out for a container that has none."""
    source = "nameserver 192.0.2.53\nnameserver 2001:db8::53\n"
    assert resolv(source) == ["nameserver 192.0.2.53"]
    assert resolv(source, BOTH) == ["nameserver 192.0.2.53", "nameserver 2001:db8::53"]


def test_what_was_asked_for_goes_before_the_settings() -> None:
    """And those before the host's own; each of the three for itself."""
    source = "nameserver 192.0.2.53\nsearch host.test\noptions ndots:1\n"
    settings = Settings(dns=(ip_address("192.0.2.54"),), dns_search=("settings.test",))
    assert resolv(source, settings=settings) == ["nameserver 192.0.2.54", "search settings.test", "options ndots:1"]
    assert resolv(source, settings=settings, dns=(ip_address("192.0.2.55"),)) == ["nameserver 192.0.2.55", "search settings.test",
        "options ndots:1"]


def test_a_dot_is_no_search_domain() -> None:
    """`--dns-search .` is how to have none."""
    assert resolv("nameserver 192.0.2.53\nsearch host.test\n", dns_search=(".",)) == ["nameserver 192.0.2.53"]


def test_on_the_host_s_network_nothing_is_left_out() -> None:
    """There the host's loopback is its own."""
    assert resolv("nameserver 127.0.0.53\n", [], mode="host") == ["nameserver 127.0.0.53"]


@pytest.mark.parametrize(("server", "six", "reached"), [("192.0.2.1", False, True), ("127.0.0.53", True, False), ("::1", True, False),
    ("2001:db8::1", False, False),
                                                        ("2001:db8::1", True, True), ("fe80::1%eth0", True, True), ("nonsense", True,
                                                        False)])
def test_reachable(server: str, six: bool, reached: bool) -> None:
    """Not on loopback, and of a family that it has."""
    assert names.reachable(server, six) is reached


def test_names_on_a_network_of_one_s_own() -> None:
    """Its name, its aliases, its short id, and the host name if it was given; each once."""
    assert names.dns_names(BOX, ["www", "web"]) == ["web", "www", "0123456789ab"]
    assert names.dns_names(box(owns_hostname=True), ()) == ["web", "0123456789ab", "web1"]
