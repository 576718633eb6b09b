"""A client of etcd v3, by its JSON gateway and the standard library.

client        requests: keys, transactions, leases, the member's state
operations    what a transaction consists of: comparisons, puts, gets, deletions
transport     connections: a Unix socket of this host, or TLS with a client's certificate
refusals      errors of etcd, a dead process told from a lost quorum
membership    etcd's own members
contention    requests that want the same at once
"""

from __future__ import annotations

from plumb.agent.cluster.state.etcd.client import Etcd as Etcd
from plumb.agent.cluster.state.etcd.transport import TlsUrls as TlsUrls
from plumb.agent.cluster.state.etcd.transport import UnixSocket as UnixSocket
