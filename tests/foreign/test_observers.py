"""Commands that observe, on the host of a real Docker Engine: before and after, all is the same.

Compared are links, addresses, routes, rules of routing, both variants of iptables and nftables, all
sysctls, namespaces and plumb's instances of tracefs: of commands that end, and of those that are
killed (SIGKILL), after which the next command puts back what the dead one cannot.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from plumb.kernel.capture import tracefs
from plumb.kernel.netns import snapshot
from plumb.kernel.netns.namespaces import entered
from tests import forked, labs
from tests.foreign.dockerd import MISSING, Dockerd, dockerd
from tests.labs import within

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
OBSERVERS = (
    "trace c2 web:80",
    "trace host 127.0.0.1:8080",
    "trace --wait 0.5 c2 172.20.0.77:80",
    "probe c2 web:80",
    "probe c2 web/dns",
    "matrix",
    "check",
    "stats",
    "explain docker0",
    "explain port 8080",
    "doctor",
    "doctor c2 web:80",
    "network ports",
    "ps",
    "events --since 1m --until 0s --kernel",
)
KILLED = (
    "trace --wait 20 c2 172.20.0.77:80",
    "probe c2 172.20.0.77:80",
    "stats",
    "doctor",
    "explain docker0",
    "events --kernel",
)
MOMENTS = (0.1, 0.5)
"""Seconds after which a command is killed, if it has not ended by then."""
OF_HOST = ("links", "addresses", "routes", "rules", "nftables", "iptables", "sysctls")


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    """An Engine with two containers and a published port."""
    with dockerd() as made:
        made.network("n1", "172.20.0.0/24")
        made.run("web", "n1", "httpd", "-f", "-p", "80", "-h", "/www", publish={"80/tcp": "8080"})
        made.run("c2", "n1")
        made.listens("web", 80)
        plumb(made, "ps")
        yield made


def plumb(docker: Dockerd, line: str, status: int | None = 0) -> str:
    """What a command prints on that host."""
    ran = docker.lab.plumb(*line.split(), status=status, env=docker.environment)
    return ran.stdout + ran.stderr


def state(docker: Dockerd) -> dict[str, object]:
    """All of a host and its containers that a command could leave behind."""
    taken = snapshot.take()
    found: dict[str, object] = {section: taken.get(section) for section in OF_HOST}
    for name in ("web", "c2"):
        found[name] = (
            within(
                docker.netns(name), "sysctl -a 2>/dev/null | grep '^net' | grep -v conntrack_count"
            ),
            within(docker.netns(name), "ip rule; ip route show table all"),
        )
        with entered(docker.netns(name)):
            found[f"{name}'s tools"] = labs.state()
    found["namespaces"] = [
        sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        for folder in ("/run/docker/netns", "/run/netns")
    ]
    return found


def changes(docker: Dockerd, before: dict[str, object]) -> dict[str, object]:
    """The sections that are not as they were."""
    now = state(docker)
    return {name: (before[name], each) for name, each in now.items() if each != before[name]}


def instances(pid: int) -> list[str]:
    """A process's instances of tracefs."""
    try:
        root = tracefs.mounted()
    except OSError:
        return []  # this kernel has none
    try:
        folder = os.open(tracefs.INSTANCES, os.O_RDONLY, dir_fd=root)
        try:
            return [
                each for each in os.listdir(folder) if each.startswith(f"{tracefs.PREFIX}{pid}-")
            ]
        finally:
            os.close(folder)
    finally:
        os.close(root)


def test_an_observing_command_changes_nothing(docker: Dockerd) -> None:
    """One after the other, each compared with the state before it."""
    for line in OBSERVERS:
        before = state(docker)
        plumb(docker, line, status=None)
        assert changes(docker, before) == {}, line


def killed(docker: Dockerd, line: str, seconds: float) -> int:
    """Kill a command after that time; its pid."""
    env = {**os.environ, "PLUMB_ROOT": str(docker.lab.root), **docker.environment}
    with Path(os.devnull).open("w") as nothing:
        pid = forked.start(line.split(), env, (nothing.fileno(), nothing.fileno()))
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return pid


@pytest.mark.parametrize("line", KILLED)
def test_a_killed_command_leaves_nothing_behind_the_next(docker: Dockerd, line: str) -> None:
    """A note on the disk says what the dead one had set."""
    before = state(docker)
    for seconds in MOMENTS:
        pid = killed(docker, line, seconds)
        plumb(docker, "ps")
        assert changes(docker, before) == {}
        assert instances(pid) == []
        notes = Path(docker.lab.root, "tracing")
        assert not notes.exists() or os.listdir(notes) == []
