"""plumb agent start|stop|ls|hold|release|proxy|unproxy|serve|unserve|name|unname.

The engine does this by itself; these are the words in which `--dry-run` and `--show-commands` say
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plumb.address import IPAddress
from plumb.cli import common
from plumb.cli.common import F
from plumb.errors import Invalid
from plumb.kernel import agent_verbs as verbs
from plumb.model.paths import Layout

if TYPE_CHECKING:
    from plumb.things import Thing
    from plumb.things.dns import Upstream

    Place = tuple[IPAddress, int]

NAMES = {"Address": "ADDRESS", "Network": "NETWORK", "Names": "NAMES"}
COLUMNS = {"Protocol": "PROTOCOL", "Address": "ADDRESS", "Target": "TARGET", "Proxy": "PROXY"}


@common.group("agent")
def agent() -> None:
    """Manage the process that holds published ports and answers for names."""


@agent.command("start")
def start() -> None:
    """Start the agent of this root."""
    from plumb.things.host_ports import Agent

    _take(None, Agent(_folder()))


@agent.command("stop")
def stop() -> None:
    """End the agent of this root; its ports are free, its connections cut."""
    from plumb.things.host_ports import Agent

    _take(Agent(_folder()), None)


@agent.command("ls")
@click.option("--names", is_flag=True, help="Show the names that it answers for.")
@common.template_option
def ls(names: bool, as_json: bool, template: str) -> None:
    """List what the agent has: ports, and with --names what it answers for."""
    from plumb.kernel import agent_client
    from plumb.things.dns import Names
    from plumb.things.host_ports import HostPort, Proxy, at

    found = agent_client.held(_folder()) or []
    if names:
        rows: list[dict[str, object]] = [
            {
                "Address": " ".join(map(str, thing.ips)),
                "Network": thing.title,
                "Names": " ".join(thing.names),
            }
            for thing in found
            if isinstance(thing, Names)
        ]
        common.columns_of(NAMES, as_json, template, rows)
        return
    proxies = {
        proxy.key[1:]: at(proxy.to_ip, proxy.to_port) for proxy in found if isinstance(proxy, Proxy)
    }
    ports: list[dict[str, object]] = [
        {
            "Protocol": port.protocol,
            "Address": at(port.ip, port.port),
            "Target": at(port.to_ip, port.to_port),
            "Proxy": proxies.get(port.key[1:], ""),
        }
        for port in found
        if isinstance(port, HostPort)
    ]
    common.columns_of(COLUMNS, as_json, template, ports)


def _on_port(function: F) -> F:
    """The arguments that name a port of the host."""
    function = click.argument("address", metavar="HOST:PORT")(function)
    return click.argument("protocol", type=click.Choice(["tcp", "udp", "sctp"]))(function)


_to_container = click.argument("target", metavar="CONTAINER:PORT")


@agent.command(verbs.HOLD)
@_on_port
@_to_container
def hold(protocol: str, address: str, target: str) -> None:
    """Bind a port of the host, and drop what arrives.

    One that is held for another target is held for this one.
    """
    from plumb.things.host_ports import HostPort

    _make(HostPort(_folder(), protocol, *_place(address), *_place(target)))


@agent.command(verbs.RELEASE)
@_on_port
def release(protocol: str, address: str) -> None:
    """Release a port."""
    from plumb.things.host_ports import HostPort

    _take(HostPort(_folder(), protocol, *_place(address), *_place(address)), None)


@agent.command(verbs.PROXY)
@_on_port
@_to_container
def proxy(protocol: str, address: str, target: str) -> None:
    """Forward what arrives at a port that is held.

    One that is proxied to another target is proxied to this one.
    """
    from plumb.things.host_ports import Proxy

    _make(Proxy(_folder(), protocol, *_place(address), *_place(target)))


@agent.command(verbs.UNPROXY)
@_on_port
def unproxy(protocol: str, address: str) -> None:
    """Cut off a port's connections, and drop what arrives."""
    from plumb.things.host_ports import Proxy

    _take(Proxy(_folder(), protocol, *_place(address), *_place(address)), None)


