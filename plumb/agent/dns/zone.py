"""Zone: the names and addresses that Docker's embedded DNS server would know. Pure.

Names belong to networks. An endpoint contributes its container's name, its aliases on that network,
the short id and its host name if one was given; several endpoints may share an alias, which then
has all their addresses. A container sees the names of its own networks only. There are no zone
files, no transfers and no search domain.

A container asks for `web`, or `web.shop` for the one on network shop; as both names may contain
dots, a query is tried in all its readings, first the whole as a name, then with ever more of its
end as a network's name:

    a.b.c       on any of the networks
    a.b         on the network "c"
    a           on the network "b.c"

The first reading that exists wins, and within it the first network, in the order in which the
container's gateway is chosen. Addresses of several networks are never merged. In each reading a
link's alias (`--link db:database`: a name that only this container has) precedes a name of the
network. Names are compared in lower case (RFC 4343); aliases of links and networks exactly as
written, as in Docker.

    NAME                        addresses of the requested family; a name without any of that family
                                exists, and its reply is empty
    2.0.18.172.in-addr.arpa     an endpoint's first name, and its network: web.shop
    PORT.PROTOCOL.NAME          endpoints that offer a named port (RFC 2782 writes _http._tcp.web)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from plumb.address import IPAddress

MOST = 1000
"""Upstream names that a sandbox's view may hold before it is emptied."""


class Entry(NamedTuple):
    """Names of an endpoint.

    Attributes:
        endpoint: its id; network: its network's id; title: that network's name.
        names: the first is the reverse name of its addresses.
        ports: name, protocol, number.
        service: True for those of a service, which give its addresses no reverse name, and are
            known even without an address.
    """

    endpoint: str
    network: str
    title: str
    names: tuple[str, ...]
    ips: tuple[IPAddress, ...]
    ports: tuple[tuple[str, str, int], ...] = ()
    service: bool = False

    @property
    def known(self) -> bool:
        """True if questions for its names are answered here."""
        return bool(self.names and (self.ips or self.service))

    @property
    def reversed(self) -> tuple[IPAddress, ...]:
        """Addresses whose reverse name is the first of its names."""
        return () if self.service else self.ips


class ZoneView(NamedTuple):
    """Part of the zone that a sandbox sees.

    Attributes:
        networks: ids of its networks, in search order.
        links: by network, the name that an alias stands for there.
        elsewhere: endpoints' addresses that its upstream servers gave for the same name.
    """

    networks: tuple[str, ...]
    links: Mapping[str, Mapping[str, str]]
    elsewhere: frozenset[tuple[str, bytes]] = frozenset()


class Network:
    """Names of one network.

    Attributes:
        named: by name in lower case, the endpoints that have it.
        called: by address, the endpoints that have it and its reverse name for each.
    """

    __slots__ = ("called", "named", "title")

    def __init__(self, title: str) -> None:
        self.title = title
        self.named: dict[str, dict[str, Entry]] = {}
        self.called: dict[bytes, dict[str, str]] = {}


