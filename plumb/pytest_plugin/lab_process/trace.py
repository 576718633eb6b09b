"""Tracing from inside the lab: the reason why a request ended as it did.

plumb's tracer sends the request once more and watches it.

By plumb's tracer, which asks it once more and watches.

Where nobody listens a listener is brought along, as for the question itself; or the story would end
with a refusal that there was not.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plumb.address import family
from plumb.engine.host import Host
from plumb.kernel.netns.namespaces import entered
from plumb.pytest_plugin.lab_process.places import Places
from plumb.pytest_plugin.lab_process.reachability import answering
from plumb.pytest_plugin.values import HOST, Asked


def tell(places: Places, host: Host, asked: Asked, seconds: float) -> str:
    """The story of a packet that asks this, as `plumb trace` tells it."""
    from plumb.trace.report import Wishes
    from plumb.trace.tracer import Tracer
    from plumb.views import trace

    source = (
        "host"
        if asked.source == HOST
        else places.place(asked.source)
        if asked.source in places.places
        else asked.source
    )
    address = (
        f"[{asked.address}]" if asked.address.version == 6 and asked.port else str(asked.address)
    )
    also = [path for node, path in places.places.items() if node not in (HOST, asked.source)]
    target = f"{address}:{asked.port}/{asked.protocol}" if asked.port else address
    with _listener(places, host, asked):
        report = Tracer(host).trace(
            source, target, Wishes(asked.address.version, seconds, also=tuple(dict.fromkeys(also)))
        )
    return "\n".join(row.text for row in trace.rows(report))


@contextmanager
def _listener(places: Places, host: Host, asked: Asked) -> Iterator[None]:
    """Listen at the request's destination, unless that port is taken."""
    node, address, port = answering(places, host, asked)
    stream = asked.protocol == "tcp"
    with entered(places.place(node)):
        server = socket.socket(
            family(address.version), socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        )
    with server:
        with suppress(OSError):  # it is somebody's, who will answer
            if port:
                server.bind((str(address), port))
                if stream:
                    server.listen()
        yield
