"""Records in the cluster's store that a host's objects need there, beside those of the kernel."""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv4Interface, IPv6Interface
from typing import ClassVar

from plumb.frozen import frozen
from plumb.things import Key, Stage, Thing


@frozen
class EndpointRecord(Thing):
    """Record of an endpoint in the cluster, by which other hosts send to it.

    This host's cluster process publishes it, with the host as its node. It is there as long as the
    host's session with the cluster lasts, and comes back with that.

    Attributes:
        folder: the folder of the cluster process's control socket.
        endpoint: the endpoint's id; network: its network's; sandbox: its container's, empty for a
            balancer.
        mac, ip, ip6: its addresses, with the subnet's prefix length.
        names: the names that it has on the network.
    """

    stage: ClassVar = Stage.RECORD
    folder: str
    endpoint: str
    network: str
    mac: str
    ip: IPv4Interface | None = None
    ip6: IPv6Interface | None = None
    names: tuple[str, ...] = ()
    sandbox: str = ""

    @cached_property
    def key(self) -> Key:
        return ("endpoint record", self.endpoint)

    def __str__(self) -> str:
        ips = " ".join(str(ip.ip) for ip in (self.ip, self.ip6) if ip is not None)
        return f"endpoint record of {ips}"
