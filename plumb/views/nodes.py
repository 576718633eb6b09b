"""Nodes of a swarm in Docker's words: rows of `node ls`, JSON and text of `node inspect`.

What lies between them, as `check --peers` prints it, is here as well.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from plumb import __version__
from plumb.model.cluster import Node, NodeRole

if TYPE_CHECKING:
    from plumb.probes.peers.finding import Fault, PeersReport

NO_GOSSIP = "TCP and UDP 7946 need not be open: they carry Docker's gossip, and plumb has none"


def row(node: Node, own: str) -> dict[str, object]:
    """A line of `node ls`.

    Args:
        own: the id of the node that asks.
    """
    return {
        "ID": node.id,
        "Hostname": node.hostname,
        "Status": _state(node).capitalize(),
        "Availability": node.availability.value.capitalize(),
        "ManagerStatus": "Leader" if node.leader else _reachability(node).capitalize(),
        "EngineVersion": __version__,
        "TLSStatus": "Ready",
        "Self": node.id == own,
    }


def _state(node: Node) -> str:
    return "ready" if node.alive else "down"


def _reachability(node: Node) -> str:
    if node.role is not NodeRole.MANAGER:
        return ""
    return "reachable" if node.alive else "unreachable"


def manager_address(node: Node) -> str:
    """HOST:PORT at which nodes join by way of a manager."""
    host = f"[{node.address}]" if node.address.version == 6 else str(node.address)
    return f"{host}:{node.port}"


def document(node: Node) -> dict[str, Any]:
    """A node in Docker's JSON."""
    made: dict[str, Any] = {
        "ID": node.id,
        "Version": {},
        "CreatedAt": node.created,
        "UpdatedAt": node.created,
        "Spec": {
            "Labels": dict(node.labels),
            "Role": node.role.value,
            "Availability": node.availability.value,
        },
        "Description": {
            "Hostname": node.hostname,
            "Platform": {"Architecture": platform.machine(), "OS": "linux"},
            "Resources": {},
            "Engine": {"EngineVersion": __version__},
            "TLSInfo": {},
        },
        "Status": {"State": _state(node), "Addr": str(node.address)},
    }
    if node.role is NodeRole.MANAGER:
        made["ManagerStatus"] = {
            **({"Leader": True} if node.leader else {}),
            "Reachability": _reachability(node),
            "Addr": manager_address(node),
        }
    return made


def pretty(node: Node) -> str:
    """A node as `node inspect --pretty` prints it."""
    lines = [f"ID:\t\t\t{node.id}"]
    if node.labels:
        lines.append("Labels:")
        lines += [f" - {key}{f'={value}' if value else ''}" for key, value in node.labels]
    lines += [
        f"Hostname:              \t{node.hostname}",
        f"Joined at:             \t{node.created}",
        "Status:",
        f" State:\t\t\t{_state(node).capitalize()}",
        f" Availability:         \t{node.availability.value.capitalize()}",
        f" Address:\t\t{node.address}",
    ]
    if node.role is NodeRole.MANAGER:
        lines += [
            "Manager Status:",
            f" Address:\t\t{manager_address(node)}",
            f" Raft Status:\t\t{_reachability(node).capitalize()}",
            f" Leader:\t\t{'Yes' if node.leader else 'No'}",
        ]
    return "\n".join([*lines, f"Engine Version:\t\t{__version__}"])


# -- between nodes ---------------------------------------------------------------


def peer_lines(report: PeersReport) -> Iterator[str]:
    """Yield lines of `check --peers` for people."""
    for fault in report.own:
        yield from _said("this node", fault)
    for peer in report.peers:
        if peer.looked:
            yield f"{peer}: as it must be: {'; '.join(peer.looked)}"
        for fault in peer.faults:
            yield from _said(str(peer), fault)
    if not report.peers:
        yield "there is no other node"
    yield NO_GOSSIP


def _said(who: str, fault: Fault) -> Iterator[str]:
    yield f"{who}: {fault.cause}: {fault.text}"
    yield f"  {fault.advice}"


def peer_documents(report: PeersReport) -> Iterator[str]:
    """Yield a JSON object for this node's own faults, if there are any, and for each peer."""
    if report.own:
        yield json.dumps({"Node": "", "Faults": [_document(fault) for fault in report.own]})
    for peer in report.peers:
        yield json.dumps(
            {
                "Node": peer.node.id,
                "Hostname": peer.node.hostname,
                "Address": str(peer.node.address),
                "DataPath": str(peer.node.data_path),
                "Good": list(peer.looked),
                "Faults": [_document(fault) for fault in peer.faults],
            }
        )


def _document(fault: Fault) -> dict[str, str]:
    return {"Cause": fault.cause, "Text": fault.text, "Advice": fault.advice}
