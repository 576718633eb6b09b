"""Promises about containers on other hosts of the cluster, as far as this host knows them.

A container of an overlay network reaches every container of it, on whatever host. From here that
can be tried in one direction, and by ping alone, which the other host's kernel answers: nobody
listens there for plumb. The other direction is that host's to try.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from plumb.model.cluster import RemoteEndpoint
from plumb.probes.promises.promise import Member, Promise, Protocol

Remotes = Mapping[str, Sequence[RemoteEndpoint]]
"""Endpoints on other hosts by the id of their network."""


def title(end: RemoteEndpoint, members: Collection[str]) -> str:
    """Name of a container on another host, with its host where one of this host has that name."""
    return f"{end.names[0]}@{end.vtep}" if end.names[0] in members else end.names[0]


def titles(remotes: Remotes, members: Sequence[Member]) -> list[str]:
    """Names of all containers on other hosts; a balancer is none."""
    local = {box.name for box, _ in members}
    return list(
        dict.fromkeys(title(end, local) for ends in remotes.values() for end in ends if end.names)
    )


def reached(members: Sequence[Member], remotes: Remotes) -> Iterator[Promise]:
    """Yield a promise from each container to each address of its networks on other hosts."""
    local = {box.name for box, _ in members}
    for box, ends in members:
        for end, net in ends:
            for other in remotes.get(net.id, ()) if not box.shares else ():
                for ip in other.ips if other.names else ():
                    if end.address(ip.version) is not None:
                        why = f"both are on {net.name}, {other.names[0]} on host {other.vtep}"
                        name = title(other, local)
                        yield Promise(box.name, name, ip.ip, Protocol.ICMP, True, why)
