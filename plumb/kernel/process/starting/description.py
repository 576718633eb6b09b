"""Description of a container's command, as its shim and what joins it take it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from plumb import root
from plumb.model.container_options import CAPABILITIES
from plumb.things import mounts
from plumb.things.sandbox import Process

if TYPE_CHECKING:
    from plumb.kernel.process.identity.users import User

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

FROM_HOST = (
    "there are no images: the first word after the options is the command, "
    "which is looked for in the host's file system"
)
"""Advice on a command that cannot be executed; often it is meant as an image, nginx:latest."""


def spec(process: Process, beside: int = 0) -> dict[str, Any]:
    """Build the shim's input.

    Raises:
        Invalid: there is no such user as the process is to have.
    """
    return {
        "ns": process.ns,
        "folder": process.folder,
        "files": process.files,
        "hostname": process.hostname,
        "argv": list(process.argv),
        "capabilities": [CAPABILITIES.index(name) for name in process.capabilities],
        "beside": beside,
        "environment": environment(process),
        "user": list(_user(process.user)[:3]) if process.user else [],
        "working_dir": process.working_dir,
        "read_only": _read_only(process) if process.read_only else {},
        "isolated": process.isolated,
        "advice": f"; {FROM_HOST}",
        "log": {
            "path": f"{process.folder}/log",
            "size": process.log_size,
            "files": process.log_files,
            "driver": process.log_driver,
            "server": dict(process.log_server),
        },
        "settle": [sys.executable, "-m", "plumb", "settle", process.id],
        "settle_environment": {
            "PLUMB_ROOT": process.root,
            "PLUMB_CONFIG": process.config,
            "PYTHONPATH": root.IMPORT_PATH,
        },
    }


def _read_only(process: Process) -> dict[str, Any]:
    """Mounts of a command that sees the host's files read-only; JSON and marshal can carry them."""
    own_proc = (mounts.OWN_PROC,) if process.isolated else ()
    return {
        "root": process.root,
        "over_host": [list(mount) for mount in (*mounts.over_host(process.root), *own_proc)],
        "in_dev": [list(mount) for mount in mounts.IN_DEV],
        "devices": mounts.DEVICES,
        "links": mounts.LINKS,
    }


def environment(process: Process) -> dict[str, str]:
    """Build the command's environment: defaults, then the given variables.

    One without a value is not set, be it one of the defaults.
    """
    found = {
        "PATH": PATH,
        "HOSTNAME": process.hostname,
        "HOME": _user(process.user).home if process.user else "/root",
        "TERM": os.environ.get("TERM", "xterm"),
    }
    for word in process.environment:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = value
        else:
            found.pop(name, None)
    return found


def _user(name: str) -> User:
    from plumb.kernel.process.identity import users  # lazy: most commands run as root

    return users.known(name)
