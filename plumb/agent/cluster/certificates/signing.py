"""Functions of `pki`, carried out in a process of their own that ends when it is idle.

The library `cryptography` stays in the memory of a process that has imported it: 20 MB, for work of
milliseconds when a node joins and every 45 days. Here it is in a child process that answers
requests for a few seconds. Keys go through a socket pair, never through arguments.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeVar, get_type_hints

from plumb.agent.cluster.certificates import pki
from plumb.errors import KernelRefused, PlumbError
from plumb.kernel.cluster import failures
from plumb.kernel.cluster.line_process import LineProcess
from plumb.store import codec

P = ParamSpec("P")
R = TypeVar("R")
IDLE = 5.0
"""Seconds without a request after which the process ends."""
MODULE = "plumb.agent.cluster.certificates.signing"

_turn, _process = threading.Lock(), LineProcess(MODULE)


def _in_child(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function that has another one, of `pki`, carried out in the child process."""

    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        assert not kwargs, "requests have positional arguments"
        line = json.dumps([function.__name__, [codec.plain(one) for one in args]])
        with _turn:
            try:
                answer = json.loads(_process.ask(line.encode() + b"\n"))
            except (OSError, ValueError) as error:
                raise KernelRefused(f"{function.__name__} in a process", 0, str(error)) from None
        if "error" in answer:
            raise failures.decoded(answer)
        found: R = codec.decode(_hints(function)["return"], answer["answer"])
        return found

    return asked


new_authority = _in_child(pki.new_authority)
successor = _in_child(pki.successor)
new_key = _in_child(pki.new_key)
request = _in_child(pki.request)
sign_node = _in_child(pki.sign_node)
sign_peer = _in_child(pki.sign_peer)
request_key_hash = _in_child(pki.request_key_hash)
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    pki.new_authority,
    pki.successor,
    pki.new_key,
    pki.request,
    pki.sign_node,
    pki.sign_peer,
    pki.request_key_hash,
)


@cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function)


# -- the child process -----------------------------------------------------------------------


def main() -> None:
    """Answer requests from the socket that is standard input, until none has come for a while."""
    with socket.socket(fileno=sys.stdin.fileno()) as parent:
        parent.settimeout(IDLE)
        with parent.makefile("rb") as heard:
            try:
                while line := heard.readline():
                    parent.sendall(json.dumps(_answer(line)).encode() + b"\n")
            except OSError:
                return  # idle, or the parent has ended


def _answer(line: bytes) -> dict[str, Any]:
    name, values = json.loads(line)
    function = next(one for one in FUNCTIONS if one.__name__ == name)
    kinds = list(_hints(function).values())
    try:
        given = [codec.decode(kind, value) for kind, value in zip(kinds, values, strict=False)]
        return {"answer": codec.plain(function(*given))}
    except PlumbError as error:
        return failures.encoded(error)
    except ImportError as error:
        return failures.encoded(PlumbError(f"cannot make a certificate: {error}"))
