"""Ends of commands, as a node of a swarm asks for them."""

from __future__ import annotations

import signal

from plumb.kernel.process import commands, deaths
from tests.labs import Lab
from tests.waiting import until

TRAP = 'trap "exit 7" HUP; echo ready; while :; do sleep 0.1; done'


def test_a_command_is_asked_to_end_by_its_stop_signal(emptied: Lab) -> None:
    """SIGHUP, say; its exit code tells that it heard that one."""
    emptied.plumb("run", "-d", "--name", "web", "--network", "none", "sh", "-c", TRAP)
    until(lambda: "ready" in emptied.plumb("logs", "web").stdout, "the trap is set")
    with emptied.host() as host:
        folder = host.layout.container(host.container("web").id)
    deaths.ask_to_end(folder, signal.SIGHUP)
    until(lambda: commands.exit_code(folder) == 7, "it has ended by that signal")
