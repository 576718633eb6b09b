"""Links and extra hosts: who knows whom by what name, and since when.

On a kernel that is a dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from plumb import Host
from plumb.engine.container_links import NO_HOST
from plumb.errors import Conflict, Invalid, NotFound, PlumbError
from plumb.model.cnm import Network
from plumb.model.net.attachment import attachment
from plumb.things.dns import Resolver
from plumb.things.iptables import Rule
from plumb.things.nftables import NftRule
from plumb.things.sandbox import File, Process
from plumb.views.inspect import containers as docker
from tests.memory_host import MemoryHosts


@pytest.fixture
def host(host: Host) -> Host:
    host.create_network("shop", subnet="10.9.0.0/24")
    return host


def hosts(host: Host, name: str) -> list[str]:
    """A container's hosts file but for localhost's lines, its id as ID."""
    box = host.container(name)
    path = f"{host.layout.container(box.id)}/hosts"
    (file,) = [
        thing for thing in host.store.things() if isinstance(thing, File) and thing.path == path
    ]
    return [
        line.replace(box.id[:12], "ID")
        for line in file.text.splitlines()
        if "localhost" not in line and "ip6-" not in line
    ]


def environment(host: Host, name: str) -> Mapping[str, str]:
    """What a container's command is told."""
    (process,) = [
        thing
        for thing in host.store.things()
        if isinstance(thing, Process) and thing.id == host.container(name).id
    ]
    return dict(word.partition("=")[::2] for word in process.environment)


def inspect(host: Host, name: str) -> Any:
    """`inspect NAME`."""
    known: dict[str, Network] = {net.id: net for net in host.networks()}
    box = host.container(name)
    return docker.container(
        box, [(end, known[end.network]) for end in host.endpoints(box)], known, host.layout
    )


# -- on the default network ---------------------------------------------------------------


def test_a_link_is_a_line_in_the_hosts_file(host: Host) -> None:
    """With the alias, the host name and the name; before the container's own."""
    host.run("db", hostname="box")
    host.run("web", links=(("db", "database"),))
    assert hosts(host, "web") == ["172.17.0.2\tdatabase box db", "172.17.0.3\tID"]
    assert inspect(host, "web")["HostConfig"]["Links"] == ["/db:/web/database"]
    assert inspect(host, "web")["NetworkSettings"]["Networks"]["bridge"]["Links"] is None


def test_a_link_is_told_the_command(host: Host) -> None:
    """Before what the user tells it, so that the user has the last word."""
    host.run("db", exposed=("5432/tcp",), environment=("USER=app",))
    host.run("web", links=(("db", "db"),), command=("sleep", "1"), environment=("DB_ENV_USER=me",))
    assert environment(host, "web")["DB_PORT"] == "tcp://172.17.0.2:5432"
    assert environment(host, "web")["DB_NAME"] == "/web/db"
    assert environment(host, "web")["DB_ENV_USER"] == "me"


def test_a_linked_container_that_comes_back_elsewhere(host: Host) -> None:
    """The line follows at once, in all that are linked to it; the command that runs cannot be told.

    While it is stopped the line stays.
    """
    host.run("db")
    for name in ("web", "api"):
        host.run(name, links=(("db", "database"),), command=("sleep", "1"))
    host.stop("db")
    assert hosts(host, "web")[0].startswith("172.17.0.2\t")
    host.run("other")
    host.start("db")
    for name in ("web", "api"):
        assert hosts(host, name)[0] == f"172.17.0.5\tdatabase {host.container('db').hostname} db"
        assert environment(host, name)["DATABASE_NAME"] == f"/{name}/database"
    assert host.check() == []


def test_a_link_lasts_over_a_restart(host: Host) -> None:
    """It is looked up anew."""
    host.run("db")
    host.run("web", links=(("db", "database"),))
    host.stop("web")
    host.stop("db")
    host.run("other")
    host.start("db")
    host.start("web")
    assert hosts(host, "web")[0].startswith("172.17.0.3\tdatabase ")


def test_nobody_is_told_of_one_that_has_gone(host: Host) -> None:
    """A removed container forgets and is forgotten."""
    host.run("db")
    host.run("web", links=(("db", "database"),))
    assert host.container("db").linked_by == (host.container("web").id,)
    host.remove("web", force=True)
    assert host.container("db").linked_by == ()


def test_links_that_cannot_be(host: Host) -> None:
    """With Docker's words.

    At once where there is nobody, at the start where it is not running or not there.
    """
    host.create("db")
    host.run("far", network="shop")
    host.run("lone", network="host")
    with pytest.raises(
        NotFound, match="could not get container for nosuch: No such container: nosuch"
    ):
        host.create("web", links=(("nosuch", "x"),))
    with pytest.raises(Invalid, match=NO_HOST):
        host.create("web", links=(("lone", "x"),))
    with pytest.raises(Conflict, match="Cannot link to a non running container: /db AS /web/x"):
        host.run("web", links=(("db", "x"),))
    with pytest.raises(Invalid, match="not attached to default bridge network"):
        host.run("web", links=(("far", "x"),))
    with pytest.raises(
        Invalid, match="conflicting options: host type networking can't be used with links"
    ):
        host.create("web", network="host", links=(("far", "x"),))
    with pytest.raises(
        Invalid, match="conflicting options: container type network can't be used with links"
    ):
        host.create("web", network="container:far", links=(("far", "x"),))
    with pytest.raises(Invalid, match="links are only supported for user-defined networks"):
        host.connect("bridge", "far", links=(("db", "x"),))
    assert [box.name for box in host.containers()] == ["db", "far", "lone"]


