"""What a container is told of another that it is linked to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from plumb.model import legacy_links
from plumb.model.cnm import Sandbox
from plumb.model.ports import PortBinding

IPS = (ip_address("172.17.0.2"), ip_address("fd17::2"))


def told(alias: str = "db", given: tuple[str, ...] = (), **asked: object) -> list[str]:
    """The variables of a link to a container."""
    other = Sandbox("f" * 64, "db", hostname="f" * 12, **asked)  # type: ignore[arg-type]  # the keywords are Sandbox's own
    return list(legacy_links.environment("web", legacy_links.known(other, alias, IPS), given))


def test_a_port() -> None:
    """Where it is, at length and in parts; the first port once more under a short name.

    And by what name it is linked.
    """
    assert told(exposed=("5432/tcp",)) == [
        "DB_PORT=tcp://172.17.0.2:5432",
        "DB_PORT_5432_TCP=tcp://172.17.0.2:5432",
        "DB_PORT_5432_TCP_ADDR=172.17.0.2",
        "DB_PORT_5432_TCP_PORT=5432",
        "DB_PORT_5432_TCP_PROTO=tcp",
        "DB_NAME=/web/db",
    ]


def test_the_first_port_is_the_lowest_of_tcp() -> None:
    """Other protocols come after it. Published ports are exposed too."""
    found = told(exposed=("53/udp", "443/tcp"), ports=(PortBinding(80, "tcp"),))
    assert [word for word in found if word.endswith(("80", "443", "53"))][:2] == [
        "DB_PORT=tcp://172.17.0.2:80",
        "DB_PORT_80_TCP=tcp://172.17.0.2:80",
    ]
    assert [
        word.partition("=")[0]
        for word in found
        if word.startswith("DB_PORT_") and "=" in word and word.count("_") == 3
    ] == ["DB_PORT_80_TCP", "DB_PORT_443_TCP", "DB_PORT_53_UDP"]


def test_neighbouring_ports_are_a_range_too() -> None:
    """Of one protocol."""
    found = told(exposed=("81/tcp", "80/tcp", "82/tcp", "83/udp", "90/tcp"))
    assert [word for word in found if "START" in word or "END" in word] == [
        "DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
        "DB_PORT_80_TCP_PORT_START=80",
        "DB_PORT_80_TCP_END=tcp://172.17.0.2:82",
        "DB_PORT_80_TCP_PORT_END=82",
    ]


@pytest.mark.parametrize(("alias", "prefix"), [("db", "DB"), ("my-db", "MY_DB"), ("Db.1", "DB.1")])
def test_the_alias_is_the_prefix(alias: str, prefix: str) -> None:
    """In capitals, with '_' for '-'; without ports there is its name alone."""
    assert told(alias) == [f"{prefix}_NAME=/web/{alias}"]


def test_its_own_variables_are_handed_on() -> None:
    """But for HOME and PATH, which mean something here."""
    assert told(given=("USER=app", "PATH=/bin", "HOME=/root", "EMPTY=")) == [
        "DB_NAME=/web/db",
        "DB_ENV_USER=app",
        "DB_ENV_EMPTY=",
    ]


def test_names_in_the_hosts_file() -> None:
    """The alias, the host name, and the name where that is another."""
    other = Sandbox("f" * 64, "db", hostname="box")
    assert legacy_links.known(other, "database", IPS).names == "database box db"
    assert legacy_links.known(other, "db", IPS).names == "db box"
