"""A manager as a process of its own: attaches containers of one host, and prints their addresses.

python -m tests.agent.cluster.state.manager SOCKET HOST NETWORK COUNT
"""

from __future__ import annotations

import sys
from contextlib import closing

from plumb.agent.cluster.state import endpoints
from plumb.agent.cluster.state.etcd import Etcd, UnixSocket
from plumb.model.cluster import AttachRequest
from tests.agent.cluster.state.clusters import new_id


def main(socket: str, host: str, network: str, count: str) -> None:
    with closing(Etcd(UnixSocket(socket), patience=60)) as etcd:
        for _ in range(int(count)):
            wish = AttachRequest(new_id(), network, new_id())
            print(endpoints.reserve(etcd, host, wish).ip, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
