"""Election of the manager that assigns tasks, the leader.

The leader is whose lease the key goes with. All that it writes is on condition that the key is the
one that it has made: what a former leader still has under way comes to nothing.
"""

from __future__ import annotations

from plumb.agent.cluster.state import keys
from plumb.agent.cluster.state.etcd import refusals
from plumb.agent.cluster.state.etcd.client import Etcd
from plumb.agent.cluster.state.etcd.operations import Compare, Get, Put, absent

LEASE = 6
"""Seconds without a renewal after which another manager is elected."""


class Candidate:
    """A manager's part in the election.

    Args:
        etcd: the cluster's store.
        node: the manager's id.
        ttl: seconds of its lease.
    """

    def __init__(self, etcd: Etcd, node: str, ttl: int = LEASE) -> None:
        self._etcd, self._node, self._ttl = etcd, node, ttl
        self._lease = 0
        self._revision = 0

    @property
    def leads(self) -> bool:
        """True if it was the leader when it was asked last."""
        return bool(self._revision)

    @property
    def condition(self) -> Compare:
        """Condition of a transaction that only the leader may make."""
        return Compare(keys.ELECTION, "CREATE", self._revision)

    def stand(self) -> bool:
        """Renew the lease, and become the leader where there is none; True if it is it."""
        try:
            if not self._lease:
                self._lease = self._etcd.lease_grant(self._ttl)
            else:
                self._etcd.lease_keepalive(self._lease)
        except refusals.LeaseGone:
            self._lease = self._revision = 0
            return False
        if not self._revision:
            self._elect()
        return self.leads

    def _elect(self) -> None:
        key = keys.ELECTION
        made = self._etcd.txn(
            [absent(key)], [Put(key, self._node, self._lease), Get(key)], [Get(key)]
        )
        found = made.listings[0].first
        if found is not None and found.lease == self._lease:
            self._revision = found.created

    def check(self) -> bool:
        """Read whether it is the leader still."""
        found = self._etcd.get(keys.ELECTION)
        if found is None or found.created != self._revision:
            self._revision = 0
        return self.leads

    def withdraw(self) -> None:
        """Give the part up, so that another manager is elected at once."""
        lease, self._lease, self._revision = self._lease, 0, 0
        if lease:
            self._etcd.lease_revoke(lease)


def leader(etcd: Etcd) -> str:
    """Return the id of the manager that assigns tasks; empty while there is none."""
    found = etcd.get(keys.ELECTION)
    return found.value if found else ""
