"""The zone: which name means which addresses to whom."""

from __future__ import annotations

import time
from ipaddress import ip_address

import pytest

from plumb.agent.dns.zone import Entry, Zone, ZoneView, readings, reversed_address

SHOP, YARD = "n-shop", "n-yard"


def entry(
    endpoint: str,
    names: str,
    ips: str = "172.18.0.2",
    network: str = SHOP,
    title: str = "",
    ports: tuple[tuple[str, str, int], ...] = (),
) -> Entry:
    """What an endpoint is known by; names and addresses in one string each."""
    return Entry(
        endpoint,
        network,
        title or network.removeprefix("n-"),
        tuple(names.split()),
        tuple(map(ip_address, ips.split())),
        ports,
    )


def zone(*entries: Entry) -> Zone:
    """A zone with these in it."""
    made = Zone()
    for each in entries:
        made.put(each)
    return made


def view(*networks: str, **links: str) -> ZoneView:
    """A sandbox on these networks, with links on the first of them."""
    return ZoneView(networks or (SHOP,), {(networks or (SHOP,))[0]: links})


def found(made: Zone, name: str, seen: ZoneView | None = None) -> list[str] | None:
    """What a name means."""
    ips = made.addresses(seen or view(), name)
    return None if ips is None else [str(ip) for ip in ips]


# -- names ---------------------------------------------------------------


def test_a_name_means_its_endpoints_addresses() -> None:
    """Of both families; and there is nothing under another name."""
    made = zone(entry("e1", "web 0123456789ab", "172.18.0.2 fd00::2"))
    assert found(made, "web") == found(made, "0123456789ab") == ["172.18.0.2", "fd00::2"]
    assert found(made, "we") is found(made, "") is found(made, ".") is None


def test_an_alias_may_be_shared() -> None:
    """It means all who have it, in the order in which they came.

    An address that two claim is there once.
    """
    made = zone(
        entry("e1", "a app"), entry("e2", "b app", "172.18.0.3"), entry("e3", "c app", "172.18.0.3")
    )
    assert found(made, "app") == ["172.18.0.2", "172.18.0.3"]
    made.drop("e1")
    assert found(made, "app") == ["172.18.0.3"]
    made.drop("e2")
    assert found(made, "app") == ["172.18.0.3"]
    made.drop("e3")
    assert found(made, "app") is None


def test_case_does_not_matter_in_names() -> None:
    """Neither in the question nor in what was registered."""
    made = zone(entry("e1", "Web"))
    assert found(made, "wEB") == found(made, "web.shop") == ["172.18.0.2"]


def test_the_names_of_other_networks_are_not_seen() -> None:
    """Not even in full."""
    made = zone(entry("e1", "web", network=YARD))
    assert found(made, "web") is found(made, "web.yard") is None


def test_the_first_network_that_knows_a_name_has_it() -> None:
    """In the sandbox's order.

    The answers of several are not put together, not even of two families.
    """
    made = zone(entry("e1", "web", "fd00::2", SHOP), entry("e2", "web", "172.19.0.2", YARD))
    assert found(made, "web", view(SHOP, YARD)) == ["fd00::2"]
    assert found(made, "web", view(YARD, SHOP)) == ["172.19.0.2"]
    assert found(made, "web.yard", view(SHOP, YARD)) == ["172.19.0.2"]


def test_a_name_is_read_from_the_right() -> None:
    """As a whole, then with ever more of it as the network's name."""
    assert [*readings("a.b.c")] == [("a.b.c", None), ("a.b", "c"), ("a", "b.c")]
    assert [*readings("a")] == [("a", None)]
    made = zone(
        entry("e1", "a", "172.18.0.1", "n1", "b.c"),
        entry("e2", "a.b", "172.18.0.2", "n2", "c"),
        entry("e3", "a.b.c", "172.18.0.3", "n3"),
    )
    seen = view("n1", "n2", "n3")
    for expected in ("172.18.0.3", "172.18.0.2", "172.18.0.1"):
        assert found(made, "a.b.c", seen) == [expected]
        made.drop(f"e{expected[-1]}")


def test_a_networks_name_is_taken_as_written() -> None:
    """As in Docker."""
    assert found(zone(entry("e1", "web", title="Shop")), "web.shop") is None


def test_a_link_is_known_to_its_sandbox_alone_and_goes_first() -> None:
    """Exactly as written; and what is an alias is not looked up as a name."""
    made = zone(entry("e1", "db", "172.18.0.2"), entry("e2", "web", "172.18.0.3"))
    linked = view(SHOP, Base="db", web="db", lost="nobody", db="nobody")
    assert found(made, "Base", linked) == found(made, "Base.shop", linked) == ["172.18.0.2"]
    assert found(made, "base", linked) is found(made, "Base") is None
    assert found(made, "web", linked) == ["172.18.0.2"]
    assert found(made, "lost", linked) is found(made, "db", linked) is None


def test_a_link_on_one_network_leaves_the_name_on_others() -> None:
    """It is looked up there when the link leads nowhere."""
    made = zone(entry("e1", "web", "172.18.0.2", SHOP), entry("e2", "web", "172.19.0.2", YARD))
    assert found(made, "web", view(SHOP, YARD, web="nobody")) == ["172.19.0.2"]


# -- comings and goings ---------------------------------------------------------------


def test_new_names_replace_the_old_ones() -> None:
    """All of them; and the version tells that something has changed, or that nothing has."""
    made = zone(entry("e1", "web old"))
    before = made.version
    made.put(entry("e1", "web old"))
    assert made.version == before
    made.put(entry("e1", "web new", "172.18.0.9"))
    assert (found(made, "old"), found(made, "new"), found(made, "web")) == (
        None,
        ["172.18.0.9"],
        ["172.18.0.9"],
    )
    assert made.version != before
    assert made.called(view(), ip_address("172.18.0.2").packed) == ""


