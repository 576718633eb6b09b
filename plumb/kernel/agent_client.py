"""Client of the agent: plumb starts agents, sends requests, reads their state, and ends them.

What an agent is and what it understands is in `plumb.agent.server`. Many ports go in one request,
in order; the first that is refused is the last that was tried. An agent that is gone has taken its
ports along: they count as removed, and are not there.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plumb import root
from plumb.errors import KernelRefused, PlumbError
from plumb.frozen import frozen
from plumb.kernel import agent_socket, background
from plumb.kernel.agent_rows import Row, rows_of, things_of
from plumb.kernel.features.table import explain
from plumb.kernel.net.gratuitous_arp import Target
from plumb.kernel.ports import host_ports
from plumb.plan import Step, StepFailed
from plumb.things import Key, Thing
from plumb.things.dns import Names, Resolver
from plumb.things.host_ports import Agent, HostPort, OfAgent, Proxy, at
from plumb.things.supervision import DelayedStart, HealthProbe

if TYPE_CHECKING:
    from plumb.kernel.agent_usage import Usage

TOGETHER = 500
"""Things that are asked after one by one; of more, all are listed."""
REQUEST = 1 << 18
"""Bytes at which a request is long enough; one step may be longer."""
LIST = "'plumb agent ls' shows what there is"
RECENT = 0.5
"""Seconds for which an answer of an agent counts as a sign of life."""
ABSENT = (errno.ENOENT, errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ENOTDIR)
"""How it shows that there is no agent, or none any more."""
LAUNCH = background.launcher("plumb.agent.server")


@frozen
class Deadlines:
    """Times that an agent gets, in seconds.

    Attributes:
        answer: for an answer.
        end: between SIGTERM and SIGKILL.
    """

    answer: float = 10.0
    end: float = 5.0


DEADLINES = Deadlines()


class PortRefused(KernelRefused):
    """A host port could not be bound; said as Docker says it."""

    def __init__(self, port: HostPort, errno: int, said: str) -> None:
        words = said[:1].lower() + said[1:]
        PlumbError.__init__(
            self,
            f"failed to bind host port {at(port.ip, port.port)}/{port.protocol}: {words}",
            _advice(port, errno),
        )
        self.errno = errno


def _advice(port: HostPort, number: int) -> str:
    if number == errno.EADDRINUSE:
        who = host_ports.holder_of(port.protocol, port.ip, port.port)
        return f"{who or 'another program of this host'} has it: stop that, or publish another port"
    if number == errno.EADDRNOTAVAIL:
        return "this host has no such address: 'ip address' shows those it has"
    return explain(port.protocol, number)


# -- look ---------------------------------------------------------------


def look(things: Sequence[Thing], deadlines: Deadlines = DEADLINES) -> list[Thing | None]:
    """Read the present state of agents and their things, with one request to each agent.

    Args:
        things: agents and their things.
        deadlines: the times that each agent gets.

    Raises:
        KernelRefused: an agent does not answer.
    """
    now: dict[tuple[str, Key], Thing] = {}
    for folder in {_folder(thing) for thing in things}:
        asked = _asked(thing for thing in things if _folder(thing) == folder)
        answer = _listed(folder, asked, deadlines)
        if answer is not None:
            who = agent_socket.identify(folder, bool(answer.get("silent")))
            agent = _agent(folder, who)
            now.update(
                ((folder, thing.key), thing) for thing in (agent, *things_of(folder, answer))
            )
    return [now.get((_folder(thing), thing.key)) for thing in things]


def just_answered(folder: str) -> Agent | None:
    """A folder's agent where it has answered this process just now and lives; None if unknown.

    Who works on without a pause need not ask it for a sign of life before each operation.
    """
    who = agent_socket.recently(folder, RECENT)
    return _agent(folder, who) if who[0] else None


def _agent(folder: str, who: tuple[int, str]) -> Agent:
    return Agent(folder, " ".join(map(str, who)))


def _asked(things: Iterable[Thing]) -> dict[str, list[Any]]:
    """Request to an agent for the state of these things."""
    asked: dict[str, list[Any]] = {
        what: [] for what in ("ports", "resolvers", "names", "checks", "starts")
    }
    for thing in things:
        match thing:
            case HostPort() | Proxy():
                asked["ports"].append((thing.protocol, str(thing.ip), thing.port))
            case Resolver():
                asked["resolvers"].append(thing.ns)
            case Names():
                asked["names"].append(thing.endpoint)
            case HealthProbe():
                asked["checks"].append(thing.id)
            case DelayedStart():
                asked["starts"].append(thing.id)
    return asked


def held(folder: str, asked: Mapping[str, Sequence[Any]] | None = None) -> list[OfAgent] | None:
    """Things of a folder's agent; None without an agent.

    Args:
        asked: the things to read, all if None: "ports" (protocol, address, number),
            "resolvers" (namespace files), "names" (endpoint ids).
    """
    answer = _listed(folder, asked, DEADLINES)
    return None if answer is None else things_of(folder, answer)


def _listed(
    folder: str, asked: Mapping[str, Sequence[Any]] | None, deadlines: Deadlines
) -> dict[str, Any] | None:
    short = asked is not None and sum(map(len, asked.values())) <= TOGETHER
    try:
        answer = ask(folder, {"list": asked if short else True}, deadlines)
        if "ports" not in answer:
            raise OSError(errno.EPROTO, answer.get("said", "it is another version's"))
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise KernelRefused(
            f"ask the agent of {folder}",
            error.errno or errno.ETIMEDOUT,
            hint="'plumb repair' ends it and starts another",
        ) from error
    return answer


def usage(folder: str) -> Usage | None:
    """Ask what the clients of an agent have; None without an agent that can tell."""
    from plumb.kernel import agent_usage

    try:
        return agent_usage.parsed(ask(folder, {"usage": True}, DEADLINES))
    except (OSError, KeyError):
        return None


def _folder(thing: Thing) -> str:
    assert isinstance(thing, Agent | OfAgent)
    return thing.folder if isinstance(thing, Agent) else thing.agent


# -- take ---------------------------------------------------------------


def take(steps: Sequence[Step], done: list[Step], deadlines: Deadlines = DEADLINES) -> None:
    """Take steps about agents and what they have, in order; `done` gets those that were taken.

    Args:
        steps: of one folder or of several.
        done: the list to add to.
        deadlines: the times that each agent gets.

    Raises:
        StepFailed: one was refused.
    """
    for (folder, agents), part in groupby(
        steps, key=lambda step: (_folder(step.thing), isinstance(step.thing, Agent))
    ):
        mine = list(part)
        if agents:
            for step in mine:
                _take_agent(step, folder, done, deadlines)
        else:
            for some in _batches(mine):
                _take_rows(folder, some, done, deadlines)


def _take_agent(step: Step, folder: str, done: list[Step], deadlines: Deadlines) -> None:
    try:
        if step.after is None:
            stop(folder, deadlines)
        elif step.before is None:
            start(folder)
    except KernelRefused as refused:
        raise StepFailed(refused, step, done) from refused
    except OSError as error:
        raise StepFailed(KernelRefused(f"{step}", error.errno or 0), step, done) from error
    done.append(step)


def _batches(steps: list[Step]) -> Iterator[list[tuple[Step, list[Row]]]]:
    """Steps with what to ask the agent for, as many together as one request should have."""
    batch: list[tuple[Step, list[Row]]] = []
    size = 0
    for step in steps:
        rows = rows_of(step)
        batch.append((step, rows))
        size += len(json.dumps(rows))
        if size > REQUEST:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _take_rows(
    folder: str, batch: list[tuple[Step, list[Row]]], done: list[Step], deadlines: Deadlines
) -> None:
    steps, rows = [step for step, _ in batch], [(step, row) for step, mine in batch for row in mine]
    try:
        answer = ask(folder, {"take": [row for _, row in rows]}, deadlines)
    except OSError as error:
        gone = error.errno in ABSENT and not agent_socket.running(folder)[0]
        for step in steps:
            if step.after is not None or not gone:
                said = "no agent runs there" if gone else "the agent does not answer"
                raise StepFailed(
                    KernelRefused(f"{step}", 0, said, "'plumb repair' starts it again"), step, done
                ) from error
            done.append(step)
        return
    if answer["done"] == len(rows):
        done += steps
    else:
        failed = rows[answer["done"]][0]
        done += steps[: steps.index(failed)]
        raise StepFailed(_refusal(failed, answer["errno"], answer["said"]), failed, done)


def _refusal(step: Step, number: int, said: str) -> KernelRefused:
    if isinstance(step.after, HostPort) and number not in (
        errno.EEXIST,
        errno.EINVAL,
        errno.ENOENT,
    ):
        return PortRefused(step.after, number, said)
    return KernelRefused(f"{step}", number, said, LIST)


def announce(folder: str, targets: Sequence[Target], at_once: bool) -> bool:
    """Have a folder's agent announce addresses; whether there is one that does.

    Args:
        at_once: the first time is over when this returns; else nobody waits for an agent that is
            known not to answer then.
    """
    request = {"announce": targets, "at once": at_once}
    try:
        if not at_once:
            unanswered = json.dumps({**request, "answer": False}).encode() + b"\n"
            if agent_socket.send(folder, unanswered, DEADLINES.answer):
                return True
        answer = ask(folder, request, DEADLINES)
    except OSError:
        return False
    return answer.get("done") == len(targets)


class _Waiting(threading.local):
    """Work that a thread does when it waits for an agent."""

    work: Callable[[], None] | None = None

    def use(self) -> None:
        """Do the work, if it is not done yet."""
        work, self.work = self.work, None
        if work is not None:
            work()


_WAITING = _Waiting()


@contextmanager
def meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do some work while the agent does its own, the first time that it is asked in a with block.

    Where it is not asked at all, the work is left undone.
    """
    _WAITING.work = work
    try:
        yield
    finally:
        _WAITING.work = None


