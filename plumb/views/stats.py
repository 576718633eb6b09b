"""Statistics as rows: one for each endpoint, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from plumb.kernel.agent_usage import PartyUsage
from plumb.model.cnm import Endpoint, Network, Sandbox
from plumb.views.agent_usage import line, summed

if TYPE_CHECKING:
    from plumb.kernel.cluster.balanced import TaskLoad
    from plumb.model.service.virtual import Backend, VirtualService

COLUMNS = {
    "Container": "CONTAINER",
    "Network": "NETWORK",
    "Interface": "INTERFACE",
    "Received": "RECEIVED",
    "Sent": "SENT",
    "Errors": "ERRORS",
    "Dropped": "DROPPED",
    "Sockets": "SOCKETS",
    "Flows": "FLOWS",
}
TUNNEL_COLUMNS = {
    "Network": "NETWORK",
    "Vni": "VNI",
    "Interface": "INTERFACE",
    "Peers": "PEERS",
    "Received": "RECEIVED",
    "Sent": "SENT",
    "Errors": "ERRORS",
    "Dropped": "DROPPED",
}
SERVICE_COLUMNS = {
    "Service": "SERVICE",
    "Network": "NETWORK",
    "Task": "TASK",
    "Address": "ADDRESS",
    "Weight": "WEIGHT",
    "Active": "ACTIVE",
    "Total": "TOTAL",
    "Received": "RECEIVED",
    "Sent": "SENT",
}
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
Json = dict[str, Any]
Clients = Mapping[tuple[str | int, ...], PartyUsage]
"""Clients of the agent, by the published port or the namespace file that they come to."""


def row(
    box: Sandbox,
    end: Endpoint,
    net: Network,
    traffic: Mapping[str, int],
    own: Counter[tuple[str, str]],
    tracked: Mapping[tuple[bytes, str, str], int],
    clients: Clients,
    ns: str,
    before: Mapping[str, int] | None = None,
    seconds: float = 1.0,
) -> Json:
    """An endpoint's row: the counters as numbers, and words for the table.

    Args:
        traffic: the link's counters by name.
        own: the container's sockets by protocol and state.
        tracked: the host's flows by address, protocol and state.
        before: earlier counters, for rates in the table; seconds: the time since then.
        clients: those of the agent; ns: the container's namespace file.
    """
    addresses = {ip.ip.packed for ip in end.ips}
    flows: Counter[tuple[str, str]] = Counter()
    for (ip, protocol, state), count in tracked.items():
        if ip in addresses:
            flows[protocol, state] += count
    names = [(port.protocol, str(port.host_ip), port.host_port) for port in end.ports]
    proxied = [clients[name] for name in names if name in clients]
    asking = [clients[ns,]] if (ns,) in clients else []
    return {
        "Container": box.name,
        "ID": box.id,
        "Network": net.name,
        "Interface": end.ifname,
        **_named(traffic),
        "Connections": nested(own),
        "Tracked": nested(flows),
        "Proxy": summed(proxied),
        "DNS": summed(asking),
        **_words(traffic, before, seconds),
        "Sockets": summary(own),
        "Flows": summary(flows),
        "Bounds": [
            line(party, {ns: box.name}) for party in (*proxied, *asking) if any(party.hits.values())
        ],
    }


def tunnel_row(
    net: Network,
    number: int,
    peers: int,
    traffic: Mapping[str, int],
    before: Mapping[str, int] | None = None,
    seconds: float = 1.0,
) -> Json:
    """The row of an overlay's VXLAN link: what this host had from others, and sent to them.

    Args:
        number: of the network's segment; peers: hosts that have endpoints of the network.
        traffic: the link's counters by name; before: earlier ones, for rates; seconds: since then.
    """
    return {
        "Network": net.name,
        "ID": net.id,
        "Vni": net.overlay.vnis[number],
        "Interface": f"vxlan{number}",
        "Peers": peers,
        **_named(traffic),
        **_words(traffic, before, seconds),
    }


def service_row(
    service: VirtualService,
    net: Network,
    task: Backend,
    load: TaskLoad,
    before: Mapping[str, int] | None = None,
    seconds: float = 1.0,
) -> Json:
    """The row of a service's task: what this host's balancer has given to it.

    Args:
        before: an earlier load's counters, for rates in the table; seconds: the time since then.
    """
    counted = {"total": load.total, "in": load.in_bytes, "out": load.out_bytes}

    def words(name: str, unit: Callable[[float], str]) -> str:
        number = counted[name]
        if number is None:
            return "-"
        if before is None:
            return unit(number)
        return f"{unit((number - before[name]) / seconds)}/s"

    return {
        "Service": service.name,
        "ID": service.service,
        "Network": net.name,
        "Task": task.name,
        "Address": str(task.ip.ip),
        "Weight": task.weight,
        "Mechanism": str(service.mechanism),
        "Active": load.active,
        "Inactive": load.inactive,
        "Connections": load.total,
        "RxBytes": load.in_bytes,
        "TxBytes": load.out_bytes,
        "Total": words("total", "{:.3g}".format if before else "{:.0f}".format),
        "Received": words("in", size),
        "Sent": words("out", size),
    }


def _named(traffic: Mapping[str, int]) -> Json:
    """A link's counters, as programs get them."""
    return {
        "".join(word.capitalize() for word in name.split("_")): number
        for name, number in traffic.items()
    }


def _words(traffic: Mapping[str, int], before: Mapping[str, int] | None, seconds: float) -> Json:
    """A link's counters, as people get them."""
    return {
        "Received": _amount("rx", traffic, before, seconds),
        "Sent": _amount("tx", traffic, before, seconds),
        "Errors": str(traffic["rx_errors"] + traffic["tx_errors"]),
        "Dropped": str(traffic["rx_dropped"] + traffic["tx_dropped"]),
    }


def nested(counted: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Counts by protocol, then by state."""
    found: dict[str, dict[str, int]] = {}
    for (protocol, state), count in sorted(counted.items()):
        found.setdefault(protocol, {})[state] = count
    return found


def summary(counted: Counter[tuple[str, str]]) -> str:
    """Counts as words, the most frequent first: "3 tcp ESTABLISHED, 1 udp UNREPLIED"."""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {protocol} {state}" for (protocol, state), count in ordered) or "-"


def _amount(
    direction: str, now: Mapping[str, int], before: Mapping[str, int] | None, seconds: float
) -> str:
    """Traffic of one direction, rx or tx: in all, or by the second."""
    octets, packets = now[f"{direction}_bytes"], now[f"{direction}_packets"]
    if before is None:
        return f"{size(octets)} in {packets} packets"
    octets_each = (octets - before[f"{direction}_bytes"]) / seconds
    packets_each = (packets - before[f"{direction}_packets"]) / seconds
    return f"{size(octets_each)}/s, {packets_each:.0f} packets/s"


def size(octets: float) -> str:
    """Bytes with the unit that leaves one to three digits before the point.

    Units are powers of a thousand, as Docker's.
    """
    for unit in UNITS[:-1]:
        if abs(octets) < 1000:
            return f"{octets:.3g}{unit}"
        octets /= 1000
    return f"{octets:.3g}{UNITS[-1]}"
