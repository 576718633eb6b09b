"""The embedded DNS of an agent.

The names of all networks, and a server for each sandbox that has one.

It is spoken of in the words of the agent's control socket (`agent`); what they say is checked here,
word by word, and changes nothing when it makes no sense. Messages are written by dnspython, which
takes a tenth of a second to load: that happens after the first server was opened and whoever asked
for it was told, a piece at a time, so that nobody waits for long.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from ipaddress import IPv4Address, ip_address
from typing import Any

from plumb.agent.dns.cache import AnswerCache
from plumb.agent.dns.limits import Door, Limits, ServerContext
from plumb.agent.dns.server import Resolver, Served
from plumb.agent.dns.zone import Entry
from plumb.agent.loop import Loop

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
"""What is loaded, in an order in which no piece takes much longer than another."""
Taken = Callable[[], None]
Place = tuple[int, int] | None
"""What tells namespaces apart: a file's device and inode number (namespaces(7)).

None where there is no file.
"""


class Embedded:
    """The names, and the servers.

    Args:
        loop: serves them.
        door: opens sockets in namespaces.
        log: is told of errors of plumb's own.
    """

    def __init__(
        self, loop: Loop, door: Door, log: Callable[[Exception], None], limits: Limits | None = None
    ) -> None:
        self._commons = ServerContext(loop, door, log, limits)
        self._memory = AnswerCache(self._commons.limits.remembered)
        self._resolvers: dict[str, tuple[Resolver, Place]] = {}
        self._pieces = iter(PIECES)
        self._loading = False

    def parsed(self, word: str, told: Any) -> Taken:
        """What to do for a row of a request: it is looked through now, and done when it is called.

        Args:
            word: serve, unserve, name or unname.

        Raises:
            ValueError, TypeError, KeyError: it makes no sense.
        """
        if word == "serve":
            served = _served(**told)
            return lambda: self._serve(served)
        if word == "name":
            entry = _entry(**told)
            return lambda: self._commons.zone.put(entry)
        which = _text(told)
        return (
            (lambda: self._unserve(which))
            if word == "unserve"
            else (lambda: self._commons.zone.drop(which))
        )

    def _serve(self, served: Served) -> None:
        there = self._there(served.ns)
        if there is None:
            place = _place(served.ns)
            self._resolvers[served.ns] = Resolver(self._commons, self._memory, served), place
            self._load_on()
        elif there.served.place != served.place:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        else:
            there.configure(served)

    def _unserve(self, ns: str) -> None:
        there, _ = self._resolvers.pop(ns, (None, None))
        if there is not None:
            there.close()

    def _there(self, ns: str) -> Resolver | None:
        """The server of a namespace.

        One whose namespace was lost, so that the file is gone or another's by now, is closed: its
        sockets alone keep that namespace and its links alive.
        """
        there, place = self._resolvers.get(ns, (None, None))
        if there is not None and place != _place(ns):
            self._unserve(ns)
            return None
        return there

    def _load_on(self) -> None:
        if not self._loading:
            self._loading = True
            self._commons.loop.soon(self._load)

    def _load(self) -> None:
        for piece in self._pieces:
            self._commons.loop.soon(self._load)
            import_module(piece)
            return

    # -- what is served ---------------------------------------------------------------

    def resolvers(self, wanted: Iterable[str] | None) -> list[dict[str, Any]]:
        """What is served in these namespaces, or in all."""
        return [
            there.served._asdict()
            for ns in (list(self._resolvers) if wanted is None else wanted)
            if (there := self._there(ns))
        ]

    def names(self, wanted: Iterable[str] | None) -> list[dict[str, Any]]:
        """The names of these endpoints, or of all."""
        entries = self._commons.zone.entries
        found = (
            entries.values()
            if wanted is None
            else [entries[endpoint] for endpoint in wanted if endpoint in entries]
        )
        return [{**entry._asdict(), "ips": [str(ip) for ip in entry.ips]} for entry in found]


def _place(ns: str) -> Place:
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


def _entry(*, endpoint: Any, network: Any, title: Any, names: Any, ips: Any, ports: Any) -> Entry:
    return Entry(
        _text(endpoint),
        _text(network),
        _text(title),
        tuple(_text(each) for each in _list(names)),
        tuple(ip_address(_text(ip)) for ip in _list(ips)),
        tuple(
            (_text(name), _text(protocol), _port(number)) for name, protocol, number in _list(ports)
        ),
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
