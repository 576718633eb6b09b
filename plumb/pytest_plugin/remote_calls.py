"""Calls: functions of the test that run in a place of the lab; the result or error comes back."""

from __future__ import annotations

import pickle
import time
import traceback
from collections.abc import Callable
from typing import Any

from plumb.kernel.netns import fork_into
from plumb.pytest_plugin.values import Route
from plumb.pytest_plugin.waiting import Deadline, Waited


class CallFailed(Exception):
    """A function failed there with an error that cannot be brought back.

    The message has its traceback.
    """


def call(host: int, way: Route, where: str, function: Callable[[], Any], seconds: float) -> Any:
    """Call a function in a place.

    Args:
        host: the pidfd of the lab's host.
        way: to the place; where: what it is called.
        seconds: how long it may take, before --plumb-slow.

    Raises:
        Waited: it takes too long.
        CallFailed: its result or its error cannot be pickled, or it ended the process.
        BaseException: what the function raised, with a note that has the traceback.
    """
    __tracebackhide__ = True
    from plumb.pytest_plugin.lab_process.enter import enter

    deadline = Deadline(seconds)
    brought = fork_into.collect(
        *fork_into.start(host, lambda: enter(way), lambda: _outcome(function)),
        time.monotonic() + deadline.left(),
    )
    if brought is None:
        raise Waited(f"{where}: the function has not returned within {deadline.seconds:g} s")
    if not brought:
        raise CallFailed(
            f"{where}: the function has ended its process, or the place could not be entered"
        )
    worked, value, story = pickle.loads(brought)  # noqa: S301  # from our own fork
    if worked:
        return value
    if value is None:
        raise CallFailed(f"{where}: {story}")
    value.add_note(f"in {where}:\n{story}")
    raise value


def _outcome(function: Callable[[], Any]) -> bytes:
    """Call the function; pickle its success, its result or error, and the error's traceback."""
    try:
        value = function()
    except BaseException as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None
        story = "".join(traceback.format_exception(error)).rstrip()
        try:
            data = pickle.dumps((False, error.with_traceback(None), story))
            pickle.loads(data)  # noqa: S301  # an error may be pickled and not be made again
            return data
        except Exception:
            return pickle.dumps((False, None, story))
    try:
        return pickle.dumps((True, value, ""))
    except Exception as error:
        return pickle.dumps(
            (False, None, f"what the function returned cannot be brought back: {error}")
        )
