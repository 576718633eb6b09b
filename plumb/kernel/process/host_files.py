"""Host's resolver files, from which plumb makes a container's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from plumb.model.net import resolv_conf

RESOLV_CONF, RESOLVED_CONF = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"

STUB = "127.0.0.53"


def host_name() -> str:
    """Return the host's name."""
    return socket.gethostname()


def host_file(name: str) -> str:
    """Read a file of the host's /etc, or of this path; empty if it cannot be read."""
    try:
        with open(os.path.join("/etc", name), encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def resolv_path(own: str = RESOLV_CONF, resolved: str = RESOLVED_CONF) -> str:
    """Return the path of the host's resolv.conf.

    If that only names systemd-resolved's stub, the path of the file that has the servers.

    Args:
        own: the path of the host's file; resolved: of systemd-resolved's.
    """
    return _found(own, resolved)[0]


def resolv_source(own: str = RESOLV_CONF, resolved: str = RESOLVED_CONF) -> str:
    """Read the host's resolv.conf, by the paths of `resolv_path`; empty if it cannot be read."""
    return _found(own, resolved)[1]


def _found(own: str, resolved: str) -> tuple[str, str]:
    """Read the host's resolv.conf once; its path and its text."""
    text = host_file(own)
    stub = STUB in text and resolv_conf.parse(text).servers == [STUB]
    if stub and Path(resolved).exists():
        return resolved, host_file(resolved)
    return own, text
