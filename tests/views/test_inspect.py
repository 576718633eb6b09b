"""Docker's JSON, field by field."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from plumb import Host
from plumb.model import container_options, parse
from plumb.model.net.attachment import attachment
from plumb.views.inspect import containers, networks, rows
from plumb.views.inspect.ports import ports_column


@pytest.fixture
def host(host: Host) -> Host:
    host.create_network(
        "shop",
        subnet=["10.9.0.0/24", "fd09::/64"],
        ip_range="10.9.0.128/25",
        ipv6=True,
        aux_addresses={"printer": "10.9.0.9"},
        options={"com.docker.network.driver.mtu": "1400"},
        labels={"a": "b"},
    )
    return host


def container(host: Host, name: str) -> dict[str, Any]:
    """`inspect NAME`."""
    known = {net.id: net for net in host.networks()}
    box = host.container(name)
    return containers.container(
        box, [(end, known[end.network]) for end in host.endpoints(box)], known, host.layout
    )


def network(host: Host, name: str) -> dict[str, Any]:
    """`network inspect NAME`."""
    net = host.network(name)
    return networks.network(
        net, [(end, host.container(end.sandbox)) for end in host.endpoints(net)]
    )


NETWORK = (
    "Name",
    "Id",
    "Created",
    "Scope",
    "Driver",
    "EnableIPv4",
    "EnableIPv6",
    "IPAM",
    "Internal",
    "Attachable",
    "Ingress",
    "ConfigFrom",
    "ConfigOnly",
    "Options",
    "Labels",
    "Containers",
)
ENDPOINT = (
    "IPAMConfig",
    "Links",
    "Aliases",
    "DriverOpts",
    "GwPriority",
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "MacAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "DNSNames",
)


def test_a_network_s_fields(host: Host) -> None:
    """Docker's, no more and no fewer."""
    assert sorted(network(host, "shop")) == sorted(NETWORK)


def test_a_network_s_addresses(host: Host) -> None:
    """Gateways are bare addresses; fields that were not given are left out."""
    assert network(host, "shop")["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [
            {
                "Subnet": "10.9.0.0/24",
                "IPRange": "10.9.0.128/25",
                "Gateway": "10.9.0.128",
                "AuxiliaryAddresses": {"printer": "10.9.0.9"},
            },
            {"Subnet": "fd09::/64", "Gateway": "fd09::1"},
        ],
    }


def test_what_was_given_is_shown_as_given(host: Host) -> None:
    """Options and labels."""
    found = network(host, "shop")
    assert (found["Options"], found["Labels"]) == (
        {"com.docker.network.driver.mtu": "1400"},
        {"a": "b"},
    )


@pytest.mark.parametrize(("name", "driver"), [("host", "host"), ("none", "null")])
def test_networks_without_addresses(host: Host, name: str, driver: str) -> None:
    """Their configuration is null."""
    found = network(host, name)
    assert (found["Driver"], found["Scope"], found["IPAM"]["Config"]) == (driver, "local", None)


def test_a_network_s_containers(host: Host) -> None:
    """By id, addresses with their prefix length."""
    box = host.run("web", network="shop")
    end = host.endpoints(box)[0]
    assert network(host, "shop")["Containers"] == {
        box.id: {
            "Name": "web",
            "EndpointID": end.id,
            "MacAddress": end.mac,
            "IPv4Address": "10.9.0.129/24",
            "IPv6Address": "fd09::2/64",
        }
    }


def test_the_mode_stays_that_of_the_creation(host: Host) -> None:
    """As in Docker: also when the container has left the network that it was made with."""
    host.create_network("other")
    host.run("web", network="shop")
    host.connect("other", "web")
    host.disconnect("shop", "web")
    assert container(host, "web")["HostConfig"]["NetworkMode"] == "shop"
    host.run("alone", network="none")
    host.disconnect("none", "alone")
    assert container(host, "alone")["HostConfig"]["NetworkMode"] == "none"


