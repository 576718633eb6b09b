"""Reachability: tries with a real socket if one place of a lab reaches another, and judges it.

Without a server on the requested port, the lab's host opens a listener: the test is of the path,
not of the server. A published port of the host leads to a container; the listener is then in that
container, at its own port.

Silence proves nothing by itself: a container whose link is down reaches no place either. So beside
the request the host pings other places that the source must reach by its networks' promises; if
none of them answers, the silence counts for nothing. And where the networks promise an answer, it
is asked for once more with the patience of `matrix`: a busy host's may be late.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from plumb.address import IPAddress, family
from plumb.engine.host import Host
from plumb.kernel.netlink.sock_diag import sockets
from plumb.kernel.netns.namespaces import entered
from plumb.model.cnm import Status
from plumb.probes.matrix import AT_LEAST, MORE
from plumb.probes.promises.promise import HOST, WORLD, Promise, Protocol, Service
from plumb.probes.promises.published_ports import PublishingHost, published
from plumb.probes.promises.reachability import promises
from plumb.probes.promises.verdicts import Observation
from plumb.probes.traffic.observe import try_out
from plumb.pytest_plugin.lab_process.places import Places
from plumb.pytest_plugin.values import CLIENT, INTERNET, ROUTER, Asked, Found, described

OUTSIDE = (ROUTER, CLIENT, INTERNET)
CONTROL = "a ping that must be answered"
SILENCE = "no answer within"


def knock(places: Places, host: Host, asked: Asked, seconds: float) -> Found:
    """Try it.

    Args:
        places: the lab; host: plumb on it.
        seconds: how long to wait for an answer.
    """
    promised = _promised(places, host, asked)
    broken = _down(places, asked.source, asked.address.version) or _down(
        places, asked.target, asked.address.version
    )
    reached, observed, outcomes = _tried(places, host, asked, seconds)
    if promised and promised.reach and not reached and not broken and SILENCE in observed:
        more = max(seconds * MORE, AT_LEAST)
        reached, observed, outcomes = _tried(places, host, asked, more)
    if not reached and not broken and outcomes and not any(outcome.reached for outcome in outcomes):
        control = outcomes[0].promise
        broken = f"{asked.source} reaches nobody, not even {control.target} at {control.address}"
    return Found(asked, reached, observed, str(promised or ""), "" if reached else broken)


def _tried(
    places: Places, host: Host, asked: Asked, seconds: float
) -> tuple[bool, str, list[Observation]]:
    """Try it once: whether it reaches, what was observed, and what became of the controls."""
    node, address, port = answering(places, host, asked)
    if asked.port and listens(places.place(node), asked.protocol, address, port):
        reached, observed = _call(places.place(asked.source), asked, seconds)
        controls = [] if reached else _controls(places, host, asked)
        return reached, observed, try_out(controls, _places(places), seconds) if controls else []
    service = Service(asked.port, address, port) if asked.port else None
    protocol = Protocol(asked.protocol)
    knocked = Promise(asked.source, node, asked.address, protocol, True, "", service)
    first, *outcomes = try_out([knocked, *_controls(places, host, asked)], _places(places), seconds)
    return first.reached, _observed(first, seconds), outcomes


def _observed(outcome: Observation, seconds: float) -> str:
    if not outcome.reached:
        asker = f", asked from {outcome.own}" if outcome.own else ""
        return (
            outcome.observed if outcome.by or outcome.said else f"{SILENCE} {seconds:g} s"
        ) + asker
    source = outcome.source_address
    return "an answer" + (f"; it was seen coming from {source}" if source else "")


def _call(ns: str, asked: Asked, seconds: float) -> tuple[bool, str]:
    """Connect to the server that listens there already.

    A datagram's silence says nothing, so UDP is not for this.
    """
    if asked.protocol == "udp":
        return (
            False,
            (
                "somebody listens there already, and does not say whether a datagram came: "
                "ask that server itself"
            ),
        )
    with entered(ns), socket.socket(family(asked.address.version), socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        try:
            client.connect((str(asked.address), asked.port))
        except TimeoutError:
            return False, f"{SILENCE} {seconds:g} s"
        except OSError as error:
            return False, f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
        return True, f"who listens there accepted, asked from {client.getsockname()[0]}"


def listens(ns: str, protocol: str, address: IPAddress, port: int) -> bool:
    """True if a socket has the port already."""
    with entered(ns):
        return any(
            each.port == port and (each.ip == address or each.ip.is_unspecified)
            for version in (4, 6)
            for each in sockets(protocol, version, ["LISTEN"] if protocol == "tcp" else ["CLOSED"])
        )


def answering(places: Places, host: Host, asked: Asked) -> tuple[str, IPAddress, int]:
    """Container, address and port that answer a request.

    Of a published port of the host these are the container's, and its own port.
    """
    if asked.target == HOST:
        for box, ends in places.members():
            for end, _ in ends:
                for port in end.ports:
                    if (port.protocol, port.host_port) == (
                        asked.protocol,
                        asked.port,
                    ) and port.host_ip.version == asked.address.version:
                        return box.name, end.target(port), port.port
    return asked.target, asked.address, asked.port


# -- what the answer is worth ---------------------------------------------------------------


def _down(places: Places, node: str, version: int) -> str:
    """Reason why a place can take no part at all, empty where it can."""
    links = [link for link in places.links(node) if link["name"] != "lo"]
    if not links:
        return "" if node in places.places else f"{node} has no network"
    usable = [
        link
        for link in links
        if link["up"]
        and link["carrier"]
        and any(ip_address(address).version == version for address in link["addresses"])
    ]
    if usable:
        return ""
    return f"{node} has no link that works for IPv{version}: {', '.join(map(described, links))}"


def _controls(places: Places, host: Host, asked: Asked) -> Sequence[Promise]:
    """Pings of a few other places that the asker must reach, sent beside the request."""
    if asked.source in OUTSIDE:
        other = ROUTER if asked.source != ROUTER else CLIENT
        address = places.interfaces[other].address(asked.address.version)
        return (
            [Promise(asked.source, other, address, Protocol.ICMP, True, CONTROL)]
            if address and asked.source != INTERNET
            else []
        )
    kept = [
        promise
        for promise in _all(places, host)
        if promise.reach
        and promise.protocol is Protocol.ICMP
        and promise.service is None
        and promise.source == asked.source
        and promise.address != asked.address
        and promise.address.version == asked.address.version
        and promise.target != WORLD
    ]
    return kept[:3]


def _places(places: Places) -> dict[str, str]:
    boxes = {
        box.name: places.place(box.name)
        for box, _ in places.members()
        if box.status is Status.RUNNING
    }
    return {**places.places, **boxes}


def _all(places: Places, host: Host) -> list[Promise]:
    """Promises of the networks of this lab."""
    members, on_lan = places.members(), places.interfaces
    world = [
        address
        for version in (4, 6)
        if (there := on_lan.get(INTERNET)) is not None and (address := there.address(version))
    ]
    own = [
        address
        for version in (4, 6)
        if (here := on_lan.get(HOST)) is not None and (address := here.address(version))
    ]
    publishing = PublishingHost(own, proxy=host.settings.userland_proxy)
    return [*promises(members, world, routed_here=bool(world)), *published(members, publishing)]


def _promised(places: Places, host: Host, asked: Asked) -> Promise | None:
    """Promise about a request."""
    names = {**dict.fromkeys(OUTSIDE, WORLD)}
    source, target = names.get(asked.source, asked.source), names.get(asked.target, asked.target)
    for promise in _all(places, host):
        behind = promise.service is not None and asked.target == HOST
        if (
            promise.source == source
            and (behind or promise.target == target)
            and promise.address == asked.address
            and promise.protocol == asked.protocol
            and (promise.service is None or promise.service.port == asked.port)
        ):
            return promise
    return None
