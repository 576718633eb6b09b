"""A subnet of a network."""

from __future__ import annotations

from plumb.address import IPAddress, IPNetwork
from plumb.frozen import frozen


@frozen
class Pool:
    """A subnet of a network, and what of it is handed out.

    Attributes:
        subnet: the whole.
        range: where dynamic addresses come from; None: from all of it.
        gateway: the bridge's own address, or the router's.
        aux: addresses that are spoken for, by name.
        given: the user named the subnet (rather than plumb choosing one).
    """

    subnet: IPNetwork
    range: IPNetwork | None = None
    gateway: IPAddress | None = None
    aux: tuple[tuple[str, IPAddress], ...] = ()
    given: bool = True

    @property
    def router(self) -> IPAddress | None:
        """Default gateway of the containers in this subnet.

        `--aux-address DefaultGatewayIPv4=…` overrides the bridge.
        """
        return dict(self.aux).get(f"DefaultGatewayIPv{self.subnet.version}", self.gateway)
