"""Exposed ports, and the PORTS column of `ps` as Docker's command line writes it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from plumb.address import IPAddress
from plumb.model.cnm import Ends, Sandbox, Status


class OpenPort(NamedTuple):
    """A port of a container; without an address it is only exposed."""

    port: int
    protocol: str
    host_ip: IPAddress | None = None
    host_port: int = 0

    @property
    def order(self) -> tuple[int, int, int, int, str]:
        version, ip = (self.host_ip.version, int(self.host_ip)) if self.host_ip else (0, 0)
        return self.port, version, ip, self.host_port, self.protocol


def ports_column(box: Sandbox, ends: Ends) -> str:
    """Ports in order of the container's; those that have the same number outside come first.

    These are written as ranges where they follow each other, as are those only exposed.
    """
    ports = open_ports(box, ends)
    mapped = [_mapped(port) for port in ports if port.host_ip and port.host_port != port.port]
    return ", ".join([*_ranges(port for port in ports if _alike(port)), *mapped])


def open_ports(box: Sandbox, ends: Ends) -> list[OpenPort]:
    """A container's ports, published and exposed, in Docker's order; none of one that is down."""
    if box.status is not Status.RUNNING:
        return []
    return sorted(_ports(box, ends), key=lambda port: port.order)


def _ports(box: Sandbox, ends: Ends) -> Iterable[OpenPort]:
    published = [
        OpenPort(port.port, port.protocol, port.host_ip if port.host_port else None, port.host_port)
        for end, _ in ends
        for port in end.ports
    ]
    yield from dict.fromkeys(published)
    known = {(port.port, port.protocol) for port in published}
    for spec in exposed(box, ends):
        number, _, protocol = spec.partition("/")
        if (int(number), protocol) not in known:
            yield OpenPort(int(number), protocol)


def exposed(box: Sandbox, ends: Ends) -> list[str]:
    """Exposed ports as "80/tcp"; as in Docker, a bridge network shows them, no other does."""
    specs = {*box.exposed, *(f"{port.port}/{port.protocol}" for port in box.ports)}
    if not specs or not any(net.traits.publishes_ports for _, net in ends):
        return []
    return sorted(specs)


def _alike(port: OpenPort) -> bool:
    return port.host_ip is None or port.host_port == port.port


def _ranges(ports: Iterable[OpenPort]) -> list[str]:
    """Runs of ports that follow each other; the last run of each kind stands after all others."""
    done: list[str] = []
    last: dict[tuple[IPAddress | None, str], tuple[int, int]] = {}
    for port in ports:
        kind = port.host_ip, port.protocol
        first, end = last.get(kind, (port.port, port.port - 1))
        if port.port != end + 1:
            done.append(_range(kind, first, end))
            first = port.port
        last[kind] = first, port.port
    return [*done, *(_range(kind, first, end) for kind, (first, end) in last.items())]


def _range(kind: tuple[IPAddress | None, str], first: int, end: int) -> str:
    ip, protocol = kind
    span = str(first) if first == end else f"{first}-{end}"
    return f"{_host(ip)}:{span}->{span}/{protocol}" if ip else f"{span}/{protocol}"


def _mapped(port: OpenPort) -> str:
    assert port.host_ip is not None
    return f"{_host(port.host_ip)}:{port.host_port}->{port.port}/{port.protocol}"


def _host(ip: IPAddress) -> str:
    return f"[{ip}]" if ip.version == 6 else str(ip)