class Zone:
    """Names of all networks.

    Attributes:
        version: changes whenever a reply may change.
    """

    def __init__(self) -> None:
        self.version = 0
        self.entries: dict[str, Entry] = {}
        self._networks: dict[str, Network] = {}

    # What it costs to put or to drop must not depend on how many others there are: every table is a
    # dictionary by what is looked up.

    def put(self, entry: Entry) -> None:
        """Set an endpoint's names, in place of its former ones."""
        if self.entries.get(entry.endpoint) == entry:
            return
        self.drop(entry.endpoint)
        self.entries[entry.endpoint] = entry
        self.version += 1
        if not entry.known:
            return
        net = self._networks.setdefault(entry.network, Network(entry.title))
        net.title = entry.title
        for name in entry.names:
            net.named.setdefault(name.lower(), {})[entry.endpoint] = entry
        for ip in entry.reversed:
            net.called.setdefault(ip.packed, {})[entry.endpoint] = entry.names[0]

    def drop(self, endpoint: str) -> None:
        """Remove all names of an endpoint."""
        entry = self.entries.pop(endpoint, None)
        if entry is None:
            return
        self.version += 1
        net = self._networks.get(entry.network)
        if net is None or not entry.known:
            return
        for name in entry.names:
            _remove(net.named, name.lower(), endpoint)
        for ip in entry.reversed:
            _remove(net.called, ip.packed, endpoint)
        if not net.named and not net.called:
            del self._networks[entry.network]

    # -- questions ---------------------------------------------------------------

    def addresses(self, view: ZoneView, name: str) -> tuple[IPAddress, ...] | None:
        """Look up a name for a sandbox: addresses of both families, each once.

        Args:
            name: without the final dot.

        Returns:
            None for an unknown name.
        """
        nets = [(key, net) for key in view.networks if (net := self._networks.get(key)) is not None]
        titles = {net.title for _, net in nets}
        for candidate, title in readings(name):
            if title is not None and title not in titles:
                continue
            meant = [
                (net, view.links.get(key, {}).get(candidate))
                for key, net in nets
                if title in (None, net.title)
            ]
            linked = [(net, alias) for net, alias in meant if alias is not None]
            plain = [(net, candidate) for net, alias in meant if alias is None]
            for net, known in (*linked, *plain):
                holders = net.named.get(known.lower())
                if holders:
                    return tuple(
                        dict.fromkeys(ip for entry in holders.values() for ip in entry.ips)
                    )
        return None

    def called(self, view: ZoneView, ip: bytes) -> str:
        """Look up the reverse name of an address, NAME.NETWORK; empty if no endpoint here has it.

        Args:
            ip: its bytes, four or sixteen.
        """
        for key in view.networks:
            net = self._networks.get(key)
            holders = net.called.get(ip) if net is not None else None
            endpoint, name = next(iter(holders.items())) if holders else ("", "")
            if net is not None and name and (endpoint, ip) not in view.elsewhere:
                return f"{name}.{net.title}"
        return ""

    def offers(self, view: ZoneView, name: str) -> list[tuple[str, int, tuple[IPAddress, ...]]]:
        """Look up a named port: NAME.NETWORK, the port's number and the addresses of each endpoint.

        Only the first network with such an endpoint counts.

        Args:
            name: PORT.PROTOCOL.NAME, without the final dot.
        """
        port, _, rest = name.lower().partition(".")
        protocol, _, service = rest.partition(".")
        wanted = (port.removeprefix("_"), protocol.removeprefix("_"))
        for key in view.networks:
            net = self._networks.get(key)
            found = [
                (f"{entry.names[0]}.{entry.title}", number, entry.ips)
                for entry in (net.named.get(service, {}) if net is not None else {}).values()
                for label, kind, number in entry.ports
                if (label.lower().removeprefix("_"), kind) == wanted
            ]
            if found:
                return found
        return []

    def learnt(self, view: ZoneView, name: str, ip: bytes) -> ZoneView:
        """Compute a sandbox's view after an upstream server has given this address for a name.

        If the address has the same name in the zone, the upstream server is asked for its reverse
        name from then on. (Docker notes that for the whole network; in plumb the upstream servers
        of one container do not affect the others.)
        """
        new = {
            (endpoint, ip)
            for key in view.networks
            if key in self._networks
            for endpoint, called in self._networks[key].called.get(ip, {}).items()
            if called.lower() == name.lower()
        }
        if new <= view.elsewhere:
            return view
        return view._replace(
            elsewhere=frozenset(new) if len(view.elsewhere) >= MOST else view.elsewhere | new
        )


def readings(name: str) -> Iterable[tuple[str, str | None]]:
    """Split a name in all possible ways: the name to look up, and the network's, None for any."""
    yield name, None
    at = name.rfind(".")
    while at >= 0:
        yield name[:at], name[at + 1 :]
        at = name.rfind(".", 0, at)


def reversed_address(name: str) -> bytes | None:
    """Parse a name of the reverse tree (RFC 1035 section 3.5, RFC 3596 section 2.5).

    Args:
        name: 2.0.18.172.in-addr.arpa, or 32 hexadecimal digits and ip6.arpa, dots between them;
            without the final dot.

    Returns:
        The address's bytes, None for any other name.
    """
    parts = name.lower().split(".")[::-1]
    digits = parts[2:]
    if (
        parts[:2] == ["arpa", "in-addr"]
        and len(digits) == 4
        and all(part.isascii() and part.isdigit() for part in digits)
    ):
        numbers = [int(part) for part in digits if len(part) < 4 and str(int(part)) == part]
        return bytes(numbers) if len(numbers) == 4 and max(numbers) < 256 else None
    if (
        parts[:2] == ["arpa", "ip6"]
        and len(digits) == 32
        and all(len(part) == 1 and part in "0123456789abcdef" for part in digits)
    ):
        return bytes.fromhex("".join(digits))
    return None


def _remove(table: dict[Any, dict[str, Any]], key: str | bytes, endpoint: str) -> None:
    holders = table.get(key)
    if holders is not None:
        holders.pop(endpoint, None)
        if not holders:
            del table[key]
