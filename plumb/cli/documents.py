"""Documents: what `inspect` prints, as JSON or by a template."""

from __future__ import annotations

import json
from typing import Any

from plumb.engine.reader import Reader
from plumb.model.cnm import Network, Status


def network_document(host: Reader, net: Network, verbose: bool = False) -> dict[str, Any]:
    """A network in Docker's JSON; verbose: with its endpoints on other hosts."""
    from plumb.views import inspect as docker

    boxes = {box.id: box for box in (*host.containers(), *host.balancers())}
    ends = [(end, boxes[end.sandbox]) for end in host.endpoints(net) if end.sandbox in boxes]
    bare = [box for box in boxes.values() if box.mode == net.name and box.status is Status.RUNNING]
    remotes, services = host.store.remotes(net.id), host.store.services(net.id)
    return docker.network(net, ends, remotes, verbose, services, bare)


def print_documents(found: list[dict[str, Any]], template: str) -> None:
    """Print as a JSON array, or each by a template."""
    from plumb.views.templates import render

    if not template:
        print(json.dumps(found, indent=4))
    for one in found if template else ():
        print(json.dumps(one) if template == "json" else render(template, one))
