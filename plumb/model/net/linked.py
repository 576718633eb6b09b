"""A container as another one, which links to it (`--link`), remembers it."""

from __future__ import annotations

from typing import NamedTuple

from plumb.address import IPAddress


class Linked(NamedTuple):
    """A container that another one links to, as it was when both were running.

    The link is one of the default network; user-defined networks have aliases instead.

    Attributes:
        id, alias: which, and what it is called where it is linked to.
        names: what the linking container's hosts file calls it.
        ips: its addresses on the default network, IPv4 first.
        ports: its exposed ports as "80/tcp", which the link opens where containers are parted from
        each other.
    """

    id: str
    alias: str
    names: str
    ips: tuple[IPAddress, ...]
    ports: tuple[str, ...] = ()
