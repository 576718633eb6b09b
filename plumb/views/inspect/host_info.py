"""A host in Docker's JSON, and as text: `info` and `version`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from plumb import __version__
from plumb.model.cluster import Node, NodeRole
from plumb.model.cnm import Sandbox, Status
from plumb.model.paths import Layout
from plumb.model.settings import Settings

Json = dict[str, Any]
LOG_DRIVERS = ("fluentd", "json-file", "local", "none", "syslog")
NO_SWARM: Json = {"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive"}


def versions() -> Json:
    """`version`: plumb is the client and the engine."""
    here = os.uname()
    own = {"Version": __version__, "Os": "linux", "Arch": here.machine}
    return {
        "Client": {**own, "Context": "default"},
        "Server": {
            **own,
            "KernelVersion": here.release,
            "Components": [{"Name": "Engine", "Version": __version__}],
        },
    }


def swarm(node: Node | None, error: str = "") -> Json:
    """Swarm of `info`.

    Args:
        node: this host in its cluster, None without one; error: why that could not be asked.
    """
    rest = {"ControlAvailable": False, "Error": error, "RemoteManagers": None}
    if node is None:
        return {**NO_SWARM, **rest, **({"LocalNodeState": "error"} if error else {})}
    return {
        "NodeID": node.id,
        "NodeAddr": str(node.address),
        "LocalNodeState": "active",
        **rest,
        "ControlAvailable": node.role is NodeRole.MANAGER,
    }


def info(
    boxes: Sequence[Sandbox],
    settings: Settings,
    layout: Layout,
    drivers: Iterable[str],
    of_swarm: Json,
) -> Json:
    """`info`, with Docker's fields that concern a host without images.

    Args:
        boxes: all containers; drivers: of networks; of_swarm: as of `swarm`.
    """
    here, running = os.uname(), sum(box.status is Status.RUNNING for box in boxes)
    return {
        "ID": "",
        "Containers": len(boxes),
        "ContainersRunning": running,
        "ContainersPaused": 0,
        "ContainersStopped": len(boxes) - running,
        "Images": 0,
        "Driver": "",
        "DriverStatus": None,
        "Plugins": {
            "Volume": None,
            "Network": sorted(drivers),
            "Authorization": None,
            "Log": list(LOG_DRIVERS),
        },
        "LoggingDriver": settings.log_driver or "json-file",
        "CgroupDriver": "none",
        "KernelVersion": here.release,
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": here.machine,
        "NCPU": os.cpu_count() or 0,
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "DockerRootDir": layout.root,
        "Name": here.nodename,
        "Labels": [],
        "ServerVersion": __version__,
        "Swarm": of_swarm,
        "LiveRestoreEnabled": True,
        "SecurityOptions": [],
        "FirewallBackend": {"Driver": settings.firewall_backend},
        "Warnings": None,
    }


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "Linux"


def as_text(found: Json) -> Iterator[str]:
    """Lines of `info` without a template, in Docker's form and order."""
    plugins, cluster = found["Plugins"], found["Swarm"]
    yield from (
        "Client:",
        f" Version:    {__version__}",
        "",
        "Server:",
        f" Containers: {found['Containers']}",
        f"  Running: {found['ContainersRunning']}",
        f"  Paused: {found['ContainersPaused']}",
        f"  Stopped: {found['ContainersStopped']}",
        f" Images: {found['Images']}",
        f" Server Version: {found['ServerVersion']}",
        f" Logging Driver: {found['LoggingDriver']}",
        " Plugins:",
        f"  Network: {' '.join(plugins['Network'])}",
        f"  Log: {' '.join(plugins['Log'])}",
        f" Swarm: {cluster['LocalNodeState']}",
    )
    if cluster["NodeID"]:
        yield f"  NodeID: {cluster['NodeID']}"
        yield f"  Is Manager: {str(cluster['ControlAvailable']).lower()}"
        yield f"  Node Address: {cluster['NodeAddr']}"
    yield from (
        f" Kernel Version: {found['KernelVersion']}",
        f" Operating System: {found['OperatingSystem']}",
        f" OSType: {found['OSType']}",
        f" Architecture: {found['Architecture']}",
        f" CPUs: {found['NCPU']}",
        f" Total Memory: {found['MemTotal'] / 2**30:.4g}GiB",
        f" Name: {found['Name']}",
        f" Docker Root Dir: {found['DockerRootDir']}",
        f" Live Restore Enabled: {str(found['LiveRestoreEnabled']).lower()}",
        f" Firewall Backend: {found['FirewallBackend']['Driver']}",
    )
