"""The host's own files of names, from which a container's are made."""

from __future__ import annotations

import socket
from pathlib import Path


def host_name() -> str:
    """The host's name."""
    return socket.gethostname()


def host_file(name: str) -> str:
    """A file of the host's /etc, empty where it cannot be read."""
    try:
        return Path("/etc", name).read_text(errors="replace")
    except OSError:
        return ""


def resolv_source() -> str:
    """The host's resolv.conf; where that only points at systemd-resolved's stub, the file behind it."""
    text = host_file("resolv.conf")
    servers = [words[1] for line in text.splitlines() if (words := line.split())[:1] == ["nameserver"] and len(words) > 1]
    behind = Path("/run/systemd/resolve/resolv.conf")
    return behind.read_text(errors="replace") if servers == ["127.0.0.53"] and behind.exists() else text
