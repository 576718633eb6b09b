"""State of the machine that is no namespace's: kernel, modules, processes, files of settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from plumb.kernel.diagnosis.namespace import text
from plumb.kernel.foreign import processes
from plumb.kernel.netfilter import iptables_save
from plumb.kernel.netlink.ctnetlink import Table
from plumb.model.diagnosis.machine_state import MachineState
from plumb.model.diagnosis.snapshot import FlowState

MODULES = "/lib/modules"
SYSCTL_FOLDERS = ("/run/sysctl.d", "/etc/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
SETTING = re.compile(
    r"^-?\s*(net[./](?:ipv4[./](?:ip_forward|conf[./]\w+[./]forwarding)"
    r"|ipv6[./]conf[./]all[./]forwarding))\s*=\s*(\d+)\s*$",
    re.MULTILINE,
)
LOADED = "/proc/thread-self/net/ip_tables_names"
LEGACY = re.compile(r"/ip_tables\.ko")
LONGEST_LIST = 4 << 20
"""Bytes of a list of modules that are read."""
NETWORKD = "systemd-network"
LINKS = "/run/systemd/netif/links"
"""Folder of systemd-networkd's state of each link, by the link's index."""
MANAGED = re.compile(r"^ADMIN_STATE=(?:configured|configuring)$", re.MULTILINE)
NETWORK_FILE = re.compile(r"^NETWORK_FILE=(\S+)$", re.MULTILINE)
MANAGERS = frozenset(
    {
        "dockerd",
        "containerd",
        "docker-proxy",
        "podman",
        "firewalld",
        "fail2ban-server",
        "tailscaled",
        "NetworkManager",
        NETWORKD,
    }
)
"""Processes by their names (15 letters, as the kernel keeps them) that change networks."""
FLOWS = 1000
"""Rewritten flows that are kept."""


def read() -> MachineState:
    """Read the machine's state."""
    running = tuple(managers())
    networkd = any(name == NETWORKD for _, name in running)
    return MachineState(
        os.uname().release,
        tuple(_modules()),
        running,
        tuple(_persistent()),
        tuple(_managed()) if networkd else (),
        os.path.realpath(found) if (found := iptables_save.found("iptables")) else "",
        _legacy(),
    )


def _legacy() -> bool:
    """Test for the legacy variant's tables, without a question that would load their module."""
    if os.path.exists(LOADED):
        return True
    folder = f"{MODULES}/{os.uname().release}"
    known = [text(f"{folder}/{name}", LONGEST_LIST) for name in ("modules.builtin", "modules.dep")]
    return not all(known) or any(LEGACY.search(each) for each in known)


def _modules() -> Iterator[str]:
    try:
        yield from sorted(os.listdir(MODULES))
    except OSError:
        return


def managers() -> Iterator[tuple[int, str]]:
    """Yield pids and names of processes in this network namespace that manage networks."""
    for entry in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        name = text(f"/proc/{entry}/comm").strip()
        if name in MANAGERS and processes.in_this_namespace(int(entry)):
            yield int(entry), name


def _managed() -> Iterator[tuple[int, str]]:
    """Yield the links that systemd-networkd configures, with the .network file that matches."""
    try:
        names = sorted(filter(str.isdigit, os.listdir(LINKS)), key=int)
    except OSError:
        return
    for name in names:
        state = text(f"{LINKS}/{name}")
        if MANAGED.search(state):
            found = NETWORK_FILE.search(state)
            yield int(name), found[1] if found else ""


def _persistent() -> Iterator[tuple[str, str, str]]:
    """Yield settings that a boot or `sysctl --system` would make, in its order."""
    files = {
        path.name: path
        for folder in reversed(SYSCTL_FOLDERS)
        for path in sorted(Path(folder).glob("*.conf"))
    }
    for path in (*(files[name] for name in sorted(files)), Path("/etc/sysctl.conf")):
        for name, value in SETTING.findall(text(str(path))):
            yield str(path), name.replace(".", "/"), value


def rewritten_flows(ports: frozenset[int]) -> list[FlowState]:
    """Read flows of UDP to published ports whose destination was rewritten.

    Args:
        ports: the published ports of the host.

    Raises:
        OSError: connection tracking cannot be read.
    """
    found: list[FlowState] = []
    with Table() as table:
        for flow in table.dump():
            if flow.protocol != "udp" or flow.way.dport not in ports:
                continue
            if flow.reply.src != flow.way.dst and len(found) < FLOWS:
                found.append(
                    FlowState(flow.way.dst, flow.way.dport, flow.reply.src, flow.reply.sport)
                )
    return found
