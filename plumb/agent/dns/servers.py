"""Embedded DNS of an agent: the zone, and a server for each sandbox that has one.

Requests come in the format of the agent's control socket (`agent.server`); this module validates
them in full before it changes anything. dnspython encodes messages and takes a tenth of a second to
load: the agent loads it after it has opened the first server and confirmed that to the command,
module by module, so that no client waits for long.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from ipaddress import IPv4Address, ip_address
from typing import Any

from plumb.agent.descriptors import Budget
from plumb.agent.dns.cache import AnswerCache
from plumb.agent.dns.limits import Limits, ServerContext, SocketOpener
from plumb.agent.dns.server import Resolver, Served
from plumb.agent.dns.zone import Entry
from plumb.agent.loop import Loop
from plumb.kernel.agent_verbs import NAME, SERVE, UNSERVE

PIECES = (
    "importlib.metadata",
    "dataclasses",
    "dns.name",
    "dns.rdata",
    "plumb.agent.dns.local_answers",
    "dns.rdtypes.IN.A",
    "dns.rdtypes.IN.AAAA",
    "dns.rdtypes.ANY.PTR",
    "dns.rdtypes.IN.SRV",
)
"""Modules that are loaded, in an order in which no step takes much longer than another."""
SERVER_SOCKETS = 2
"""Descriptors of one server: its UDP and its TCP socket."""
Action = Callable[[], None]
NamespaceId = tuple[int, int] | None
"""Identity of a netns: its file's device and inode number (namespaces(7)); None without a file."""


class Embedded:
    """Zone and DNS servers of an agent.

    Args:
        loop: the event loop.
        sockets: opens sockets in namespaces.
        log: takes errors of plumb itself.
        budget: the descriptors of servers and of their clients.
    """

    def __init__(
        self,
        loop: Loop,
        sockets: SocketOpener,
        log: Callable[[Exception], None],
        budget: Budget,
        limits: Limits | None = None,
    ) -> None:
        self._context = ServerContext(loop, sockets, log, budget.names, limits)
        self._budget = budget
        self._cache = AnswerCache(self._context.limits.cached_bytes)
        self._resolvers: dict[str, tuple[Resolver, NamespaceId]] = {}
        self._pieces = iter(PIECES)
        self._loading = False

    def parsed(self, verb: str, value: Any) -> Action:
        """Validate a row of a request, and return the action that carries it out.

        Args:
            verb: serve, unserve, name or unname.

        Raises:
            ValueError, TypeError, KeyError: the row is not valid.
        """
        if verb == SERVE:
            served = _served(**value)
            return lambda: self._serve(served)
        if verb == NAME:
            entry = _entry(**value)
            return lambda: self._context.zone.put(entry)
        which = _text(value)
        return (
            (lambda: self._unserve(which))
            if verb == UNSERVE
            else (lambda: self._context.zone.drop(which))
        )

    def _serve(self, served: Served) -> None:
        resolver = self._resolver_of(served.ns)
        if resolver is None:
            namespace = _namespace_id(served.ns)
            self._resolvers[served.ns] = Resolver(self._context, self._cache, served), namespace
            self._budget.promise(SERVER_SOCKETS)
            self._start_loading()
        elif resolver.served.address != served.address:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        else:
            resolver.configure(served)

    def _unserve(self, ns: str) -> None:
        resolver, _ = self._resolvers.pop(ns, (None, None))
        if resolver is not None:
            resolver.close()
            self._budget.promise(-SERVER_SOCKETS)

    def _resolver_of(self, ns: str) -> Resolver | None:
        """Find the server of a netns.

        If the file of its netns is gone or another's by now, the server is closed: its sockets
        would be all that keeps the lost netns and its links alive.
        """
        resolver, namespace = self._resolvers.get(ns, (None, None))
        if resolver is not None and namespace != _namespace_id(ns):
            self._unserve(ns)
            return None
        return resolver

    def _start_loading(self) -> None:
        if not self._loading:
            self._loading = True
            self._context.loop.soon(self._load)

    def _load(self) -> None:
        for piece in self._pieces:
            self._context.loop.soon(self._load)
            import_module(piece)
            return

    # -- what is served ---------------------------------------------------------------

    def resolvers(self, wanted: Iterable[str] | None) -> list[dict[str, Any]]:
        """List the servers of these namespaces, or all."""
        return [
            resolver.served._asdict()
            for ns in (list(self._resolvers) if wanted is None else wanted)
            if (resolver := self._resolver_of(ns))
        ]

    def names(self, wanted: Iterable[str] | None) -> list[dict[str, Any]]:
        """List the names of these endpoints, or of all."""
        entries = self._context.zone.entries
        found = (
            entries.values()
            if wanted is None
            else [entries[endpoint] for endpoint in wanted if endpoint in entries]
        )
        return [_row(entry) for entry in found]


def _row(entry: Entry) -> dict[str, Any]:
    """Names as an answer has them, without what few have."""
    row = {**entry._asdict(), "ips": [str(ip) for ip in entry.ips]}
    if not entry.service:
        del row["service"]
    return row


def _namespace_id(ns: str) -> NamespaceId:
    try:
        found = os.stat(ns)
    except OSError:
        return None
    return found.st_dev, found.st_ino


# -- what is said ---------------------------------------------------------------


def _served(
    *,
    ns: Any,
    ip: Any,
    udp: Any,
    tcp: Any,
    networks: Any,
    links: Any,
    upstreams: Any,
    outside: Any,
    ndots: Any,
) -> Served:
    return Served(
        _text(ns),
        str(IPv4Address(_text(ip))),
        _port(udp),
        _port(tcp),
        tuple(_text(each) for each in _list(networks)),
        tuple((_text(network), _text(alias), _text(name)) for network, alias, name in _list(links)),
        tuple((str(ip_address(_text(ip))), _bool(inside)) for ip, inside in _list(upstreams)),
        _bool(outside),
        _bool(ndots),
    )


def _entry(
    *,
    endpoint: Any,
    network: Any,
    title: Any,
    names: Any,
    ips: Any,
    ports: Any,
    service: Any = False,
) -> Entry:
    return Entry(
        _text(endpoint),
        _text(network),
        _text(title),
        tuple(_text(each) for each in _list(names)),
        tuple(ip_address(_text(ip)) for ip in _list(ips)),
        tuple(
            (_text(name), _text(protocol), _port(number)) for name, protocol, number in _list(ports)
        ),
        _bool(service),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{value!r} is no name")
    return value


def _port(value: Any) -> int:
    if type(value) is not int or not 0 < value < 1 << 16:
        raise ValueError(f"{value!r} is no port")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{value!r} is no list")
    return value