@agent.command(verbs.SERVE)
@click.argument("namespace", metavar="FILE")
@click.argument("udp", type=click.IntRange(1, 65535))
@click.argument("tcp", type=click.IntRange(1, 65535))
@click.option(
    "--network",
    multiple=True,
    metavar="ID",
    help="A network whose names are known, in the order in which they are searched.",
)
@click.option(
    "--link",
    multiple=True,
    metavar="ID,ALIAS,NAME",
    help="On that network, another name for a name.",
)
@click.option(
    "--upstream",
    multiple=True,
    metavar="host=IP|sandbox=IP",
    help="A name server for other names, and the namespace from which the agent asks it.",
)
@click.option(
    "--no-way-out",
    is_flag=True,
    help="Do not ask from the host: the sandbox has no external connectivity either.",
)
@click.option("--ndots", is_flag=True, help="Do not forward names without a dot.")
def serve(
    namespace: str,
    udp: int,
    tcp: int,
    network: tuple[str, ...],
    link: tuple[str, ...],
    upstream: tuple[str, ...],
    no_way_out: bool,
    ndots: bool,
) -> None:
    """Answer for names at 127.0.0.11 in a sandbox, on these ports.

    Where that is done already, as said now.
    """
    from plumb.things.dns import Resolver

    links = tuple(
        (net, alias, name) for net, alias, name in (_parts(text, 3, "link") for text in link)
    )
    _make(
        Resolver(
            _folder(),
            namespace,
            udp,
            tcp,
            network,
            links,
            tuple(map(_upstream, upstream)),
            not no_way_out,
            ndots,
        )
    )


@agent.command(verbs.UNSERVE)
@click.argument("namespace", metavar="FILE")
def unserve(namespace: str) -> None:
    """Answer no more in a sandbox."""
    from plumb.things.dns import Resolver

    _take(Resolver(_folder(), namespace, 1, 1), None)


@agent.command(verbs.NAME)
@click.argument("endpoint", metavar="ENDPOINT-ID")
@click.argument("network", metavar="NETWORK-ID")
@click.argument("title", metavar="NETWORK")
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A name; the first one answers reverse look-ups of the addresses.",
)
@click.option("--ip", multiple=True, help="An address of the names.")
@click.option(
    "--port", multiple=True, metavar="NAME,PROTOCOL,PORT", help="A port that has a name (SRV)."
)
@click.option("--service", is_flag=True, help="A service's: no reverse names, addresses or not.")
def name_(
    endpoint: str,
    network: str,
    title: str,
    names: tuple[str, ...],
    ip: tuple[str, ...],
    port: tuple[str, ...],
    service: bool,
) -> None:
    """Know the names of an endpoint on its network."""
    from plumb.model.container_options import port_range
    from plumb.model.parse import address
    from plumb.things.dns import NamedPort, Names

    ports = []
    for text in port:
        called, protocol, number = _parts(text, 3, "port")
        ports.append(NamedPort(called, protocol, port_range(number, "port")[0]))
    ips = tuple(map(address, ip))
    _make(Names(_folder(), endpoint, network, title, names, ips, tuple(ports), service))


@agent.command(verbs.UNNAME)
@click.argument("endpoint", metavar="ENDPOINT-ID")
def unname(endpoint: str) -> None:
    """Forget the names of an endpoint."""
    from plumb.things.dns import Names

    _take(Names(_folder(), endpoint, "", "", (), ()), None)


def _parts(text: str, count: int, what: str) -> list[str]:
    parts = text.split(",")
    if len(parts) != count:
        raise Invalid(f"invalid {what} '{text}'", f"it has {count} parts with commas between them")
    return parts


def _upstream(text: str) -> Upstream:
    from plumb.model.parse import address
    from plumb.things.dns import Upstream

    where, equals, ip = text.partition("=")
    if not equals or where not in ("host", "sandbox"):
        raise Invalid(f"invalid upstream '{text}'", "as in host=192.0.2.1 or sandbox=192.0.2.1")
    return Upstream(address(ip), where == "sandbox")


def _folder() -> str:
    return Layout.of().run


def _make(thing: Thing) -> None:
    """Make it, or bring what is there into this state.

    What is there in this state already is an error.
    """
    from plumb.kernel import agent_client

    now = agent_client.look([thing])[0]
    _take(None if now == thing else now, thing)


def _take(before: Thing | None, after: Thing | None) -> None:
    from plumb.kernel import agent_client
    from plumb.plan import Step

    agent_client.take([Step(before, after)], [])


def _place(text: str) -> Place:
    """An address and a port: 0.0.0.0:80, [::]:80."""
    from ipaddress import ip_address

    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ip_address(host[1:-1] if bracketed else host)
        number = int(port) if port.isascii() and port.isdigit() else 0
        if not 0 < number < 1 << 16 or bracketed != (ip.version == 6):
            raise ValueError(text)
    except ValueError:
        raise Invalid(
            f"invalid address and port '{text}'", "as in 127.0.0.1:8080 or [::1]:8080"
        ) from None
    return ip, number
