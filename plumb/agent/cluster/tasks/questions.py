"""Questions of managers that this node answers: what its tasks have printed."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from plumb.agent.cluster.host_networks import HostNetworks
from plumb.agent.cluster.tasks.runner import Ask
from plumb.errors import PlumbError
from plumb.kernel.cluster import failures
from plumb.store import codec

Json = dict[str, Any]


def answer(ask: Ask, host: HostNetworks, ident: str, question: Json) -> None:
    """Answer a question, in a thread of its own.

    Args:
        ask: sends a manager the answer.
        host: this host.
        ident: the question's.
        question: `logs` with a task's id, `tail`, `offset`.
    """
    run = threading.Thread(target=_answer, args=(ask, host, ident, question), daemon=True)
    run.start()


def _answer(ask: Ask, host: HostNetworks, ident: str, question: Json) -> None:
    with suppress(PlumbError):
        ask("answer", {"question": ident, "reply": _reply(host, question)})


def _reply(host: HostNetworks, question: Json) -> Json:
    try:
        found = host.output(str(question["logs"]), question["tail"], int(question["offset"]))
    except PlumbError as error:
        return dict(failures.encoded(error))
    return {"answer": codec.plain(found)}
