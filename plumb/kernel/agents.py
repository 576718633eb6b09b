"""The engine's door to the agent: started, spoken to, looked at, ended.

What an agent is and what it understands is in `plumb.agent`. Many ports go in one request, in order; the first that is
refused is the last that was tried. An agent that is gone has taken its ports along: they count as removed, and are not there.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from itertools import groupby
from pathlib import Path
from typing import Any

from plumb.errors import KernelRefused, PlumbError, StepFailed
from plumb.kernel import hostports, rendezvous
from plumb.plan import Step
from plumb.things import Key, Thing
from plumb.things.ports import Agent, HostPort, Proxy, at

PATIENCE = 10.0
"""Seconds for an answer."""
GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""
TOGETHER = 500
"""Steps in one request."""
LIST = "'plumb agent ls' shows what there is"
ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ENOTDIR)
"""How it shows that there is no agent, or none any more."""
LAUNCH = "import os,sys; os.fork() and os._exit(0); sys.path.append(sys.argv[3]); from plumb.agent import main; main()"
"""It forks once more, so that it is nobody's child who would have to wait for it."""

Row = tuple[str, str, str, int, str, int]


class PortRefused(KernelRefused):
    """A host port could not be bound; said as Docker says it."""

    def __init__(self, port: HostPort, errno: int, said: str) -> None:
        words = said[:1].lower() + said[1:]
        PlumbError.__init__(self, f"failed to bind host port {at(port.ip, port.port)}/{port.protocol}: {words}", _advice(port, errno))
        self.errno = errno


def _advice(port: HostPort, number: int) -> str:
    if number == errno.EADDRINUSE:
        who = hostports.holder(port.protocol, port.ip, port.port)
        return f"{who or 'another program of this host'} has it: stop that, or publish another port"
    if number == errno.EADDRNOTAVAIL:
        return "this host has no such address: 'ip address' shows those it has"
    if number in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
        return f"this kernel has no {port.protocol.upper()}: load the module with 'modprobe {port.protocol}'"
    return ""


# -- look ---------------------------------------------------------------


def look(things: Sequence[Thing]) -> list[Thing | None]:
    """How agents, host ports and proxies are now: each agent is asked once.

    Raises:
        KernelRefused: an agent does not answer.
    """
    now: dict[tuple[str, Key], Thing] = {}
    for folder in {_folder(thing) for thing in things}:
        asked = {(thing.protocol, str(thing.ip), thing.port) for thing in things
                 if isinstance(thing, HostPort | Proxy) and thing.agent == folder}
        ports = held(folder, list(asked) if len(asked) <= TOGETHER else None)
        if ports is not None:
            now.update(((folder, thing.key), thing) for thing in (Agent(folder), *ports))
    return [now.get((_folder(thing), thing.key)) for thing in things]


def held(folder: str, ports: Sequence[tuple[str, str, int]] | None = None) -> list[HostPort | Proxy] | None:
    """What a folder's agent holds and proxies of these ports (protocol, address, number), or of all; None where there is no agent."""
    try:
        rows = _ask(folder, {"list": True if ports is None else ports})["ports"]
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise KernelRefused(f"ask the agent of {folder}", error.errno or errno.ETIMEDOUT,
                            hint="'plumb repair' ends it and starts another") from error
    found: list[HostPort | Proxy] = []
    for protocol, ip, port, to_ip, to_port, proxied_ip, proxied_port in rows:
        found.append(HostPort(folder, protocol, ip_address(ip), port, ip_address(to_ip), to_port))
        if proxied_ip:
            found.append(Proxy(folder, protocol, ip_address(ip), port, ip_address(proxied_ip), proxied_port))
    return found


def _folder(thing: Thing) -> str:
    assert isinstance(thing, Agent | HostPort | Proxy)
    return thing.folder if isinstance(thing, Agent) else thing.agent


# -- take ---------------------------------------------------------------


