"""plumb agent start|stop|ls|hold|release|proxy|unproxy.

The engine does this by itself; these are the words in which `--dry-run` and `--show-commands` say it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from plumb.cli import common
from plumb.cli.common import F
from plumb.errors import Invalid
from plumb.layout import Layout

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from plumb.things import Thing

    Place = tuple[IPv4Address | IPv6Address, int]

COLUMNS = {"Protocol": "PROTOCOL", "Address": "ADDRESS", "Target": "TARGET", "Proxy": "PROXY"}


@click.group("agent")
def agent() -> None:
    """Manage the process that holds the published ports."""


@agent.command("start")
def start() -> None:
    """Start the agent of this root."""
    from plumb.things.ports import Agent

    _take(None, Agent(_folder()))


@agent.command("stop")
def stop() -> None:
    """End the agent of this root; its ports are free, its connections cut."""
    from plumb.things.ports import Agent

    _take(Agent(_folder()), None)


@agent.command("ls")
@common.template_option
def ls(as_json: bool, template: str) -> None:
    """List the ports that the agent holds."""
    from plumb.kernel import agents
    from plumb.things.ports import HostPort, Proxy, at

    found = agents.held(_folder()) or []
    proxies = {proxy.key[1:]: at(proxy.to_ip, proxy.to_port) for proxy in found if isinstance(proxy, Proxy)}
    rows: list[dict[str, object]] = [
        {"Protocol": port.protocol, "Address": at(port.ip, port.port), "Target": at(port.to_ip, port.to_port),
         "Proxy": proxies.get(port.key[1:], "")} for port in found if isinstance(port, HostPort)]
    common.columns_of(COLUMNS, as_json, template, rows)


def _on_port(function: F) -> F:
    """The arguments that name a port of the host."""
    function = click.argument("address", metavar="HOST:PORT")(function)
    return click.argument("protocol", type=click.Choice(["tcp", "udp", "sctp"]))(function)


_to_container = click.argument("target", metavar="CONTAINER:PORT")


@agent.command("hold")
@_on_port
@_to_container
def hold(protocol: str, address: str, target: str) -> None:
    """Bind a port of the host, and drop what arrives; one that is held for another target is held for this one."""
    from plumb.things.ports import HostPort

    _make(HostPort(_folder(), protocol, *_place(address), *_place(target)))


@agent.command("release")
@_on_port
def release(protocol: str, address: str) -> None:
    """Let go of a port."""
    from plumb.things.ports import HostPort

    _take(HostPort(_folder(), protocol, *_place(address), *_place(address)), None)


@agent.command("proxy")
@_on_port
@_to_container
def proxy(protocol: str, address: str, target: str) -> None:
    """Hand on what arrives at a port that is held; one that is proxied to another target is proxied to this one."""
    from plumb.things.ports import Proxy

    _make(Proxy(_folder(), protocol, *_place(address), *_place(target)))


@agent.command("unproxy")
@_on_port
def unproxy(protocol: str, address: str) -> None:
    """Cut off a port's connections, and drop what arrives."""
    from plumb.things.ports import Proxy

    _take(Proxy(_folder(), protocol, *_place(address), *_place(address)), None)


def _folder() -> str:
    return Layout.of().run


def _make(thing: Thing) -> None:
    """Make it, or bring what is there into this state; what is there in this state already is an error."""
    from plumb.kernel import agents

    now = agents.look([thing])[0]
    _take(None if now == thing else now, thing)


def _take(before: Thing | None, after: Thing | None) -> None:
    from plumb.kernel import agents
    from plumb.plan import Step

    agents.take([Step(before, after)], [])


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
        raise Invalid(f"invalid address and port '{text}'", "as in 127.0.0.1:8080 or [::1]:8080") from None
    return ip, number