def test_one_that_shares_a_network_stack_stands_for_its_owner(host: Host) -> None:
    """It has no address but that one's."""
    host.run("db")
    host.run("sidecar", network="container:db")
    host.run("web", links=(("sidecar", "x"),))
    assert hosts(host, "web")[0] == f"172.17.0.2\tx {host.container('db').hostname} db"


def to_postgres(host: Host) -> list[str]:
    """The rules about the first container's port 5432."""
    specs = (thing.spec for thing in host.store.things() if isinstance(thing, Rule | NftRule))
    return [spec for spec in specs if "172.17.0.2" in spec and "port 5432" in spec]


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_a_link_is_a_hole_where_containers_are_parted(
    memory_host: MemoryHosts, backend: str
) -> None:
    """Rules for each exposed port, there and back, as long as both run."""
    forwards = {"net/ipv4/ip_forward": "1"} if backend == "nftables" else {}
    with memory_host(icc=False, firewall_backend=backend, ip_forward=not forwards) as host:
        host.run("db", exposed=("5432/tcp",))
        host.run("web", links=(("db", "db"),))
        host.run("other")
        expected = {
            "iptables": [
                (
                    "-s 172.17.0.3/32 -d 172.17.0.2/32 -i plumb0 -o plumb0 "
                    "-p tcp -m tcp --dport 5432 -j ACCEPT"
                ),
                (
                    "-s 172.17.0.2/32 -d 172.17.0.3/32 -i plumb0 -o plumb0 "
                    "-p tcp -m tcp --sport 5432 -j ACCEPT"
                ),
            ],
            "nftables": [
                "ip saddr 172.17.0.3 ip daddr 172.17.0.2 tcp dport 5432 counter accept",
                "ip saddr 172.17.0.2 tcp sport 5432 ip daddr 172.17.0.3 counter accept",
            ],
        }[backend]
        assert to_postgres(host) == expected
        host.stop("db")
        assert to_postgres(host) == []
        host.start("db")
        assert to_postgres(host) == expected
        host.disconnect("bridge", "db")
        assert to_postgres(host) == []


# -- on networks of users ---------------------------------------------------------------


def test_on_a_network_of_users_a_link_is_a_name(host: Host) -> None:
    """That the DNS server of this container alone knows; the other one need not be there.

    It goes with the first network.
    """
    host.run("web", network="shop", links=(("db", "database"), ("cache", "cache")))
    (server,) = [thing for thing in host.store.things() if isinstance(thing, Resolver)]
    shop = host.network("shop").id
    assert server.links == ((shop, "database", "db"), (shop, "cache", "cache"))
    assert hosts(host, "web") == ["10.9.0.2\tID"]
    assert inspect(host, "web")["HostConfig"]["Links"] is None
    assert inspect(host, "web")["NetworkSettings"]["Networks"]["shop"]["Links"] == [
        "db:database",
        "cache",
    ]


def test_a_link_of_one_network_of_several(host: Host) -> None:
    """As connect gives it; a restart keeps it."""
    host.create_network("back", subnet="10.8.0.0/24")
    host.run("web", network="shop")
    host.connect("back", "web", links=(("db", "database"),))
    host.restart("web")
    (server,) = [thing for thing in host.store.things() if isinstance(thing, Resolver)]
    assert server.links == ((host.network("back").id, "database", "db"),)
    assert inspect(host, "web")["NetworkSettings"]["Networks"]["shop"]["Links"] is None


# -- extra hosts ---------------------------------------------------------------


def test_host_gateway_is_the_gateway_of_the_default_network(host: Host) -> None:
    """Whatever network the container is on.

    Found out at the start, and shown as it was asked for.
    """
    host.create(
        "web", network="shop", extra_hosts=(("host.test", "host-gateway"), ("db", "192.0.2.1"))
    )
    assert hosts(host, "web") == ["192.0.2.1\tdb"]
    host.start("web")
    assert hosts(host, "web") == ["172.17.0.1\thost.test", "192.0.2.1\tdb", "10.9.0.2\tID"]
    assert inspect(host, "web")["HostConfig"]["ExtraHosts"] == [
        "host.test:host-gateway",
        "db:192.0.2.1",
    ]


def test_host_gateway_is_of_both_families_where_the_default_network_is(
    memory_host: MemoryHosts,
) -> None:
    """A line for each."""
    with memory_host(
        ipv6=True, fixed_cidr_v6="fd17::/64", bip="10.77.0.1/24", default_gateway="10.77.0.9"
    ) as host:
        host.run("web", network="none", extra_hosts=(("host.test", "host-gateway"),))
        assert hosts(host, "web") == ["10.77.0.1\thost.test", "fd17::1\thost.test"]


def test_host_gateway_as_the_settings_say(memory_host: MemoryHosts) -> None:
    """Before anything else, also where there is no default network."""
    with memory_host(bridge="none", host_gateway_ips=["192.0.2.7", "2001:db8::7"]) as host:
        host.run("web", network="host", extra_hosts=(("host.test", "host-gateway"),))
        assert hosts(host, "web") == ["192.0.2.7\thost.test", "2001:db8::7\thost.test"]


def test_host_gateway_without_a_default_network(memory_host: MemoryHosts) -> None:
    """Docker's words; nothing is left."""
    with memory_host(bridge="none") as host:
        with pytest.raises(PlumbError, match="unable to derive the IP value for host-gateway"):
            host.run("web", network="none", extra_hosts=(("host.test", "host-gateway"),))
        assert host.containers() == []


def test_a_host_name_that_was_given_is_a_dns_name(host: Host) -> None:
    """However it was given."""
    host.run("web", network=attachment("name=shop,alias=www"), hostname="box")
    assert inspect(host, "web")["NetworkSettings"]["Networks"]["shop"]["DNSNames"] == [
        "web",
        "www",
        host.container("web").id[:12],
        "box",
    ]
