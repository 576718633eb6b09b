"""The process `plumb-cluster`: one for a root that is in a cluster, in the root's namespace.

It stands beside the agent, so that TLS, threads and what waits for other hosts never hold up names
and ports. `swarm init` and `swarm join` start it; after a boot, or if it was killed, the next
command that needs it. It ends when this node leaves its cluster, or when its folder is deleted.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from plumb.agent.cluster.host_networks import HostNetworks
from plumb.agent.cluster.identity import Papers
from plumb.agent.cluster.local import LocalServer
from plumb.agent.cluster.member import Member
from plumb.errors import PlumbError
from plumb.kernel import agent_socket
from plumb.kernel.cluster import places
from plumb.model.paths import Layout

NAME = "plumb-cluster"
LOG_LIMIT = 1 << 20
"""Bytes of the log, after which it begins anew."""
IDLE = 10.0
"""Seconds after which a process that is in no cluster ends."""
CHECK_INTERVAL = 1.0


def main() -> None:
    """Run the process of the root that is the second argument.

    It writes "ready", or an error, to the file descriptor that is the first argument.
    """
    ready, layout = int(sys.argv[1]), Layout(sys.argv[2])
    os.set_inheritable(ready, False)
    os.umask(0o077)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever started it may have blocked some
    try:
        folder = Papers(layout).run
        lock = agent_socket.claim(folder)
    except OSError as error:
        os.write(ready, f"{error.errno} {error.strerror}".encode())
        return
    log = _logger(f"{folder}/cluster.log")
    try:
        run(layout, lock, ready, log)
    except (PlumbError, OSError) as error:
        log(str(error))
        with suppress(OSError):
            os.write(ready, f"0 {error}".encode()[:4000])
    finally:
        agent_socket.abandon(folder, lock)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit()


def run(layout: Layout, lock: int, ready: int, log: Callable[[str], None]) -> None:
    """Serve until this node leaves its cluster.

    Args:
        lock: on the pid file.
        ready: the pipe to whoever started the process.
        log: takes lines.
    """
    member = Member(Papers(layout), log, HostNetworks(layout))
    try:
        member.resume()
        server = LocalServer(agent_socket.listen(places.folder(layout)), member, log)
        agent_socket.sign(lock, NAME)
        threading.Thread(target=server.run, name="local", daemon=True).start()
        os.write(ready, b"ready")
        os.close(ready)
        _stay(places.folder(layout), lock, member, server)
    finally:
        member.close()


def _stay(folder: str, lock: int, member: Member, server: LocalServer) -> None:
    """Return when the process is of no use any more."""
    used = time.monotonic()
    while agent_socket.valid(folder, lock):
        time.sleep(CHECK_INTERVAL)
        if member.membership is not None or server.busy:
            used = time.monotonic()
        elif time.monotonic() > used + IDLE:
            return


def _logger(path: str) -> Callable[[str], None]:
    """Lines with the time before them, in a file for root only that begins anew when it is long."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)

    def log(text: str) -> None:
        if os.fstat(file).st_size > LOG_LIMIT:
            os.ftruncate(file, 0)
        os.write(file, f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}\n".encode())

    return log
