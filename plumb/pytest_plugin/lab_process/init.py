"""The first process of a fake host: becomes it, then hears requests until nobody is there to ask.

It is the reaper of everything in its pid namespace, and the parent of every command that a test
runs there, so that none of them can outlive the lab.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from typing import Any

from plumb.kernel.netns import fake_host
from plumb.kernel.process.title import set_title
from plumb.pytest_plugin import rpc
from plumb.pytest_plugin.lab_process.rpc_methods import Answers

NAME = "lab"


def live(stream: socket.socket, settings: dict[str, Any]) -> None:
    """Become a host and serve whoever holds the other end of the stream.

    Come back when that is closed.

    Args:
        stream: gives requests: a verb of `Answers`, its arguments by place and by name, and
        descriptors.
        settings: of plumb on this host, with daemon.json's keys.
    """
    set_title("plumb-lab")
    try:
        fake_host.become_host(NAME)
        answers = Answers(settings)
    except Exception as error:
        rpc.send(stream, rpc.raised(error))
        return
    rpc.send(stream, "ready")
    for words, descriptors in _requests(stream, answers):
        _serve(stream, answers, words, descriptors)


def _requests(stream: socket.socket, answers: Answers) -> Any:
    """Requests as they come; children that have ended are collected between them."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = select.poll()
    for descriptor in (stream.fileno(), reading):
        watched.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in watched.poll():
            if descriptor == reading:
                os.read(reading, 4096)
                answers.ended.update(fake_host.reap())
                continue
            try:
                yield rpc.receive(stream)
            except EOFError:
                return


def _serve(stream: socket.socket, answers: Answers, words: Any, descriptors: list[int]) -> None:
    verb, args, named = words
    given: list[int] = []
    try:
        if descriptors:
            named = {**named, "streams": descriptors}
        value = getattr(answers, verb)(*args, **named)
        if isinstance(value, rpc.Handed):
            value, given = value.value, value.descriptors
    except Exception as error:
        value = rpc.raised(error)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    try:
        rpc.send(stream, value, given)
    finally:
        for descriptor in given:
            os.close(descriptor)
