"""Connections to services: in rounds, until each task that must be reached has answered.

A listener in each task of this host tells by its token which task a connection came to. Where a
program of the task's own has the port, a connection that it accepts counts as one of the tasks'.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from random import Random

from plumb.kernel.net.neighbours import forget_neighbours
from plumb.kernel.netns.namespaces import entered
from plumb.probes.promises.balancing import ServiceOutcome, ServicePromise
from plumb.probes.promises.promise import Protocol
from plumb.probes.traffic.client_sockets import connection, datagrams
from plumb.probes.traffic.responders import MARK, TOKEN, Listener, Listeners, answer
from plumb.probes.traffic.socket_errors import words

ROUNDS = 12
"""Rounds at most; a round has a connection for each turn of the tasks, and FEWEST at least.

A task that is chosen at random is then missed in one of 100,000 trials.
"""
FEWEST, MOST = 4, 256
"""Connections of a round."""
PORTS = range(20000, 30000)
"""Ports to listen at, where any will do; few programs have one of these."""
PORT_TRIALS = 8
HELD = 0.2
"""Seconds after which a connection that a program has accepted is not one that a proxy ends."""
TICK = 0.05


@dataclass
class _Trial:
    """A promise under way: its listeners by token, and the port to connect to."""

    outcome: ServiceOutcome
    port: int
    names: dict[bytes, str]


@dataclass
class _Connection:
    trial: _Trial
    socket: socket.socket
    begun: float = field(default_factory=time.monotonic)


def balance(
    promises: Sequence[ServicePromise], places: Mapping[str, str], seconds: float = 1.0
) -> list[ServiceOutcome]:
    """Try promises about services.

    Args:
        places: the namespace file of each name.
        seconds: the time to wait for the answers of a round.
    """
    with ExitStack() as stack, selectors.DefaultSelector() as watch:
        listeners = Listeners(places, stack, watch)
        _forget(promises, places)
        trials = [_trial(promise, listeners) for promise in promises]
        for _ in range(ROUNDS):
            going = [trial for trial in trials if not trial.outcome.settled]
            if going:
                _round(going, places, watch, seconds)
    return [trial.outcome for trial in trials]


def _forget(promises: Sequence[ServicePromise], places: Mapping[str, str]) -> None:
    """Have clients ask for virtual addresses anew: the balancer must have them still."""
    for source in {promise.source for promise in promises}:
        addresses = {each.address for each in promises if each.source == source and not each.port}
        with entered(places[source]):
            forget_neighbours(addresses)


def _trial(promise: ServicePromise, listeners: Listeners) -> _Trial:
    """Open a promise's listeners, one in each task of this host."""
    for port in [promise.own_port] if promise.own_port else _ports(promise):
        found = {
            task.name: listeners.at(task.name, task.ip, promise.protocol, port)
            for task in promise.tasks
        }
        busy = {name for name, each in found.items() if each.foreign}
        if not busy:
            break
    names = {each.token: name for name, each in found.items() if each.socket is not None}
    return _Trial(ServiceOutcome(promise, busy=busy), promise.port or port, names)


def _ports(promise: ServicePromise) -> list[int]:
    """Ports to try in turn: the same for all clients of a service, so that its listeners are."""
    return Random(f"{promise.service} {promise.address}").sample(PORTS, PORT_TRIALS)


def _round(
    trials: Sequence[_Trial],
    places: Mapping[str, str],
    watch: selectors.BaseSelector,
    seconds: float,
) -> None:
    """Make a round of connections, and wait for their answers."""
    open_ones: set[int] = set()
    for trial in trials:
        for made in _connections(trial, places):
            open_ones.add(id(made))
            watch.register(made.socket, selectors.EVENT_READ, made)
    deadline = time.monotonic() + seconds
    while open_ones and time.monotonic() < deadline:
        for key, _ in watch.select(TICK):
            if isinstance(key.data, Listener):
                answer(key.data)
            elif _read(key.data):
                _close(key.data, watch, open_ones)
        for made in _accepted(watch):
            made.trial.outcome.others += 1
            _close(made, watch, open_ones)
    for made in _every(watch):
        made.trial.outcome.said = "no answer"
        _close(made, watch, open_ones)


def _connections(trial: _Trial, places: Mapping[str, str]) -> Iterator[_Connection]:
    promise = trial.outcome.promise
    count = min(MOST, max(FEWEST, promise.slots))
    trial.outcome.tried += count
    with entered(places[promise.source]):
        made = [CLIENTS[promise.protocol](promise.address.version) for _ in range(count)]
    for each in made:
        each.connect_ex((str(promise.address), trial.port))
        if promise.protocol is Protocol.UDP:
            with suppress(OSError):  # an error of before; the next read has it as well
                each.send(MARK)
        yield _Connection(trial, each)


CLIENTS: Mapping[Protocol, Callable[[int], socket.socket]] = {
    Protocol.TCP: connection,
    Protocol.UDP: datagrams,
}
"""Socket of a client, by IP version."""


def _read(made: _Connection) -> bool:
    """Read an answer or an error; True if one has come."""
    outcome = made.trial.outcome
    try:
        data = made.socket.recv(256)
    except BlockingIOError:
        return False
    except OSError as error:
        outcome.said = words(error.errno or 0)
        return True
    name = made.trial.names.get(data[:TOKEN])
    if name is not None:
        outcome.by_task[name] += 1
    elif data:
        outcome.others += 1
    else:
        outcome.said = "hung up"
    return True


def _accepted(watch: selectors.BaseSelector) -> list[_Connection]:
    """Connections that a program has accepted, and keeps."""
    now = time.monotonic()
    return [made for made in _every(watch) if now - made.begun > HELD and _established(made)]


def _established(made: _Connection) -> bool:
    """Test for a connection to where no listener of plumb's is to answer."""
    outcome = made.trial.outcome
    if outcome.datagrams or (outcome.promise.chosen and not outcome.busy):
        return False
    try:
        made.socket.getpeername()
    except OSError:
        return False
    return True


def _every(watch: selectors.BaseSelector) -> list[_Connection]:
    return [key.data for key in list(watch.get_map().values()) if isinstance(key.data, _Connection)]


def _close(made: _Connection, watch: selectors.BaseSelector, open_ones: set[int]) -> None:
    watch.unregister(made.socket)
    made.socket.close()
    open_ones.discard(id(made))
