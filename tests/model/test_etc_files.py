"""The files by which programs in a container find names."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from pathlib import Path

import pytest

from plumb.kernel.process import host_files
from plumb.model import etc_files
from plumb.model.cnm import Attachment, Endpoint, Ends, Linked, Network, Sandbox, Status
from plumb.model.net.dns_names import dns_names
from plumb.model.settings import Settings
from plumb.things.dns import Upstream

NET = Network("1" * 64, "shop", "bridge")
SIX = Network("1" * 64, "shop", "bridge", ipv6=True)
STARTED = "2026-01-31T12:00:00Z"
BOX = Sandbox(
    "0123456789ab" + "0" * 52, "web", hostname="web1", status=Status.RUNNING, started=STARTED
)
FOUR: Ends = [
    (
        Endpoint(
            "e", NET.id, BOX.id, "v", "eth0", "02:00:00:00:00:01", IPv4Interface("10.9.0.2/24")
        ),
        NET,
    )
]
BOTH: Ends = [
    (
        Endpoint(
            "e",
            NET.id,
            BOX.id,
            "v",
            "eth0",
            "02:00:00:00:00:01",
            IPv4Interface("10.9.0.2/24"),
            IPv6Interface("fd09::2/64"),
        ),
        SIX,
    )
]
NO_IPV6 = (("net/ipv6/conf/all/disable_ipv6", "1"),)
ASKS_ITSELF = {"dns_udp": 40001, "dns_tcp": 40002}
NO_SETTINGS = Settings()


def box(**asked: object) -> Sandbox:
    """The box with something else asked for."""
    known = {"hostname": "web1", "status": Status.RUNNING, "started": STARTED}
    return Sandbox(BOX.id, "web", **{**known, **asked})  # type: ignore[arg-type]  # the keywords are Sandbox's own


def directives(text: str) -> list[str]:
    """A resolv.conf without its comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def notes(text: str) -> list[str]:
    """The comments at the end of a resolv.conf."""
    return text.split("\n\n")[-1].splitlines()


def resolv(
    source: str, ends: Ends = FOUR, settings: Settings = NO_SETTINGS, **asked: object
) -> list[str]:
    """The directives of the resolv.conf that is made."""
    return directives(etc_files.resolv_conf(box(**asked), ends, source, settings))


# -- hosts ---------------------------------------------------------------


def test_a_container_finds_itself() -> None:
    """localhost first, its own addresses last."""
    lines = etc_files.hosts(BOX, BOTH).splitlines()
    assert lines[0] == "127.0.0.1\tlocalhost"
    assert lines[1] == "::1\tlocalhost ip6-localhost ip6-loopback"
    assert lines[-2:] == ["10.9.0.2\tweb1", "fd09::2\tweb1"]


def test_extra_hosts_and_links_stand_between() -> None:
    """In the order in which they were given."""
    linked = Linked(
        "f" * 64, "database", "database db1 db", (ip_address("172.17.0.3"), ip_address("fd17::3"))
    )
    lines = etc_files.hosts(
        box(extra_hosts=(("a", "192.0.2.1"), ("b", "fd00:0::1")), linked=(linked,)), FOUR
    ).splitlines()
    assert lines[-5:] == [
        "192.0.2.1\ta",
        "fd00::1\tb",
        "172.17.0.3\tdatabase db1 db",
        "fd17::3\tdatabase db1 db",
        "10.9.0.2\tweb1",
    ]


def test_the_host_is_where_it_was_when_the_container_was_started() -> None:
    """A line for each of its addresses."""
    gateways = (ip_address("172.17.0.1"), ip_address("fd17::1"))
    lines = etc_files.hosts(
        box(extra_hosts=(("host", "host-gateway"),), host_gateways=gateways), []
    ).splitlines()
    assert lines[-2:] == ["172.17.0.1\thost", "fd17::1\thost"]


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"domainname": "lab.test"}, "10.9.0.2\tweb1.lab.test web1"),
        ({"hostname": "web1.lab.test"}, "10.9.0.2\tweb1.lab.test web1"),
        ({"hostname": "a.b", "domainname": "c.d"}, "10.9.0.2\ta.b.c.d a"),
    ],
)
def test_a_long_name_and_a_short(asked: dict[str, object], line: str) -> None:
    """Wherever the domain comes from."""
    assert etc_files.hosts(box(**asked), FOUR).splitlines()[-1] == line


