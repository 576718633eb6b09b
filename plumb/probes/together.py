"""Many probes at the same time, each to a program that has the port, or to a listener of plumb's.

A packet that does not arrive is waited for, so probes one after the other would take as long as all
of these waits together.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from plumb.errors import PlumbError
from plumb.model.net.targets import ProbeKind
from plumb.probes import one_probe
from plumb.probes.probe_spec import ProbeResult, ProbeSpec
from plumb.probes.promises.promise import Protocol
from plumb.probes.traffic.responders import Listener, Listeners

AT_A_TIME = 16
"""Probes that are under way together."""
BATCH = 200
"""Probes whose listeners are open together: each has a descriptor."""


def ask(
    questions: Sequence[ProbeSpec], seconds: float, done: Callable[[int], None] = lambda count: None
) -> list[ProbeResult | PlumbError]:
    """Send each probe once; return the results in their order, or why one could not be tried.

    Probes to the same port of a target share a listener.

    Args:
        seconds: the time to wait for each reply.
        done: called with the number of probes that have ended since the last call.
    """
    found: list[ProbeResult | PlumbError] = []
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        for at in range(0, len(questions), BATCH):
            with ExitStack() as stack, selectors.DefaultSelector() as watch:
                opened = _opened(questions[at : at + BATCH], stack, watch)
                for each in threads.map(lambda one: _asked(one[0], one[1], seconds), opened):
                    found.append(each)
                    done(1)
    return found


Opened = Listener | PlumbError | None


def _opened(
    questions: Sequence[ProbeSpec], stack: ExitStack, watch: selectors.BaseSelector
) -> list[tuple[ProbeSpec, Opened]]:
    """Open a listener for each probe that needs one.

    All ports are looked at before the first is taken, as plumb's own listeners are no programs.
    """
    places = {each.target.ns: each.target.ns for each in questions if each.target is not None}
    listeners = Listeners(places, stack, watch)
    needed = [_needs_listener(each) for each in questions]
    return [
        (each, _listener(each, listeners) if needs is True else needs or None)
        for each, needs in zip(questions, needed, strict=True)
    ]


def _needs_listener(question: ProbeSpec) -> bool | PlumbError:
    if question.target is None or question.kind not in (ProbeKind.TCP, ProbeKind.UDP):
        return False
    try:
        return not one_probe.listeners_at(question, question.target)
    except PlumbError as error:
        return error


def _listener(question: ProbeSpec, listeners: Listeners) -> Opened:
    """The listener of a probe; None where a program has begun to listen just now."""
    assert question.target is not None
    address = question.own_address or question.address
    try:
        found = listeners.at(
            question.target.ns, address, Protocol(question.kind), question.own_port
        )
    except PlumbError as error:
        return error
    if found.failed and not found.foreign:
        return one_probe.no_listener(question, question.target, found)
    return None if found.failed else found


def _asked(question: ProbeSpec, opened: Opened, seconds: float) -> ProbeResult | PlumbError:
    if isinstance(opened, PlumbError):
        return opened
    try:
        return one_probe.ask(question, 1, seconds, opened)
    except PlumbError as error:
        return error
