"""Paths of the cluster process: what a boot clears, and what it must not."""

from __future__ import annotations

import os

from plumb.kernel import agent_socket
from plumb.model.paths import Layout

ENDPOINTS = "endpoints"
"""Folder of the endpoints that the process publishes, among the process's files."""
OF_PROCESS = (
    *(agent_socket.PID, agent_socket.SOCKET, agent_socket.LOG),
    *("cluster.log", "etcd.log", ENDPOINTS),
)
"""Files of the process, which lie beside the node's where a root holds everything."""

CERTIFICATE, TRUSTED = "node.pem", "ca.pem"
"""Files of a node's keys: its certificate and key, and the authorities that it trusts."""


def folder(layout: Layout) -> str:
    """Folder with the process's socket, pid file and logs, and etcd's socket."""
    return layout.cluster_process


def kept(layout: Layout) -> str:
    """Folder with what outlives a boot: keys, certificates, etcd's data."""
    return layout.cluster


def is_member(layout: Layout) -> bool:
    """Tell whether this root is a node of a cluster."""
    return os.path.exists(layout.membership)