def take(steps: Sequence[Step], done: list[Step]) -> None:
    """Take steps about agents, host ports and proxies, in order; `done` gets those that were taken.

    Raises:
        StepFailed: one was refused.
    """
    for (folder, agents), part in groupby(steps, key=lambda step: (_folder(step.thing), isinstance(step.thing, Agent))):
        mine = list(part)
        if agents:
            for step in mine:
                _take_agent(step, folder, done)
        else:
            for first in range(0, len(mine), TOGETHER):
                _take_ports(folder, mine[first:first + TOGETHER], done)


def _take_agent(step: Step, folder: str, done: list[Step]) -> None:
    try:
        if step.after is None:
            stop(folder)
        elif step.before is None:
            start(folder)
    except KernelRefused as refused:
        raise StepFailed(refused, step, done) from refused
    except OSError as error:
        raise StepFailed(KernelRefused(f"{step}", error.errno or 0), step, done) from error
    done.append(step)


def _take_ports(folder: str, steps: list[Step], done: list[Step]) -> None:
    rows = [(step, row) for step in steps for row in _rows(step)]
    try:
        answer = _ask(folder, {"take": [row for _, row in rows]})
    except OSError as error:
        gone = error.errno in ABSENT
        for step in steps:
            if step.after is not None or not gone:
                said = "no agent runs there" if gone else "the agent does not answer"
                raise StepFailed(KernelRefused(f"{step}", 0, said, "'plumb repair' starts it again"), step, done) from error
            done.append(step)
        return
    if answer["done"] == len(rows):
        done += steps
    else:
        failed = rows[answer["done"]][0]
        done += steps[:steps.index(failed)]
        raise StepFailed(_refusal(failed, answer["errno"], answer["said"]), failed, done)


def _rows(step: Step) -> list[Row]:
    """What to ask the agent for."""
    thing = step.thing
    assert isinstance(thing, HostPort | Proxy)
    words = {HostPort: ("hold", "retarget", "release"), Proxy: ("proxy", "", "unproxy")}[type(thing)]
    made, changed, removed = words
    word = removed if step.after is None else made if step.before is None else changed
    row = (thing.protocol, str(thing.ip), thing.port, str(thing.to_ip), thing.to_port)
    return [(word, *row)] if word else [(removed, *row), (made, *row)]


def _refusal(step: Step, number: int, said: str) -> KernelRefused:
    if isinstance(step.after, HostPort) and number not in (errno.EEXIST, errno.EINVAL, errno.ENOENT):
        return PortRefused(step.after, number, said)
    return KernelRefused(f"{step}", number, said, LIST)


def _ask(folder: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask a folder's agent."""
    with rendezvous.connect(folder, PATIENCE) as agent:
        agent.sendall(json.dumps(request).encode() + b"\n")
        with agent.makefile("rb") as heard:
            line = heard.readline()
    if not line.endswith(b"\n"):
        raise ConnectionResetError(errno.ECONNRESET, "the agent hung up")
    answer: dict[str, Any] = json.loads(line)
    return answer


# -- the process ---------------------------------------------------------------


def start(folder: str) -> None:
    """Start a folder's agent in the calling thread's network namespace, and wait until it is ready.

    Raises:
        KernelRefused: it runs already, or could not start.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    reader, writer = os.pipe()
    try:
        try:
            command = [sys.executable, "-I", "-S", "-c", LAUNCH, str(writer), folder, str(Path(__file__).parents[2])]
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     cwd="/", start_new_session=True, pass_fds=(writer,))
        finally:
            os.close(writer)
        answer = os.read(reader, 4096).decode(errors="replace")
    finally:
        os.close(reader)
    child.wait()
    if answer != "ready":
        number, _, words = answer.partition(" ")
        raise KernelRefused(f"add agent {folder}", int(number) if number.isdigit() else 0, words or "it ended before it was ready", LIST)


def stop(folder: str) -> None:
    """End a folder's agent, if it has one, and take its files away."""
    pid, ticks = rendezvous.running(folder)
    if pid:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                if rendezvous.running(folder) == (pid, ticks):      # so it is the agent that the descriptor names
                    _end(descriptor)
            finally:
                os.close(descriptor)
    rendezvous.clear(folder)


def _end(descriptor: int) -> None:
    ended = select.poll()
    ended.register(descriptor, select.POLLIN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal.pidfd_send_signal(descriptor, number)
        if ended.poll(GRACE * 1000):
            return