@pytest.mark.parametrize("sysctls", [NO_IPV6, (("net/ipv6/conf/lo/disable_ipv6", "1"),)])
def test_without_ipv6_no_ipv6_lines(sysctls: tuple[tuple[str, str], ...]) -> None:
    """Where it is switched off in the whole container, or on its loopback, which is what Docker
    looks at: also none of its own, and none that was asked for."""
    asked = box(sysctls=sysctls, extra_hosts=(("a", "fd00::1"), ("b", "192.0.2.1")))
    assert etc_files.hosts(asked, BOTH).splitlines() == [
        "127.0.0.1\tlocalhost",
        "192.0.2.1\tb",
        "10.9.0.2\tweb1",
    ]


def test_on_the_host_s_network_a_container_has_no_line_of_its_own() -> None:
    """With --add-host the file is not the host's, but it is not about the container either."""
    assert etc_files.hosts(box(mode="host", extra_hosts=(("a", "192.0.2.1"),)), []).splitlines()[
        -2:
    ] == ["ff02::2\tip6-allrouters", "192.0.2.1\ta"]


# -- resolv.conf ---------------------------------------------------------------


def test_the_file_that_it_is_made_from(tmp_path: Path) -> None:
    """The host's own; where that only points at systemd-resolved's stub, the file behind it.

    The comment says so.
    """
    stub, behind = tmp_path / "resolv.conf", tmp_path / "behind"
    for text, found in (
        ("nameserver 127.0.0.53\n", behind),
        ("nameserver 127.0.0.53\nnameserver 192.0.2.1\n", stub),
        ("", stub),
    ):
        stub.write_text(text)
        behind.write_text("nameserver 192.0.2.53\n")
        assert host_files.resolv_path(str(stub), str(behind)) == str(found)
    stub.write_text("nameserver 127.0.0.53\n")
    assert host_files.resolv_source(str(stub), str(behind)) == "nameserver 192.0.2.53\n"
    behind.unlink()
    assert host_files.resolv_path(str(stub), str(behind)) == str(stub)
    text = etc_files.resolv_conf(replace(BOX, resolv_path=str(behind)), FOUR, "", NO_SETTINGS)
    assert f"# Based on host file: '{behind}' (legacy)\n" in text


def test_the_whole_file() -> None:
    """A header, directives, a blank line, and where they came from."""
    source = "search lab.test\nnameserver 192.0.2.53\noptions edns0\nsortlist 10.0.0.0\n"
    assert etc_files.resolv_conf(BOX, FOUR, source, NO_SETTINGS) == (
        "# Generated by plumb.\n# This file can be edited; "
        "plumb will not make further changes once it\n# has been modified.\n\n"
        "nameserver 192.0.2.53\nsearch lab.test\noptions edns0\nsortlist 10.0.0.0\n\n"
        "# Based on host file: '/etc/resolv.conf' (legacy)\n# Overrides: []\n"
    )


def test_the_host_s_own_is_taken_over() -> None:
    """Name servers, search domains, options, and what else is in it, to the letter."""
    source = (
        "# by hand\nnameserver 192.0.2.53 ; first\n"
        "search lab.test example.org\noptions ndots:2 edns0\nsortlist  10.0.0.0 # mine\n"
    )
    assert resolv(source) == [
        "nameserver 192.0.2.53",
        "search lab.test example.org",
        "options ndots:2 edns0",
        "sortlist  10.0.0.0 # mine",
    ]


def test_only_a_whole_line_is_a_comment() -> None:
    """Behind search and options, '#' is a word like others, and so it is to Docker."""
    assert resolv("; by hand\nnameserver 192.0.2.53\nsearch a.test # b.test\n") == [
        "nameserver 192.0.2.53",
        "search a.test # b.test",
    ]


def test_the_last_search_counts_and_options_accumulate() -> None:
    """`domain` is the old word for `search`; a directive without a word says nothing."""
    source = (
        "nameserver 192.0.2.53\nsearch a.test\ndomain b.test\nsearch\noptions ndots:2\noptions\n"
        "options edns0\n"
    )
    assert resolv(source) == ["nameserver 192.0.2.53", "search b.test", "options ndots:2 edns0"]


def test_servers_on_the_host_s_loopback_are_left_out() -> None:
    """A container has a loopback of its own."""
    assert resolv("nameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver ::1\n") == [
        "nameserver 192.0.2.53"
    ]