def test_a_running_container_s_network(host: Host) -> None:
    """Docker's fields of an endpoint."""
    box = host.run(
        "web",
        network=attachment("name=shop,ip=10.9.0.200,alias=www,gw-priority=3"),
        hostname="www1",
    )
    found = container(host, "web")["NetworkSettings"]["Networks"]["shop"]
    end = host.endpoints(box)[0]
    assert sorted(found) == sorted(ENDPOINT)
    assert found == {
        "IPAMConfig": {"IPv4Address": "10.9.0.200"},
        "Links": None,
        "Aliases": ["www"],
        "DriverOpts": None,
        "GwPriority": 3,
        "NetworkID": end.network,
        "EndpointID": end.id,
        "Gateway": "10.9.0.128",
        "IPAddress": "10.9.0.200",
        "IPPrefixLen": 24,
        "MacAddress": end.mac,
        "IPv6Gateway": "fd09::1",
        "GlobalIPv6Address": "fd09::2",
        "GlobalIPv6PrefixLen": 64,
        "DNSNames": ["web", "www", box.id[:12], "www1"],
    }


def test_a_stopped_container_has_wishes_only(host: Host) -> None:
    """The requested values stay, those of a running container are empty."""
    host.run("web", network=attachment("name=shop,ip=10.9.0.200,alias=www"))
    host.stop("web")
    settings = container(host, "web")["NetworkSettings"]
    found = settings["Networks"]["shop"]
    assert (found["IPAMConfig"], found["Aliases"]) == ({"IPv4Address": "10.9.0.200"}, ["www"])
    assert (
        found["IPAddress"],
        found["IPPrefixLen"],
        found["Gateway"],
        found["EndpointID"],
        found["MacAddress"],
    ) == ("", 0, "", "", "")
    assert (settings["SandboxID"], settings["SandboxKey"], settings["Ports"]) == ("", "", {})


def test_a_running_container_s_namespace(host: Host) -> None:
    """SandboxKey is the file; sharing containers have one; the host's is called default."""
    lead = host.run("lead", network="shop")
    host.run("shared", network="container:lead")
    host.run("on-host", network="host")
    keys = {
        name: container(host, name)["NetworkSettings"]["SandboxKey"]
        for name in ("lead", "shared", "on-host")
    }
    assert keys["lead"] == keys["shared"] == host.namespace(lead)
    assert keys["on-host"].endswith("/netns/default")


@pytest.mark.parametrize(
    ("asked", "mode"), [("shop", "shop"), ("host", "host"), ("none", "none"), ("bridge", "bridge")]
)
def test_network_mode(host: Host, asked: str, mode: str) -> None:
    """The network at creation, host or none."""
    host.run("web", network=asked)
    assert container(host, "web")["HostConfig"]["NetworkMode"] == mode


def test_state(host: Host) -> None:
    """Docker's words for the three states."""
    host.create("web", network="shop")
    states = [container(host, "web")["State"]["Status"]]
    host.start("web")
    states.append(container(host, "web")["State"]["Status"])
    host.stop("web")
    assert [*states, container(host, "web")["State"]["Status"]] == ["created", "running", "exited"]


def test_the_name_has_a_slash(host: Host) -> None:
    """As Docker's has."""
    host.create("web", network="shop")
    assert container(host, "web")["Name"] == "/web"


def test_all_of_it_is_json(host: Host) -> None:
    """json.dumps takes the whole document."""
    host.run(
        "web",
        network=["shop", "bridge"],
        ports=container_options.published("127.0.0.1:8080:80"),
        dns=(parse.address("1.1.1.1"),),
    )
    for found in (container(host, "web"), network(host, "shop")):
        assert json.loads(json.dumps(found)) == found


