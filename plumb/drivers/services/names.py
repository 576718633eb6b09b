"""Names of a service: its own for the virtual address, tasks.NAME for those behind it.

With endpoint mode dnsrr there is no virtual address, and its own name is that of all tasks. While a
service has no task, its names are known all the same, and have no address: the question is answered
here, and no server outside is asked for a private name.
"""

from __future__ import annotations

from collections.abc import Iterator

from plumb.drivers.embedded_dns import known_on
from plumb.model.cnm import Network
from plumb.model.service.virtual import VirtualService
from plumb.things import Thing
from plumb.things.dns import NamedPort, Names
from plumb.things.host_ports import Agent


def service(one: VirtualService, net: Network, folder: str) -> Iterator[Thing]:
    """Yield a service's names on a network; the ingress network has none.

    Args:
        folder: the agent's.
    """
    if net.overlay.ingress or not known_on(net):
        return
    own = tuple(dict.fromkeys((one.name, *one.aliases)))
    tasks = tuple(
        ip.ip for end in one.backends if end.named for ip in (end.ip, end.ip6) if ip is not None
    )
    virtual = tuple(ip.ip for ip in one.ips) if one.backends else ()
    ports = tuple(NamedPort(port.name, port.protocol, port.target) for port in one.named_ports)
    yield Agent(folder)
    yield Names(
        *(folder, one.id, net.id, net.name, own, virtual if one.ips else tasks),
        ports=ports,
        service=True,
    )
    every = tuple(f"tasks.{name}" for name in own)
    yield Names(folder, f"tasks.{one.id}", net.id, net.name, every, tasks, service=True)