def ask(folder: str, request: dict[str, Any], deadlines: Deadlines) -> dict[str, Any]:
    """Ask a folder's agent.

    Raises:
        OSError: there is none, or it does not answer.
    """
    with agent_socket.connected(folder, deadlines.answer) as agent:
        agent.sendall(json.dumps(request).encode() + b"\n")
        _WAITING.use()
        line = bytearray()
        while not line.endswith(b"\n"):
            part = agent.recv(1 << 16)
            if not part:
                raise ConnectionResetError(errno.ECONNRESET, "the agent hung up")
            line += part
    answer: dict[str, Any] = json.loads(line)
    return answer


# -- the process ---------------------------------------------------------------


def start(folder: str) -> None:
    """Start a folder's agent in the calling thread's network namespace, and wait until it is ready.

    Raises:
        KernelRefused: it runs already, or could not start.
    """
    root.make_folder(folder, 0o700)
    background.launch(f"agent {folder}", LAUNCH, [folder, *_libraries()])


def _libraries() -> list[str]:
    """Import paths of plumb and of dnspython, which is found without being loaded."""
    from importlib.util import find_spec

    found = find_spec("dns")
    origin = found.origin if found is not None else None
    return [root.IMPORT_PATH, *([str(Path(origin).parents[1])] if origin else [])]


def stop(folder: str, deadlines: Deadlines = DEADLINES) -> None:
    """End a folder's agent, if it has one, and take its files away.

    Args:
        folder: the root's.
        deadlines: the times that the agent gets.
    """
    pid, ticks = agent_socket.running(folder)
    if pid:
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                # If it runs still, the descriptor names it, and no other process of that pid.
                if agent_socket.running(folder) == (pid, ticks):
                    _end(descriptor, deadlines.end)
            finally:
                os.close(descriptor)
    agent_socket.clear(folder)


def _end(descriptor: int, grace: float) -> None:
    ended = select.poll()
    ended.register(descriptor, select.POLLIN)
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal.pidfd_send_signal(descriptor, number)
        if ended.poll(grace * 1000):
            return
