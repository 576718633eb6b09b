"""Questions of managers to nodes, by way of etcd: a node hears managers, and is not called by them.

Any manager may ask, and the one whose stream the node follows passes the question on. Question and
answer go with a lease of some seconds.
"""

from __future__ import annotations

import json
import time
from typing import Any

from plumb.agent.cluster.certificates import tokens
from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Delete, Get, Put, present
from plumb.errors import Conflict, KernelRefused, NotFound
from plumb.kernel.cluster import failures

LEASE = 20
PATIENCE = 8.0
"""Seconds for an answer."""
PAUSE = 0.05
Json = dict[str, Any]


def ask(etcd: Etcd, node: str, question: Json) -> Any:
    """Ask a node something, and wait for its answer.

    Raises:
        NotFound: it is not in the cluster, or away. KernelRefused: it does not answer in time.
        PlumbError: its own error.
    """
    ident = tokens.new_id()
    lease = etcd.lease_grant(LEASE)
    put = Put(f"{keys.QUESTIONS}{node}/{ident}", json.dumps(question), lease)
    try:
        if not etcd.txn([present(keys.ALIVE + node)], [put]).succeeded:
            raise NotFound(f"node {node} is away", "'plumb node ls' shows which nodes are ready")
        return _answer(etcd, node, ident)
    finally:
        etcd.lease_revoke(lease)


def _answer(etcd: Etcd, node: str, ident: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = etcd.range(Get(keys.ANSWERS + ident)).first
        if found is not None:
            reply = json.loads(found.value)
            if "error" in reply:
                raise failures.decoded(reply)
            return reply["answer"]
        time.sleep(PAUSE)
    raise KernelRefused(f"ask node {node}", 0, "it does not answer", "is it cut off?")


def answer(etcd: Etcd, node: str, ident: str, reply: Json) -> None:
    """Record a node's answer to a question that it was asked.

    Raises:
        Conflict: it was not asked that, or too long ago.
    """
    key = f"{keys.QUESTIONS}{node}/{ident}"
    found = etcd.get(key)
    if found is None:
        raise Conflict("nobody waits for that answer")
    put = Put(keys.ANSWERS + ident, json.dumps(reply), found.lease)
    if not etcd.txn([present(key)], [put, Delete(key)]).succeeded:
        raise Conflict("nobody waits for that answer")
