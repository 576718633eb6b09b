"""plumb explain: what an object on this host is, and why it is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from plumb.errors import Invalid
from plumb.explain.subject import Subject
from tests import labs
from tests.labs import Lab

SHOP = ("network", "create", "shop", "--subnet", "172.30.0.0/24", "-o")
BRIDGE = "com.docker.network.bridge.name=shop0"


@pytest.fixture(scope="module")
def shop() -> Iterator[Lab]:
    """A network with a container whose port 80 is published as 8080."""
    with labs.lab(lan=True) as lab:
        lab.plumb(*SHOP, BRIDGE)
        lab.plumb("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80")
        yield lab
        lab.plumb("reset", "--force")


def told(lab: Lab, *words: str) -> list[Any]:
    """Explanations of what the words name, as programs get them."""
    lines = lab.plumb("explain", "--json", *words).stdout.splitlines()
    return [row for row in map(json.loads, lines) if not row["Related"]]


@pytest.mark.parametrize(
    ("words", "kind", "owner"),
    [
        (("shop0",), "bridge", "network shop"),
        (("172.30.0.1",), "address", "network shop"),
        (("172.30.0.2",), "address", "container web on network shop"),
        (("web/eth0",), "veth pair", "container web on network shop"),
        (("net.ipv4.ip_forward",), "kernel setting", "network shop"),
        (("PLUMB-BRIDGE",), "chain", "all networks of this host"),
        (("port", "8080/tcp"), "user-land proxy", "container web on network shop"),
        (("default",), "default route", "container web"),
        (("--", "-o shop0 -j PLUMB"), "rule", "network shop"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_an_object_is_explained(shop: Lab, words: tuple[str, ...], kind: str, owner: str) -> None:
    """By its kind, its owner, a reason, and the command that makes it."""
    rows = [row for row in told(shop, *words) if row["Kind"] == kind]
    assert rows
    assert owner in {one for row in rows for one in row["Owners"]}
    assert all(row["Why"] and row["Without"] and row["Command"] for row in rows)


def test_rules_inside_a_container_are_somebodys(shop: Lab) -> None:
    """They are told with the container, and by their chain; a clean container has none."""
    assert not [row for row in told(shop, "web") if "firewall of the container" in row["Why"]]
    with shop.host() as host:
        place = host.namespace(host.container("web"))
    labs.within(place, "iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT")
    try:
        named = {row["Name"] for row in told(shop, "web/INPUT")}
        assert named == {"chain filter/INPUT of iptables-nft", "-A INPUT -i lo -j ACCEPT"}
        assert named <= {row["Name"] for row in told(shop, "web")}
    finally:
        labs.within(place, "iptables -P INPUT ACCEPT; iptables -F INPUT")


def test_a_network_is_all_that_belongs_to_it(shop: Lab) -> None:
    kinds = {row["Kind"] for row in told(shop, "shop")}
    assert {"bridge", "address", "rule", "kernel setting", "link that is up"} <= kinds


def test_a_container_is_all_that_belongs_to_it(shop: Lab) -> None:
    kinds = {row["Kind"] for row in told(shop, "web")}
    assert {"veth pair", "network namespace", "names", "default route", "file"} <= kinds


def test_what_plumb_has_not_made_is_not_taken_for_its_own(shop: Lab) -> None:
    made = [(row["Kind"], row["MadeBy"]) for row in told(shop, "eth0")]
    assert made == [("veth pair", "plumb"), ("veth link", "not known: not plumb")]


def test_rules_that_name_it_follow(shop: Lab) -> None:
    """With their reasons; --all shows every one."""
    text = shop.plumb("explain", "shop0", "--all").stdout
    assert re.search(r"^named in:$", text, re.MULTILINE)
    assert "-o shop0 -j PLUMB" in text
    assert "packets leave with this host's address" in text


def test_nothing_of_that_name(shop: Lab) -> None:
    refused = shop.plumb("explain", "nosuch0", status=1).stderr
    assert refused.startswith("plumb: nothing on this host is called nosuch0; ")


@pytest.mark.parametrize("words", [("port", "0"), (":65536",), ("port", "99999/udp")])
def test_no_such_port_number(words: tuple[str, ...]) -> None:
    with pytest.raises(Invalid, match="there is no port "):
        Subject.parse(words)