def test_rows(host: Host) -> None:
    """Short ids, unless asked for."""
    net, box = host.network("shop"), host.run("web", network="shop", command=("sleep", "1" * 40))
    known = {net.id: net}
    ends = [(end, net) for end in host.endpoints(box)]
    assert networks.network_row(net)["ID"] == net.id[:12]
    assert networks.network_row(net, truncate=False)["ID"] == net.id
    row = rows.container_row(box, ends, known)
    assert row["Status"].startswith("Up ")
    assert row["ID"] == box.id[:12]
    assert (row["Networks"], row["Addresses"]) == ("shop", "10.9.0.129, fd09::2")
    assert row["Command"] == '"sleep 1111111111111…"'
    assert (
        rows.container_row(replace(box, exit_code=3), ends, known, truncate=False)["Command"]
        == f'"sleep {"1" * 40}"'
    )


def test_published_ports(host: Host) -> None:
    """All bindings, null for a port only exposed; HostConfig has the request."""
    host.run("web", network="shop", publish=["127.0.0.1:8080:80", "53"], exposed=("443/tcp",))
    found = container(host, "web")
    assert found["NetworkSettings"]["Ports"] == {
        "443/tcp": None,
        "53/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "32768"},
            {"HostIp": "::", "HostPort": "32768"},
        ],
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
    }
    assert found["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "53/tcp": [{"HostIp": "", "HostPort": ""}],
    }


def ports_of(host: Host, name: str) -> str:
    """The PORTS column of `ps`."""
    known = {net.id: net for net in host.networks()}
    box = host.container(name)
    return ports_column(box, [(end, known[end.network]) for end in host.endpoints(box)])


@pytest.mark.parametrize(
    ("words", "column"),
    [
        (["8080:80"], "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
        (
            ["127.0.0.1:8000-8001:80-81", "127.0.0.1:9000:84"],
            "443/tcp, 127.0.0.1:8000->80/tcp, 127.0.0.1:8001->81/tcp, 127.0.0.1:9000->84/tcp",
        ),
        (["127.0.0.1:80-83:80-83"], "127.0.0.1:80-83->80-83/tcp, 443/tcp"),
        (["[::1]:53:53/udp"], "[::1]:53->53/udp, 443/tcp"),
    ],
)
def test_ports_in_the_listing(host: Host, words: list[str], column: str) -> None:
    """Docker's form: by port of the container, runs of the same ports outside as ranges first."""
    host.run("web", network="shop", publish=words, exposed=("443/tcp",))
    assert ports_of(host, "web") == column


def test_a_routed_port_is_bound_nowhere(host: Host) -> None:
    """It has an address of the host, but no port."""
    host.create_network(
        "far", subnet="10.8.0.0/24", options={parse.BRIDGE + "gateway_mode_ipv4": "routed"}
    )
    host.run("web", network="far", publish="127.0.0.1:8080:80")
    assert container(host, "web")["NetworkSettings"]["Ports"] == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]
    }
    assert ports_of(host, "web") == "80/tcp"


@pytest.mark.parametrize("network", ["none", "shop", "lan"])
def test_exposed_ports_are_those_of_bridge_networks(host: Host, network: str) -> None:
    """A container without one shows none, in `inspect` and in `ps`, as in Docker."""
    host.create_network("lan", driver="macvlan", subnet="10.7.0.0/24")
    box = host.run("web", network=network, publish="8080:80", exposed="90")
    ends = [(end, host.network(end.network)) for end in host.endpoints(box)]
    shown = container(host, "web")["NetworkSettings"]["Ports"]
    expected = {"90/tcp", "80/tcp"} if network == "shop" else set()
    assert set(shown) == expected
    assert ("90/tcp" in ports_column(box, ends)) == bool(expected)


def test_exposed_ports_go_with_the_last_network(host: Host) -> None:
    """A running container that left its networks has none."""
    host.run("web", network="shop", publish="8080:80")
    host.disconnect("shop", "web")
    assert container(host, "web")["NetworkSettings"]["Ports"] == {}


def test_a_mac_address_on_the_host_s_network_is_shown(host: Host) -> None:
    """Though no link has it."""
    host.run("web", network="host", mac="02:00:00:00:00:31")
    networks = container(host, "web")["NetworkSettings"]["Networks"]
    assert networks["host"]["MacAddress"] == "02:00:00:00:00:31"