@pytest.mark.parametrize(
    ("ends", "servers"),
    [
        (FOUR, ["8.8.8.8", "8.8.4.4"]),
        (BOTH, ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"]),
    ],
)
def test_where_nobody_is_left_docker_s_fallback_is_asked(ends: Ends, servers: list[str]) -> None:
    """Of the families that the container has; the file says so."""
    text = etc_files.resolv_conf(BOX, ends, "nameserver 127.0.0.1\n", NO_SETTINGS)
    assert directives(text) == [f"nameserver {server}" for server in servers]
    assert notes(text)[1] == "# Used default nameservers."


def test_ipv6_servers_need_ipv6() -> None:
    """They are left out for a container whose network has none."""
    source = "nameserver 192.0.2.53\nnameserver 2001:db8::53\n"
    assert resolv(source) == ["nameserver 192.0.2.53"]
    assert resolv(source, BOTH) == ["nameserver 192.0.2.53", "nameserver 2001:db8::53"]


def test_what_is_no_address_is_named() -> None:
    """In a comment at the end."""
    text = etc_files.resolv_conf(
        BOX, FOUR, "nameserver 1.2.3.4.5\nnameserver 192.0.2.53\nnameserver dns.test\n", NO_SETTINGS
    )
    assert directives(text) == ["nameserver 192.0.2.53"]
    assert notes(text)[1] == "# Invalid nameservers: [1.2.3.4.5 dns.test]"


def test_what_was_asked_for_goes_before_the_settings() -> None:
    """And those before the host's own; each of the three for itself.

    What was asked for is not looked at closely.
    """
    source = "nameserver 192.0.2.53\nsearch host.test\noptions ndots:1\n"
    settings = Settings(dns=(ip_address("192.0.2.54"),), dns_search=("settings.test",))
    assert resolv(source, settings=settings) == [
        "nameserver 192.0.2.54",
        "search settings.test",
        "options ndots:1",
    ]
    assert resolv(source, settings=settings, dns=(ip_address("127.0.0.1"),)) == [
        "nameserver 127.0.0.1",
        "search settings.test",
        "options ndots:1",
    ]
    text = etc_files.resolv_conf(
        box(dns_search=("a.test",), dns_options=("ndots:3",)), FOUR, source, NO_SETTINGS
    )
    assert notes(text)[1:] == ["# Overrides: [search options]", "# Option ndots from: override"]


def test_a_dot_is_no_search_domain() -> None:
    """`--dns-search .` is how to have none."""
    assert resolv("nameserver 192.0.2.53\nsearch host.test\n", dns_search=(".",)) == [
        "nameserver 192.0.2.53"
    ]


def test_on_the_host_s_network_nothing_is_left_out() -> None:
    """There the host's loopback is its own."""
    text = etc_files.resolv_conf(
        box(mode="host"), [], "nameserver 127.0.0.53\noptions ndots:1\n", NO_SETTINGS
    )
    assert directives(text) == ["nameserver 127.0.0.53", "options ndots:1"]
    assert notes(text) == [
        "# Based on host file: '/etc/resolv.conf'",
        "# Overrides: []",
        "# Option ndots from: host",
    ]


def test_before_its_first_start_a_container_has_what_the_host_has() -> None:
    """Nobody knows yet what it will reach."""
    text = etc_files.resolv_conf(
        box(status=Status.CREATED, started=""), [], "nameserver 127.0.0.53\n", NO_SETTINGS
    )
    assert directives(text) == ["nameserver 127.0.0.53"]
    assert notes(text)[0] == "# Based on host file: '/etc/resolv.conf'"


@pytest.mark.parametrize(
    ("server", "six", "reached"),
    [
        ("192.0.2.1", False, True),
        ("127.0.0.53", True, False),
        ("::1", True, False),
        ("2001:db8::1", False, False),
        ("2001:db8::1", True, True),
        ("fe80::1%eth0", True, True),
    ],
)
def test_reachable(server: str, six: bool, reached: bool) -> None:
    """Not on loopback, and of a family that it has."""
    assert etc_files.reachable(server, six) is reached


# -- the embedded DNS server's resolv.conf ------------------------------------------------


def inner(source: str, settings: Settings = NO_SETTINGS, **asked: object) -> str:
    """The resolv.conf of a container with an embedded DNS server."""
    return etc_files.resolv_conf(box(**ASKS_ITSELF, **asked), FOUR, source, settings)


def test_where_the_embedded_server_runs_it_alone_is_asked() -> None:
    """The comments name those that it asks itself, from the host."""
    text = inner("nameserver 192.0.2.1\nnameserver 127.0.0.53\nsearch lab.test\n")
    assert directives(text) == ["nameserver 127.0.0.11", "search lab.test", "options ndots:0"]
    assert notes(text) == [
        "# Based on host file: '/etc/resolv.conf' (internal resolver)",
        "# ExtServers: [host(192.0.2.1) host(127.0.0.53)]",
        "# Overrides: []",
        "# Option ndots from: internal",
    ]


def test_servers_of_the_user_s_are_asked_from_the_container() -> None:
    """So they are named without host()."""
    assert notes(inner("nameserver 192.0.2.1\n", dns=(ip_address("192.0.2.9"),)))[1:3] == [
        "# ExtServers: [192.0.2.9]",
        "# Overrides: [nameservers]",
    ]


def test_without_servers_there_is_a_warning() -> None:
    """An empty resolv.conf is no error: names of containers can be found."""
    assert notes(inner("")) == [
        "# Based on host file: '/etc/resolv.conf' (internal resolver)",
        "# NO EXTERNAL NAMESERVERS DEFINED",
        "# Overrides: []",
        "# Option ndots from: internal",
    ]


@pytest.mark.parametrize(
    ("source", "asked", "options", "origin"),
    [
        ("options ndots:2 edns0", (), "ndots:2 edns0", "host"),
        ("options edns0", (), "edns0 ndots:0", "internal"),
        ("options ndots:2", ("ndots:5",), "ndots:5", "override"),
        ("options ndots:2", ("edns0",), "edns0 ndots:0", "internal"),
        ("options ndots:x ndots", (), "ndots:0", "internal"),
        ("options ndots:-1 ndots:3", (), "ndots:3", "host"),
        ("options ndots:", ("ndots:",), "ndots:0", "internal"),
    ],
)
def test_ndots_is_0_where_nobody_says_another(
    source: str, asked: tuple[str, ...], options: str, origin: str
) -> None:
    """So a name without a dot is asked as it is first; what is no number is left out."""
    text = inner(f"nameserver 192.0.2.1\n{source}\n", dns_options=asked)
    assert directives(text)[1:] == [f"options {options}"]
    assert notes(text)[-1] == f"# Option ndots from: {origin}"


def test_when_the_container_stops_the_file_stays() -> None:
    """The server has ended, but nobody reads the file either."""
    there = inner("nameserver 192.0.2.1\n")
    stopped = box(status=Status.EXITED, attachments=(Attachment("1" * 64),))
    assert etc_files.resolv_conf(stopped, [], "nameserver 192.0.2.1\n", NO_SETTINGS) == there


def test_upstreams() -> None:
    """The host's are asked from the host, all of them and in order.

    Others in their place from the sandbox.
    """
    source = "nameserver 192.0.2.1\nnameserver nonsense\nnameserver ::1\n"
    assert etc_files.upstreams(BOX, source, NO_SETTINGS) == (
        Upstream(ip_address("192.0.2.1"), False),
        Upstream(ip_address("::1"), False),
    )
    assert etc_files.upstreams(box(dns=(ip_address("192.0.2.9"),)), source, NO_SETTINGS) == (
        Upstream(ip_address("192.0.2.9"), True),
    )
    assert etc_files.upstreams(BOX, source, Settings(dns=(ip_address("192.0.2.8"),))) == (
        Upstream(ip_address("192.0.2.8"), True),
    )


def test_ndots_that_somebody_set() -> None:
    """The host, the settings or the user; options of the user's are instead of the host's."""
    assert not etc_files.ndots_set(BOX, "options edns0\n", NO_SETTINGS)
    assert etc_files.ndots_set(BOX, "options ndots:2\n", NO_SETTINGS)
    assert etc_files.ndots_set(box(dns_options=("ndots:1",)), "", NO_SETTINGS)
    assert etc_files.ndots_set(BOX, "", Settings(dns_opts=("ndots:1",)))
    assert not etc_files.ndots_set(box(dns_options=("edns0",)), "options ndots:2\n", NO_SETTINGS)


# -- DNS ---------------------------------------------------------------


def test_names_on_a_network_of_one_s_own() -> None:
    """Its name, its aliases, its short id, and the host name if it was given; each once."""
    assert dns_names(BOX, ["www", "web"]) == ["web", "www", "0123456789ab"]
    assert dns_names(box(owns_hostname=True), ()) == ["web", "0123456789ab", "web1"]
