"""The host's own files of names, from which a container's are made."""

from __future__ import annotations

import socket
from pathlib import Path

RESOLV_CONF, BEHIND = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"


def host_name() -> str:
    """The host's name."""
    return socket.gethostname()


def host_file(name: str) -> str:
    """A file of the host's /etc, or of this path; empty where it cannot be read."""
    try:
        return Path("/etc", name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def resolv_path() -> str:
    """The host's resolv.conf.

    Where that only points at systemd-resolved's stub, the file behind it.
    """
    lines = [line.split() for line in host_file(RESOLV_CONF).splitlines()]
    servers = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
    return BEHIND if servers == ["127.0.0.53"] and Path(BEHIND).exists() else RESOLV_CONF


def resolv_source() -> str:
    """What stands in it, empty where it cannot be read."""
    return host_file(resolv_path())