def test_dropping_what_is_not_there_is_done() -> None:
    """And an endpoint without addresses or without names is known to the zone, and by no
    question."""
    made = zone(entry("e1", "web", ""), entry("e2", "", "172.18.0.2"))
    assert found(made, "web") is None
    for endpoint in ("e1", "e2", "e2", "e3"):
        made.drop(endpoint)
    assert made.entries == {}


def test_a_network_that_was_named_anew_is_known_by_the_new_name() -> None:
    """The last endpoint to come says what it is called."""
    made = zone(entry("e1", "web", title="old"), entry("e2", "db", title="new"))
    assert (found(made, "web.old"), found(made, "web.new")) == (None, ["172.18.0.2"])


@pytest.mark.alone
def test_what_it_costs_does_not_depend_on_how_many_there_are() -> None:
    """Ten thousand who share an alias are put and dropped in the time that as many without take,
    more or less.
    """
    made = Zone()
    begun = time.monotonic()
    for number in range(10000):
        made.put(entry(f"e{number}", f"c{number} all", f"10.0.{number >> 8}.{number & 255}"))
    for number in range(9999, -1, -1):
        made.drop(f"e{number}")
    assert time.monotonic() - begun < 2, "much more than 0.1 ms for each"
    assert found(made, "all") is None


# -- reverse ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2.0.18.172.in-addr.arpa", "172.18.0.2"),
        ("2.0.18.172.IN-ADDR.arpa", "172.18.0.2"),
        ("2.0.0.0." + "0." * 20 + "0.0.0.0.0.0.d.f.ip6.arpa", "fd00::2"),
        ("18.172.in-addr.arpa", None),
        ("1.2.0.18.172.in-addr.arpa", None),
        ("02.0.18.172.in-addr.arpa", None),
        ("256.0.18.172.in-addr.arpa", None),
        ("x.0.18.172.in-addr.arpa", None),
        ("\u00b2.0.18.172.in-addr.arpa", None),
        ("2.0.18.172", None),
        ("in-addr.arpa", None),
        ("arpa", None),
        ("", None),
        ("2.ip6.arpa", None),
        ("g" + ".0" * 31 + ".ip6.arpa", None),
        ("2.0.18.172.in-addr.arpa.shop", None),
    ],
)
def test_names_of_the_reverse_tree(name: str, expected: str | None) -> None:
    """Those of a whole address are understood, and no others."""
    assert reversed_address(name) == (ip_address(expected).packed if expected else None)


def test_an_address_is_called_by_its_first_name_and_network() -> None:
    """On the first network where it is anybody's."""
    made = zone(entry("e1", "web other", "172.18.0.2 fd00::2"), entry("e2", "twin", network=YARD))
    for ip in ("172.18.0.2", "fd00::2"):
        assert made.called(view(SHOP, YARD), ip_address(ip).packed) == "web.shop"
    assert made.called(view(YARD), ip_address("172.18.0.2").packed) == "twin.yard"
    assert made.called(view("n-none"), ip_address("172.18.0.2").packed) == ""


def test_an_address_that_others_know_by_the_same_name_is_theirs() -> None:
    """To whom it was said, and as long as the endpoint is there.

    Another name, or another address, changes nothing.
    """
    made, ip, seen = zone(entry("e1", "web", "172.18.0.2")), ip_address("172.18.0.2").packed, view()
    for name, other in (("other", ip), ("web", ip_address("172.18.0.3").packed)):
        assert made.learnt(seen, name, other) is seen
    assert made.learnt(view(YARD), "web", ip).elsewhere == frozenset()
    told = made.learnt(seen, "WEB", ip)
    assert (made.called(told, ip), made.called(seen, ip), found(made, "web")) == (
        "",
        "web.shop",
        ["172.18.0.2"],
    )
    made.drop("e1")
    made.put(entry("e2", "web", "172.18.0.2"))
    assert made.called(told, ip) == "web.shop"


def test_what_is_learnt_from_elsewhere_is_bounded() -> None:
    """After a thousand it begins anew."""
    made, seen = Zone(), view()
    for number in range(1500):
        ip = ip_address(0x0A000000 + number)
        made.put(entry(f"e{number}", "web", str(ip)))
        seen = made.learnt(seen, "web", ip.packed)
    assert len(seen.elsewhere) == 500


# -- services ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["http.tcp.app", "_http._tcp.app", "HTTP.TCP.App"])
def test_a_named_port_is_offered_by_all_who_have_it(name: str) -> None:
    """With or without RFC 2782's underscores, in any case."""
    made = zone(
        entry("e1", "a app", ports=(("http", "tcp", 80), ("dns", "udp", 53))),
        entry("e2", "b app", "172.18.0.3 fd00::3", ports=(("http", "tcp", 8080),)),
        entry("e3", "c app", "172.18.0.4"),
    )
    assert made.offers(view(), name) == [
        ("a.shop", 80, (ip_address("172.18.0.2"),)),
        ("b.shop", 8080, (ip_address("172.18.0.3"), ip_address("fd00::3"))),
    ]


@pytest.mark.parametrize(
    "name", ["http.udp.app", "https.tcp.app", "http.tcp.nobody", "http.tcp", "http", ""]
)
def test_nobody_offers_what_was_not_named(name: str) -> None:
    """Another protocol, port or name, or half a question."""
    assert zone(entry("e1", "app", ports=(("http", "tcp", 80),))).offers(view(), name) == []
