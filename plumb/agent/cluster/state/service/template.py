"""Digest of what a task is made from, by which an update knows the tasks that it must replace."""

from __future__ import annotations

import hashlib
import json

from plumb.frozen import replace
from plumb.model.service.spec import Balancing, ServiceMode, ServiceSpec, UpdatePolicy
from plumb.store import codec

DIGITS = 16


def digest(spec: ServiceSpec) -> str:
    """Digest of a specification without what changes no container.

    The number of tasks, the pace of updates, labels of the service and the balancing can change
    under running tasks; constraints too, as long as a task's node meets the new ones.
    """
    relevant = replace(
        spec,
        name="",
        mode=ServiceMode.REPLICATED,
        replicas=1,
        concurrent=0,
        labels=(),
        balancing=Balancing.RR,
        constraints=(),
        update=UpdatePolicy(),
        rollback=UpdatePolicy(),
    )
    text = json.dumps(codec.plain(relevant), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
